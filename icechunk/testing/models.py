"""Models of the content of a store: a memory store that can move nodes, and trees of nodes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.metadata import ArrayV3Metadata
from zarr.core.sync import sync
from zarr.storage import MemoryStore

if TYPE_CHECKING:
    from zarr.abc.store import Store


class ModelStore(MemoryStore):
    """Zarr's memory store, as the expected behaviour, with the operations of Icechunk added."""

    async def copy(self) -> ModelStore:
        """An independent store with the same content."""
        return ModelStore(dict(self._store_dict))

    async def move(self, source: str, dest: str) -> None:
        """Move a node and everything below it.

        Parameters
        ----------
        source, dest : str
            Absolute paths of nodes, such as ``/a/b``.
        """
        old, new = _key_prefix(source), _key_prefix(dest)
        moved = [key for key in self._store_dict if key.startswith(old)]
        held = {new + key[len(old) :]: self._store_dict.pop(key) for key in moved}
        self._store_dict.update(held)

    async def shift_array(
        self, array_path: str, offset: tuple[int, ...], num_chunks: tuple[int, ...]
    ) -> None:
        """Shift the chunks of an array; chunks that leave the grid are dropped.

        Parameters
        ----------
        array_path : str
            Path of the array.
        offset : tuple of int
            Chunks to shift by, per dimension.
        num_chunks : tuple of int
            Shape of the chunk grid.
        """
        prefix = _key_prefix(array_path) + "c/"
        before = {}
        for index in itertools.product(*map(range, num_chunks)):
            key = prefix + "/".join(map(str, index))
            if key in self._store_dict:
                before[index] = self._store_dict.pop(key)
        for index, chunk in before.items():
            target = tuple(at + by for at, by in zip(index, offset, strict=True))
            if all(0 <= at < count for at, count in zip(target, num_chunks, strict=True)):
                self._store_dict[prefix + "/".join(map(str, target))] = chunk


def _key_prefix(path: str) -> str:
    """Common prefix of the keys of a node."""
    inner = path.strip("/")
    return f"{inner}/" if inner else ""


@dataclass(frozen=True)
class ArrayNode:
    """A leaf of a tree.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.
    dtype : numpy.dtype
        Its type.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class GroupNode:
    """A group of a tree; the root is one.

    Parameters
    ----------
    children : dict
        Nodes by name.
    """

    children: dict[str, Node] = field(default_factory=dict)

    def walk(self, prefix: str | PurePosixPath = "") -> Iterator[tuple[PurePosixPath, Node]]:
        """Every node below this one with its path, parents before their children."""
        for name, child in self.children.items():
            path = PurePosixPath(prefix) / name
            yield path, child
            if isinstance(child, GroupNode):
                yield from child.walk(path)

    def nodes(self, prefix: str = "", *, include_root: bool = False) -> list[str]:
        """Paths of all nodes below `prefix`, which is this group's own path."""
        root = [prefix] if include_root else []
        return root + [str(path) for path, _ in self.walk(prefix)]

    def groups(self, prefix: str = "", *, include_root: bool = False) -> list[str]:
        """Paths of the groups."""
        root = [prefix] if include_root else []
        return root + [str(path) for path, node in self.walk(prefix) if isinstance(node, GroupNode)]

    def arrays(self, prefix: str = "") -> list[str]:
        """Paths of the arrays."""
        return [str(path) for path, node in self.walk(prefix) if isinstance(node, ArrayNode)]

    def materialize(self, store: Store) -> zarr.Group:
        """Make this tree in an empty store and give its root group."""
        root = zarr.create_group(store)
        for path, node in self.walk():
            if isinstance(node, GroupNode):
                root.create_group(str(path))
            else:
                root.create_array(
                    str(path), shape=node.shape, chunks=_one_chunk(node.shape), dtype=node.dtype
                )
        return root

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> GroupNode:
        """A tree from nested dictionaries whose leaves are `ArrayNode`."""
        return cls(
            {
                name: cls.from_dict(child) if isinstance(child, dict) else child
                for name, child in d.items()
            }
        )

    @classmethod
    def from_paths(cls, arrays: set[str], groups: set[str]) -> GroupNode:
        """A tree from absolute paths; parents that are not named are groups.

        Parameters
        ----------
        arrays, groups : set of str
            Absolute paths such as ``/a/b``; ``/`` is the root. Arrays get one 4-byte cell.
        """
        leaf = ArrayNode((1,), np.dtype("i4"))
        nodes: dict[str, Node] = {path: GroupNode() for path in groups}
        nodes.update(dict.fromkeys(arrays, leaf))
        return cls._from_nodes(nodes)

    @classmethod
    def _from_nodes(cls, nodes: dict[str, Node]) -> GroupNode:
        root = cls()
        for path in sorted(nodes, key=lambda path: path.count("/")):
            *above, name = path.strip("/").split("/")
            if not name:
                continue  # the root itself
            parent = root
            for segment in above:
                found = parent.children.setdefault(segment, GroupNode())
                if isinstance(found, ArrayNode):
                    raise ValueError(f"{path!r} lies below an array")
                parent = found
            parent.children[name] = nodes[path]
        return root

    @classmethod
    def from_store(cls, store: Store) -> GroupNode:
        """The tree that a Zarr store holds."""
        tree: GroupNode = sync(cls.from_store_async(store))
        return tree

    @classmethod
    async def from_store_async(cls, store: Store) -> GroupNode:
        """The tree that a Zarr store holds."""
        nodes: dict[str, Node] = {}
        async for key in store.list():
            if key.rpartition("/")[2] != "zarr.json":
                continue
            buffer = await store.get(key, default_buffer_prototype())
            assert buffer is not None
            nodes["/" + key.rpartition("/")[0]] = _node(json.loads(buffer.to_bytes()))
        return cls._from_nodes(nodes)


def _one_chunk(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(size, 1) for size in shape)


def _node(document: dict[str, Any]) -> Node:
    """A node from its ``zarr.json``."""
    if document["node_type"] == "group":
        return GroupNode()
    metadata = ArrayV3Metadata.from_dict(document)
    return ArrayNode(metadata.shape, metadata.dtype.to_native_dtype())


Node = ArrayNode | GroupNode
"""A node of a tree."""
