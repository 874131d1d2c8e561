"""Metadata that both sides changed, merged key by key."""

from __future__ import annotations

import json
from typing import Any

import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import icechunk
from icechunk import DecisionSolver, InvalidInputError, RebaseFailedError
from icechunk.changes.document_merge import MISSING, KeyDifference, differences, merge

BASE = {"shape": [4], "attributes": {"units": "K", "long name/short": "t", "n": 1}}


def changed(**attributes: Any) -> dict[str, Any]:
    return {**BASE, "attributes": {**BASE["attributes"], **attributes}}


def test_each_key_comes_from_the_side_that_changed_it() -> None:
    ours = changed(units="degC", added=[1, {"x": 2}])
    theirs = {"shape": [8], "attributes": {"units": "K", "n": 2}}
    merged, left = merge(BASE, ours, theirs, {})
    assert left == []
    assert merged == {
        "shape": [8],
        "attributes": {"units": "degC", "n": 2, "added": [1, {"x": 2}]},
    }


def test_keys_that_both_changed_are_left() -> None:
    ours, theirs = changed(units="degC"), changed(units="degF", n=3)
    merged, left = merge(BASE, ours, theirs, {})
    assert left == [KeyDifference("/attributes/units", "K", "degC", "degF")]
    assert merged == theirs
    for side, units in (("ours", "degC"), ("theirs", "degF"), ("base", "K")):
        assert merge(BASE, ours, theirs, {"/attributes/units": side}) == (
            changed(units=units, n=3),
            [],
        )
        assert merge(BASE, ours, theirs, {}, side)[0] == changed(units=units, n=3)


def test_what_one_side_changed_can_be_taken_back() -> None:
    merged, _ = merge(BASE, BASE, changed(n=9, new=1), {"/attributes/n": "base"})
    assert merged == changed(new=1)
    merged, _ = merge(BASE, BASE, changed(new=1), {"/attributes/new": "ours"})
    assert merged == BASE


def test_pointers_escape_slashes_and_tildes() -> None:
    ours = changed(**{"long name/short": "mine", "~": 1})
    theirs = changed(**{"long name/short": "theirs"})
    found = differences(BASE, ours, theirs)
    assert {d.pointer: d.changed_by for d in found} == {
        "/attributes/long name~1short": None,
        "/attributes/~0": "ours",
    }
    merged, left = merge(BASE, ours, theirs, {"/attributes/long name~1short": "ours"})
    assert (merged, left) == (ours, [])


def test_booleans_are_not_numbers() -> None:
    (found,) = differences({"a": 1}, {"a": True}, {"a": 1.0})
    assert found.changed_by == "ours"
    assert differences({}, {"a": [1, True]}, {"a": [1.0, True]}) == []
    (gone,) = differences({"a": {"b": 1}}, {}, {"a": {"b": 2}})
    assert (gone.ours, gone.changed_by) == (MISSING, None)


documents = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.lists(st.integers(0, 1), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "~/"]), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(["a", "b", "c"]), documents, max_size=3)


@given(objects, objects, objects)
def test_a_merge_of_any_documents(base: Any, ours: Any, theirs: Any) -> None:
    before = json.dumps([base, ours, theirs])
    assert not differences(base, ours, ours)
    assert same(merge(base, ours, base, {})[0], ours)
    assert same(merge(base, base, theirs, {})[0], theirs)
    found = differences(base, ours, theirs)
    everything = {difference.pointer: "ours" for difference in found}
    assert same(merge(base, ours, theirs, everything)[0], ours)
    merged, left = merge(base, ours, theirs, {})
    assert {d.pointer for d in left} == {d.pointer for d in found if d.changed_by is None}
    assert {d.pointer for d in differences(base, merged, theirs)} <= {
        d.pointer for d in found if d.changed_by == "ours"
    }
    assert json.dumps([base, ours, theirs]) == before


def same(one: Any, two: Any) -> bool:
    return not differences({}, {"x": one}, {"x": two})


# -- in a rebase -----------------------------------------------------------------------------------


def sides() -> tuple[icechunk.Repository, icechunk.Session]:
    """We said degC and "mine", they degF, "theirs" and a longer array, in two commits."""
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    array = zarr.create_array(session.store, name="t", shape=(4,), chunks=(2,), dtype="i4")
    array.attrs.update({"units": "K", "kept": 1})
    array[:] = 1
    session.commit("base")
    mine = repo.writable_session("main")
    zarr.open_array(mine.store, path="t").attrs.update({"units": "degC", "mine": 1})
    for step in ({"units": "degF"}, {"theirs": 2}):
        other = repo.writable_session("main")
        theirs = zarr.open_array(other.store, path="t")
        theirs.attrs.update(step)
        if "theirs" in step:
            theirs.resize((6,))
        other.commit("theirs")
    return repo, mine


def decision(**more: Any) -> dict[str, Any]:
    return {"path": "/t", "type": "ZarrMetadataDoubleUpdate", "choice": "merge", **more}


@pytest.mark.parametrize(
    ("more", "units"),
    [
        ({"keys": {"/attributes/units": "ours"}}, "degC"),
        ({"keys": {"/attributes/units": "theirs"}}, "degF"),
        ({"otherwise": "ours"}, "degC"),
        ({"otherwise": "theirs", "keys": {"/attributes/mine": "ours"}}, "degF"),
    ],
)
def test_a_rebase_merges_over_several_commits(more: dict[str, Any], units: str) -> None:
    repo, mine = sides()
    solver = DecisionSolver.from_json(DecisionSolver([decision(**more)]).to_json())
    mine.rebase(solver)
    mine.commit("merged")
    array = zarr.open_array(repo.readonly_session("main").store, path="t", mode="r")
    assert array.shape == (6,)
    assert dict(array.attrs) == {"units": units, "kept": 1, "mine": 1, "theirs": 2}
    assert array[:4].tolist() == [1, 1, 1, 1]


def test_an_undecided_key_is_still_a_conflict() -> None:
    _, mine = sides()
    with pytest.raises(RebaseFailedError) as caught:
        mine.rebase(DecisionSolver([decision()]))
    assert [c.path for c in caught.value.conflicts] == ["/t"]
    assert mine.status().updated_arrays == {"/t"}


def test_a_merge_that_is_theirs_leaves_no_change() -> None:
    _, mine = sides()
    keys = {"/attributes/units": "theirs", "/attributes/mine": "theirs"}
    mine.rebase(DecisionSolver([decision(keys=keys)]))
    assert not mine.has_uncommitted_changes


def test_codecs_of_two_sides_are_not_mixed() -> None:
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="t", shape=(4,), chunks=(2,), dtype="i4")
    session.commit("base")
    mine, other = repo.writable_session("main"), repo.writable_session("main")
    zarr.create_array(mine.store, name="t", shape=(4,), chunks=(4,), dtype="i4", overwrite=True)
    theirs = json.loads(other.store.get_sync("t/zarr.json").to_bytes())
    theirs["data_type"] = "float32"
    theirs["fill_value"] = 0.0
    put(other, theirs)
    other.commit("type")
    own = json.loads(mine.store.get_sync("t/zarr.json").to_bytes())
    mine.discard_changes()
    put(mine, own)
    with pytest.raises(InvalidInputError, match="belong together"):
        mine.rebase(DecisionSolver([decision()]))


def put(session: icechunk.Session, document: dict[str, Any]) -> None:
    from zarr.core.buffer import default_buffer_prototype

    made = default_buffer_prototype().buffer.from_bytes(json.dumps(document).encode())
    session.store.set_sync("t/zarr.json", made)


@pytest.mark.parametrize(
    "more",
    [
        {"keys": {"attributes.units": "ours"}},
        {"keys": {"/attributes/units": "mine"}},
        {"keys": ["/a"]},
        {"otherwise": "both"},
        {"choice": "ours", "keys": {}},
    ],
)
def test_bad_decisions(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=r"decisions\[0\]"):
        DecisionSolver([decision(**more)])
