"""Every call of the storage fails once, in every operation: before it was done, after it was done
with the answer lost, and from there on for good.

Whatever happens, the repository opens again, every ref shows the old state or the new one, whole;
and a session whose commit failed can be committed once the storage works again (R50).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

import icechunk
from icechunk.testing import FaultyStorage
from icechunk.testing.invariants import assert_ancestry_invariants
from tests.stateful.effort import NIGHTLY
from tests.stateful.plain_store import (
    Content,
    chunk_key,
    config,
    content,
    copy_storage,
    starting_content,
    write,
)

FUTURE = datetime.now(UTC) + timedelta(days=1)

Refs = dict[str, Content]


def _states(repo: icechunk.Repository) -> Refs:
    """What every ref shows, read in full."""
    shown = {
        f"branch {name}": content(repo.readonly_session(name)) for name in repo.list_branches()
    }
    shown.update(
        {f"tag {name}": content(repo.readonly_session(tag=name)) for name in repo.list_tags()}
    )
    return shown


def _seeded(version: int) -> icechunk.Storage:
    """A repository with history, a side branch, a tag and garbage."""
    storage = icechunk.in_memory_storage()
    repo = icechunk.Repository.create(storage, config(), spec_version=version)
    session = repo.writable_session("main")
    for key, document in starting_content().items():
        write(session, key, document)
    first = session.commit("first")
    for number in range(3):
        session = repo.writable_session("main")
        write(session, chunk_key(0, number), b"%04d" % number)
        session.commit(f"chunk {number}")
    repo.create_branch("side", first)
    repo.create_tag("v1", first)
    session = repo.writable_session("side")
    write(session, chunk_key(1, 0), b"lost")
    session.commit("becomes garbage")
    repo.reset_branch("side", first)
    return storage


SEEDS = {version: _seeded(version) for version in (1, 2)}


def _committed(repo: icechunk.Repository) -> Any:
    session = repo.writable_session("main")
    write(session, chunk_key(0, 0), b"new0")
    write(session, chunk_key(1, 3), b"new1")
    return session.commit("new")


def _rebased(repo: icechunk.Repository) -> Any:
    session = repo.writable_session("main")
    write(session, chunk_key(1, 1), b"mine")
    other = repo.writable_session("main")
    write(other, chunk_key(0, 1), b"them")
    other.commit("them")
    return session.commit("mine", rebase_with=icechunk.ConflictDetector())


def _amended(repo: icechunk.Repository) -> Any:
    session = repo.writable_session("main")
    write(session, chunk_key(0, 2), b"amnd")
    return session.amend("amended")


def _merged(repo: icechunk.Repository) -> Any:
    session = repo.writable_session("main")
    write(session, chunk_key(0, 4), b"mine")
    fork = session.fork()
    write(fork, chunk_key(0, 5), b"fork")
    session.merge(fork)
    return session.commit("merged")


def _flushed(repo: icechunk.Repository) -> Any:
    session = repo.writable_session("main")
    write(session, chunk_key(0, 4), b"mine")
    repo.create_branch("flushed", session.flush("flushed"))


def _configured(repo: icechunk.Repository) -> Any:
    repo.reopen(config(inline=100)).save_config()


def _moved(repo: icechunk.Repository) -> Any:
    session = repo.rearrange_session("main")
    session.move("/a1", "/moved")
    session.commit("moved")


class Job(NamedTuple):
    """An operation on a repository."""

    run: Callable[[icechunk.Repository], Any]
    versions: tuple[int, ...] = (1, 2)


JOBS = {
    "commit": Job(_committed),
    "commit after a rebase": Job(_rebased),
    "commit of merged forks": Job(_merged),
    "flush": Job(_flushed),
    "amend": Job(_amended, (2,)),
    "move": Job(_moved, (2,)),
    "create branch": Job(lambda repo: repo.create_branch("new", repo.lookup_branch("main"))),
    "reset branch": Job(lambda repo: repo.reset_branch("main", repo.lookup_tag("v1"))),
    "delete branch": Job(lambda repo: repo.delete_branch("side")),
    "create tag": Job(lambda repo: repo.create_tag("v2", repo.lookup_branch("main"))),
    "delete tag": Job(lambda repo: repo.delete_tag("v1")),
    "save config": Job(_configured),
    "set metadata": Job(lambda repo: repo.set_metadata({"a": 1}), (2,)),
    "rewrite manifests": Job(lambda repo: repo.rewrite_manifests("rewritten", branch="main")),
    "expire": Job(lambda repo: repo.expire_snapshots(FUTURE)),
    "expire refs": Job(
        lambda repo: repo.expire_snapshots(
            FUTURE, delete_expired_branches=True, delete_expired_tags=True
        )
    ),
    "collect garbage": Job(lambda repo: repo.garbage_collect(FUTURE)),
    "upgrade": Job(lambda repo: icechunk.upgrade_icechunk_repository(repo, dry_run=False), (1,)),
}

HOW: dict[str, dict[str, bool]] = {
    "before": {},
    "answer lost": {"after": True},
    "for good": {"dead": True},
}
if NIGHTLY:
    HOW["answer lost, for good"] = {"after": True, "dead": True}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    ("job", "version"),
    [(name, version) for name, job in JOBS.items() for version in job.versions],
)
def test_a_failing_call_leaves_the_old_state_or_the_new_one(
    job: str, version: int, how: str
) -> None:
    run = JOBS[job].run
    before = _states(icechunk.Repository.open(copy_storage(SEEDS[version])))
    done = FaultyStorage(copy_storage(SEEDS[version]))
    repo = icechunk.Repository.open(done)
    done.arm(None)
    run(repo)
    calls = done.seen
    after = _states(icechunk.Repository.open(done.inner))
    assert calls > 0
    for number in range(calls):
        inner = copy_storage(SEEDS[version])
        storage = FaultyStorage(inner)
        repo = icechunk.Repository.open(storage)
        storage.arm(number, **HOW[how])
        try:
            run(repo)
        except icechunk.IcechunkError as error:
            failure: icechunk.IcechunkError | None = error
        else:
            failure = None
        storage.disarm()
        told = f"call {number} of {calls}: {storage.failures[:1]}, then {failure}"
        now = _check(inner, before, after, failure is None, told)
        if NIGHTLY or number % 4 == 0:
            _check_collection(inner, now, told)


def _check(
    storage: icechunk.Storage, before: Refs, after: Refs, must_be_new: bool, told: str
) -> Refs:
    """Every ref shows one of its two states; gives what they show."""
    repo = icechunk.Repository.open(storage)
    now = _states(repo)
    for name in before.keys() | after.keys() | now.keys():
        allowed = [after.get(name)] if must_be_new else [before.get(name), after.get(name)]
        if name == "branch main" and len(after[name]) > len(before[name]):
            allowed.append({**before[name], chunk_key(0, 1): b"them"})  # one of two commits
        assert now.get(name) in allowed, f"{name} after {told}"
    for branch in repo.list_branches():
        assert_ancestry_invariants(list(repo.ancestry(branch=branch)))
    return now


def _check_collection(storage: icechunk.Storage, now: Refs, told: str) -> None:
    """The repository takes commits, and a collection takes nothing that a ref needs."""
    repo = icechunk.Repository.open(storage)
    session = repo.writable_session("main")
    write(session, chunk_key(0, 3), b"next")
    session.commit("works again")
    repo.garbage_collect(FUTURE)
    again = _states(icechunk.Repository.open(storage))
    now["branch main"] = {**now["branch main"], chunk_key(0, 3): b"next"}
    assert again == now, f"after a collection, after {told}"


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("version", [1, 2])
def test_creation_fails_or_succeeds_as_a_whole(version: int, how: str) -> None:
    """A place where creation failed takes another one, unless there is a repository already."""
    counted = FaultyStorage(icechunk.in_memory_storage())
    icechunk.Repository.create(counted, config(), spec_version=version)
    for number in range(counted.seen):
        storage = FaultyStorage(icechunk.in_memory_storage())
        storage.arm(number, **HOW[how])
        with contextlib.suppress(icechunk.IcechunkError):
            icechunk.Repository.create(storage, config(), spec_version=version)
        storage.disarm()
        repo = icechunk.Repository.open_or_create(
            storage, config(), create_version=version, check_clean_root=False
        )
        _committed_empty(repo)
        assert_ancestry_invariants(list(repo.ancestry(branch="main")))


def _committed_empty(repo: icechunk.Repository) -> None:
    repo.writable_session("main").commit("works", allow_empty=True)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("version", [1, 2])
def test_r50_a_session_is_usable_after_a_failed_commit(version: int, how: str) -> None:
    """The session keeps its changes, reads and writes go on, and the commit can be repeated."""
    counted = FaultyStorage(copy_storage(SEEDS[version]))
    repo = icechunk.Repository.open(counted)
    session = repo.writable_session("main")
    write(session, chunk_key(1, 2), b"kept")
    counted.arm(None)
    session.commit("counted")
    for number in range(counted.seen):
        storage = FaultyStorage(copy_storage(SEEDS[version]))
        repo = icechunk.Repository.open(storage)
        tip = repo.lookup_branch("main")
        session = repo.writable_session("main")
        write(session, chunk_key(1, 2), b"kept")
        storage.arm(number, **HOW[how])
        try:
            session.commit("fails")
        except icechunk.IcechunkError:
            storage.disarm()
        else:
            continue
        assert content(session)[chunk_key(1, 2)] == b"kept"
        landed = repo.lookup_branch("main") != tip
        if session.read_only:
            # the answer was lost, not the commit: the session has adopted it
            assert landed, f"call {number}: {storage.failures[0]}"
            assert session.snapshot_id == repo.lookup_branch("main")
            session = repo.writable_session("main")
        write(session, chunk_key(1, 4), b"more")
        try:
            session.commit("again")
        except icechunk.ConflictError:
            # the answer was lost, not the commit: the branch moved, to our own commit
            assert landed, f"call {number}: {storage.failures[0]}"
            assert "after" in HOW[how]
            session.commit(
                "again",
                rebase_with=icechunk.BasicConflictSolver(
                    on_chunk_conflict=icechunk.VersionSelection.UseOurs
                ),
            )
        shown = content(icechunk.Repository.open(storage).readonly_session("main"))
        assert (shown[chunk_key(1, 2)], shown[chunk_key(1, 4)]) == (b"kept", b"more")
