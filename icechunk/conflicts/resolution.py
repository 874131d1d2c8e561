"""Apply decisions to our changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from icechunk.changes.document_merge import merge
from icechunk.conflicts.decision import Decision
from icechunk.conflicts.model import Conflict, ConflictType
from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.core.paths import ROOT, ancestors, is_below, parent_and_name
from icechunk.spec.manifest.chunk_table import ChunkTable
from icechunk.spec.manifest.coordinates import inside, member
from icechunk.spec.manifest.references import deletions
from icechunk.spec.snapshot.zarr_metadata import parse_node

if TYPE_CHECKING:
    from icechunk.changes.change_set import ChangeSet
    from icechunk.spec.manifest.coordinates import Coords
    from icechunk.spec.protocols import ChunkReader, NodeReader
    from icechunk.spec.snapshot.nodes import NodeSnapshot

_UNDECIDED, _OURS, _THEIRS, _BASE = range(4)
_CODES = {"ours": _OURS, "theirs": _THEIRS, "base": _BASE}
Key = tuple[ConflictType, str]


@dataclass(slots=True)
class Draft:
    """A copy of our changes to which decisions are applied.

    Attributes
    ----------
    changes : ChangeSet
        A copy that may be edited.
    theirs : NodeReader
        The hierarchy of the commit to pass.
    ours : ChunkReader
        The hierarchy as the session sees it, before any decision.
    met : set of (ConflictType, str)
        Conflicts dealt with so far, decided or not.
    kept : set of (ConflictType, str)
        Conflicts that stay because our side was chosen.
    kept_chunks : dict of str to ndarray
        Likewise, coordinates by path.
    given_up : dict of str to ndarray
        Coordinates by path of chunks for which their side was chosen.
    decisions : dict of (ConflictType, str) to list of Decision
        All decisions, in the order they were made.
    contested : set of str
        Paths of nodes that we deleted and they changed.
    """

    changes: ChangeSet
    theirs: NodeReader
    ours: ChunkReader
    decisions: dict[Key, list[Decision]]
    contested: set[str] = field(default_factory=set)
    met: set[Key] = field(default_factory=set)
    kept: set[Key] = field(default_factory=set)
    kept_chunks: dict[str, Coords] = field(default_factory=dict)
    given_up: dict[str, Coords] = field(default_factory=dict)

    def settle(self, conflicts: Iterable[Conflict]) -> bool:
        """Apply decisions about conflicts not met before; whether there were any."""
        fresh = [
            conflict
            for conflict in dict.fromkeys(conflicts)
            if (conflict.conflict_type, conflict.path) not in self.met
        ]
        self.contested.update(c.path for c in fresh if c.conflict_type in _DELETES)
        # Chunks first: whether our chunks fit an array depends on which of them are left.
        for conflict in sorted(fresh, key=lambda conflict: conflict.chunk_array is None):
            self.met.add((conflict.conflict_type, conflict.path))
            self.apply(conflict)
        return bool(fresh)

    def apply(self, conflict: Conflict) -> None:
        """Apply the decisions about a conflict, if there are any."""
        key = conflict.conflict_type, conflict.path
        decided = self.decisions.get(key)
        if not decided:
            return
        if conflict.chunk_array is not None:
            self._chunks(conflict.path, conflict.chunk_array, decided)
        elif decided[-1].choice == "ours":
            _KEEP.get(conflict.conflict_type, Draft._keep)(self, decided[-1])
        elif decided[-1].choice == "theirs":
            _DROP[conflict.conflict_type](self, decided[-1])
        elif decided[-1].choice == "merge":
            self._merge_metadata(decided[-1])
        elif decided[-1].choice == "custom":
            assert decided[-1].metadata is not None
            self._replace_metadata(decided[-1], decided[-1].metadata)
        else:
            self._rename(decided[-1])

    def remainder(self, conflicts: Sequence[Conflict]) -> list[Conflict]:
        """Conflicts of the edited changes that no decision covers.

        Raises
        ------
        InvalidInputError
            For chunks that were to be theirs and cannot be.
        """
        left = []
        for conflict in conflicts:
            coords = conflict.chunk_array
            if coords is None:
                if (conflict.conflict_type, conflict.path) not in self.kept:
                    left.append(conflict)
                continue
            undecided = coords
            kept = self.kept_chunks.get(conflict.path)
            if kept is not None:
                undecided = coords[~member(coords, kept)]
            given_up = self.given_up.get(conflict.path)
            if given_up is not None and member(undecided, given_up).any():
                raise InvalidInputError(
                    f"their chunks of `{conflict.path}` have no place: our changes make the array "
                    "smaller; choose 'ours' for them, or their metadata",
                    ErrorKind.NOT_ALLOWED,
                )
            if len(undecided):
                left.append(Conflict.of_chunks(conflict.path, undecided))
        return left

    # nodes

    def _node(self, path: str) -> NodeSnapshot:
        node = self.ours.get(path)
        assert node is not None
        return node

    def _keep(self, decision: Decision) -> None:
        self.kept.add((decision.type, decision.path))

    def _keep_deleted(self, decision: Decision) -> None:
        """Delete a node with the nodes that they added below it."""
        doomed = self.changes.left_below(decision.path, self.theirs)
        self.changes.deleted.update((node.id, node) for node in doomed)
        self._keep(decision)

    def _keep_chunks(self, decision: Decision) -> None:
        """Keep our chunks of an array whose metadata they changed."""
        node = self._node(decision.path)
        final = self.changes.updated.get(node.id) or self.theirs.by_id(node.id)
        edits = self.changes.chunks[node.id]
        if final is None or final.array is None:
            return
        bounds = tuple((0, count) for count in final.array.num_chunks)
        same = _encoding_of(node.document) == _encoding_of(final.document)
        if not same or not inside(edits.written(), bounds).all():
            what = "chunk shape, data type or codecs differ" if not same else "it became smaller"
            raise InvalidInputError(
                f"our chunks of `{decision.path}` do not fit the array any more: {what}; "
                "choose 'theirs' for ChunksUpdatedInUpdatedArray, or our metadata",
                ErrorKind.NOT_ALLOWED,
            )
        edits.regrid(final.array.num_chunks)
        self._keep(decision)

    def _drop_update(self, decision: Decision) -> None:
        self.changes.drop_update(self._node(decision.path).id)

    def _drop_chunks(self, decision: Decision) -> None:
        self.changes.chunks.pop(self._node(decision.path).id, None)

    def _drop_new(self, decision: Decision) -> None:
        node = self.changes.new.get(decision.path)
        if node is not None:
            self.changes.remove(node)

    def _drop_below(self, decision: Decision) -> None:
        for node in list(self.changes.new_below(decision.path)):
            self.changes.remove(node)

    def _undelete(self, decision: Decision) -> None:
        """Undo the deletion of a node, its parents and its descendants.

        Descendants that they changed too have decisions of their own.
        """
        again = {decision.path, *ancestors(decision.path)}
        for node in list(self.changes.deleted.values()):
            below = is_below(node.path, decision.path) and node.path not in self.contested
            if node.path in again or below:
                del self.changes.deleted[node.id]

    def _merge_metadata(self, decision: Decision) -> None:
        node = self._node(decision.path)
        their_node = self.theirs.by_id(node.id)
        former = self.ours.former(node.id)
        if their_node is None:
            return
        theirs, ours = their_node.document, node.document
        base = {} if former is None else former.document
        merged, left = merge(base, ours, theirs, decision.keys or {}, decision.otherwise)
        if left:
            return
        if merged == theirs:
            self._drop_update(decision)
            return
        if _encoding_of(merged) not in (_encoding_of(ours), _encoding_of(theirs)):
            raise InvalidInputError(
                f"the chunk grid, data type and codecs of `{decision.path}` belong together; take "
                "all of them from one side",
                ErrorKind.BAD_METADATA,
            )
        self._replace_metadata(decision, merged)

    def _replace_metadata(self, decision: Decision, metadata: Mapping[str, Any]) -> None:
        node = self._node(decision.path)
        document = json.dumps(metadata).encode()
        array = parse_node(document)
        if (array is None) != (node.array is None) or (
            array is not None
            and node.array is not None
            and len(array.shape) != len(node.array.shape)
        ):
            raise InvalidInputError(
                f"the metadata for `{decision.path}` describes another kind of node; "
                "it must stay a group, or an array of the same number of dimensions",
                ErrorKind.BAD_METADATA,
            )
        self.changes.updated[node.id] = replace(node, user_data=document, array=array)
        self._keep(decision)

    def _rename(self, decision: Decision) -> None:
        """Move our new nodes at or below a path to another one."""
        source, target = decision.path, decision.new_path
        assert target is not None
        moving = [
            node
            for path, node in self.changes.new.items()
            if is_below(path, source)
            or (path == source and decision.type is not ConflictType.NewNodeInInvalidGroup)
        ]
        # What we made below their array goes below the new path, which has to be a group.
        parent = parent_and_name(target)[0]
        if decision.type is ConflictType.NewNodeInInvalidGroup:
            parent = target
        group = self.changes.new.get(parent) or self.theirs.get(parent)
        if group is not None and group.id in self.changes.deleted:
            group = None
        if target == source or is_below(target, source):
            why = f"`{target}` is `{source}` itself or below it"
        elif group is None or group.is_array:
            why = f"there is no group `{parent}`"
        else:
            why = ""
        for node in moving:
            path = _under(target, node.path[len(source) :])
            if path in self.changes.new or self.theirs.get(path) is not None:
                why = f"`{path}` exists already"
        if why:
            raise InvalidInputError(
                f"cannot rename `{source}`: {why}; choose another `new_path`",
                ErrorKind.INVALID_PATH,
            )
        for node in moving:
            edits = self.changes.chunks.get(node.id)
            self.changes.remove(node)
            self.changes.insert(replace(node, path=_under(target, node.path[len(source) :])))
            if edits is not None:
                self.changes.chunks[node.id] = edits

    # chunks

    def _chunks(self, path: str, coords: Coords, decided: list[Decision]) -> None:
        node = self._node(path)
        if node.array is None:
            return
        codes = np.zeros(len(coords), np.uint8)
        for decision in decided:
            code = _CODES.get(decision.choice, 0)  # a rebase does not merge cells
            if decision.selection is None:
                codes[:] = code
            else:
                codes[decision.selection.mask(coords, node.array.num_chunks)] = code
        self.given_up[path] = coords[codes == _THEIRS]
        self.changes.give_up(node.id, self.given_up[path])
        base = coords[codes == _BASE]
        if len(base):
            former = self.ours.references(node.id, base)
            gone = base if not len(former) else base[~former.contains(base)]
            self.changes.edits(node).extend(
                ChunkTable.concat([former, deletions(gone)], base.shape[1])
            )
        self.kept_chunks[path] = coords[(codes == _OURS) | (codes == _BASE)]


_Edit = Callable[[Draft, Decision], None]
_DELETES = (ConflictType.DeleteOfUpdatedArray, ConflictType.DeleteOfUpdatedGroup)
_KEEP: dict[ConflictType, _Edit] = {
    ConflictType.ChunksUpdatedInUpdatedArray: Draft._keep_chunks,
    ConflictType.DeleteOfUpdatedArray: Draft._keep_deleted,
    ConflictType.DeleteOfUpdatedGroup: Draft._keep_deleted,
}
_DROP: dict[ConflictType, _Edit] = {
    ConflictType.NewNodeConflictsWithExistingNode: Draft._drop_new,
    ConflictType.NewNodeInInvalidGroup: Draft._drop_below,
    ConflictType.ZarrMetadataDoubleUpdate: Draft._drop_update,
    ConflictType.ZarrMetadataUpdateOfDeletedArray: Draft._drop_update,
    ConflictType.ZarrMetadataUpdateOfDeletedGroup: Draft._drop_update,
    ConflictType.ChunksUpdatedInDeletedArray: Draft._drop_chunks,
    ConflictType.ChunksUpdatedInUpdatedArray: Draft._drop_chunks,
    ConflictType.DeleteOfUpdatedArray: Draft._undelete,
    ConflictType.DeleteOfUpdatedGroup: Draft._undelete,
}


def _under(path: str, rest: str) -> str:
    """A path joined with the rest of another one."""
    return rest if path == ROOT else path + rest


def _encoding_of(meta: Mapping[str, Any]) -> tuple[Any, ...]:
    """What must be equal for a chunk's bytes to mean the same values at the same place."""
    return meta.get("chunk_grid"), meta.get("data_type"), meta.get("codecs")
