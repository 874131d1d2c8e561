"""What a conflict about a whole node is about: keys of the metadata, and what is at stake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icechunk import ConflictType, ErrorKind, InvalidInputError
from icechunk.changes.document_merge import MISSING, KeyDifference, differences
from icechunk_widgets.arrays.nodes import document
from icechunk_widgets.kernel.plain import plain, plural
from icechunk_widgets.resolver.conflict_entry import Entry
from icechunk_widgets.resolver.conflict_scan import ConflictScan

MOST_ROWS = 500
OTHERWISE = "ours"
"""Side of a key that both changed in some commit on the way, but not in the end."""


def describe(scan: ConflictScan, entry: Entry) -> dict[str, Any]:
    """Everything the view shows about a conflict of a node.

    Parameters
    ----------
    survey : Survey
        The three states.
    entry : Entry
        A conflict that is not about chunks.

    Returns
    -------
    dict
        ``rows``: the keys that differ (``pointer``, ``key``, ``base``, ``ours``, ``theirs`` where
        there is a value, ``changed_by``, ``choice``); ``merge`` and ``rename``: whether that can be
        chosen; ``new_path``: a free path to rename to; ``facts``: sentences.
    """
    chosen = {} if entry.node is None else entry.node.extra.get("keys", {})
    found = _differences(scan, entry.path)
    return {
        "path": entry.path,
        "rows": [_row(difference, chosen) for difference in found[:MOST_ROWS]],
        "merge": "merge" in entry.choices,
        "rename": "rename" in entry.choices,
        "new_path": _free_path(scan, entry.path) if "rename" in entry.choices else None,
        "facts": _facts(scan, entry),
    }


def keys_of_merge(scan: ConflictScan, entry: Entry, keys: object) -> dict[str, Any]:
    """The parts of a decision to merge metadata, checked.

    Parameters
    ----------
    survey : Survey
        The three states.
    entry : Entry
        A conflict of metadata.
    keys : object
        The side of each key that both changed, by JSON Pointer; of others too, if wished.

    Raises
    ------
    InvalidInputError
        When a key that both changed is missing, or a side is none.
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
    """A path like the given one that no side has."""
    number = 2
    while any(document(s, f"{path}-{number}") for s in scan.sessions.values()):
        number += 1
    return f"{path}-{number}"


def _facts(scan: ConflictScan, entry: Entry) -> list[str]:
    """What each side did to the node, as far as it is at stake."""
    mine, theirs = scan.sessions["ours"].status(), scan.theirs
    facts = []
    for name, diff in (("I", mine), ("They", theirs)):
        chunks = diff.chunk_coordinates.get(entry.path)
        if chunks is not None and len(chunks):
            facts.append(f"{name} wrote {plural(len(chunks), 'chunk')} of it.")
        if entry.path in diff.updated_arrays | diff.updated_groups:
            facts.append(f"{name} changed its metadata.")
        if entry.path in diff.new_arrays | diff.new_groups:
            kind = "an array" if entry.path in diff.new_arrays else "a group"
            facts.append(f"{name} made it: {kind}.")
        if entry.path in diff.deleted_arrays | diff.deleted_groups:
            facts.append(f"{name} deleted it.")
    facts.append(_meaning(entry.key[0]))
    return [fact for fact in facts if fact]


def _meaning(kind: ConflictType) -> str:
    """What the choices come to, where the buttons alone do not tell."""
    return {
        ConflictType.NewNodeConflictsWithExistingNode: (
            "Theirs drops my node and all that I wrote in it; under another name both stay."
        ),
        ConflictType.NewNodeInInvalidGroup: (
            "Theirs drops what I made below; under another group it stays."
        ),
        ConflictType.DeleteOfUpdatedArray: (
            "Mine deletes it with what they wrote; theirs brings it back."
        ),
        ConflictType.DeleteOfUpdatedGroup: (
            "Mine deletes it with what they changed; theirs brings it back."
        ),
        ConflictType.ChunksUpdatedInDeletedArray: (
            "Theirs drops my chunks; to keep them, cancel and write them to another array."
        ),
        ConflictType.ChunksUpdatedInUpdatedArray: (
            "Mine keeps my chunks under the metadata that is chosen; theirs drops them."
        ),
    }.get(kind, "")
