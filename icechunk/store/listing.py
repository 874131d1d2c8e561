"""Listing keys and sizes of a session, as a Zarr store must."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from icechunk.engine.transaction import Transaction
from icechunk.ground.errors import ErrorKind, InvalidInputError
from icechunk.model.chunk_table import ChunkTable
from icechunk.model.coordinates import Coords
from icechunk.model.nodes import NodeSnapshot
from icechunk.store.keys import METADATA, chunk_prefix, metadata_key, prefix_path


def keys_below(transaction: Transaction, prefix: str) -> Iterator[str]:
    """Every key at and below a node; metadata of all nodes first, then the chunks.

    Raises
    ------
    InvalidInputError
        Kind ``bad-key-prefix`` when `prefix` names neither a node nor a part of one.
    """
    path = prefix_path(prefix)
    nodes = _nodes(transaction, path)
    if not nodes and path != "/":
        yield from _chunk_keys_under(transaction, path)
        return
    for node in nodes:
        yield metadata_key(node.path)
    for node in nodes:
        if node.array is not None and (
            node.array.manifests or node.id in transaction.changes.chunks
        ):
            yield from _chunk_keys(transaction, node)


def _nodes(transaction: Transaction, path: str) -> list[NodeSnapshot]:
    """The node at a path and all below."""
    node = transaction.node(path)
    below = [] if node is not None and node.is_array else list(transaction.tree.below(path))
    return below if node is None else [node, *below]


def _chunk_keys(transaction: Transaction, node: NodeSnapshot) -> Iterator[str]:
    table = transaction.array_reader(node.path).table()
    return _format(chunk_prefix(node.path), table.coords())


def _format(prefix: str, coords: Coords) -> Iterator[str]:
    """Keys of chunk coordinates (one row each)."""
    if not coords.shape[1]:
        return iter([prefix] * len(coords))
    return (f"{prefix}/{'/'.join(map(str, row))}" for row in coords.tolist())


def _chunk_keys_under(transaction: Transaction, path: str) -> Iterator[str]:
    found = _within_array(transaction, path)
    if found is None:
        raise InvalidInputError(
            f"bad key prefix ({path[1:]}): Only prefixes pointing to a group or array are allowed",
            ErrorKind.BAD_KEY_PREFIX,
        )
    node, coords, _ = found
    return _format(chunk_prefix(node.path), coords)


def _within_array(transaction: Transaction, path: str) -> tuple[NodeSnapshot, Coords, int] | None:
    """Array, chunk coordinates and depth of a prefix such as ``/a/c/0``; None for no such."""
    head, mark, tail = (path + "/").rpartition("/c/")
    if not mark:
        return None
    node = transaction.node(head or "/")
    given = [part for part in tail.split("/") if part]
    if node is None or not node.is_array or not all(part.isdigit() for part in given):
        return None
    coords = transaction.array_reader(node.path).table().coords()
    for axis, part in enumerate(given):
        if axis >= coords.shape[1]:
            return node, coords[:0], len(given)
        coords = coords[coords[:, axis] == int(part)]
    return node, coords, len(given)


def names_in(transaction: Transaction, prefix: str) -> Iterator[str]:
    """Names directly below a prefix; nothing for a path that does not exist."""
    path = prefix_path(prefix)
    node = transaction.node(path)
    if node is not None and node.is_array:
        yield METADATA
        if len(transaction.array_reader(path).table()):
            yield "c"
        return
    if node is not None:
        yield METADATA
    children = transaction.tree.children(path)
    yield from children
    if node is None and not children:
        found = _within_array(transaction, path)
        if found is not None and found[2] < found[1].shape[1]:
            yield from map(str, np.unique(found[1][:, found[2]]).tolist())


def size_below(transaction: Transaction, prefix: str) -> int:
    """Stored bytes of every key below a prefix."""
    path = prefix_path(prefix)
    nodes = _nodes(transaction, path)
    if not nodes:
        found = _within_array(transaction, path)
        if found is None:
            return 0
        node, coords, _ = found
        table = transaction.array_reader(node.path).table()
        return _size(table.select(table.find_many(coords)))
    total = sum(len(node.user_data) for node in nodes)
    return total + sum(
        _size(transaction.array_reader(node.path).table()) for node in nodes if node.is_array
    )


def _size(table: ChunkTable) -> int:
    return int(table.length.sum())


def delete_below(transaction: Transaction, prefix: str) -> None:
    """Remove the node at a prefix and everything below, or the chunks under a chunk prefix."""
    path = prefix_path(prefix)
    if _nodes(transaction, path):
        transaction.delete_node(path)
        return
    found = _within_array(transaction, path)
    if found is not None:
        for coords in found[1].tolist():
            transaction.delete_chunk(found[0].path, tuple(coords))


def is_empty(transaction: Transaction, prefix: str) -> bool:
    """Whether no node is at or below a prefix."""
    path = prefix_path(prefix)
    if _nodes(transaction, path):
        return False
    found = _within_array(transaction, path)
    return found is None or not len(found[1])
