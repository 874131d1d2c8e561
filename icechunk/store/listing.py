"""List keys, names and sizes of a session for `IcechunkStore`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.engine.transaction import Transaction
from icechunk.spec.manifest.chunk_table import ChunkTable
from icechunk.spec.manifest.coordinates import Coords
from icechunk.spec.snapshot.nodes import NodeSnapshot
from icechunk.store.keys import METADATA, chunk_coords, chunk_prefix, metadata_key, prefix_path


def keys_below(transaction: Transaction, prefix: str) -> Iterator[str]:
    """All keys at and below a node: first the metadata of all nodes, then the chunks.

    Raises
    ------
    InvalidInputError
        Kind ``bad-key-prefix`` when `prefix` is neither a node nor the prefix of chunk keys.
    """
    path = prefix_path(prefix)
    nodes = _nodes(transaction, path)
    inside = _within_array(transaction, path)
    if not nodes and inside is None and path != "/":
        raise InvalidInputError(
            f"bad key prefix ({path[1:]}): Only prefixes pointing to a group or array are allowed",
            ErrorKind.BAD_KEY_PREFIX,
        )
    for node in nodes:
        yield metadata_key(node.path)
    if inside is not None:
        yield from _format(chunk_prefix(inside[0].path), inside[1])
    for node in nodes:
        if node.array is not None and (
            node.array.manifests or node.id in transaction.changes.chunks
        ):
            yield from _chunk_keys(transaction, node)


def _nodes(transaction: Transaction, path: str) -> list[NodeSnapshot]:
    """The node at a path and all nodes below."""
    node = transaction.node(path)
    below = transaction.tree.below(path)
    return below if node is None else [node, *below]


def _chunk_keys(transaction: Transaction, node: NodeSnapshot) -> Iterator[str]:
    table = transaction.array_reader(node.path).table()
    return _format(chunk_prefix(node.path), table.coords())


def _format(prefix: str, coords: Coords) -> Iterator[str]:
    """Keys of chunk coordinates (one row each)."""
    if not coords.shape[1]:
        return iter([prefix] * len(coords))
    return (f"{prefix}/{'/'.join(map(str, row))}" for row in coords.tolist())


def _within_array(transaction: Transaction, path: str) -> tuple[NodeSnapshot, Coords, int] | None:
    """Array, matching chunk coordinates and depth of a prefix like ``/a/c/0``; None for others."""
    head, mark, tail = (path + "/").rpartition("/c/")
    if not mark:
        return None
    node = transaction.node(head or "/")
    given = chunk_coords(tail[:-1]) if tail else ()
    if node is None or not node.is_array or given is None:
        return None
    coords = transaction.array_reader(node.path).table().coords()
    for axis, position in enumerate(given):
        if axis >= coords.shape[1]:
            return node, coords[:0], len(given)
        coords = coords[coords[:, axis] == position]
    return node, coords, len(given)


def names_in(transaction: Transaction, prefix: str) -> Iterable[str]:
    """Names directly below a prefix; none for a path that does not exist.

    An array always has ``c``, as in the reference library: looking for a chunk would mean fetching
    the manifests of the array.

    Returns
    -------
    iterable of str
        A list when nothing has to be fetched, else an iterator that fetches when it is advanced.
    """
    path = prefix_path(prefix)
    names = _names(transaction, path)
    return list(names) if transaction.base_held and "/c/" not in f"{path}/" else names


def _names(transaction: Transaction, path: str) -> Iterator[str]:
    node = transaction.node(path)
    own = [] if node is None else [METADATA, "c"] if node.is_array else [METADATA]
    names = dict.fromkeys([*own, *transaction.tree.children(path)])
    yield from names
    inside = _within_array(transaction, path)
    if inside is not None and inside[2] < inside[1].shape[1]:
        positions = map(str, np.unique(inside[1][:, inside[2]]).tolist())
        yield from (position for position in positions if position not in names)


def size_below(transaction: Transaction, prefix: str) -> int:
    """Stored size of all keys below a prefix in bytes."""
    path = prefix_path(prefix)
    nodes = _nodes(transaction, path)
    total = sum(len(node.user_data) for node in nodes)
    total += sum(
        _size(transaction.array_reader(node.path).table()) for node in nodes if node.is_array
    )
    inside = _within_array(transaction, path)
    if inside is not None:
        table = transaction.array_reader(inside[0].path).table()
        total += _size(table.select(table.find_many(inside[1])))
    return total


def _size(table: ChunkTable) -> int:
    return int(table.length.sum())


def delete_below(transaction: Transaction, prefix: str) -> None:
    """Delete the node at a prefix and everything below, or the chunks below a chunk prefix."""
    path = prefix_path(prefix)
    inside = _within_array(transaction, path)
    transaction.delete_node(path)
    if inside is not None:
        for coords in inside[1].tolist():
            transaction.delete_chunk(inside[0].path, tuple(coords))


def is_empty(transaction: Transaction, prefix: str) -> bool:
    """Whether no node is at or below a prefix."""
    path = prefix_path(prefix)
    if _nodes(transaction, path):
        return False
    inside = _within_array(transaction, path)
    return inside is None or not len(inside[1])
