"""Calls that were interrupted, cancelled or carried out late, and are repeated."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest
import zarr

import icechunk
from icechunk.storage.base import Storage
from icechunk.storage.wrapper import Call, StorageWrapper

T = TypeVar("T")
MUTABLE = ("repo", "refs/branch.main/ref.json", "config.yaml")


class Interrupting(StorageWrapper):
    """Calls a function once, around the compare-and-swap that publishes a commit."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.once: Callable[[Callable[[], object]], object] | None = None
        self.before_snapshot: Callable[[], object] | None = None

    def around(self, call: Call, run: Callable[[], T]) -> T:
        key = call.keys[0] if call.keys else ""
        if call.verb == "put" and key.startswith("snapshots/"):
            before, self.before_snapshot = self.before_snapshot, None
            if before is not None:
                before()
        if call.verb in ("replace", "create") and (key in MUTABLE or "/tag." in key):
            once, self.once = self.once, None
            if once is not None:
                return once(run)  # type: ignore[return-value]
        return run()


def then_stop(run: Callable[[], object]) -> object:
    run()
    raise KeyboardInterrupt


@pytest.fixture(params=[1, 2])
def storage(request: pytest.FixtureRequest) -> Interrupting:
    storage = Interrupting(icechunk.in_memory_storage())
    repo = icechunk.Repository.create(storage, spec_version=request.param)
    session = repo.writable_session("main")
    group = zarr.create_group(session.store)
    group.create_array("a", shape=(4,), chunks=(2,), dtype="i4")[:] = 1
    session.commit("base")
    return storage


@pytest.fixture
def repo(storage: Interrupting) -> icechunk.Repository:
    return icechunk.Repository.open(storage)


@pytest.fixture
def session(repo: icechunk.Repository) -> icechunk.Session:
    session = repo.writable_session("main")
    write(session, 2)
    return session


def write(session: icechunk.Session, value: int) -> None:
    zarr.open_array(session.store, path="a")[:] = value


def messages(repo: icechunk.Repository) -> list[str]:
    return [one.message for one in repo.ancestry(branch="main")]


def stopped(storage: Interrupting, call: Callable[[], object]) -> None:
    storage.once = then_stop
    with pytest.raises(KeyboardInterrupt):
        call()


def test_the_session_knows_that_its_commit_landed(
    storage: Interrupting,
    repo: icechunk.Repository,
    session: icechunk.Session,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stopped(storage, lambda: session.commit("mine"))
    assert not session.has_uncommitted_changes
    assert session.read_only
    assert session.snapshot_id == repo.lookup_branch("main")
    assert "the interrupted commit was carried out" in caplog.text
    again = session.commit("mine", rebase_with=icechunk.BasicConflictSolver())
    assert again == session.commit("mine") == repo.lookup_branch("main")
    assert messages(repo) == ["mine", "base", "Repository initialized"]


@pytest.mark.parametrize(
    "others", [("theirs",), ("mine",)], ids=["another message", "the same message"]
)
def test_also_when_somebody_committed_after_it(
    storage: Interrupting,
    repo: icechunk.Repository,
    session: icechunk.Session,
    others: tuple[str],
) -> None:
    stopped(storage, lambda: session.commit("mine"))
    landed = repo.lookup_branch("main")
    other = repo.writable_session("main")
    write(other, 3)
    other.commit(others[0])
    assert session.commit("mine", rebase_with=icechunk.BasicConflictSolver()) == landed
    assert messages(repo) == [others[0], "mine", "base", "Repository initialized"]


def test_what_comes_next_is_answered_as_after_any_commit(
    storage: Interrupting, repo: icechunk.Repository, session: icechunk.Session
) -> None:
    stopped(storage, lambda: session.commit("mine"))
    for call in (
        lambda: session.commit("another message"),
        lambda: session.commit("mine", {"other": "metadata"}),
        lambda: session.rebase(icechunk.ConflictDetector()),
        session.fork,
        session.discard_changes,
        lambda: write(session, 3),
    ):
        with pytest.raises(icechunk.IcechunkError) as caught:
            call()
        assert isinstance(caught.value, icechunk.SessionStateError | icechunk.ReadOnlyError)
    with pytest.raises(icechunk.SessionStateError, match=f"{session.snapshot_id}, `mine`"):
        session.commit("another message")
    assert messages(repo) == ["mine", "base", "Repository initialized"]


@pytest.mark.parametrize(
    "call",
    [
        lambda session: write(session, 3),
        lambda session: session.discard_changes(),
        lambda session: session.fork(),
        lambda session: session.rebase(icechunk.ConflictDetector()),
        lambda session: session.conflicts(),
    ],
    ids=["write", "discard", "fork", "rebase", "conflicts"],
)
def test_each_call_finds_out_by_itself(
    storage: Interrupting, session: icechunk.Session, call: Callable[[icechunk.Session], object]
) -> None:
    stopped(storage, lambda: session.commit("mine"))
    with pytest.raises((icechunk.SessionStateError, icechunk.ReadOnlyError)):
        call(session)


def test_a_swap_that_is_carried_out_late_is_no_conflict(
    storage: Interrupting, repo: icechunk.Repository, session: icechunk.Session
) -> None:
    late: list[Callable[[], object]] = []

    def stop_before(run: Callable[[], object]) -> object:
        late.append(run)
        raise KeyboardInterrupt

    storage.once = stop_before
    with pytest.raises(KeyboardInterrupt):
        session.commit("mine")
    assert session.has_uncommitted_changes
    storage.before_snapshot = late[0]
    landed = session.commit("mine", rebase_with=icechunk.BasicConflictSolver())
    assert landed == session.snapshot_id == repo.lookup_branch("main")
    assert messages(repo) == ["mine", "base", "Repository initialized"]


class Gate:
    """Blocks a compare-and-swap until it is released."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, run: Callable[[], object]) -> object:
        self.reached.set()
        assert self.open.wait(30)
        return run()


@pytest.mark.parametrize("message", ["mine", "another"])
def test_a_second_call_waits_for_a_cancelled_one(
    storage: Interrupting, repo: icechunk.Repository, session: icechunk.Session, message: str
) -> None:
    gate = storage.once = Gate()

    async def main() -> str:
        first = asyncio.ensure_future(session.commit_async("mine"))
        assert await asyncio.to_thread(gate.reached.wait, 30)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = asyncio.ensure_future(session.commit_async(message))
        await asyncio.sleep(0.05)
        assert not second.done()
        gate.open.set()
        return await second

    if message == "mine":
        assert asyncio.run(main()) == repo.lookup_branch("main")
    else:
        with pytest.raises(icechunk.SessionStateError, match="this session is over"):
            asyncio.run(main())
    assert messages(repo) == ["mine", "base", "Repository initialized"]
    assert not session.has_uncommitted_changes


def test_a_cancelled_call_that_is_discarded_has_landed(
    storage: Interrupting, repo: icechunk.Repository, session: icechunk.Session
) -> None:
    gate = storage.once = Gate()

    async def main() -> None:
        first = asyncio.ensure_future(session.commit_async("mine"))
        assert await asyncio.to_thread(gate.reached.wait, 30)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        gate.open.set()
        with pytest.raises(icechunk.ReadOnlyError):
            await asyncio.to_thread(session.discard_changes)

    asyncio.run(main())
    assert messages(repo)[0] == "mine"


def test_a_ref_that_an_interrupted_call_made_is_not_in_its_own_way(
    storage: Interrupting, repo: icechunk.Repository
) -> None:
    tip = repo.lookup_branch("main")
    stopped(storage, lambda: repo.create_tag("v1", tip))
    repo.create_tag("v1", tip)
    assert repo.lookup_tag("v1") == tip
    with pytest.raises(icechunk.AlreadyExistsError):
        repo.create_tag("v1", tip)  # that one is known to be made
    with pytest.raises(icechunk.AlreadyExistsError):
        icechunk.Repository.open(storage).create_tag("v1", tip)


def test_a_configuration_that_an_interrupted_call_saved_is_not_in_its_own_way(
    storage: Interrupting,
) -> None:
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=7)
    repo = icechunk.Repository.open(storage, config)
    stopped(storage, repo.save_config)
    repo.save_config()
    found = icechunk.Repository.fetch_config(storage)
    assert found is not None
    assert found.inline_chunk_threshold_bytes == 7
