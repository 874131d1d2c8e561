from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from icechunk import IcechunkError, InvalidInputError, Repository, Session
from icechunk.merging.cells import differs, merge
from icechunk_widgets import ConflictResolver
from tests.widgets.scenes import array, clash, climate, values


def apart() -> tuple[Repository, Session]:
    """Both sides changed other cells of chunk (0, 0, 0), and one cell of both in (1, 0, 0)."""
    repo = climate()
    mine, other = repo.writable_session("main"), repo.writable_session("main")
    array(mine)[0, 0, 0] = -1
    array(mine)[2, 0, :2] = -1
    array(other)[0, 0, 1] = -2
    array(other)[2, 0, 1] = -2
    array(other)[2, 0, 2] = -2
    other.commit("theirs", {"author": "Ana"})
    return repo, mine


def ask(view: ConflictResolver, request: str, **params: Any) -> dict[str, Any]:
    reply, _ = view.respond({"id": 1, "method": request, "params": params})
    assert reply["ok"], reply
    result: dict[str, Any] = reply["result"]
    return result


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1.0, 2.0, np.nan])] * 3), min_size=1))
def test_every_cell_comes_from_who_changed_it(cells: list[tuple[float, float, float]]) -> None:
    base, ours, theirs = (np.array(side) for side in zip(*cells, strict=True))
    for side, chosen in (("ours", ours), ("theirs", theirs)):
        merged, count = merge(base, ours, theirs, side)  # type: ignore[arg-type]
        mine, its = differs(ours, base), differs(theirs, base)
        np.testing.assert_array_equal(merged[mine & ~its], ours[mine & ~its])
        np.testing.assert_array_equal(merged[its & ~mine], theirs[its & ~mine])
        np.testing.assert_array_equal(merged[~its & ~mine], base[~its & ~mine])
        np.testing.assert_array_equal(merged[mine & its], chosen[mine & its])
        assert count.ours + count.theirs + count.both + count.alike == int((mine | its).sum())


def test_merged_chunks_are_committed() -> None:
    repo, mine = apart()
    before = values(repo)
    resolver = ConflictResolver(mine)
    assert resolver.merge_cells("/SST") == 1  # the other has a cell that both changed
    assert resolver.undecided == 1
    assert resolver.merge_cells("/SST", both="theirs") == 1
    resolver.complete("merged")
    expected = before.copy()
    expected[0, 0, 0] = expected[2, 0, 0] = -1
    np.testing.assert_array_equal(values(repo), expected)


def test_the_browser_gets_what_is_left() -> None:
    _, mine = apart()
    resolver = ConflictResolver(mine)
    assert ask(resolver, "cells", path="/SST", chunk=[1, 0, 0]) == {
        "ours": 1,
        "theirs": 1,
        "both": 1,
        "alike": 0,
    }
    told = ask(resolver, "merge", path="/SST", runs=None, both=None)
    assert (told["merged"], told["left"], told["cells"], told["undecided"]) == (1, 1, 1, 1)
    assert ask(resolver, "merge", path="/SST", runs=[4, 1], both="ours")["undecided"] == 0
    assert resolver.merges == [("/SST", [0, 0, 0], "ours"), ("/SST", [1, 0, 0], "ours")]
    assert {decision["choice"] for decision in resolver.decisions} == {"theirs"}
    assert resolver.undo()
    assert resolver.undecided == 1


def test_the_stand_in_knows_merged_chunks() -> None:
    _, mine = apart()
    resolver = ConflictResolver(mine)
    resolver.merge_cells("/SST", both="theirs")
    assert "merged, theirs where both 2" in resolver.static_html()


def test_the_script_merges_too() -> None:
    repo, mine = apart()
    resolver = ConflictResolver(mine, "by script")
    resolver.merge_cells("/SST", both="ours")
    exec(resolver.script(), {"session": mine})
    after = values(repo)
    assert after[0, 0, 0] == -1
    assert after[2, 0, :3].tolist() == [-1, -1, -2]


def test_values_survive_a_branch_that_moves_again() -> None:
    repo, mine = apart()
    resolver = ConflictResolver(mine)
    resolver.merge_cells("/SST", both="ours")
    other = repo.writable_session("main")
    array(other)[3, 5, 7] = 9  # another chunk
    other.commit("later")
    resolver.complete("merged")
    after = values(repo)
    assert after[3, 5, 7] == 9
    assert after[2, 0, :3].tolist() == [-1, -1, -2]


def test_rules_report_before_they_decide() -> None:
    repo = climate()
    mine, other = repo.writable_session("main"), repo.writable_session("main")
    array(mine)[:, :3] = np.nan
    array(mine)[:2, :3, 4:] = array(other)[:2, :3, 4:] + 1e-3
    array(other)[:, :3] = array(other)[:, :3] + 0.0
    other.commit("theirs")
    resolver = ConflictResolver(mine)
    assert resolver.total == 4
    told = ask(resolver, "rule", path="/SST", rule="theirs-where-mine-empty")
    assert told == {
        "takes": 3,
        "looked": 4,
        "of": 4,
        "unreadable": 0,
        "parts": [{"path": "/SST", "choice": "theirs", "chunks": 3}],
    }
    assert resolver.undecided == 4
    assert ask(resolver, "rule", path="/SST", rule="mine-where-close", limit=1e-4)["takes"] == 0
    told = ask(resolver, "rule", path="/SST", rule="mine-where-close", limit=0.01, apply=True)
    assert (told["takes"], told["undecided"]) == (1, 3)
    ask(resolver, "rule", path="/SST", rule="theirs-where-mine-empty", apply=True)
    assert resolver.undecided == 0
    with pytest.raises(IcechunkError, match="no rule"):
        resolver.rule("/SST", "newest")


def test_the_same_region_of_sister_arrays() -> None:
    repo = climate()
    first = repo.writable_session("main")
    wind = zarr.open_group(first.store).create_array(
        "WIND", shape=(4, 6, 8), chunks=(1, 3, 4), dtype="f4", dimension_names=("TIME", "Y", "X")
    )
    wind[:] = 1
    first.commit("wind")
    mine, other = repo.writable_session("main"), repo.writable_session("main")
    for session, value in ((mine, -1), (other, -2)):
        for path in ("SST", "WIND"):
            array(session, path)[:, :3, :4] = value
    other.commit("theirs")
    resolver = ConflictResolver(mine)
    resolver.decide("/SST", "theirs", chunks=[(0, 0, 0)])  # TIME 0 and 1
    told = ask(resolver, "rule", path="/SST", rule="same-region", apply=True)
    assert told["parts"] == [{"path": "/WIND", "choice": "theirs", "chunks": 2}]
    resolver.decide("/SST", "ours", chunks=[(1, 0, 0)])
    assert ask(resolver, "rule", path="/SST", rule="same-region", apply=True)["takes"] == 2
    resolver.complete("both alike")
    assert values(repo)[:, 0, 0].tolist() == values(repo, "WIND")[:, 0, 0].tolist()


def test_decisions_outlive_the_resolver(tmp_path: Path) -> None:
    _, mine = apart()
    first = ConflictResolver(mine)
    first.decide("/SST", "ours", chunks=[(0, 0, 0)])
    first.decide("/SST", "merge-theirs", chunks=[(1, 0, 0)])
    first.save(tmp_path / "decisions.json")
    second = ConflictResolver(mine)
    assert second.load(tmp_path / "decisions.json") == 2
    assert second.decisions == first.decisions
    assert second.merges == first.merges
    assert ask(second, "save")["name"].startswith("decisions-main-")


def test_a_file_decides_nothing_that_changed_since() -> None:
    repo, mine = apart()
    first = ConflictResolver(mine)
    first.decide("/SST", "ours")
    text = ask(first, "save")["text"]
    other = repo.writable_session("main")
    array(other)[0, 0, 2] = 8  # the first of the two chunks again
    other.commit("later")
    second = ConflictResolver(mine)
    told = ask(second, "load", text=text)
    assert told["notice"] == "1 of 2 decisions in the file are still valid."
    assert second.undecided == 1


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"kind": "icechunk-decisions", "version": 1}'])
def test_other_files_are_refused(text: str) -> None:
    resolver = ConflictResolver(clash(climate()))
    reply, _ = resolver.respond({"id": 1, "method": "load", "params": {"text": text}})
    assert not reply["ok"]
    assert "not a file of decisions" in reply["error"]["message"]


def test_malicious_files_decide_nothing() -> None:
    resolver = ConflictResolver(clash(climate()))
    text = json.loads(ask(resolver, "save")["text"])
    text["decisions"] = [
        {"path": "/SST", "type": "ChunkDoubleUpdate", "choice": "explode", "runs": [0, 9]},
        {"path": "/none", "type": "ChunkDoubleUpdate", "choice": "ours", "runs": [0, 9]},
        {
            "path": "/SST",
            "type": "ChunkDoubleUpdate",
            "choice": "ours",
            "runs": [0, 9],
            "grid": [1],
        },
    ]
    assert ask(resolver, "load", text=json.dumps(text))["taken"] == 0
    assert resolver.undecided == 2


def test_seams_stand_out() -> None:
    repo = climate()
    mine, other = repo.writable_session("main"), repo.writable_session("main")
    array(mine)[:2, :3] = array(mine)[:2, :3] + 500
    array(other)[:2, :3] = array(other)[:2, :3] + 0.5
    other.commit("theirs")
    resolver = ConflictResolver(mine)
    assert resolver.seams("/SST")["steep"] == []  # nothing is decided
    resolver.decide("/SST", "theirs")
    assert resolver.seams("/SST")["borders"] == 0
    resolver.decide("/SST", "ours", chunks=[(0, 0, 0)])
    told = resolver.seams("/SST")
    assert told["borders"] == 3
    worst = told["steep"][0]
    assert worst["chunk"] == [0, 0, 0]
    assert worst["step"] > 3 * worst["inside"]


def test_arrays_that_differ_cannot_be_merged() -> None:
    _, mine = apart()
    resolver = ConflictResolver(mine)
    array(mine).resize((8, 6, 8))
    with pytest.raises(IcechunkError, match="not of one shape"):
        resolver.merge_cells("/SST")
    with pytest.raises(IcechunkError, match="is no side"):
        resolver.merge_cells("/SST", both="base")
    with pytest.raises(InvalidInputError):
        resolver.merge_cells("/nowhere")


CHOICE = st.sampled_from(["ours", "theirs", "base", "merge-ours", "merge-theirs"])


@settings(max_examples=25, deadline=None)
@given(st.tuples(CHOICE, CHOICE))
def test_what_is_shown_is_what_is_stored(choices: tuple[str, str]) -> None:
    repo, mine = apart()
    resolver = ConflictResolver(mine)
    scan = resolver._resolution.scan
    sides = {
        name: np.asarray(array(session, mode="r")[:]) for name, session in scan.sessions.items()
    }
    expected = sides["theirs"].copy()
    for t, choice in enumerate(choices):
        where = np.s_[2 * t : 2 * t + 2, :3, :4]
        resolver.decide("/SST", choice, chunks=[(t, 0, 0)])
        if choice.startswith("merge"):
            blocks = (sides[name][where] for name in ("base", "ours", "theirs"))
            expected[where] = merge(*blocks, choice[6:])[0]  # type: ignore[call-arg,arg-type]
        else:
            expected[where] = sides[choice][where]
    resolver.complete("property")
    np.testing.assert_array_equal(values(repo), expected)
