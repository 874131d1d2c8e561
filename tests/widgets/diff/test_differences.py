from __future__ import annotations

import numpy as np
import pytest
import zarr

from icechunk import IcechunkError, NodeNotFoundError, Repository
from icechunk_widgets.diff.differences import ADDED, CHANGED, REMOVED, SAME, Comparison
from icechunk_widgets.diff.states import state_of
from tests.widgets.scenes import array, climate, commit_value


def compare(repo: Repository, a: object, b: object) -> Comparison:
    return Comparison(repo, state_of(repo, a), state_of(repo, b))  # type: ignore[arg-type]


def by_path(comparison: Comparison) -> dict[str, dict[str, object]]:
    return {node["path"]: node for node in comparison.summary()["nodes"]}


def test_equal_states() -> None:
    repo = climate()
    held = compare(repo, "main", "main").summary()
    assert held["nodes"] == []
    assert held["counts"] == {"added": 0, "removed": 0, "changed": 0, "moved": 0, "chunks": 0}


def test_changed_chunks_in_both_directions() -> None:
    repo = climate()
    base = repo.lookup_branch("main")
    commit_value(repo, np.s_[:2], 7, "next")
    for a, b in ((base, "main"), ("main", base)):
        comparison = compare(repo, a, b)
        node = by_path(comparison)["/SST"]
        assert (node["change"], node["type"]) == ("changed", "array")
        assert (node["chunks_changed"], node["chunks_total"]) == (4, 8)
        assert not node["metadata_changed"]
        held, cells = comparison.chunk_map("/SST")
        assert cells.tolist() == [CHANGED] * 4 + [SAME] * 4
        assert held["grid"] == [2, 2, 2]


def test_added_and_removed_nodes() -> None:
    repo = climate()
    base = repo.lookup_branch("main")
    session = repo.writable_session("main")
    root = zarr.open_group(session.store)
    new = root.create_group("sub").create_array("flags", shape=(4,), chunks=(2,), dtype="i1")
    new[:2] = 1
    del root["X"]
    session.commit("nodes")
    comparison = compare(repo, base, "main")
    nodes = by_path(comparison)
    assert nodes["/sub"]["type"] == "group"
    assert nodes["/sub"]["change"] == nodes["/sub/flags"]["change"] == "added"
    assert nodes["/sub/flags"]["chunks_changed"] == 1
    assert nodes["/X"]["change"] == "removed"
    assert nodes["/X"]["chunks_changed"] == 1
    assert comparison.chunk_map("/sub/flags")[1].tolist() == [ADDED, SAME]
    assert comparison.chunk_map("/X")[1].tolist() == [REMOVED]
    counts = comparison.summary()["counts"]
    assert (counts["added"], counts["removed"]) == (2, 1)


def test_a_chunk_that_is_filled_again() -> None:
    repo = climate()
    base = repo.lookup_branch("main")
    commit_value(repo, np.s_[:2, :3, :4], float("nan"), "emptied")
    removed = compare(repo, base, "main").chunk_map("/SST")[1]
    added = compare(repo, "main", base).chunk_map("/SST")[1]
    assert removed.tolist() == [REMOVED] + [SAME] * 7
    assert added.tolist() == [ADDED] + [SAME] * 7


def test_a_resized_array_shows_both_grids() -> None:
    repo = climate()
    base = repo.lookup_branch("main")
    session = repo.writable_session("main")
    array(session).resize((2, 6, 12))
    session.commit("resized")
    comparison = compare(repo, base, "main")
    node = by_path(comparison)["/SST"]
    held, cells = comparison.chunk_map("/SST")
    assert held["grid"] == [2, 2, 3]
    assert held["shape"] == [2, 6, 12]
    assert cells.reshape(2, 2, 3)[1].tolist() == [[REMOVED, REMOVED, SAME]] * 2
    assert cells.reshape(2, 2, 3)[0].tolist() == [[SAME] * 3] * 2
    assert node["metadata_changed"]
    assert node["chunks_changed"] == 4


def test_a_session_against_its_base_and_against_another_state() -> None:
    repo = climate()
    base = repo.lookup_branch("main")
    commit_value(repo, np.s_[:2, :3, :4], 1, "committed")
    session = repo.writable_session("main")
    array(session)[2:, :3, :4] = 2
    zarr.open_group(session.store).create_group("fresh")
    assert set(by_path(compare(repo, "main", session))) == {"/SST", "/fresh"}
    comparison = compare(repo, base, session)
    cells = comparison.chunk_map("/SST")[1]
    assert np.flatnonzero(cells).tolist() == [0, 4]
    assert by_path(comparison)["/fresh"]["change"] == "added"


def test_labels_and_malicious_names() -> None:
    repo = climate()
    session = repo.writable_session("main")
    zarr.open_group(session.store).create_array("<script>", shape=(2,), chunks=(1,), dtype="i4")
    session.commit("odd")
    comparison = compare(repo, "main", "main")
    held, _ = comparison.chunk_map("/SST")
    assert held["dims"] == ["TIME", "Y", "X"]
    assert held["labels"][0] == {
        "first": "2000-01-01",
        "last": "2000-01-04",
        "units": None,
        "up": False,
        "starts": ["2000-01-01", "2000-01-03"],
        "ends": ["2000-01-02", "2000-01-04"],
    }
    lat = held["labels"][1]
    assert (lat["first"], lat["last"], lat["units"]) == (-45.0, 45.0, "degrees_north")
    assert (lat["starts"], lat["ends"]) == ([-45.0, 9.0], [-9.0, 45.0])
    assert comparison.chunk_map("/<script>")[0]["labels"] == [None]


def test_no_array_there_and_too_many_chunks() -> None:
    repo = climate()
    session = repo.writable_session("main")
    zarr.open_group(session.store).create_array("big", shape=(10**9,), chunks=(1,), dtype="i1")
    comparison = compare(repo, "main", session)
    with pytest.raises(NodeNotFoundError):
        comparison.chunk_map("/none")
    with pytest.raises(IcechunkError, match="more than"):
        comparison.chunk_map("/big")
    assert by_path(comparison)["/big"]["chunks_total"] == 10**9


def test_a_moved_group_and_its_arrays() -> None:
    repo = climate()
    session = repo.writable_session("main")
    inner = (
        zarr.open_group(session.store)
        .create_group("old")
        .create_array("data", shape=(4,), chunks=(2,), dtype="i4")
    )
    inner[:] = 1
    before = session.commit("made")
    mover = repo.rearrange_session("main")
    mover.move("/old", "/new")
    mover.commit("moved")
    changed = repo.writable_session("main")
    array(changed, "new/data")[:2] = 9
    changed.commit("and written")
    comparison = compare(repo, before, "main")
    nodes = by_path(comparison)
    assert (nodes["/new"]["change"], nodes["/new"]["from"]) == ("moved", "/old")
    assert comparison.before_path("/new/data") == "/old/data"
    assert comparison.chunk_map("/new/data")[1].tolist() == [CHANGED, SAME]
