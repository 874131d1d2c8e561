"""The solvers at work: two sessions of one repository, zarr on both sides."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype

import icechunk
from icechunk import (
    BasicConflictSolver,
    ConflictDetector,
    DecisionSolver,
    RebaseFailedError,
    Repository,
    Session,
    VersionSelection,
)


@pytest.fixture
def repo() -> Repository:
    """An array ``/a`` of 4 x 4 in chunks of one element, all 1 but the unwritten last row."""
    repo = Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    group = zarr.group(session.store)
    array = group.create_array("a", shape=(4, 4), chunks=(1, 1), dtype="i4", fill_value=-1)
    array[:3] = 1
    session.commit("base")
    return repo


def root_of(session: Session, mode: Any = "r+") -> Any:
    return zarr.open_group(session.store, mode=mode)


def committed(repo: Repository) -> Any:
    return root_of(repo.readonly_session("main"), "r")


def chunks(choice: str, **where: Any) -> dict[str, Any]:
    return {"path": "/a", "type": "ChunkDoubleUpdate", "choice": choice, **where}


def test_ours_theirs_and_base_chunk_by_chunk(repo: Repository) -> None:
    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    root_of(theirs)["a"][:] = 5
    theirs.commit("fives")
    root_of(ours)["a"][:] = 7

    report = ours.conflicts()
    assert report.branch == "main"
    assert [c.num_chunks for c in report.conflicts] == [16]
    assert json.loads(json.dumps(report.to_dict()))["conflicts"][0]["path"] == "/a"
    assert root_of(ours)["a"][0, 0] == 7

    some = [chunks("ours", boxes=[[[0, 2], [0, 4]]]), chunks("theirs", runs=[8, 2])]
    with pytest.raises(RebaseFailedError) as caught:
        ours.rebase(DecisionSolver(some))
    (left,) = caught.value.conflicts
    assert left.conflicted_chunks == [[2, 2], [2, 3], [3, 0], [3, 1], [3, 2], [3, 3]]
    assert (root_of(ours)["a"][:] == 7).all()

    ours.commit("sevens", rebase_with=DecisionSolver([*some, chunks("base", runs=[10, 6])]))
    expected = [[7, 7, 7, 7], [7, 7, 7, 7], [5, 5, 1, 1], [-1, -1, -1, -1]]
    assert committed(repo)["a"][:].tolist() == expected


def test_one_list_of_decisions_passes_several_commits(repo: Repository) -> None:
    ours = repo.writable_session("main")
    root_of(ours)["a"][:2] = 7
    for value in (5, 6):
        theirs = repo.writable_session("main")
        root_of(theirs)["a"][:] = value
        theirs.commit(f"{value}")
    decisions = [chunks("base"), chunks("theirs", runs=[4, 4])]
    ours.rebase(DecisionSolver(decisions))
    ours.commit("ours")
    # the base is what both sides started from, not the commit in between
    assert committed(repo)["a"][:].tolist() == [[1] * 4, [6] * 4, [6] * 4, [6] * 4]


def test_our_chunks_in_an_array_that_grew(repo: Repository) -> None:
    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    array = root_of(theirs)["a"]
    array.resize((6, 4))
    array[4:] = 5
    theirs.commit("two more rows")
    root_of(ours)["a"][3] = 7
    kind = "ChunksUpdatedInUpdatedArray"
    ours.rebase(DecisionSolver([{"path": "/a", "type": kind, "choice": "ours"}]))
    root_of(ours)["a"][5] = 8  # the session goes on in the larger array
    ours.commit("rows")
    expected = [[1] * 4] * 3 + [[7] * 4, [5] * 4, [8] * 4]
    assert committed(repo)["a"][:].tolist() == expected


@pytest.mark.parametrize("kind", ["basic", "decisions"])
def test_writing_goes_on_where_an_array_grew_after_all_edits_were_given_up(
    repo: Repository, kind: str
) -> None:
    solver: Any = DecisionSolver([chunks("theirs")])
    if kind == "basic":
        solver = BasicConflictSolver(on_chunk_conflict=VersionSelection.UseTheirs)
    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    root_of(ours)["a"][0, 0] = 7
    root_of(theirs)["a"][0, 0] = 5
    theirs.commit("five")
    ours.rebase(solver)
    theirs = repo.writable_session("main")
    root_of(theirs)["a"].resize((4, 7))
    theirs.commit("three more columns")
    ours.rebase(solver)
    root_of(ours)["a"][2, 6] = 9
    ours.commit("nine")
    found = committed(repo)["a"][:]
    assert found[0, 0] == 5
    assert np.argwhere(found == 9).tolist() == [[2, 6]]


def test_merged_attributes(repo: Repository) -> None:
    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    root_of(theirs)["a"].attrs["theirs"] = 1
    theirs.commit("theirs")
    root_of(ours)["a"].attrs["ours"] = 2
    stored = zarr.core.sync.sync(ours.store.get("a/zarr.json", default_buffer_prototype()))
    document = json.loads(stored.to_bytes())
    document["attributes"] = {"ours": 2, "theirs": 1}
    decision = {
        "path": "/a",
        "type": "ZarrMetadataDoubleUpdate",
        "choice": "custom",
        "metadata": document,
    }
    ours.commit("both", rebase_with=DecisionSolver([decision]))
    assert dict(committed(repo)["a"].attrs) == {"ours": 2, "theirs": 1}
    assert (committed(repo)["a"][:3] == 1).all()


def test_a_new_array_moves_out_of_the_way(repo: Repository) -> None:
    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    for session, value in ((theirs, 5), (ours, 7)):
        group = root_of(session).create_group("new")
        group.create_array("x", shape=(2,), chunks=(1,), dtype="i4")[:] = value
    theirs.commit("theirs")
    kind = "NewNodeConflictsWithExistingNode"
    decisions = [
        {"path": "/new", "type": kind, "choice": "theirs"},
        {"path": "/new/x", "type": kind, "choice": "rename", "new_path": "/new/y"},
    ]
    ours.commit("ours", rebase_with=DecisionSolver(decisions))
    group = committed(repo)["new"]
    assert group["x"][:].tolist() == [5, 5]
    assert group["y"][:].tolist() == [7, 7]


def test_a_deleted_array_comes_back_with_their_values(repo: Repository) -> None:
    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    root_of(theirs)["a"][0] = 5
    theirs.commit("theirs")
    del root_of(ours)["a"]
    root_of(ours).create_group("other")
    decision = {"path": "/a", "type": "DeleteOfUpdatedArray", "choice": "theirs"}
    ours.commit("ours", rebase_with=DecisionSolver([decision]))
    assert committed(repo)["a"][0].tolist() == [5] * 4
    assert "other" in committed(repo)


def test_a_failed_rebase_can_be_tried_again(repo: Repository) -> None:
    ours = repo.writable_session("main")
    root_of(ours)["a"][0, 0] = 7
    before = ours.snapshot_id
    for position, value in ((1, 5), (0, 6)):
        theirs = repo.writable_session("main")
        root_of(theirs)["a"][position, 0] = value
        tip = theirs.commit(f"{value}")
    with pytest.raises(RebaseFailedError) as caught:
        ours.rebase(ConflictDetector())
    assert caught.value.snapshot == tip
    assert ours.snapshot_id != before  # past the commit that did not conflict
    assert np.array_equal(root_of(ours)["a"][:2, 0], [7, 5])
    ours.commit("ours", rebase_with=DecisionSolver([chunks("ours")]))
    assert np.array_equal(committed(repo)["a"][:2, 0], [7, 5])
