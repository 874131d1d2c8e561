"""The reference library reads, continues, rebases over and maintains what our merges write."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import Repository
from icechunk.spec.repo.lineage import LINEAGE_KEY
from tests.merging.worlds import array, branches, commit, tree, values, write
from tests.oracle import LAST_V1, LATEST, run_reference

BOTH = pytest.mark.parametrize(
    ("spec", "library"),
    [
        pytest.param(2, LATEST, marks=pytest.mark.oracle, id="2.3.0"),
        pytest.param(1, LAST_V1, marks=pytest.mark.oracle_v1, id="1.1.21"),
    ],
)
WAYS = pytest.mark.parametrize("way", ["at once", "session"])
LATER = "datetime.datetime(2900, 1, 1, tzinfo=datetime.timezone.utc)"

TOOLS = """
import datetime
import icechunk, numpy as np, zarr

repo = icechunk.Repository.open(icechunk.local_filesystem_storage(args[0]))

def tree(**ref):
    root = zarr.open_group(repo.readonly_session(**ref).store, mode="r")
    found = {"/": [dict(root.attrs)]}
    for path, node in root.members(max_depth=None):
        found["/" + path] = [dict(node.attrs)]
        if isinstance(node, zarr.Array):
            data = np.asarray(node[...])
            found["/" + path] += [list(node.shape), str(node.dtype), data.tobytes().hex()]
    return found

def difference(before, after):
    found = repo.diff(from_snapshot_id=before, to_snapshot_id=after)
    names = ("new_arrays", "new_groups", "deleted_arrays", "deleted_groups", "updated_arrays",
             "updated_groups")
    form = {name: sorted(getattr(found, name)) for name in names}
    form["chunks"] = {k: sorted(map(list, v)) for k, v in found.updated_chunks.items()}
    form["moved"] = sorted(map(list, getattr(found, "moved_nodes", [])))
    return form
"""


class Shared:
    """A repository of ours, and the reference library on the same files.

    Parameters
    ----------
    folder : Path
        Where it is created.
    spec : int
        Version of the specification.
    library : str
        Release of the reference.
    """

    def __init__(self, folder: Path, spec: int, library: str) -> None:
        self.folder, self.library = folder, library
        config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
        storage = icechunk.local_filesystem_storage(folder)
        self.repo = Repository.create(storage, config, spec_version=spec)
        commit(self.repo, "main", _layout, "base")

    def again(self) -> Repository:
        """A fresh handle, which sees what the reference did."""
        return Repository.open(icechunk.local_filesystem_storage(self.folder))

    def reference(self, code: str, *args: Any) -> Any:
        """Run code with `repo`, `tree` and `difference`; see `TOOLS`."""
        return run_reference(
            TOOLS + textwrap.dedent(code), self.folder, *args, library=self.library
        )

    def merge(self, way: str = "at once") -> str:
        """Merge branch f, at once or through a session; the merge."""
        if way == "session":
            return self.repo.merge_session("f").commit("merge")
        return self.repo.merge("f").snapshot_id

    def merged(self, way: str = "at once") -> tuple[str, str, str]:
        """Merge a branch; the tips of source and target before, and the merge."""
        source, target = branches(self.repo, _source, _target)
        return source, target, self.merge(way)


def _layout(root: zarr.Group) -> None:
    root.create_array("a", shape=(8,), chunks=(2,), dtype="i4", fill_value=0)[:] = 1
    root.create_group("g").create_array("x", shape=(4,), chunks=(2,), dtype="i4")[:] = 2
    root.create_array("gone", shape=(4,), chunks=(2,), dtype="i4")[:] = 3
    root.create_array("small", shape=(8,), chunks=(2,), dtype="i4", fill_value=0)[:] = 4


def _source(root: zarr.Group) -> None:
    array(root)[0:2] = 5
    array(root, "g/x").attrs["units"] = "m"
    root.create_group("new").create_array("n", shape=(2,), chunks=(1,), dtype="f8")[:] = 1.5
    array(root, "small").resize((4,))
    del root["gone"]


def _target(root: zarr.Group) -> None:
    array(root)[4:6] = 7
    array(root, "g/x").attrs["long_name"] = "depth"
    root.attrs["title"] = "both"
    array(root, "small")[0:2] = 9


@contextmanager
def unchanged(shared: Shared, **ref: Any) -> Iterator[None]:
    """Values and attributes of a state stay equal, for us and for the reference."""
    before = tree(shared.repo, **ref)
    yield
    assert tree(shared.again(), **ref) == before
    assert shared.reference("result = tree(**args[1])", ref) == as_json(before)


def as_json(found: dict[str, tuple[Any, ...]]) -> dict[str, list[Any]]:
    """A tree as the reference's process reports it."""

    def plain(item: Any) -> Any:
        if isinstance(item, bytes):
            return item.hex()
        return list(item) if isinstance(item, tuple) else item

    return {path: [plain(item) for item in items] for path, items in found.items()}


def difference(repo: Repository, before: str, after: str) -> dict[str, Any]:
    """Our difference, in the form of `difference` in the reference's process."""
    found = repo.diff(from_snapshot_id=before, to_snapshot_id=after)
    names = (
        *("new_arrays", "new_groups", "deleted_arrays", "deleted_groups"),
        *("updated_arrays", "updated_groups"),
    )
    form: dict[str, Any] = {name: sorted(getattr(found, name)) for name in names}
    form["chunks"] = {path: sorted(map(list, c)) for path, c in found.updated_chunks.items()}
    form["moved"] = sorted(map(list, found.moved_nodes))
    return form


@pytest.fixture
def shared(tmp_path: Path, spec: int, library: str) -> Shared:
    return Shared(tmp_path / "repo", spec, library)


@WAYS
@BOTH
def test_a_merge_is_read_equal(shared: Shared, way: str) -> None:
    _, target, merge = shared.merged(way)
    found = shared.reference(
        "result = [tree(branch='main'), difference(args[1], args[2]),"
        " [[c.id, c.parent_id, c.metadata] for c in repo.ancestry(branch='main')][0]]",
        target,
        merge,
    )
    assert found[0] == as_json(tree(shared.repo, branch="main"))
    assert found[1] == difference(shared.repo, target, merge)
    assert found[1]["chunks"] == {"/a": [[0]], "/new/n": [[0], [1]], "/small": [[2], [3]]}
    assert found[2][:2] == [merge, target]
    lineage = shared.repo.lookup_snapshot(merge).metadata[LINEAGE_KEY]
    assert found[2][2] == {LINEAGE_KEY: lineage}


@pytest.mark.parametrize("spec", [2])
@pytest.mark.parametrize("library", [LATEST])
@pytest.mark.oracle
@WAYS
def test_moves_and_writes_in_one_snapshot(shared: Shared, way: str) -> None:
    repo = shared.repo
    repo.create_branch("f", repo.lookup_branch("main"))
    session = repo.rearrange_session("f")
    session.move("/g", "/h")
    session.move("/a", "/h/b")
    session.commit("moves")
    commit(repo, "f", write(0, 2, 5, "h/b"), "write after the move")
    target = commit(repo, "main", _target, "target")
    merge = shared.merge(way)
    found = shared.reference(
        "result = [tree(branch='main'), difference(args[1], args[2])]", target, merge
    )
    assert found == [as_json(tree(repo, branch="main")), difference(repo, target, merge)]
    assert ["/a", "/h/b"] in found[1]["moved"]
    assert found[1]["chunks"] == {"/h/b": [[0]]}
    # The reference goes on from it.
    shared.reference(
        """
        session = repo.writable_session("main")
        zarr.open_array(session.store, path="h/b")[7] = 70
        session.commit("further")
        """
    )
    assert values(shared.again(), "h/b") == [5, 5, 1, 1, 7, 7, 1, 70]


REBASE = """
# A writable session starts at a tip: the branch is where it was until the session is open.
repo.reset_branch("main", args[1])
session = repo.writable_session("main")
zarr.open_array(session.store, path="a")[args[3]] = 80
repo.reset_branch("main", args[2])
try:
    session.rebase(icechunk.ConflictDetector())
    session.commit("over the merge")
    result = "rebased"
except icechunk.RebaseFailedError as error:
    clash = icechunk.ConflictType.ChunkDoubleUpdate
    result = [[c.path, c.conflict_type == clash, c.conflicted_chunks] for c in error.conflicts]
"""


@BOTH
def test_the_reference_rebases_over_a_merge(shared: Shared) -> None:
    _, target, merge = shared.merged()
    # Chunk 0 came by the merge; chunk 2 was the target's before it, neither wrote chunk 3.
    refused = shared.reference(REBASE, target, merge, 0)
    assert refused == [["/a", True, [[0]]]]
    assert shared.again().lookup_branch("main") == merge
    for cell in (5, 7):
        before = values(shared.again(), branch="main")
        assert shared.reference(REBASE, target, merge, cell) == "rebased"
        assert values(shared.again()) == [*before[:cell], 80, *before[cell + 1 :]]
        shared.again().reset_branch("main", merge)


@BOTH
def test_reset_of_a_merged_branch(shared: Shared) -> None:
    source, target, merge = shared.merged()
    for tip in (target, source, merge):
        shared.reference("repo.reset_branch('main', args[1])", tip)
        again = shared.again()
        assert again.lookup_branch("main") == tip
        expected = "up-to-date" if tip != target else "merged"
        assert again.merge("f", dry_run=True).outcome == expected


@BOTH
def test_rewritten_manifests(shared: Shared) -> None:
    source, _, merge = shared.merged()
    with unchanged(shared, branch="main"):
        shared.reference("repo.rewrite_manifests('rewritten', branch='main')")
    again = shared.again()
    assert [one.id for one in again.ancestry(branch="main")][1] == merge
    assert again.merge_base("main", source) == source
    assert again.merge("f").outcome == "up-to-date"


@BOTH
def test_garbage_collection_without_the_source(shared: Shared) -> None:
    source, _, merge = shared.merged()
    shared.repo.delete_branch("f")
    with unchanged(shared, snapshot_id=merge):
        deleted = shared.reference(
            f"result = repo.garbage_collect({LATER}).snapshots_deleted",
        )
        assert deleted == 1
    again = shared.again()
    with pytest.raises(icechunk.IcechunkError):
        again.lookup_snapshot(source)
    # The second parent is gone; what needs parents goes on without it.
    assert next(one.id for one in again.ancestry(branch="main")) == merge
    assert len(again.blame("/a")) == 4
    commit(again, "main", write(6, 8, 3))
    assert values(again) == [5, 5, 1, 1, 7, 7, 3, 3]


@BOTH
def test_expiration_of_other_snapshots(shared: Shared) -> None:
    source, _, merge = shared.merged()
    commit(shared.repo, "main", write(6, 8, 3), "after")
    with unchanged(shared, branch="main"):
        shared.reference(f"repo.expire_snapshots({LATER}); repo.garbage_collect({LATER})")
    again = shared.again()
    assert len([one.id for one in again.ancestry(branch="main")]) == 2
    assert again.lookup_branch("f") == source
    # The merge itself expired, so that the edge to the source is gone with it.
    commit(again, "f", write(2, 4, 6))
    assert merge not in {one.id for one in again.ancestry(branch="main")}


@pytest.mark.parametrize("spec", [2])
@pytest.mark.parametrize("library", [LATEST])
@pytest.mark.oracle
def test_amend_of_a_later_commit(shared: Shared) -> None:
    source, _, merge = shared.merged()
    commit(shared.repo, "main", write(6, 8, 3), "after")
    shared.reference(
        """
        session = repo.writable_session("main")
        zarr.open_array(session.store, path="a")[7] = 70
        session.amend("amended")
        """
    )
    again = shared.again()
    assert values(again) == [5, 5, 1, 1, 7, 7, 3, 70]
    assert [one.id for one in again.ancestry(branch="main")][1] == merge
    assert again.merge_base("main", "f") == source
    assert again.merge("f").outcome == "up-to-date"


@BOTH
def test_stashes_survive_garbage_collection(shared: Shared) -> None:
    repo = shared.repo
    session = repo.writable_session("main")
    array(zarr.open_group(session.store))[0:2] = 5
    stashed = session.stash("work in progress")
    deleted = shared.reference(f"result = repo.garbage_collect({LATER}).snapshots_deleted")
    assert deleted == 0
    commit(shared.again(), "main", write(6, 8, 3))
    again = shared.again()
    assert [one.snapshot_id for one in again.stashes()] == [stashed]
    session = again.writable_session("main")
    session.pop_stash()
    session.commit("popped")
    assert values(again) == [5, 5, 1, 1, 1, 1, 3, 3]
    assert again.stashes() == []


@WAYS
@BOTH
def test_merged_cells_and_rows_of_both_are_read_equal(shared: Shared, way: str) -> None:
    def edit(cell: int, value: int, rows: list[int]) -> Any:
        def change(root: zarr.Group) -> None:
            array(root)[cell] = value
            array(root, "g/x").append(np.array(rows, "i4"))

        return change

    # The new rows of the source are moved by reference, those of the target are read and written.
    _, target = branches(shared.repo, edit(0, 5, [5, 5, 6]), edit(1, 7, [7, 8]))
    given: dict[str, Any] = {
        "cells": "auto",
        "decisions": [
            {"path": "/g/x", "type": "AppendDoubleUpdate", "choice": "source then target"}
        ],
    }
    if way == "session":
        merge = shared.repo.merge_session("f", **given).commit("merge")
    else:
        merge = shared.repo.merge("f", **given).snapshot_id
    assert values(shared.repo)[:3] == [5, 7, 1]
    assert values(shared.repo, "g/x") == [2, 2, 2, 2, 5, 5, 6, 7, 8]
    found = shared.reference(
        "result = [tree(branch='main'), difference(args[1], args[2])]", target, merge
    )
    assert found[0] == as_json(tree(shared.repo, branch="main"))
    assert found[1] == difference(shared.repo, target, merge)
    shared.repo.delete_branch("f")
    with unchanged(shared, branch="main"):
        shared.reference(f"repo.garbage_collect({LATER}); result = None")
