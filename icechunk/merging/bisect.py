"""Find the commit that made a test fail, in the logarithm of the number of commits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.core.ids import ObjectId, id_text, parse_object_id
from icechunk.merging.graph import CommitGraph

GOOD, BAD, SKIP = "good", "bad", "skip"
VERDICTS = (GOOD, BAD, SKIP)


@dataclass(frozen=True, slots=True)
class Bisection:
    """A search as a value: what was tested so far, and what comes next.

    Attributes
    ----------
    bad : str
        Snapshot where the test fails.
    good : tuple of str
        Snapshots where it passes.
    skipped : tuple of str
        Snapshots that cannot be tested.
    next : str or None
        Snapshot to test now; None when the search is over.
    first_bad : tuple of str
        The commit that made the test fail; several when those between them cannot be tested,
        empty while the search goes on.
    left : int
        How many commits may still be it.
    """

    bad: str
    good: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    next: str | None = None
    first_bad: tuple[str, ...] = field(default=())
    left: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; `from_dict` reads it."""
        return {
            "bad": self.bad,
            "good": list(self.good),
            "skipped": list(self.skipped),
            "next": self.next,
            "first_bad": list(self.first_bad),
            "left": self.left,
        }

    @classmethod
    def from_dict(cls, form: dict[str, Any]) -> Bisection:
        """Read the JSON-able form."""
        return cls(
            form["bad"],
            tuple(form["good"]),
            tuple(form["skipped"]),
            form["next"],
            tuple(form["first_bad"]),
            form["left"],
        )


def start(graph: CommitGraph, good: ObjectId, bad: ObjectId) -> Bisection:
    """Begin a search.

    Where `good` is not an ancestor of `bad`, their merge base is tested first.

    Raises
    ------
    InvalidInputError
        Kind ``not-allowed`` when both are the same commit, or `bad` is an ancestor of `good`;
        ``unrelated-histories`` when they have no commit in common.
    """
    if good == bad or graph.is_ancestor(bad, good):
        raise InvalidInputError(
            f"the good commit {id_text(good)} does not come before the bad one {id_text(bad)}; "
            "exchange them, or name an older good commit",
            ErrorKind.NOT_ALLOWED,
        )
    bases = graph.merge_bases(good, bad)
    if not bases:
        raise InvalidInputError(
            "the good and the bad commit have no commit in common",
            ErrorKind.UNRELATED_HISTORIES,
        )
    begun = Bisection(id_text(bad), (id_text(good),))
    if bases == [good]:
        return _with_next(graph, begun)
    return replace(begun, next=id_text(bases[0]), left=len(_candidates(graph, begun)))


def step(graph: CommitGraph, state: Bisection, verdict: str) -> Bisection:
    """Go on with the result of testing `state.next`.

    Raises
    ------
    InvalidInputError
        Kind ``not-allowed`` for another word than ``good``, ``bad`` or ``skip``, when the search
        is over, and when a common ancestor is bad already: the test does not tell the two apart.
    """
    if verdict not in VERDICTS:
        raise InvalidInputError(
            f"the result is {verdict!r}; it must be one of {', '.join(VERDICTS)}",
            ErrorKind.NOT_ALLOWED,
        )
    if state.next is None:
        raise InvalidInputError("the search is over", ErrorKind.NOT_ALLOWED)
    name, tested = state.next, parse_object_id(state.next)
    if verdict == GOOD:
        state = replace(state, good=(*state.good, name))
    elif verdict == SKIP:
        state = replace(state, skipped=(*state.skipped, name))
    else:
        for one in state.good:
            if graph.is_ancestor(tested, parse_object_id(one)):
                raise InvalidInputError(
                    f"{name} is bad, but the good commit {one} comes after it: the failure "
                    "was there before and was mended. Search between other commits",
                    ErrorKind.NOT_ALLOWED,
                )
        state = replace(state, bad=name)
    return _with_next(graph, state)


def _candidates(graph: CommitGraph, state: Bisection) -> set[ObjectId]:
    """Commits that may have made the test fail, the bad one included."""
    good = graph.ancestors(parse_object_id(one) for one in state.good)
    found = graph.ancestors([parse_object_id(state.bad)]) - good
    return {one for one in found if one in graph}


def _with_next(graph: CommitGraph, state: Bisection) -> Bisection:
    """Choose the commit to test next: the one that halves what is left."""
    left = _candidates(graph, state)
    bad = parse_object_id(state.bad)
    skipped = {parse_object_id(one) for one in state.skipped}
    untested = [one for one in left if one != bad and one not in skipped]
    if not untested:
        newest = sorted(left, key=lambda one: (one != bad, id_text(one)))
        return replace(state, next=None, first_bad=tuple(map(id_text, newest)), left=len(left))
    half = len(left) / 2
    counts = _counts(graph, left)
    best = min(untested, key=lambda one: (abs(counts[one] - half), one))
    return replace(state, next=id_text(best), first_bad=(), left=len(left))


def _counts(graph: CommitGraph, left: set[ObjectId]) -> dict[ObjectId, int]:
    """How many of the commits that are left each of them includes, itself counted."""
    counts: dict[ObjectId, int] = {}
    merges = any(sum(parent in left for parent in graph.parents(one)) > 1 for one in left)
    if merges:
        return {one: len(graph.ancestors([one]) & left) for one in left}
    for one in left:
        way = []
        at: ObjectId | None = one
        while at is not None and at not in counts:
            way.append(at)
            at = next((parent for parent in graph.parents(at) if parent in left), None)
        below = 0 if at is None else counts[at]
        for number, each in enumerate(reversed(way), 1):
            counts[each] = below + number
    return counts


def run(
    graph: CommitGraph,
    state: Bisection,
    test: Callable[[str], bool | None],
    seen: Callable[[Bisection], None] = lambda _: None,
) -> Bisection:
    """Test commits until the search is over.

    Parameters
    ----------
    test : callable
        Given a snapshot id: True when it is good, False when bad, None when it cannot be tested.
        What it raises stops the search at that commit; `seen` has the state to go on from.
    seen : callable, optional
        Called with the state before every test and at the end.
    """
    seen(state)
    while state.next is not None:
        outcome = test(state.next)
        state = step(graph, state, SKIP if outcome is None else GOOD if outcome else BAD)
        seen(state)
    return state
