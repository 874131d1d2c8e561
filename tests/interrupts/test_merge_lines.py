"""An interrupt at every line of merges, picks, stashes and undo: made once, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import icechunk
from icechunk.spec.repo.lineage import LINEAGE_KEY
from tests.interrupts.test_lines import (
    BOTH,
    SAMPLE,
    Place,
    changed,
    messages,
    read,
    sweep,
    write,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.timeout(1800 if SAMPLE is None else 120),
]

MERGED = "Merge branch 'f' into main"


@pytest.fixture(params=BOTH, ids=lambda one: f"{one[0]}-{one[1]}")
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(*request.param, tmp_path)


def forked(repo: icechunk.Repository) -> tuple[str, str]:
    """Commit array ``a`` on a new branch ``f``, ``b`` on ``main``; the tips of main and f."""
    repo.create_branch("f", repo.lookup_branch("main"))
    for branch, name in (("f", "a"), ("main", "b")):
        session = repo.writable_session(branch)
        write(session, name, 3)
        session.commit(f"{name} on {branch}")
    return repo.lookup_branch("main"), repo.lookup_branch("f")


def contents(repo: icechunk.Repository) -> tuple[list[int], list[int]]:
    tip = repo.readonly_session("main")
    return read(tip, "a"), read(tip, "b")


def test_merge(place: Place) -> None:
    def check(repo: icechunk.Repository, tips: tuple[str, str]) -> None:
        landed = repo.lookup_branch("main") != tips[0]
        assert messages(repo).count(MERGED) == int(landed)
        assert contents(repo) == ([3 if landed else 1] * 4, [3] * 4)
        assert repo.merge("f").outcome == ("up-to-date" if landed else "merged")
        again = icechunk.Repository.open(repo.storage)
        assert messages(again)[:2] == [MERGED, "b on main"]
        assert contents(again) == ([3] * 4, [3] * 4)
        tip = again.lookup_snapshot(again.lookup_branch("main"))
        assert tip.metadata[LINEAGE_KEY]["parents"] == list(tips)

    sweep(place, forked, lambda repo, _: repo.merge("f"), check)


def test_cherry_pick(place: Place) -> None:
    def check(repo: icechunk.Repository, tips: tuple[str, str]) -> None:
        landed = repo.lookup_branch("main") != tips[0]
        assert contents(repo) == ([3 if landed else 1] * 4, [3] * 4)
        (result,) = repo.cherry_pick(tips[1], onto="main")
        assert result.outcome == ("up-to-date" if landed else "merged")
        assert messages(icechunk.Repository.open(repo.storage))[:2] == ["a on f", "b on main"]

    sweep(place, forked, lambda repo, tips: repo.cherry_pick(tips[1], onto="main"), check)


def test_stash(place: Place) -> None:
    def check(repo: icechunk.Repository, session: icechunk.Session) -> None:
        kept = len(repo.stashes())
        assert session.has_uncommitted_changes or kept, "the changes are in one place at least"
        if session.has_uncommitted_changes:
            assert read(session, "a") == [2] * 4
            session.stash("again")
        assert read(session, "a") == [1] * 4
        session.pop_stash()
        assert read(session, "a") == [2] * 4
        assert contents(icechunk.Repository.open(repo.storage)) == ([1] * 4, [5] * 4)

    sweep(place, changed, lambda _, session: session.stash("mine"), check)


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_undo(kind: str, tmp_path: Path) -> None:
    def merged(repo: icechunk.Repository) -> tuple[str, str]:
        tips = forked(repo)
        repo.merge("f")
        return tips

    def act(repo: icechunk.Repository, _: Any) -> object:
        return repo.undo()

    def check(repo: icechunk.Repository, tips: tuple[str, str]) -> None:
        # The check for locks has committed to another branch, which is the newest operation now.
        undone = repo.lookup_branch("main") == tips[0]
        assert messages(repo).count(MERGED) == int(not undone)
        assert contents(repo) == ([1 if undone else 3] * 4, [3] * 4)

    sweep(Place(kind, 2, tmp_path), merged, act, check)
