"""Finding the commit that made a test fail."""

from __future__ import annotations

import math

import pytest
import zarr

from icechunk import Repository, Session
from icechunk.core.errors import InvalidInputError
from icechunk.core.ids import parse_object_id
from icechunk.merging.bisect import Bisection, start, step
from icechunk.merging.graph import CommitGraph
from tests.merging.worlds import array, branches, commit, new_repo, write


def line(count: int) -> tuple[Repository, list[str]]:
    """A history in which commit `n` writes `n`."""
    repo = new_repo()
    return repo, [commit(repo, "main", write(0, 1, n), f"c{n}") for n in range(count)]


def value(session: Session) -> int:
    return int(array(zarr.open_group(session.store, mode="r"))[0])


@pytest.mark.parametrize("first_bad", [1, 7, 19])
def test_a_line(first_bad: int) -> None:
    repo, ids = line(20)
    tested: list[int] = []

    def good(session: Session) -> bool:
        tested.append(value(session))
        return tested[-1] < first_bad

    found = repo.bisect(ids[0], "main", good)
    assert found.first_bad == (ids[first_bad],)
    assert len(tested) <= math.ceil(math.log2(20))


def test_what_cannot_be_tested() -> None:
    repo, ids = line(8)
    skipped = {3, 4}

    def good(session: Session) -> bool | None:
        now = value(session)
        return None if now in skipped else now < 4

    assert set(repo.bisect(ids[0], "main", good).first_bad) == {ids[3], ids[4], ids[5]}


def test_a_merge_is_followed() -> None:
    repo = new_repo()
    base = repo.lookup_branch("main")
    branches(repo, write(0, 1, 5), write(4, 5, 7))
    bad = repo.lookup_branch("f")
    repo.merge("f")
    found = repo.bisect(base, "main", lambda session: value(session) != 5)
    assert found.first_bad == (bad,)


def test_a_good_commit_on_another_branch() -> None:
    repo = new_repo()
    branches(repo, write(4, 5, 7), write(0, 1, 5))
    found = repo.bisect("f", "main", lambda session: value(session) != 5)
    assert found.first_bad == (repo.lookup_branch("main"),)


def test_a_search_goes_on_from_its_json_form() -> None:
    repo, ids = line(6)
    graph = CommitGraph(repo._ctx.ref_store)
    state = start(graph, parse_object_id(ids[0]), parse_object_id(ids[5]))
    while state.next is not None:
        state = Bisection.from_dict(state.to_dict())
        assert state.next is not None
        state = step(graph, state, "good" if ids.index(state.next) < 2 else "bad")
    assert state.first_bad == (ids[2],)


def test_refused() -> None:
    repo, ids = line(3)
    with pytest.raises(InvalidInputError, match="does not come before"):
        repo.bisect("main", ids[0], lambda _: True)

    def broken(_: Session) -> bool:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        repo.bisect(ids[0], "main", broken)
