"""Rules that select many chunks for a decision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from icechunk_widgets.arrays.chunk_refs import runs_of
from icechunk_widgets.arrays.merging import Chunks
from icechunk_widgets.arrays.nodes import array_shape, document
from icechunk_widgets.arrays.pictures import as_numbers, difference
from icechunk_widgets.kernel.failures import refusal
from icechunk_widgets.resolver.chunk_search import ChunkSearch
from icechunk_widgets.resolver.conflict_entry import BASE, NAME, OURS, THEIRS, UNDECIDED, Entry
from icechunk_widgets.resolver.conflict_plan import ConflictPlan
from icechunk_widgets.resolver.conflict_scan import ConflictScan

RULES: Final = {
    "theirs-where-mine-empty": "theirs",
    "mine-where-theirs-empty": "ours",
    "mine-where-close": "ours",
    "theirs-where-close": "theirs",
    "merge-where-apart": "merge-ours",
}
"""The decision of each rule about the chunks that it selects."""
SAME_REGION = "same-region"
"""Copy the decisions of one array to the same region of arrays that share dimensions."""


@dataclass(frozen=True)
class Take:
    """Chunks that a rule selects, and its decision.

    Attributes
    ----------
    entry : Entry
        The conflict.
    choice : str
        The decision.
    rows : ndarray of int64
        Its selected chunks.
    """

    entry: Entry
    choice: str
    rows: NDArray[np.int64]


def search(scan: ConflictScan, entry: Entry, rule: str, limit: float = 0.0) -> ChunkSearch:
    """Begin a search for the undecided chunks of one array that a rule selects.

    Parameters
    ----------
    scan : ConflictScan
        The conflicts, with the three states.
    entry : Entry
        A conflict of chunks.
    rule : str
        One of `RULES`.
    limit : float
        For ``...-where-close``: the largest absolute difference that counts as close.

    Returns
    -------
    ChunkSearch
        With result 1 for a selected chunk.

    Raises
    ------
    IcechunkError
        For an unknown rule.
    """
    if rule not in RULES:
        raise refusal(f"there is no rule {rule!r}", f"choose one of {', '.join(RULES)}")
    test = _test(scan, entry, rule, limit)
    rows = np.flatnonzero(entry.states == UNDECIDED)
    return ChunkSearch(rows, lambda row: int(test(entry.coords[row].tolist())))


def taken(entry: Entry, rule: str, found: ChunkSearch) -> list[Take]:
    """The selected chunks among those tested so far."""
    return [Take(entry, RULES[rule], found.rows[: found.looked][found.answers == 1])]


def _test(scan: ConflictScan, entry: Entry, rule: str, limit: float) -> Callable[[list[int]], bool]:
    chunks = Chunks(scan.sessions, entry.path)
    if rule == "merge-where-apart":
        return lambda chunk: chunks.merged(chunk)[1].both == 0
    held = {side: document(scan.sessions[side], entry.path) or {} for side in ("ours", "theirs")}

    def numbers(side: str, chunk: list[int]) -> NDArray[np.float64]:
        return as_numbers(chunks.values(side, chunk), held[side])

    def close(chunk: list[int]) -> bool:
        one, two = numbers("ours", chunk), numbers("theirs", chunk)
        if not np.array_equal(np.isnan(one), np.isnan(two)):
            return False
        apart = difference(one, two)
        return apart is not None and apart["max_abs"] <= limit

    if rule.endswith("close"):
        return close
    empty, other = ("ours", "theirs") if rule.startswith("theirs") else ("theirs", "ours")
    return lambda chunk: bool(
        np.isnan(numbers(empty, chunk)).all() and not np.isnan(numbers(other, chunk)).all()
    )


# -- the same region in other arrays -------------------------------------------------------------


def same_region(scan: ConflictScan, entry: Entry) -> tuple[list[Take], int]:
    """Select chunks of other arrays for the decision about the same region of this array.

    A chunk is selected if all conflicting chunks of this array in its region, along the dimensions
    that both arrays have, have the same decision, and none is undecided.

    Returns
    -------
    list of Take, int
        The chunks by array and decision, and the number of chunks tested.
    """
    found: list[Take] = []
    looked = 0
    for other in scan.plan.entries:
        if other is entry or not other.is_chunks:
            continue
        rows = np.flatnonzero(other.states == UNDECIDED)
        codes = _over(list(_shared(scan, entry, other)), entry, other.coords[rows])
        looked += len(rows)
        for code in (OURS, THEIRS, BASE):
            name = NAME[code]
            if name is not None and (codes == code).any():
                found.append(Take(other, name, rows[codes == code]))
    return found, looked


def _over(
    shared: list[tuple[int, int, int, int]], entry: Entry, coords: NDArray[np.uint32]
) -> NDArray[np.uint8]:
    """The common decision for the region of each chunk of another array, or UNDECIDED."""
    if not shared or not len(coords):
        return np.full(len(coords), UNDECIDED, np.uint8)
    axes = tuple(axis for axis, *_ in shared)
    place = tuple(entry.coords[:, axis] for axis in axes)
    low = np.full([entry.grid[axis] for axis in axes], 255, np.uint8)
    high = np.zeros(low.shape, np.uint8)
    np.minimum.at(low, place, entry.states)
    np.maximum.at(high, place, entry.states)
    for number, (_, its_axis, length, its_length) in enumerate(shared):
        # the chunks of this array in the region of each chunk of the other one
        count = int(coords[:, its_axis].max()) + 1
        its = np.arange(count, dtype=np.int64) * its_length
        first = np.minimum(its // length, low.shape[number] - 1)
        last = np.minimum(-(-(its + its_length) // length), low.shape[number])
        pairs = np.stack((first, last), axis=1).reshape(-1)
        low = _windows(np.minimum, low, pairs, number)
        high = _windows(np.maximum, high, pairs, number)
    at = tuple(coords[:, its_axis] for _, its_axis, *_ in shared)
    alike: NDArray[np.uint8] = np.where(low[at] == high[at], low[at], UNDECIDED).astype(np.uint8)
    return alike


def _windows(
    fold: np.ufunc, block: NDArray[np.uint8], pairs: NDArray[np.int64], axis: int
) -> NDArray[np.uint8]:
    """Fold ranges ``[first, last, first, last, ...]`` of an axis into one position each."""
    ends = [(0, int(k == axis)) for k in range(block.ndim)]
    folded = fold.reduceat(np.pad(block, ends, mode="edge"), pairs, axis=axis)
    kept: NDArray[np.uint8] = np.take(folded, np.arange(0, len(pairs), 2), axis=axis)
    return kept


def _shared(scan: ConflictScan, one: Entry, two: Entry) -> Iterator[tuple[int, int, int, int]]:
    """Axes of both arrays with one name and length, with the chunk lengths along them."""
    first = array_shape(scan.sessions["base"], one.path)
    second = array_shape(scan.sessions["base"], two.path)
    if first is None or second is None:
        return
    for axis, name in enumerate(first.names):
        if name is None or name not in second.names:
            continue
        its = second.names.index(name)
        if first.shape[axis] == second.shape[its]:
            yield axis, its, first.chunks[axis], second.chunks[its]


def apply(plan: ConflictPlan, found: list[Take]) -> int:
    """Decide the selected chunks in one step; return their number."""
    with plan.together():
        for take in found:
            if len(take.rows):
                plan.decide(take.entry, take.choice, runs=runs_of(take.entry.positions[take.rows]))
    return sum(len(take.rows) for take in found)


def summary(found: list[Take], looked: int) -> dict[str, Any]:
    """Number of selected chunks, by array and decision."""
    return {
        "takes": sum(len(take.rows) for take in found),
        "looked": looked,
        "parts": [
            {"path": take.entry.path, "choice": take.choice, "chunks": len(take.rows)}
            for take in found
            if len(take.rows)
        ],
    }
