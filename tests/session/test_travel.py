"""Sessions, stores and arrays sent to other processes, also to those without storage access."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk.testing.storages import RecordingStorage
from tests.repositories import edit, grid_array, read, with_grid
from tests.servers.places import S3Place
from tests.servers.proxy import Proxy, settled

Travellers = dict[str, Callable[[icechunk.Repository], Any]]


def _written(repo: icechunk.Repository) -> icechunk.ForkSession:
    fork = repo.writable_session("main").fork()
    edit(fork, np.s_[0, 0], 5)
    return fork


TRAVELLERS: Travellers = {
    "repository": lambda repo: repo,
    "session": lambda repo: repo.readonly_session("main"),
    "fork": lambda repo: repo.writable_session("main").fork(),
    "written fork": _written,
    "store": lambda repo: repo.readonly_session("main").store,
    "array": lambda repo: zarr.open_array(repo.readonly_session("main").store, path="a", mode="r"),
}


def _use(traveller: Any) -> Any:
    if isinstance(traveller, zarr.Array):
        return traveller[:]
    if isinstance(traveller, icechunk.Repository):
        return read(traveller.readonly_session("main"))
    session = traveller.session if isinstance(traveller, icechunk.IcechunkStore) else traveller
    return read(session)


@pytest.fixture
def repo(tmp_path: Path) -> icechunk.Repository:
    return with_grid(icechunk.local_filesystem_storage(tmp_path / "repo", durable=False))[0]


@pytest.mark.parametrize("what", TRAVELLERS)
@pytest.mark.parametrize("spec", [1, 2])
def test_what_cannot_reach_its_folder_travels_on_and_works_once_it_can(
    tmp_path: Path, what: str, spec: int
) -> None:
    here, away = tmp_path / "repo", tmp_path / "away"
    repo = icechunk.Repository.create(
        icechunk.local_filesystem_storage(here, durable=False), spec_version=spec
    )
    first = repo.writable_session("main")
    grid_array(first.store)
    first.commit("a grid")
    traveller = TRAVELLERS[what](repo)
    expected = _use(traveller)
    luggage = pickle.dumps(traveller)
    here.rename(away)
    arrived = pickle.loads(luggage)
    again = pickle.loads(pickle.dumps(arrived))
    for copy in (arrived, again):
        with pytest.raises(icechunk.IcechunkError) as caught:
            _use(copy)
        assert caught.value.kind in ("object-not-found", "repository-not-found", "ref-not-found")
    assert not here.exists()
    away.rename(here)
    for copy in (arrived, again):
        np.testing.assert_array_equal(_use(copy), expected)


@pytest.mark.parametrize("what", ["session", "written fork", "store", "array"])
def test_what_cannot_reach_its_server_says_so_on_first_use(moto: S3Place, what: str) -> None:
    with Proxy(moto.url) as proxy:
        settings = icechunk.StorageSettings(retries=icechunk.StorageRetriesSettings(1, 0, 0))
        config = icechunk.RepositoryConfig(storage=settings)
        repo, _ = with_grid(moto.through(proxy.url).storage(), config=config)
        traveller = TRAVELLERS[what](repo)
        expected = _use(traveller)
        luggage = pickle.dumps(traveller)
        proxy.spoil(403, "GET", times=10**6)
        arrived = pickle.loads(pickle.dumps(pickle.loads(luggage)))
        with pytest.raises(icechunk.StorageError, match="permission denied"):
            _use(arrived)
        proxy.clear()
        assert settled(lambda: _reads(arrived, expected), seconds=30)


def _reads(traveller: Any, expected: Any) -> bool:
    """Use an unpickled object; False while requests sent before the server recovered still fail.

    Zarr raises the first error of several reads and leaves the others running. A read that starts
    meanwhile shares their request for the snapshot.
    """
    try:
        used = _use(traveller)
    except icechunk.StorageError:
        return False
    np.testing.assert_array_equal(used, expected)
    return True


def test_a_session_opens_by_its_branch_alone_and_reads_its_snapshot_when_used(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "repo"
    storage = icechunk.local_filesystem_storage(folder, durable=False)
    _, tip = with_grid(storage)
    file, aside = folder / "snapshots" / tip, tmp_path / tip
    file.rename(aside)
    repo = icechunk.Repository.open(storage)
    sessions = [
        repo.writable_session("main"),
        repo.rearrange_session("main"),
        repo.readonly_session("main"),
        repo.readonly_session(snapshot_id=tip),
    ]
    for session in sessions:
        assert session.snapshot_id == tip
        assert not session.has_uncommitted_changes
        with pytest.raises(icechunk.StorageError, match=f"snapshots/{tip}"):
            session.status()
        with pytest.raises(icechunk.StorageError, match=f"snapshots/{tip}"):
            read(session)
    aside.rename(file)
    for session in sessions:
        assert read(session).shape == (6, 8)


def test_a_writable_session_asks_for_nothing_but_its_branch() -> None:
    storage = RecordingStorage(icechunk.in_memory_storage())
    _, tip = with_grid(storage)
    repo = icechunk.Repository.open(storage)
    storage.clear()
    session = repo.writable_session("main")
    named = [call.keys for call in storage.calls if call.keys != (f"snapshots/{tip}",)]
    assert named == [("repo",)]
    edit(session, np.s_[0, 0], 3)
    session.commit("works")


def test_an_untouched_copy_needs_nothing_of_the_storage_to_be_sent_on(
    repo: icechunk.Repository, tmp_path: Path
) -> None:
    fork = repo.writable_session("main").fork()
    array = zarr.create_array(fork.store, name="big", shape=(4096,), chunks=(4096,), dtype="i8")
    array[:] = np.arange(1, 4097)  # not inline: an object of its own that has to be durable
    arrived = pickle.loads(pickle.dumps(fork))
    (tmp_path / "repo").rename(tmp_path / "away")
    sent_on = pickle.dumps(arrived)
    (tmp_path / "away").rename(tmp_path / "repo")
    session = repo.writable_session("main")
    session.merge(pickle.loads(sent_on))
    session.commit("all of it")
    np.testing.assert_array_equal(read(repo.readonly_session("main"), "big"), np.arange(1, 4097))


def test_copies_of_one_handle_share_it_and_copies_of_another_do_not(
    repo: icechunk.Repository,
) -> None:
    one = pickle.dumps(repo.readonly_session("main"))
    repo.set_default_commit_metadata({"who": "me"})
    two = pickle.dumps(repo.writable_session("main").fork())
    first, again, other = (pickle.loads(each)._transaction.ctx for each in (one, one, two))
    assert first is again
    assert other is not first
    assert other.files is first.files
    assert (first.default_metadata, other.default_metadata) == ({}, {"who": "me"})


def test_copies_made_under_allow_pickling_come_back(repo: icechunk.Repository) -> None:
    session = repo.writable_session("main")
    with pytest.warns(DeprecationWarning, match="fork"), session.allow_pickling():
        luggage = pickle.dumps((session, session.store.with_read_only(False)))
    copy, store = pickle.loads(luggage)
    copies = [copy, pickle.loads(pickle.dumps(store)).session]
    for number, copy in enumerate(copies):
        edit(copy, np.s_[2 * number, 0], number + 7)
    session.merge(*(pickle.loads(pickle.dumps(copy)) for copy in copies))
    with pytest.raises(ValueError, match="You must opt-in"):
        pickle.dumps(session)
    session.commit("both")
    cells = read(repo.readonly_session("main"))
    assert (cells[0, 0], cells[2, 0]) == (7, 8)
