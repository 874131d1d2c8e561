"""Save decisions to a file, and load them after a restart."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from icechunk import ErrorKind, InvalidInputError
from icechunk_widgets.arrays.chunk_refs import flat, in_runs, inside, runs_of
from icechunk_widgets.kernel.failures import refusal
from icechunk_widgets.resolver.conflict_entry import NAME, UNDECIDED, Entry
from icechunk_widgets.resolver.conflict_plan import touched_nodes
from icechunk_widgets.resolver.conflict_scan import ConflictScan

KIND = "icechunk-decisions"
_EXTRAS = ("keys", "otherwise", "metadata", "new_path")


def to_text(scan: ConflictScan) -> str:
    """The decisions so far as JSON text."""
    held = []
    for entry in scan.plan.entries:
        named = {"path": entry.path, "type": entry.key[0].name}
        if not entry.is_chunks:
            if entry.node is not None:
                held.append({**named, "choice": entry.node.choice, **entry.node.extra})
            continue
        for code, choice in NAME.items():
            rows = entry.states == code
            if choice is not None and rows.any():
                runs = runs_of(entry.positions[rows])
                held.append({**named, "choice": choice, "runs": runs, "grid": list(entry.grid)})
    head: dict[str, Any] = {
        "kind": KIND,
        "version": 1,
        "branch": scan.branch,
        "base": scan.base,
        "tip": scan.tip,
    }
    # One line per decision keeps the file readable, and a million runs small.
    lines = [json.dumps(one, ensure_ascii=False, separators=(",", ": ")) for one in held]
    start = json.dumps(head, indent=1, ensure_ascii=False)[:-2]
    return start + ',\n "decisions": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"


def take(scan: ConflictScan, text: str) -> tuple[int, int]:
    """Load the decisions of a file that are still valid.

    What the branch changed since the file was written is left undecided; decisions about former
    conflicts are ignored.  The session must have the same values as then; this is not checked.

    Parameters
    ----------
    scan : ConflictScan
        The current conflicts.
    text : str
        From `to_text`.

    Returns
    -------
    int, int
        Number of decisions loaded, and of decisions in the file.

    Raises
    ------
    InvalidInputError
        When the text has another format.
    """
    document = _parse(text)
    touched = _touched(scan, document)
    taken = total = 0
    with scan.plan.together():
        for decision in document["decisions"]:
            runs = decision.get("runs")
            total += int(sum(runs[1::2])) if runs is not None else 1
            if touched is not None:
                taken += _take_one(scan, decision, touched)
    return taken, total


def _parse(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
        good = document["kind"] == KIND and document["version"] == 1
        good = good and all(
            isinstance(decision["path"], str)
            and isinstance(decision["type"], str)
            and isinstance(decision["choice"], str)
            for decision in document["decisions"]
        )
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise InvalidInputError(
            "this is not a file of decisions; choose one that the resolver has saved",
            ErrorKind.DESERIALIZATION,
        )
    checked: dict[str, Any] = document
    return checked


class _Touched(NamedTuple):
    """What the branch changed since the decisions were made: chunks by path, and nodes."""

    chunks: dict[str, Any]
    nodes: set[str]


def _touched(scan: ConflictScan, document: dict[str, Any]) -> _Touched | None:
    """What the branch changed since; None when the base is another one."""
    if document["base"] != scan.base:
        return None  # the decisions compared the sides with another common ancestor
    if document["tip"] == scan.tip:
        return _Touched({}, set())
    try:
        moved = scan.repo.diff(
            from_snapshot_id=document["tip"], to_snapshot_id=scan.tip, any_states=True
        )
    except Exception as error:
        raise refusal(
            "the decisions were made against a commit that is gone",
            "decide again; no decision was loaded",
        ) from error
    return _Touched(dict(moved.chunk_coordinates), touched_nodes(moved))


def _take_one(scan: ConflictScan, decision: dict[str, Any], touched: _Touched) -> int:
    entry = next(
        (
            entry
            for entry in scan.plan.entries
            if entry.path == decision["path"] and entry.key[0].name == decision["type"]
        ),
        None,
    )
    if entry is None or decision["choice"] not in entry.choices:
        return 0
    if not entry.is_chunks:
        if entry.path in touched.nodes:
            return 0
        names = [name for name in _EXTRAS if name in decision]
        extra: dict[str, Any] = {name: decision[name] for name in names}
        return scan.plan.decide(entry, decision["choice"], extra=extra)
    rows = _rows(entry, decision, touched.chunks.get(entry.path))
    if not len(rows):
        return 0
    scan.plan.decide(entry, decision["choice"], runs=runs_of(entry.positions[rows]))
    return len(rows)


def _rows(entry: Entry, decision: dict[str, Any], moved: Any) -> np.ndarray[Any, Any]:
    if list(entry.grid) != decision.get("grid"):
        return np.empty(0, np.int64)
    valid = in_runs(entry.positions, decision.get("runs", [])) & (entry.states == UNDECIDED)
    if moved is not None and len(moved):
        valid &= ~np.isin(entry.positions, flat(moved[inside(moved, entry.grid)], entry.grid))
    return np.flatnonzero(valid)
