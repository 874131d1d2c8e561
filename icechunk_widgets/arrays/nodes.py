"""Nodes of a session: their ``zarr.json``, and the chunk geometry of arrays."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from icechunk import ErrorKind, InvalidInputError, Session


@dataclass(frozen=True)
class ArrayShape:
    """Geometry of an array.

    Attributes
    ----------
    path : str
        Absolute path.
    shape : tuple of int
        Elements along each axis.
    chunks : tuple of int
        Elements of one stored chunk (a shard where there are shards).
    names : tuple of str or None
        Dimension names.
    dtype : str
        Zarr's name of the data type.
    """

    path: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    names: tuple[str | None, ...]
    dtype: str

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks along each axis, at least one."""
        pairs = zip(self.shape, self.chunks, strict=True)
        return tuple(max(1, -(-size // max(chunk, 1))) for size, chunk in pairs)

    @property
    def num_chunks(self) -> int:
        """Number of chunks of the whole grid."""
        return math.prod(self.grid)


def document(session: Session, path: str) -> dict[str, Any] | None:
    """The ``zarr.json`` of a node, or None.

    Parameters
    ----------
    session : Session
        The session, with its uncommitted changes.
    path : str
        Absolute path.
    """
    key = f"{path.strip('/')}/zarr.json".lstrip("/")
    found = session.store.get_sync(key)
    if found is None:
        return None
    held: dict[str, Any] = json.loads(found.to_bytes())
    return held


def array_shape(session: Session, path: str) -> ArrayShape | None:
    """Geometry of the array at a path, or None."""
    held = document(session, path)
    if held is None or held.get("node_type") != "array":
        return None
    shape = tuple(int(size) for size in held["shape"])
    chunks = held["chunk_grid"].get("configuration", {}).get("chunk_shape", shape)
    if len(chunks) != len(shape) or not all(isinstance(size, int) for size in chunks):
        raise InvalidInputError(
            f"the chunk grid of `{path}` is not regular; only regular grids can be shown as a map",
            ErrorKind.UNIMPLEMENTED,
        )
    names = held.get("dimension_names") or [None] * len(shape)
    dtype = held["data_type"]
    name = dtype if isinstance(dtype, str) else str(dtype.get("name", "?"))
    return ArrayShape(path, shape, tuple(chunks), tuple(names), name)


def is_array(session: Session, path: str) -> bool:
    """Whether there is an array at a path."""
    held = document(session, path)
    return held is not None and held.get("node_type") == "array"
