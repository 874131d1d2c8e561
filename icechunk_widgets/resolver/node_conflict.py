"""Conflicts of whole nodes: differing keys of the metadata, and the effect of each choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from icechunk import ConflictType, ErrorKind, InvalidInputError
from icechunk.changes.document_merge import MISSING, KeyDifference, differences
from icechunk_widgets.arrays.nodes import document
from icechunk_widgets.kernel.plain import plain, plural
from icechunk_widgets.resolver.conflict_entry import Entry
from icechunk_widgets.resolver.conflict_scan import ConflictScan

MOST_ROWS = 500
OTHERWISE = "ours"
"""Side of keys that both sides changed in an intermediate commit, but not in the result."""

MEANINGS: Final = {
    ConflictType.NewNodeConflictsWithExistingNode: (
        "Theirs discards my node with everything I wrote in it; a new name keeps both."
    ),
    ConflictType.NewNodeInInvalidGroup: (
        "Theirs discards what I created below; another group keeps it."
    ),
    ConflictType.DeleteOfUpdatedArray: "Mine deletes it with what they wrote; theirs restores it.",
    ConflictType.DeleteOfUpdatedGroup: (
        "Mine deletes it with what they changed; theirs restores it."
    ),
    ConflictType.ChunksUpdatedInDeletedArray: (
        "Theirs discards my chunks; to keep them, cancel and write them to another array."
    ),
    ConflictType.ChunksUpdatedInUpdatedArray: (
        "Mine keeps my chunks with the chosen metadata; theirs discards them."
    ),
    ConflictType.AppendDoubleUpdate: (
        "The chosen side keeps its length and what it appended; the other's appended part is "
        "discarded."
    ),
    ConflictType.ChunksUpdatedBeyondResize: (
        "The side that shrank the array discards what was written beyond; the other keeps the size."
    ),
    ConflictType.NewNodeInDeletedGroup: (
        "The side that deleted the group discards the new node; the other keeps both."
    ),
    ConflictType.NodeMovedTwice: "The chosen side says where the node is, or that it is deleted.",
    ConflictType.MoveTargetTaken: (
        "The chosen side keeps its node at this path; the other side's change of it is discarded."
    ),
    ConflictType.EncodingChanged: (
        "The chosen side keeps its encoding with its chunks; the other side's changes of this "
        "array are discarded."
    ),
    ConflictType.FillValueChanged: (
        "The chosen side keeps its fill value, so empty chunks read as that value."
    ),
    ConflictType.BaseExpired: (
        "What each side changed is not known any more; the chosen side keeps its whole node."
    ),
}
"""What the choices mean, where the buttons do not say."""
_DELETED = "The side that deleted it discards what the other changed; the other side restores it."
MERGE_MEANINGS: Final = MEANINGS | {
    ConflictType.NewNodeConflictsWithExistingNode: (
        "The chosen side keeps its node; a new name for that of the source keeps both."
    ),
    ConflictType.NewNodeInInvalidGroup: (
        "The chosen side keeps its nodes; another group keeps what the source created."
    ),
    ConflictType.ZarrMetadataUpdateOfDeletedArray: _DELETED,
    ConflictType.ZarrMetadataUpdateOfDeletedGroup: _DELETED,
    ConflictType.DeleteOfUpdatedArray: _DELETED,
    ConflictType.DeleteOfUpdatedGroup: _DELETED,
    ConflictType.ChunksUpdatedInDeletedArray: _DELETED,
    ConflictType.ChunksUpdatedInUpdatedArray: (
        "The chosen side keeps its chunks and metadata; the other side's are discarded."
    ),
}
"""The same for merges, where either side may have done either."""


def describe(scan: ConflictScan, entry: Entry) -> dict[str, Any]:
    """The details of a conflict of a node, for the view.

    Parameters
    ----------
    scan : ConflictScan
        The conflicts, with the three states.
    entry : Entry
        A conflict that is not about chunks.

    Returns
    -------
    dict
        ``rows``: the keys that differ (``pointer``, ``key``, ``base``, ``ours``, ``theirs`` where
        there is a value, ``changed_by``, ``choice``); ``merge`` and ``rename``: whether these are
        possible; ``new_path``: an unused path to rename to; ``facts``: sentences.
    """
    chosen = {} if entry.node is None else entry.node.extra.get("keys", {})
    found = _differences(scan, entry.path)
    return {
        "path": entry.path,
        "rows": [_row(difference, chosen) for difference in found[:MOST_ROWS]],
        "merge": "merge" in entry.choices,
        "rename": "rename" in entry.choices,
        "new_path": _free_path(scan, entry.path) if "rename" in entry.choices else None,
        "facts": _sentences(scan, entry),
    }


def keys_of_merge(scan: ConflictScan, entry: Entry, keys: object) -> dict[str, Any]:
    """Check the sides of a decision to merge metadata, and return them.

    Parameters
    ----------
    scan : ConflictScan
        The conflicts, with the three states.
    entry : Entry
        A conflict of metadata.
    keys : object
        Side of each key that both changed, by JSON Pointer; other keys are allowed.

    Raises
    ------
    InvalidInputError
        When a key that both changed is missing, or a side is invalid.
    """
    sides = dict(keys) if isinstance(keys, Mapping) else {}
    if any(side not in ("ours", "theirs", "base") for side in sides.values()):
        raise InvalidInputError(
            "a key is taken from ours, theirs or base; choose one of them", ErrorKind.NOT_ALLOWED
        )
    open_keys = [
        difference.pointer
        for difference in _differences(scan, entry.path)
        if difference.changed_by is None and difference.pointer not in sides
    ]
    if open_keys:
        raise InvalidInputError(
            f"both sides changed {', '.join(open_keys[:5])}; choose a side for each of them in "
            "`keys`",
            ErrorKind.NOT_ALLOWED,
        )
    return {"keys": sides, "otherwise": OTHERWISE}


def _differences(scan: ConflictScan, path: str) -> list[KeyDifference]:
    held = {
        side: (document(session, path) if path else None) or {}
        for side, session in scan.sessions.items()
    }
    if not held["ours"] or not held["theirs"]:
        return []
    return differences(held["base"], held["ours"], held["theirs"])


def _row(difference: KeyDifference, chosen: Mapping[str, str]) -> dict[str, Any]:
    names = [part.replace("~1", "/").replace("~0", "~") for part in difference.pointer.split("/")]
    row: dict[str, Any] = {
        "pointer": difference.pointer,
        "key": ".".join(names[1:]),
        "changed_by": difference.changed_by,
        "choice": chosen.get(difference.pointer),
    }
    for side in ("base", "ours", "theirs"):
        value = getattr(difference, side)
        if value is not MISSING:
            row[side] = plain(value)
    return row


def _free_path(scan: ConflictScan, path: str) -> str:
    """An unused path, made of a path and a number."""
    number = 2
    while any(document(s, f"{path}-{number}") for s in scan.sessions.values()):
        number += 1
    return f"{path}-{number}"


def _sentences(scan: ConflictScan, entry: Entry) -> list[str]:
    """What each side did to the node, and what the choices mean."""
    names = (f"Source {scan.source}", f"Target {scan.branch}") if scan.source else ("I", "They")
    found = []
    for name, diff in zip(names, (scan.ours, scan.theirs), strict=True):
        chunks = diff.chunk_coordinates.get(entry.path)
        if chunks is not None and len(chunks):
            found.append(f"{name} wrote {plural(len(chunks), 'chunk')} of it.")
        if entry.path in diff.updated_arrays | diff.updated_groups:
            found.append(f"{name} changed its metadata.")
        if entry.path in diff.new_arrays | diff.new_groups:
            kind = "an array" if entry.path in diff.new_arrays else "a group"
            found.append(f"{name} created it: {kind}.")
        if entry.path in diff.deleted_arrays | diff.deleted_groups:
            found.append(f"{name} deleted it.")
    meanings = MERGE_MEANINGS if entry.merging else MEANINGS
    found.append(meanings.get(entry.key[0], ""))
    return [sentence for sentence in found if sentence]
