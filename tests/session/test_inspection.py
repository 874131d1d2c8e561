"""`Session.nodes`, `repository`, `revision` and `switch_branch`."""

from __future__ import annotations

import pickle
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import zarr

import icechunk
from icechunk import ErrorKind, FormatError, ReadOnlyError, RefNotFoundError, SessionStateError
from icechunk.session import NodeInfo
from tests.repositories import edit, read, with_grid


def make() -> tuple[icechunk.Repository, icechunk.Session]:
    repo, _ = with_grid(icechunk.in_memory_storage())
    return repo, repo.writable_session("main")


class TestNodes:
    def test_groups_and_arrays_are_listed_by_path(self) -> None:
        repo, session = make()
        zarr.create_group(session.store, path="a2/b")
        zarr.create_array(
            session.store, name="0", shape=(5,), chunks=(2,), dtype="i2", dimension_names=["x"]
        )
        nodes = list(session.nodes())
        assert [node.path for node in nodes] == ["/", "/0", "/a", "/a2", "/a2/b"]
        assert [node.kind for node in nodes] == ["group", "array", "array", "group", "group"]
        assert [node.is_array for node in nodes] == [False, True, True, False, False]
        assert [node.id for node in nodes] == [session.get_node_id(node.path) for node in nodes]
        root, fresh, grid = nodes[:3]
        assert (root.shape, root.num_chunks, root.dimension_names) == (None, None, None)
        assert (fresh.shape, fresh.num_chunks, fresh.dimension_names) == ((5,), (3,), ("x",))
        assert fresh.metadata["data_type"] == "int16"
        assert root.metadata["node_type"] == "group"
        assert (root.manifest_ids, fresh.manifest_ids) == ((), ())
        listed = {info.id for info in repo.list_manifest_files(session.snapshot_id)}
        assert set(grid.manifest_ids) == listed

    def test_the_list_shows_the_moment_of_the_call(self) -> None:
        _, session = make()
        before = session.nodes()
        zarr.create_group(session.store, path="later")
        changed = session.nodes()
        zarr.create_group(session.store, path="latest")
        assert [node.path for node in before] == ["/", "/a"]
        assert [node.path for node in changed] == ["/", "/a", "/later"]

    def test_deleted_nodes_are_not_listed(self) -> None:
        _, session = make()
        del zarr.open_group(session.store)["a"]
        assert [node.path for node in session.nodes()] == ["/"]

    def test_moved_nodes_keep_their_id(self) -> None:
        repo, session = make()
        before = {node.path: node.id for node in session.nodes()}
        moving = repo.rearrange_session("main")
        moving.move("/a", "/b")
        assert {node.path: node.id for node in moving.nodes()} == {
            "/": before["/"],
            "/b": before["/a"],
        }

    def test_rows_compare_and_pickle(self) -> None:
        _, session = make()
        first, second = session.nodes()
        assert first != second
        assert first == next(session.nodes())
        assert pickle.loads(pickle.dumps([first, second])) == [first, second]
        assert len({first, second, next(session.nodes())}) == 2
        assert repr(second) == "<NodeInfo array /a>"

    def test_nothing_is_missed_while_another_thread_writes(self) -> None:
        _, session = make()
        writing = threading.Thread(
            target=lambda: [zarr.create_group(session.store, path=f"g{n}") for n in range(50)]
        )
        writing.start()
        seen = [len(list(session.nodes())) for _ in range(50)]
        writing.join()
        assert seen == sorted(seen)
        assert len(list(session.nodes())) == 52


class TestRepository:
    def test_it_is_the_handle_that_opened_the_session(self) -> None:
        repo, session = make()
        for one in (
            session,
            repo.readonly_session("main"),
            repo.rearrange_session("main"),
            session.fork(),
            session.at_snapshot(session.snapshot_id),
        ):
            assert one.repository is repo

    def test_a_session_that_was_unpickled_has_one_on_the_same_storage(self, tmp_path: Path) -> None:
        repo, snapshot_id = with_grid(icechunk.local_filesystem_storage(tmp_path, durable=False))
        for one in (repo.readonly_session("main"), repo.writable_session("main").fork()):
            found = pickle.loads(pickle.dumps(one)).repository
            assert isinstance(found, icechunk.Repository)
            assert found.lookup_branch("main") == snapshot_id
            assert found.storage.identity == repo.storage.identity
            assert found.config == repo.config


class TestRevision:
    def test_it_grows_with_every_change_and_not_with_reads(self) -> None:
        _, session = make()
        seen = [session.revision]
        read(session)
        list(session.nodes())
        assert session.revision == seen[0]
        for change in (
            lambda: edit(session, (0, 0), 5),
            lambda: zarr.create_group(session.store, path="g"),
            session.discard_changes,
        ):
            change()
            seen.append(session.revision)
        assert seen == sorted(set(seen))


class TestSwitchBranch:
    def test_changes_are_committed_to_the_other_branch(self) -> None:
        repo, session = make()
        base = session.snapshot_id
        edit(session, (0, 0), 5)
        store = session.store
        repo.create_branch("mine", base)
        session.switch_branch("mine")
        assert (session.branch, session.has_uncommitted_changes) == ("mine", True)
        assert store.session.branch == "mine"
        snapshot_id = session.commit("five")
        assert repo.list_branches() == {"main", "mine"}
        assert (repo.lookup_branch("main"), repo.lookup_branch("mine")) == (base, snapshot_id)

    def test_the_other_branch_must_point_to_the_base(self) -> None:
        repo, session = make()
        repo.create_branch("old", first_snapshot(repo))
        with pytest.raises(SessionStateError, match="does not point to the base") as caught:
            session.switch_branch("old")
        assert caught.value.kind == ErrorKind.NOT_ALLOWED
        with pytest.raises(RefNotFoundError):
            session.switch_branch("nothing")
        assert session.branch == "main"

    def test_sessions_that_commit_to_no_branch_refuse(self) -> None:
        repo, session = make()
        for one in (repo.readonly_session("main"), session.fork()):
            with pytest.raises(SessionStateError, match="commits to no branch"):
                one.switch_branch("main")

    def test_a_repository_that_takes_no_changes_refuses(self) -> None:
        repo, session = make()
        repo.create_branch("mine", session.snapshot_id)
        availability = icechunk.RepoAvailability.read_only
        repo.set_status(icechunk.RepoStatus(availability, limited_availability_reason="audit"))
        with pytest.raises(ReadOnlyError):
            session.switch_branch("mine")
        assert session.branch == "main"


def first_snapshot(repo: icechunk.Repository) -> str:
    return list(repo.ancestry(branch="main"))[-1].id


def test_damaged_metadata_is_an_error_of_its_own() -> None:
    _, session = make()
    node = next(session.nodes())
    damaged = NodeInfo(replace(node._node, user_data=b"{", file="snapshots/X"))
    with pytest.raises(FormatError, match="damaged"):
        _ = damaged.metadata
