"""Differences between spec versions 1 and 2 inside metadata files, in one table.

A file is read in the dialect of its own version byte: a migrated repository mixes both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack  # type: ignore[import-untyped]

from icechunk.core.errors import ErrorKind, FormatError
from icechunk.spec.flatbuffers import flex

if TYPE_CHECKING:
    from collections.abc import Callable


class Dialect(NamedTuple):
    """The rules of one spec version for the content of metadata files.

    Attributes
    ----------
    spec_version
        Version byte of the header.
    encode_value, decode_value
        Codec of metadata values: MessagePack in v1, FlexBuffers in v2; the decoder's keyword `name`
        is the object named in error messages.
    parent_in_snapshot
        v1 stores the parent id in the snapshot; in v2 it lives in the repo info.
    counted_shapes
        v2 stores array length and number of chunks (`shape_v2`), v1 array and chunk length.
    manifest_info_tables
        v2 lists manifests as tables (`manifest_files_v2`), v1 as structs.
    moved_nodes
        Transaction logs have a list of moves.
    location_compression
        Virtual locations may be compressed with a dictionary when written.
    initial_log
        The initial snapshot has a transaction log.
    """

    spec_version: int
    encode_value: Callable[[Any], bytes]
    decode_value: Callable[..., Any]
    parent_in_snapshot: bool
    counted_shapes: bool
    manifest_info_tables: bool
    moved_nodes: bool
    location_compression: bool
    initial_log: bool


def _encode_msgpack(value: Any) -> bytes:
    """Encode with minimal integers and 64-bit floats, as spec 1 files have them."""
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def _decode_msgpack(raw: bytes, *, name: str = "a metadata value") -> Any:
    """Decode one MessagePack value."""
    try:
        return msgpack.unpackb(raw, raw=False, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise FormatError(
            f"error deserializing `{name}`: a metadata value is damaged ({error}). "
            "Restore the object from a backup or use another snapshot",
            kind=ErrorKind.DESERIALIZATION,
        ) from error


V1 = Dialect(
    spec_version=1,
    encode_value=_encode_msgpack,
    decode_value=_decode_msgpack,
    parent_in_snapshot=True,
    counted_shapes=False,
    manifest_info_tables=False,
    moved_nodes=False,
    location_compression=False,
    initial_log=False,
)

V2 = Dialect(
    spec_version=2,
    encode_value=flex.encode,
    decode_value=flex.decode,
    parent_in_snapshot=False,
    counted_shapes=True,
    manifest_info_tables=True,
    moved_nodes=True,
    location_compression=True,
    initial_log=True,
)


def dialect_for(spec_version: int) -> Dialect:
    """Return the dialect of a spec version (1 or 2)."""
    return V1 if spec_version == 1 else V2
