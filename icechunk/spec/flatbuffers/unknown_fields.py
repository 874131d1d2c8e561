"""Carry fields of a table that a newer library added through a rewrite of the file.

The type of such a field cannot be known: four bytes may be a number or the way to a string, a
vector or a tree of tables.  So the payload that the newer library wrote is kept whole, as a block
inside the new payload, and the new table's vtable says that the unknown fields are where they
always were, in that block.  Numbers stay numbers, and references, which are relative, still lead to
their targets.

A payload with such a block starts, after the 8 bytes of every payload, with `_MARK`, the distance
of the block from the end of the payload and its length (two u32), so that the next rewrite finds
the block and the file does not grow.  Other readers skip all of it.

Limit: a vtable reaches 64 KiB, so fields further than that from the start of the newer library's
payload are dropped, with a warning.  Tables are usually first in a payload.
"""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icechunk.spec.flatbuffers.read import Body, Table
    from icechunk.spec.flatbuffers.write import Builder, Field

_MARK = b"carried\x01"
_HEAD = struct.Struct("<8sII")
_FIRST = 8
"""Position behind the root offset and the file identifier."""

_log = logging.getLogger(__name__)


class UnknownFields(NamedTuple):
    """Bytes that hold some fields and everything they may refer to.

    Attributes
    ----------
    data : bytes
        Part of a flatbuffer that is closed under references: every offset in it leads into it.
    positions : tuple of (slot, position)
        Where the table fields are in `data`.
    """

    data: bytes
    positions: tuple[tuple[int, int], ...]


def read_unknown(root: Table, known: int) -> UnknownFields | None:
    """Fields of the root table beyond the known ones.

    Parameters
    ----------
    root : Table
        Root table of a payload.
    known : int
        How many slots this library knows.

    Returns
    -------
    UnknownFields or None
        None when there are none.
    """
    fields = root.fields_from(known)
    if not fields:
        return None
    body = root.body
    start, end = _block_in(body)
    if not all(start <= at < end for at in fields.values()):
        start, end = 0, body.size
    positions = tuple((slot, at - start) for slot, at in fields.items())
    return UnknownFields(bytes(body.data[start:end]), positions)


def _block_in(body: Body) -> tuple[int, int]:
    """Span of the block that an earlier rewrite kept, the whole payload where there is none."""
    if body.size >= _FIRST + _HEAD.size:
        mark, distance, length = _HEAD.unpack_from(body.data, _FIRST)
        if mark == _MARK and length <= distance <= body.size:
            return body.size - distance, body.size - distance + length
    return 0, body.size


def root_with_unknown(
    builder: Builder, fields: Mapping[int, Field], unknown: UnknownFields | None, name: str
) -> int:
    """Add a root table whose unknown fields are where they always were.

    Parameters
    ----------
    builder : Builder
        Holds what the known fields refer to.
    fields : mapping of int to Field
        The known fields by slot.
    unknown : UnknownFields or None
        What to carry along.
    name : str
        The object, for a warning.

    Returns
    -------
    int
        Ref of the table.
    """
    if unknown is None:
        return builder.table(fields)
    block = builder.block(unknown.data, 0)
    apart = {slot: block - position for slot, position in unknown.positions}
    root = builder.table(fields, apart)
    builder.block(_HEAD.pack(_MARK, block, len(unknown.data)), 0)
    lost = builder.out_of_reach
    if lost:
        _log.warning(
            "fields %s of `%s`, written by a newer version of Icechunk, could not be kept: they "
            "are too far from its start; update this library before you change the repository",
            sorted(lost),
            name,
        )
    return root
