"""Groups and arrays as `Session.nodes` lists them."""

from __future__ import annotations

from typing import Any, Literal

from icechunk.core.ids import id_text
from icechunk.spec.snapshot.nodes import NodeSnapshot


class NodeInfo:
    """A group or array of the hierarchy.

    Made by `Session.nodes`. It shows the node as it was then, also when the session changes it
    afterwards. Two of them are equal when they show the same node with the same metadata.
    """

    __slots__ = ("_node",)

    __module__ = "icechunk.session"

    def __init__(self, node: NodeSnapshot) -> None:
        self._node = node

    def __repr__(self) -> str:
        return f"<NodeInfo {self.kind} {self.path}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeInfo) and self._node == other._node

    def __hash__(self) -> int:
        return hash(self._node.id)

    @property
    def path(self) -> str:
        """Absolute path, ``/`` for the root group."""
        return self._node.path

    @property
    def id(self) -> str:
        """Id of 13 characters, which the node keeps when it is moved."""
        return id_text(self._node.id)

    @property
    def kind(self) -> Literal["group", "array"]:
        """``"group"`` or ``"array"``."""
        return "group" if self._node.array is None else "array"

    @property
    def is_array(self) -> bool:
        """Whether the node is an array."""
        return self._node.is_array

    @property
    def metadata(self) -> dict[str, Any]:
        """Content of the node's ``zarr.json``.

        Raises
        ------
        FormatError
            When it is damaged.
        """
        return self._node.document

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Length of each axis of an array in elements; None for a group."""
        array = self._node.array
        return None if array is None else array.shape

    @property
    def num_chunks(self) -> tuple[int, ...] | None:
        """Number of chunks along each axis of an array; None for a group."""
        array = self._node.array
        return None if array is None else array.num_chunks

    @property
    def dimension_names(self) -> tuple[str | None, ...] | None:
        """Names of the axes of an array; None for a group, and where none are given."""
        array = self._node.array
        return None if array is None else array.dimension_names

    @property
    def manifest_ids(self) -> tuple[str, ...]:
        """Ids of the manifests with the committed chunks of an array; empty for a group.

        `Repository.list_manifest_files` lists their sizes.
        """
        array = self._node.array
        return () if array is None else tuple(id_text(ref.object_id) for ref in array.manifests)
