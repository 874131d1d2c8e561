"""Conflicts about whole nodes: keys of the metadata, other names, what is at stake."""

from __future__ import annotations

from typing import Any

import pytest
import zarr

from icechunk import InvalidInputError, Repository, Session
from icechunk_widgets.resolver.widget import ConflictResolver
from tests.widgets.resolver.test_widget import Watched
from tests.widgets.scenes import array, climate, commit_value


def retitled() -> tuple[Repository, Session]:
    """Both sides changed the attributes of SST; both a unit, each something else."""
    repo = climate()
    mine, other = repo.writable_session("main"), repo.writable_session("main")
    array(mine).attrs.update({"units": "degC", "by <me>": 1})
    array(other).attrs.update({"units": "degF", "theirs": 2})
    other.commit("theirs")
    return repo, mine


KIND = "ZarrMetadataDoubleUpdate"


def test_keys_are_listed_with_the_side_that_changed_them() -> None:
    _, mine = retitled()
    result = Watched(mine).ask("node_conflict", path="/SST", type=KIND)
    rows = {row["key"]: row for row in result["rows"]}
    assert rows["attributes.units"] == {
        "pointer": "/attributes/units",
        "key": "attributes.units",
        "ours": "degC",
        "theirs": "degF",
        "changed_by": None,
        "choice": None,
    }
    assert rows["attributes.by <me>"]["changed_by"] == "ours"
    assert rows["attributes.theirs"]["changed_by"] == "theirs"
    assert (result["merge"], result["rename"]) == (True, False)
    assert result["facts"] == ["I changed its metadata.", "They changed its metadata."]


def test_a_merge_of_keys_is_what_is_committed(tmp_path: Any) -> None:
    repo, mine = retitled()
    resolver = Watched(mine)
    small = resolver.ask(
        "decide", path="/SST", type=KIND, choice="merge", keys={"/attributes/units": "theirs"}
    )
    assert small["undecided"] == 0
    result = resolver.ask("node_conflict", path="/SST", type=KIND)
    assert [row["choice"] for row in result["rows"] if row["key"] == "attributes.units"] == [
        "theirs"
    ]

    resolver.save(tmp_path / "decisions.json")
    resolver.undo()
    assert resolver.undecided == 1
    assert resolver.load(tmp_path / "decisions.json") == 1
    program = resolver.script()
    resolver.complete("merged")
    held = dict(array(repo.readonly_session("main"), mode="r").attrs)
    assert held == {"units": "degF", "by <me>": 1, "theirs": 2}

    repo, session = retitled()
    exec(compile(program, "script", "exec"), {"session": session})
    assert dict(array(repo.readonly_session("main"), mode="r").attrs) == held


def test_every_key_that_both_changed_must_be_decided() -> None:
    _, mine = retitled()
    resolver = ConflictResolver(mine)
    with pytest.raises(InvalidInputError, match="/attributes/units"):
        resolver.decide("/SST", "merge")
    with pytest.raises(InvalidInputError, match="ours, theirs or base"):
        resolver.decide("/SST", "merge", keys={"/attributes/units": "mine"})
    assert resolver.undecided == 1
    resolver.decide("/SST", "merge", keys={"/attributes/units": "base"})
    assert resolver.undecided == 0


def test_the_same_name_twice_can_be_kept_under_another() -> None:
    repo = climate()
    mine, other = repo.writable_session("main"), repo.writable_session("main")
    for session, value in ((mine, 1), (other, 2)):
        made = zarr.create_array(session.store, name="new", shape=(2,), chunks=(2,), dtype="i4")
        made[:] = value
    zarr.create_group(other.store, path="new-2")
    other.commit("theirs")
    resolver = Watched(mine)
    kind = "NewNodeConflictsWithExistingNode"
    result = resolver.ask("node_conflict", path="/new", type=kind)
    assert (result["rename"], result["new_path"], result["merge"]) == (True, "/new-3", False)
    assert result["facts"][0] == "I wrote 1 chunk of it."
    resolver.ask("decide", path="/new", type=kind, choice="rename", new_path=result["new_path"])
    resolver.complete("both")
    root = zarr.open_group(repo.readonly_session("main").store, mode="r")
    assert [root["new"][0], root["new-3"][0]] == [2, 1]


def test_what_a_deletion_would_discard_is_listed() -> None:
    repo = climate()
    mine = repo.writable_session("main")
    del zarr.open_group(mine.store)["SST"]
    other = repo.writable_session("main")
    array(other)[:2] = 5
    other.commit("theirs")
    result = Watched(mine).ask("node_conflict", path="/SST", type="DeleteOfUpdatedArray")
    assert result["facts"] == [
        "I deleted it.",
        "They wrote 4 chunks of it.",
        "Mine deletes it with what they wrote; theirs restores it.",
    ]
    assert result["rows"] == []


def test_decisions_about_metadata_do_not_outlive_it(tmp_path: Any) -> None:
    repo, mine = retitled()
    resolver = ConflictResolver(mine)
    resolver.decide("/SST", "ours")
    resolver.save(tmp_path / "held.json")
    commit_value(repo, 0, 3, "values only")
    again = ConflictResolver(mine)
    assert again.load(tmp_path / "held.json") == 1
    session = repo.writable_session("main")
    array(session).attrs["units"] = "hK"
    session.commit("units again")
    assert ConflictResolver(mine).load(tmp_path / "held.json") == 0
