"""A snapshot: one committed state of the whole hierarchy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from icechunk.core.ids import ObjectId
from icechunk.spec.snapshot.nodes import NodeTable


class ManifestInfo(NamedTuple):
    """Size of a manifest file in bytes (header included) and its number of references."""

    id: ObjectId
    size_bytes: int
    num_chunk_refs: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Content of a snapshot file.

    Attributes
    ----------
    parent_id : ObjectId or None
        Only stored by spec 1; spec 2 keeps parents in the repo object.
    flushed_at : int
        Microseconds since 1970, UTC.
    nodes : NodeTable
        The hierarchy.
    manifests : dict of ObjectId to ManifestInfo
        Every manifest that a node refers to.
    """

    id: ObjectId
    parent_id: ObjectId | None
    flushed_at: int
    message: str
    metadata: dict[str, Any] = field(default_factory=dict)
    nodes: NodeTable = field(default_factory=NodeTable)
    manifests: dict[ObjectId, ManifestInfo] = field(default_factory=dict)
