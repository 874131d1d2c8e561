"""`Repository.transaction_log`, `commit_table` and `rebase_conflicts`."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import (
    ConflictType,
    ErrorKind,
    RefNotFoundError,
    SnapshotNotFoundError,
    StorageError,
)
from tests.repositories import edit, grid_array

SPECS = pytest.mark.parametrize("spec_version", [1, 2])


def make(spec_version: int = 2) -> tuple[icechunk.Repository, str]:
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), spec_version=spec_version)
    session = repo.writable_session("main")
    zarr.create_group(session.store)
    grid_array(session.store)
    return repo, session.commit("a grid", {"author": "Ada"})


class TestTransactionLog:
    @SPECS
    def test_nodes_and_chunks_of_a_commit(self, spec_version: int) -> None:
        repo, made = make(spec_version)
        session = repo.writable_session("main")
        ids = {node.path: node.id for node in session.nodes()}
        log = repo.transaction_log(made)
        assert log.snapshot_id == made
        assert log.new_groups == {ids["/"]}
        assert log.new_arrays == {ids["/a"]}
        assert not log.deleted_groups | log.deleted_arrays | log.updated_groups
        assert log.updated_chunks.keys() == {ids["/a"]}
        chunks = log.updated_chunks[ids["/a"]]
        assert (chunks.dtype, chunks.shape) == (np.uint32, (6, 2))
        assert chunks.tolist() == sorted(chunks.tolist())
        assert (log.moved_nodes, log.merged, log.missing) == ((), (), ())
        assert not log.is_empty
        edit(session, (0, 0), 9)
        root = zarr.open_group(session.store)
        root.attrs["title"] = "grids"
        changed = repo.transaction_log(session.commit("a cell"))
        assert changed.updated_groups == {ids["/"]}
        assert changed.updated_chunks[ids["/a"]].tolist() == [[0, 0]]

    def test_moves(self) -> None:
        repo, _ = make()
        session = repo.rearrange_session("main")
        session.move("/a", "/b")
        assert repo.transaction_log(session.commit("b")).moved_nodes == (("/a", "/b"),)

    def test_expired_ancestors_are_merged(self) -> None:
        repo, made = make()
        ids = []
        for column in (0, 4):
            session = repo.writable_session("main")
            edit(session, (0, column), 9)
            ids.append(session.commit("a cell"))
        repo.expire_snapshots(datetime.datetime.now(datetime.UTC))
        log = repo.transaction_log(ids[-1])
        assert (log.merged, log.missing) == ((made, ids[0]), ())
        (array,) = log.new_arrays
        assert len(log.updated_chunks[array]) == 6
        repo.garbage_collect(datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1))
        log = repo.transaction_log(ids[-1])
        assert set(log.merged) | set(log.missing) == {made, ids[0]}

    def test_a_missing_log_is_an_error(self) -> None:
        repo, _ = make()
        with pytest.raises(StorageError) as caught:
            repo.transaction_log("0" * 20)
        assert caught.value.kind == ErrorKind.OBJECT_NOT_FOUND

    def test_async(self) -> None:
        repo, made = make()
        log = asyncio.run(repo.transaction_log_async(made))
        assert log.snapshot_id == made


class TestCommitTable:
    @SPECS
    def test_columns_say_what_the_ancestry_says(self, spec_version: int) -> None:
        repo, made = make(spec_version)
        repo.create_tag("v1", made)
        repo.create_branch("side", made)
        for branch in ("main", "side"):
            session = repo.writable_session(branch)
            edit(session, (0, 0), 9)
            session.commit(f"a cell of {branch}", {"n": 1})
        table = repo.commit_table()
        assert table.branches == {name: repo.lookup_branch(name) for name in ("main", "side")}
        assert table.tags == {"v1": made}
        assert len(table) == 4 == len({*table.ids.tolist()})
        assert [table.id(row).encode() for row in range(4)] == table.ids.tolist()
        for branch in ("main", "side"):
            row = table.find(repo.lookup_branch(branch))
            for info in repo.ancestry(branch=branch):
                assert table[row] == info == table[row - 4]
                assert table.ids[row].decode() == info.id
                written = table.written_at[row].astype("datetime64[us]").item()
                assert written.replace(tzinfo=datetime.UTC) == info.written_at
                row = int(table.parents[row])
            assert row == -1
        assert table.find("0" * 20) == -1
        assert {info.id for info in table} == {one.decode() for one in table.ids}
        with pytest.raises(IndexError):
            table[4]
        for column in (table.ids, table.parents, table.written_at):
            assert not column.flags.writeable
        assert repr(table) == "<CommitTable of 4 commits, 2 branches, 1 tags>"

    @SPECS
    def test_it_does_not_change_with_later_commits(self, spec_version: int) -> None:
        repo, made = make(spec_version)
        table = repo.commit_table()
        session = repo.writable_session("main")
        edit(session, (0, 0), 9)
        session.commit("later")
        assert (len(table), table.branches["main"]) == (2, made)

    @SPECS
    def test_search(self, spec_version: int, tmp_path: Path) -> None:
        storage = icechunk.local_filesystem_storage(tmp_path, durable=False)
        repo = icechunk.Repository.create(storage, spec_version=spec_version)
        ids = []
        messages = [("Sea ICE", {"author": "Ada"}), ("aaa", {"x": ["Über"]}), ("dry", {})]
        for number, (message, metadata) in enumerate(messages):
            session = repo.writable_session("main")
            zarr.create_group(session.store, path=f"g{number}")
            ids.append(session.commit(message, metadata))
        for handle in (repo, icechunk.Repository.open(storage)):
            table = handle.commit_table()

            def found(text: str) -> set[str]:
                rows = table.search(text)  # noqa: B023
                assert rows.tolist() == sorted(set(rows.tolist()))
                return {table.id(row) for row in rows}  # noqa: B023

            assert found("ice") >= {ids[0]}
            assert ids[2] not in found("sea ice")
            assert found("ADA") >= {ids[0]}
            assert found("aa") >= {ids[1]}
            assert ids[1] in found("ber")
            assert found(ids[2].lower()) == {ids[2]}
            assert found(ids[2][5:15]) == {ids[2]}
            assert found("") == found("  ") == set()
            assert found("no such text!") == set()

    def test_a_snapshot_that_no_ref_reaches(self) -> None:
        for spec_version in (1, 2):
            repo, made = make(spec_version)
            repo.create_branch("gone", made)
            session = repo.writable_session("gone")
            edit(session, (0, 0), 9)
            lost = session.commit("lost")
            repo.delete_branch("gone")
            table = repo.commit_table(lost)
            assert table[table.find(lost)].message == "lost"
            assert len(table) == 3

    def test_an_unknown_snapshot_is_an_error(self) -> None:
        for spec_version in (1, 2):
            repo, _ = make(spec_version)
            with pytest.raises(SnapshotNotFoundError):
                repo.commit_table("0" * 20)

    def test_async(self) -> None:
        repo, _ = make()
        assert len(asyncio.run(repo.commit_table_async())) == 2


class TestRebaseConflicts:
    def two_branches(self, spec_version: int = 2) -> icechunk.Repository:
        repo, made = make(spec_version)
        repo.create_branch("mine", made)
        return repo

    def change(self, repo: icechunk.Repository, branch: str, where: tuple[int, int]) -> None:
        session = repo.writable_session(branch)
        edit(session, where, 9)
        session.commit("a cell")

    @SPECS
    def test_the_same_chunk_conflicts_and_others_do_not(self, spec_version: int) -> None:
        repo = self.two_branches(spec_version)
        assert repo.rebase_conflicts("mine", "main") == []
        self.change(repo, "mine", (0, 0))
        assert repo.rebase_conflicts("mine", "main") == []
        self.change(repo, "main", (5, 0))
        assert repo.rebase_conflicts("mine", "main") == []
        self.change(repo, "main", (0, 0))
        (conflict,) = repo.rebase_conflicts("mine", "main")
        assert (conflict.conflict_type, conflict.path) == (ConflictType.ChunkDoubleUpdate, "/a")
        assert conflict.conflicted_chunks == [[0, 0]]
        (conflict,) = repo.rebase_conflicts("main", "mine")
        assert conflict.conflicted_chunks == [[0, 0]]

    def test_nodes_and_metadata_of_both_sides(self) -> None:
        repo = self.two_branches()
        for branch in ("main", "mine"):
            session = repo.writable_session(branch)
            zarr.create_group(session.store, path="g")
            zarr.open_group(session.store).attrs["by"] = branch
            session.commit("a group and an attribute")
        found = repo.rebase_conflicts("mine", "main")
        assert {(one.conflict_type, one.path) for one in found} == {
            (ConflictType.NewNodeConflictsWithExistingNode, "/g"),
            (ConflictType.ZarrMetadataDoubleUpdate, "/"),
        }

    def test_moves_cannot_be_rebased(self) -> None:
        repo = self.two_branches()
        self.change(repo, "main", (0, 0))
        for target in ("/b", "/a"):
            session = repo.rearrange_session("mine")
            session.move("/a" if target == "/b" else "/b", target)
            session.commit(target)
        for one in (("mine", "main"), ("main", "mine")):
            (conflict,) = repo.rebase_conflicts(*one)
            assert conflict.conflict_type is ConflictType.MoveOperationCannotBeRebased

    def test_an_unknown_branch_is_an_error(self) -> None:
        repo, _ = make()
        with pytest.raises(RefNotFoundError):
            repo.rebase_conflicts("nothing", "main")
        assert repo.rebase_conflicts("main", "main") == []

    def test_async(self) -> None:
        repo = self.two_branches()
        assert asyncio.run(repo.rebase_conflicts_async("mine", "main")) == []
