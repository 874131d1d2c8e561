"""Creating and opening repositories, refs and sessions: results and error messages."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import ErrorKind
from tests.repositories import edit, read, storage_of, with_grid


@pytest.fixture(params=["memory", "local"])
def storage(request, tmp_path):
    return storage_of(request.param, tmp_path)


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_open_needs_a_repository(storage):
    assert icechunk.Repository.exists(storage) is False
    for ask in (icechunk.Repository.open, icechunk.Repository.fetch_config):
        with pytest.raises(icechunk.RepositoryNotFoundError) as caught:
            ask(storage)
        assert caught.value.kind == ErrorKind.REPOSITORY_NOT_FOUND
        assert "the repository doesn't exist" in str(caught.value)
        assert "Repository.create" in str(caught.value)
    assert icechunk.Repository.fetch_spec_version(storage) is None


def test_opening_what_is_no_repository_changes_nothing(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(icechunk.RepositoryNotFoundError):
        icechunk.Repository.open(icechunk.local_filesystem_storage(tmp_path))
    assert files(tmp_path) == {"notes.txt": b"hello"}
    with pytest.raises(icechunk.RepositoryNotFoundError):
        icechunk.Repository.open(icechunk.local_filesystem_storage(tmp_path / "absent"))
    assert not (tmp_path / "absent").exists()


def test_create_needs_a_clean_place(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    storage = icechunk.local_filesystem_storage(tmp_path)
    with pytest.raises(icechunk.InvalidInputError) as caught:
        icechunk.Repository.create(storage)
    assert caught.value.kind == ErrorKind.PARENT_DIRECTORY_NOT_CLEAN
    assert "notes.txt" in str(caught.value)
    assert files(tmp_path) == {"notes.txt": b"hello"}
    repo = icechunk.Repository.create(storage, check_clean_root=False)
    assert repo.list_branches() == {"main"}


def test_create_twice(storage):
    icechunk.Repository.create(storage)
    with pytest.raises(icechunk.InvalidInputError):
        icechunk.Repository.create(storage)
    with pytest.raises(icechunk.ConflictError) as caught:
        icechunk.Repository.create(storage, check_clean_root=False)
    assert caught.value.kind == ErrorKind.REPO_INFO_UPDATED
    assert icechunk.Repository.open_or_create(storage).list_branches() == {"main"}


@pytest.mark.parametrize("version", [0, 3, 7])
def test_unknown_versions_are_refused(storage, version):
    with pytest.raises(ValueError, match=f"Unsupported version {version}"):
        icechunk.Repository.create(storage, spec_version=version)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"short",
        b"x" * 500,
        b"ICE\xf0\x9f\xa7\x8aCHUNK" + b" " * 24 + b"\x02\x06\x01" + b"junk",
    ],
)
def test_a_damaged_repository_file(tmp_path, damage):
    icechunk.Repository.create(icechunk.local_filesystem_storage(tmp_path))
    (tmp_path / "repo").write_bytes(damage)
    before = files(tmp_path)
    with pytest.raises(icechunk.FormatError) as caught:
        icechunk.Repository.open(icechunk.local_filesystem_storage(tmp_path)).list_branches()
    assert "repo" in str(caught.value)
    assert files(tmp_path) == before


def test_a_future_version_is_named(tmp_path):
    icechunk.Repository.create(icechunk.local_filesystem_storage(tmp_path))
    data = bytearray((tmp_path / "repo").read_bytes())
    data[36] = 3
    (tmp_path / "repo").write_bytes(data)
    with pytest.raises(icechunk.FormatError, match="version 3") as caught:
        icechunk.Repository.open(icechunk.local_filesystem_storage(tmp_path))
    assert caught.value.kind == ErrorKind.UNSUPPORTED_SPEC_VERSION


def test_a_repository_that_vanished(tmp_path):
    repo = icechunk.Repository.create(icechunk.local_filesystem_storage(tmp_path / "r"))
    (tmp_path / "r").rename(tmp_path / "moved")
    with pytest.raises(icechunk.RepositoryNotFoundError, match="removed or moved"):
        repo.list_branches()


def test_branches(storage):
    repo, first = with_grid(storage)
    repo.create_branch("dev", first)
    assert repo.list_branches() == {"main", "dev"}
    assert repo.lookup_branch("dev") == first
    with pytest.raises(icechunk.AlreadyExistsError) as caught:
        repo.create_branch("dev", first)
    assert caught.value.kind == ErrorKind.BRANCH_ALREADY_EXISTS
    root = list(repo.ancestry(branch="main"))[-1].id
    repo.reset_branch("dev", root, from_snapshot_id=first)
    assert repo.lookup_branch("dev") == root
    with pytest.raises(icechunk.ConflictError):
        repo.reset_branch("dev", first, from_snapshot_id=first)
    repo.delete_branch("dev")
    assert repo.list_branches() == {"main"}
    with pytest.raises(icechunk.SessionStateError) as caught:
        repo.delete_branch("main")
    assert caught.value.kind == ErrorKind.CANNOT_DELETE_MAIN


def test_tags(storage):
    repo, first = with_grid(storage)
    repo.create_tag("v1", first)
    assert repo.list_tags() == {"v1"}
    assert repo.lookup_tag("v1") == first
    assert (read(repo.readonly_session(tag="v1")) == read(repo.readonly_session("main"))).all()
    with pytest.raises(icechunk.AlreadyExistsError) as caught:
        repo.create_tag("v1", first)
    assert caught.value.kind == ErrorKind.TAG_ALREADY_EXISTS
    repo.delete_tag("v1")
    with pytest.raises(icechunk.AlreadyExistsError) as caught:
        repo.create_tag("v1", first)
    assert caught.value.kind == ErrorKind.TAG_PREVIOUSLY_DELETED


def test_unknown_names(storage):
    repo, first = with_grid(storage)
    unknown = first[:-1] + ("0" if first[-1] != "0" else "1")
    for call, error in [
        (lambda: repo.lookup_branch("nope"), icechunk.RefNotFoundError),
        (lambda: repo.writable_session("nope"), icechunk.RefNotFoundError),
        (lambda: repo.readonly_session(tag="nope"), icechunk.RefNotFoundError),
        (lambda: repo.ancestry(branch="nope"), icechunk.RefNotFoundError),
        (lambda: repo.delete_branch("nope"), icechunk.RefNotFoundError),
        (lambda: repo.delete_tag("nope"), icechunk.RefNotFoundError),
        (lambda: repo.create_branch("b", "00000000000000000000"), icechunk.SnapshotNotFoundError),
        (lambda: repo.readonly_session(snapshot_id="0" * 20), icechunk.SnapshotNotFoundError),
        (lambda: repo.lookup_snapshot("0" * 20), icechunk.SnapshotNotFoundError),
        (lambda: repo.readonly_session(snapshot_id="no!"), icechunk.InvalidInputError),
    ]:
        with pytest.raises(error) as caught:
            call()
        assert caught.value.kind != "unknown"
    assert unknown != first


def test_selectors(storage):
    repo, first = with_grid(storage)
    with pytest.raises(ValueError, match="Must provide one of"):
        repo.readonly_session()
    with pytest.raises(ValueError, match="Must provide one of"):
        repo.readonly_session("main", snapshot_id=first)
    with pytest.raises(ValueError, match="as_of argument must be provided"):
        repo.readonly_session(snapshot_id=first, as_of=datetime.now(UTC))
    with pytest.raises(TypeError, match="tzinfo"):
        repo.readonly_session("main", as_of=datetime.now())
    assert repo.readonly_session(snapshot=first).snapshot_id == first
    assert repo.readonly_session(snapshot_id=first.lower()).snapshot_id == first


def test_as_of(storage):
    repo, first = with_grid(storage)
    written = repo.lookup_snapshot(first).written_at
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 1)
    session.commit("later")
    assert repo.readonly_session("main", as_of=written).snapshot_id == first
    with pytest.raises(icechunk.SnapshotNotFoundError) as caught:
        repo.readonly_session("main", as_of=written - timedelta(days=1))
    assert caught.value.kind == ErrorKind.NO_SNAPSHOT_AT_TIME


def test_ancestry_is_an_iterator_and_a_sequence(storage):
    repo, first = with_grid(storage)
    ancestry = repo.ancestry(branch="main")
    assert len(ancestry) == 2
    assert ancestry[0].id == first
    assert [info.id for info in ancestry] == [info.id for info in ancestry]
    head = next(ancestry)
    assert [head, *ancestry] == list(repo.ancestry(branch="main"))

    async def collect():
        return [info.id async for info in repo.async_ancestry(branch="main")]

    assert asyncio.run(collect()) == [info.id for info in repo.ancestry(branch="main")]
    assert ancestry[1].parent_id is None
    assert ancestry[0].parent_id == ancestry[1].id == "1CECHNKREP0F1RSTCMT0"


def test_the_whole_history(storage):
    repo, first = with_grid(storage)
    repo.create_branch("dev", first)
    session = repo.writable_session("dev")
    edit(session, np.s_[0, 0], 1)
    tip = session.commit("dev edit")
    repo.create_tag("v1", first)
    history = repo.history()
    assert history["branches"] == {"main": first, "dev": tip}
    assert history["tags"] == {"v1": first}
    assert [info.id for info in history["commits"]][:2] == [tip, first]
    assert len(history["commits"]) == 3


def test_config_is_stored_and_overlaid(storage):
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=7)
    icechunk.Repository.create(storage, config)
    stored = icechunk.Repository.fetch_config(storage)
    assert stored.inline_chunk_threshold_bytes == 7
    repo = icechunk.Repository.open(storage)
    assert repo.config.inline_chunk_threshold_bytes == 7
    other = repo.reopen(icechunk.RepositoryConfig(inline_chunk_threshold_bytes=9))
    assert other.config.inline_chunk_threshold_bytes == 9
    assert icechunk.Repository.open(storage).config.inline_chunk_threshold_bytes == 7
    other.save_config()
    assert icechunk.Repository.open(storage).config.inline_chunk_threshold_bytes == 9
    handed_out = repo.config
    handed_out.inline_chunk_threshold_bytes = 1
    assert repo.config.inline_chunk_threshold_bytes == 7


def test_transactions_commit_or_leave_nothing(storage):
    repo, _ = with_grid(storage)
    with repo.transaction("main", message="in a block") as store:
        zarr.open_array(store, path="a", mode="r+")[0, 0] = 9
    assert read(repo.readonly_session("main"))[0, 0] == 9
    tip = repo.lookup_branch("main")

    def broken():
        with repo.transaction("main", message="never") as store:
            zarr.open_array(store, path="a", mode="r+")[0, 0] = 10
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        broken()
    assert repo.lookup_branch("main") == tip


def test_handles_and_read_only_sessions_pickle(tmp_path):
    repo, first = with_grid(icechunk.local_filesystem_storage(tmp_path / "r"))
    repo.set_default_commit_metadata({"lab": "x"})
    copy = pickle.loads(pickle.dumps(repo))
    assert copy.default_commit_metadata() == {"lab": "x"}
    assert copy.lookup_branch("main") == first
    session = pickle.loads(pickle.dumps(repo.readonly_session("main")))
    assert (read(session) == read(repo.readonly_session("main"))).all()
    assert len(pickle.dumps(repo.readonly_session("main"))) < 4096
    store = pickle.loads(pickle.dumps(repo.readonly_session("main").store))
    assert store.read_only
    assert zarr.open_array(store, path="a", mode="r")[0, 1] == 1
    with pytest.raises(ValueError, match="You must opt-in to pickle writable sessions"):
        pickle.dumps(repo.writable_session("main"))


def test_a_memory_repository_does_not_travel():
    repo, _ = with_grid(icechunk.in_memory_storage())
    with pytest.raises(icechunk.RepositoryNotFoundError):
        pickle.loads(pickle.dumps(repo)).lookup_branch("main")


def test_sessions_of_one_snapshot_are_told_apart(storage):
    repo, _ = with_grid(storage)
    one, two = repo.writable_session("main"), repo.writable_session("main")
    assert one == one.store.session
    assert one != two
    assert one.store == one.store
    assert one.store != two.store


def test_reprs_are_short_and_say_where(storage):
    repo, first = with_grid(storage)
    session = repo.writable_session("main")
    assert first in repr(session)
    assert "branch: main" in repr(session)
    assert "Repository" in repr(repo)
    assert "message: a grid" in repr(repo.lookup_snapshot(first))
