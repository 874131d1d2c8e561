"""Zarr keys: ``<path>/zarr.json`` names a node, ``<path>/c/0/1`` a chunk (default encoding)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from icechunk.core.errors import ErrorKind, InvalidInputError

if TYPE_CHECKING:
    from icechunk.spec.manifest.coordinates import ChunkIndex


METADATA = "zarr.json"
_V2_NAMES = frozenset({".zarray", ".zgroup", ".zattrs", ".zmetadata"})


_MAX_DIGITS = 10  # chunk coordinates are 32-bit numbers (Icechunk spec, manifests)


@lru_cache(maxsize=65536)
def chunk_coords(text: str) -> ChunkIndex | None:
    """Coordinates in ``0/1/2``; None for a text that Zarr would not write."""
    parts = text.split("/")
    for part in parts:
        if not (part.isascii() and part.isdigit() and len(part) <= _MAX_DIGITS):
            return None
        if part[0] == "0" and len(part) > 1:
            return None
    return tuple(map(int, parts))


def split(key: str) -> tuple[str, ChunkIndex | None]:
    """Absolute node path and chunk coordinates of a key; coordinates are None for metadata.

    Raises
    ------
    TypeError
        For a key that is not a `str`.
    InvalidInputError
        Kind ``invalid-key`` for anything but a Zarr v3 metadata or chunk key.
    """
    if not isinstance(key, str):
        raise TypeError(f"a key must be a str, not {type(key).__name__}")
    at = key.rfind("/c/")
    if at > 0:
        coords = chunk_coords(key[at + 3 :])
        if coords is not None:
            return _path(key, at), coords
    if key == METADATA:
        return "/", None
    if key.endswith("/zarr.json") and len(key) > 10:
        return _path(key, len(key) - 10), None
    if key.startswith("c/") and (coords := chunk_coords(key[2:])) is not None:
        return "/", coords
    if key == "c":
        return "/", ()
    if key.endswith("/c") and len(key) > 2:
        return _path(key, len(key) - 2), ()
    raise invalid_key(key)


def _path(key: str, end: int) -> str:
    path = "/" + key[:end]
    bad = "//" in path or path.endswith("/")
    if bad or ("/." in path and not {".", ".."}.isdisjoint(path.split("/"))):
        raise invalid_key(key)
    return path


def is_v2(key: str) -> bool:
    """Whether a key belongs to Zarr format 2, which Icechunk does not store."""
    return key.rpartition("/")[2] in _V2_NAMES


def invalid_key(key: str) -> InvalidInputError:
    """Make the error for a key that is neither metadata nor a chunk."""
    return InvalidInputError(
        f"invalid zarr key format `{key}`; Icechunk stores `<path>/zarr.json` and "
        "`<path>/c/0/1/...` (Zarr v3, default chunk key encoding)",
        ErrorKind.INVALID_KEY,
    )


def metadata_key(path: str) -> str:
    """Metadata key of a node."""
    return METADATA if path == "/" else f"{path[1:]}/{METADATA}"


def chunk_prefix(path: str) -> str:
    """Prefix of the chunk keys of an array, without a trailing slash."""
    return "c" if path == "/" else f"{path[1:]}/c"


def prefix_path(prefix: str) -> str:
    """Absolute path of a listing prefix; a trailing slash is ignored."""
    if not isinstance(prefix, str):
        raise TypeError(f"a prefix must be a str, not {type(prefix).__name__}")
    return "/" + prefix.strip("/")
