"""An interrupt at every line of what changes a repository, one after the other.

Afterwards exactly one of two things is true: it did not happen, nothing is lost, and the same call
does it; or it happened, the session knows, and the same call does it no second time.  No lock stays
held either way.

By default a sample of the lines is tried; ``HYPOTHESIS_PROFILE=nightly`` tries all of them.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zarr

import icechunk
from icechunk.storage.memory import MemoryStorage
from icechunk.storage.names import LOCK_NAME
from tests.interrupts.tracing import Line, elsewhere, interrupted, lines_of

if os.name != "nt":
    import fcntl

SAMPLE = None if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 24
"""Lines tried per case."""

# An interrupt at the end of a `with` over a file leaves it to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.timeout(1800 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 120),
]

BOTH = [(kind, spec) for kind in ("memory", "local") for spec in (1, 2)]
MINE = "mine"
LATER = datetime(2900, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep out of the output what the log says of each adopted commit."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


class Place:
    """A prepared repository, and fresh copies of it."""

    def __init__(self, kind: str, spec: int, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.copies = 0
        self._prepared = self._storage("prepared")
        # Chunks are objects, as those of real data are, on local disks in packs.
        config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
        repo = icechunk.Repository.create(self._prepared, config, spec_version=spec)
        session = repo.writable_session("main")
        root = zarr.create_group(session.store)
        for name in "ab":
            root.create_array(name, shape=(4,), chunks=(2,), dtype="i4")[:] = 1
        session.commit("first")
        session = repo.writable_session("main")
        zarr.open_array(session.store, path="b")[:] = 5
        tip = session.commit("base")
        repo.create_branch("side", tip)
        repo.create_branch("old", tip)
        repo.create_tag("v1", tip)

    def _storage(self, name: str) -> icechunk.Storage:
        if self.kind == "memory":
            return MemoryStorage()
        return icechunk.local_filesystem_storage(self.folder / name)

    def again(self) -> icechunk.Repository:
        """A fresh copy of the prepared repository."""
        self.copies += 1
        storage = self._storage(str(self.copies))
        if isinstance(storage, MemoryStorage):
            storage._objects = dict(self._prepared._objects)  # type: ignore[attr-defined]
            storage._writes = self._prepared._writes  # type: ignore[attr-defined]
        else:
            shutil.rmtree(self.folder / str(self.copies - 1), ignore_errors=True)
            shutil.copytree(self.folder / "prepared", self.folder / str(self.copies))
        return icechunk.Repository.open(storage)

    def check_no_lock_is_held(self, repo: icechunk.Repository) -> None:
        """Another thread and another process can commit at once."""
        elsewhere(lambda: commit_on_side(icechunk.Repository.open(repo.storage)))
        elsewhere(lambda: commit_on_side(repo))
        lock = self.folder / str(self.copies) / LOCK_NAME
        if lock.exists() and os.name != "nt":
            with open(lock, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def commit_on_side(repo: icechunk.Repository) -> None:
    session = repo.writable_session("side")
    write(session, "a", 9)
    session.commit("aside", rebase_with=icechunk.ConflictDetector())


def write(session: icechunk.Session, name: str, value: int) -> None:
    zarr.open_array(session.store, path=name, mode="r+")[:] = value


def read(session: icechunk.Session, name: str) -> list[int]:
    return list(zarr.open_array(session.store, path=name, mode="r")[:])


def messages(repo: icechunk.Repository, branch: str = "main") -> list[str]:
    return [commit.message for commit in repo.ancestry(branch=branch)]


def points(action: Callable[[], object]) -> list[tuple[Line, int]]:
    """Lines to interrupt an action at, first and last time that they are run."""
    counts = Counter(lines_of(action))
    every = [(line, n) for line, count in counts.items() for n in sorted({1, count})]
    if SAMPLE is None or len(every) <= SAMPLE:
        return every
    # What comes after the swap is the shorter part, and the one that matters.
    tail = SAMPLE // 2
    step = (len(every) - tail) / (SAMPLE - tail)
    return [every[int(number * step)] for number in range(SAMPLE - tail)] + every[-tail:]


def sweep(
    place: Place,
    prepare: Callable[[icechunk.Repository], Any],
    act: Callable[[icechunk.Repository, Any], object],
    check: Callable[[icechunk.Repository, Any], None],
) -> None:
    """Interrupt an action at one line after the other, each time in a fresh repository."""
    repo = place.again()
    held = prepare(repo)
    for line, occurrence in points(partial(act, repo, held)):
        where = f"interrupted at {line[0]}:{line[1]}, time {occurrence}"
        fresh = place.again()
        held = prepare(fresh)
        if not interrupted(partial(act, fresh, held), line, occurrence):
            continue  # a random id took another way
        try:
            place.check_no_lock_is_held(fresh)
            check(fresh, held)
        except BaseException as error:
            error.add_note(where)
            raise


@pytest.fixture(params=BOTH, ids=lambda one: f"{one[0]}-{one[1]}")
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(*request.param, tmp_path)


@pytest.fixture(params=["memory", "local"])
def newer(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place of spec version 2."""
    return Place(request.param, 2, tmp_path)


def changed(repo: icechunk.Repository) -> icechunk.Session:
    session = repo.writable_session("main")
    write(session, "a", 2)
    return session


def behind(repo: icechunk.Repository) -> icechunk.Session:
    """A session with changes, over a commit that is not the tip any more."""
    session = changed(repo)
    other = repo.writable_session("main")
    write(other, "b", 7)
    other.commit("theirs")
    return session


def retried(again: Callable[[], object], landed: bool) -> None:
    """Make a call again; when the first one came to its end it may be refused, saying so."""
    refusal = None
    try:
        again()
    except icechunk.SessionStateError as error:
        refusal = error
    if refusal is not None:
        assert landed
        assert refusal.kind == "commit-not-allowed"
        assert "this session is over, what it changed is in snapshot" in str(refusal)


class TestCommit:
    @staticmethod
    def check(again: Callable[[icechunk.Session], object]) -> Callable[..., None]:
        def check(repo: icechunk.Repository, session: icechunk.Session) -> None:
            landed = messages(repo).count(MINE) == 1
            assert session.has_uncommitted_changes is not landed
            assert session.read_only is landed
            assert read(session, "a") == [2] * 4
            if landed:
                assert session.snapshot_id == repo.lookup_branch("main")
                assert session.branch is None
                assert session.status().is_empty()
            retried(lambda: again(session), landed)
            assert messages(repo).count(MINE) == 1
            tip = repo.readonly_session("main")
            assert session.snapshot_id == tip.snapshot_id
            assert read(tip, "a") == read(session, "a") == [2] * 4
            assert not session.has_uncommitted_changes

        return check

    def test_commit(self, place: Place) -> None:
        again = lambda session: session.commit(MINE)  # noqa: E731
        sweep(place, changed, lambda _, session: session.commit(MINE), self.check(again))

    def test_commit_retried_with_a_solver(self, place: Place) -> None:
        again = lambda one: one.commit(MINE, rebase_with=icechunk.BasicConflictSolver())  # noqa: E731
        sweep(place, changed, lambda _, session: session.commit(MINE), self.check(again))

    def test_commit_that_rebases(self, place: Place) -> None:
        solver = icechunk.ConflictDetector()
        again = lambda session: session.commit(MINE, rebase_with=solver)  # noqa: E731
        sweep(place, behind, lambda _, session: again(session), self.check(again))

    def test_amend(self, newer: Place) -> None:
        again = lambda session: session.amend(MINE)  # noqa: E731
        sweep(newer, changed, lambda _, session: session.amend(MINE), self.check(again))


def test_flush(place: Place) -> None:
    def check(repo: icechunk.Repository, session: icechunk.Session) -> None:
        assert read(session, "a") == [2] * 4
        done = session._transaction.published
        if done is None or not done.answer.reached:
            session.flush(MINE)
        assert session.read_only
        assert read(repo.readonly_session(snapshot_id=session.snapshot_id), "a") == [2] * 4
        assert MINE not in messages(repo)
        if repo.spec_version == 2:
            kinds = [type(one.kind).__name__ for one in repo.ops_log()]
            assert sum("Detached" in kind for kind in kinds) == 1

    sweep(place, changed, lambda _, session: session.flush(MINE), check)


def test_rebase(place: Place) -> None:
    solver = icechunk.ConflictDetector()

    def check(repo: icechunk.Repository, session: icechunk.Session) -> None:
        assert session.has_uncommitted_changes
        assert read(session, "a") == [2] * 4
        moved = session.snapshot_id == repo.lookup_branch("main")
        assert read(session, "b") == [7 if moved else 5] * 4
        session.rebase(solver)
        session.commit(MINE)
        assert messages(repo)[:2] == [MINE, "theirs"]
        tip = repo.readonly_session("main")
        assert (read(tip, "a"), read(tip, "b")) == ([2] * 4, [7] * 4)

    sweep(place, behind, lambda _, session: session.rebase(solver), check)


def test_merge(place: Place) -> None:
    def prepare(repo: icechunk.Repository) -> tuple[icechunk.Session, list[icechunk.Session]]:
        session = repo.writable_session("main")
        forks = [session.fork(), session.fork()]
        for fork, name in zip(forks, "ab", strict=True):
            write(fork, name, 3)
        return session, forks

    def check(repo: icechunk.Repository, held: Any) -> None:
        session, forks = held
        seen = read(session, "a"), read(session, "b")
        assert seen in [([1] * 4, [5] * 4), ([3] * 4, [3] * 4)], "all of it or nothing"
        assert session.has_uncommitted_changes is (seen[0] == [3] * 4)
        session.merge(*forks)
        session.commit(MINE)
        tip = repo.readonly_session("main")
        assert read(tip, "a") == read(tip, "b") == [3] * 4

    sweep(place, prepare, lambda _, held: held[0].merge(*held[1]), check)


REFS: dict[str, tuple[Callable[..., object], Callable[..., bool]]] = {
    "create_branch": (
        lambda repo, base: repo.create_branch("new", base),
        lambda repo, base: "new" in repo.list_branches() and repo.lookup_branch("new") == base,
    ),
    "reset_branch": (
        lambda repo, base: repo.reset_branch(
            "old", base, from_snapshot_id=repo.lookup_branch("main")
        ),
        lambda repo, base: repo.lookup_branch("old") == base,
    ),
    "delete_branch": (
        lambda repo, _: repo.delete_branch("old"),
        lambda repo, _: "old" not in repo.list_branches(),
    ),
    "create_tag": (
        lambda repo, base: repo.create_tag("new", base),
        lambda repo, base: "new" in repo.list_tags() and repo.lookup_tag("new") == base,
    ),
    "delete_tag": (
        lambda repo, _: repo.delete_tag("v1"),
        lambda repo, _: "v1" not in repo.list_tags(),
    ),
}


@pytest.mark.parametrize("verb", REFS)
def test_refs(place: Place, verb: str) -> None:
    act, is_made = REFS[verb]

    def prepare(repo: icechunk.Repository) -> str:
        return list(repo.ancestry(branch="main"))[1].id

    def check(repo: icechunk.Repository, base: str) -> None:
        before = messages(repo)
        act(repo, base)  # also when it was made, because the call did not return
        assert is_made(repo, base)
        assert messages(repo) == before
        made = is_made(icechunk.Repository.open(repo.storage), base)
        assert made

    sweep(place, prepare, act, check)


UPKEEP: dict[str, Callable[[icechunk.Repository], object]] = {
    "garbage_collect": lambda repo: repo.garbage_collect(LATER),
    "expire_snapshots": lambda repo: repo.expire_snapshots(LATER),
    "save_config": lambda repo: repo.save_config(),
}


@pytest.mark.parametrize("verb", UPKEEP)
def test_upkeep(place: Place, verb: str) -> None:
    def prepare(repo: icechunk.Repository) -> None:
        write(repo.writable_session("main"), "a", 8)  # chunks without references
        repo.delete_branch("old")

    def act(repo: icechunk.Repository, _: object) -> object:
        return UPKEEP[verb](repo)

    def check(repo: icechunk.Repository, _: object) -> None:
        act(repo, None)
        again = icechunk.Repository.open(repo.storage)
        assert messages(again)[0] == "base"
        tip = again.readonly_session("main")
        assert (read(tip, "a"), read(tip, "b")) == ([1] * 4, [5] * 4)
        assert read(again.readonly_session("side"), "a") == [9] * 4
        session = changed(again)
        session.commit(MINE)
        assert messages(again)[0] == MINE

    sweep(place, prepare, act, check)
