"""Rules that decide many chunks at once: each says which chunks it takes, and decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from icechunk_widgets.conflict_entry import BASE, NAME, OURS, THEIRS, UNDECIDED, Entry
from icechunk_widgets.conflict_plan import ConflictPlan
from icechunk_widgets.faults import refusal
from icechunk_widgets.merging import Chunks
from icechunk_widgets.nodes import array_shape
from icechunk_widgets.pictures import Side, difference, read
from icechunk_widgets.survey import Survey

MOST_CHUNKS = 2_000
"""Chunks that one question reads at most."""

RULES: Final = {
    "theirs-where-mine-empty": "theirs",
    "mine-where-theirs-empty": "ours",
    "mine-where-close": "ours",
    "theirs-where-close": "theirs",
    "merge-where-apart": "merge-ours",
}
"""What each rule decides for the chunks it takes."""


@dataclass(frozen=True)
class Take:
    """What a rule would decide.

    Attributes
    ----------
    entry : Entry
        The conflict.
    choice : str
        The decision.
    rows : ndarray of int64
        Which of its chunks.
    """

    entry: Entry
    choice: str
    rows: NDArray[np.int64]


def takes(survey: Survey, entry: Entry, rule: str, limit: float = 0.0) -> tuple[list[Take], int]:
    """Which undecided chunks of one array a rule takes.

    Parameters
    ----------
    survey : Survey
        The three states.
    entry : Entry
        A conflict of chunks.
    rule : str
        One of `RULES`, or ``same-region``: what was decided here, for the same region in every
        array that shares dimensions.
    limit : float
        For ``...-where-close``: the largest difference that counts as close.

    Returns
    -------
    list of Take, int
        The chunks by decision, and how many chunks were looked at.

    Raises
    ------
    IcechunkError
        For an unknown rule.
    """
    if rule == "same-region":
        return same_region(survey, entry)
    if rule not in RULES:
        raise refusal(f"there is no rule {rule!r}", f"choose one of {', '.join(RULES)}")
    rows = np.flatnonzero(entry.states == UNDECIDED)[:MOST_CHUNKS]
    test = _test(survey, entry, rule, limit)
    taken = [int(row) for row in rows if test([int(c) for c in entry.coords[row]])]
    return [Take(entry, RULES[rule], np.array(taken, np.int64))], len(rows)


def _test(survey: Survey, entry: Entry, rule: str, limit: float) -> Callable[[list[int]], bool]:
    chunks = Chunks(survey.sessions, entry.path)
    if rule == "merge-where-apart":
        return lambda chunk: chunks.merged(chunk)[1].both == 0
    sides = {name: survey.side(name, entry.path) for name in ("ours", "theirs")}

    def numbers(name: str, chunk: list[int]) -> NDArray[np.float64]:
        side: Side = sides[name]
        return read(side.session, side.path, chunks.region(chunk), chunks.shape.chunks)

    def close(chunk: list[int]) -> bool:
        one, two = numbers("ours", chunk), numbers("theirs", chunk)
        if not np.array_equal(np.isnan(one), np.isnan(two)):
            return False
        told = difference(one, two)
        return told is not None and told["max_abs"] <= limit

    if rule.endswith("close"):
        return close
    empty, other = ("ours", "theirs") if rule.startswith("theirs") else ("theirs", "ours")
    return lambda chunk: bool(
        np.isnan(numbers(empty, chunk)).all() and not np.isnan(numbers(other, chunk)).all()
    )


# -- the same region in other arrays -------------------------------------------------------------


def same_region(survey: Survey, entry: Entry) -> tuple[list[Take], int]:
    """Decide chunks of other arrays as the chunks of this one that lie over them.

    A chunk is taken where all decided chunks of this array over its region, along the dimensions
    that both arrays have, were decided alike, and none is undecided.
    """
    found: list[Take] = []
    looked = 0
    for other in survey.plan.entries:
        if other is entry or not other.is_chunks:
            continue
        rows = np.flatnonzero(other.states == UNDECIDED)[:MOST_CHUNKS]
        codes = np.array([_over(survey, entry, other, int(row)) for row in rows], np.uint8)
        looked += len(rows)
        for code in (OURS, THEIRS, BASE):
            name = NAME[code]
            if name is not None and (codes == code).any():
                found.append(Take(other, name, rows[codes == code]))
    return found, looked


def _over(survey: Survey, entry: Entry, other: Entry, row: int) -> int:
    """The one decision over a chunk of another array; UNDECIDED when there is none."""
    shared = list(_shared(survey, entry, other))
    if not shared:
        return UNDECIDED
    over = np.ones(len(entry.coords), bool)
    for axis, its_axis, length, its_length in shared:
        start, stop = (int(other.coords[row, its_axis]) + k for k in (0, 1))
        first = entry.coords[:, axis].astype(np.int64) * length
        over &= (first < stop * its_length) & (first + length > start * its_length)
    codes = np.unique(entry.states[over])
    return int(codes[0]) if len(codes) == 1 else UNDECIDED


def _shared(survey: Survey, one: Entry, two: Entry) -> Iterator[tuple[int, int, int, int]]:
    """Axes of both arrays with one name and length, with the chunk lengths along them."""
    first = array_shape(survey.sessions["base"], one.path)
    second = array_shape(survey.sessions["base"], two.path)
    if first is None or second is None:
        return
    for axis, name in enumerate(first.names):
        if name is None or name not in second.names:
            continue
        its = second.names.index(name)
        if first.shape[axis] == second.shape[its]:
            yield axis, its, first.chunks[axis], second.chunks[its]


def apply(plan: ConflictPlan, found: list[Take]) -> int:
    """Decide what a rule takes; returns how many chunks."""
    for take in found:
        if len(take.rows):
            plan.decide(take.entry, take.choice, chunks=take.entry.coords[take.rows].tolist())
    return sum(len(take.rows) for take in found)


def summary(found: list[Take], looked: int) -> dict[str, Any]:
    """How many chunks a rule takes, by array and decision."""
    return {
        "takes": sum(len(take.rows) for take in found),
        "looked": looked,
        "parts": [
            {"path": take.entry.path, "choice": take.choice, "chunks": len(take.rows)}
            for take in found
            if len(take.rows)
        ],
    }
