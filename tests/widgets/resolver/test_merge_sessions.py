"""Deciding the merge that a session holds: the source is ours, the target theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr

from icechunk import IcechunkError, Repository
from icechunk_widgets import ConflictResolver
from tests.widgets.scenes import array, climate, commit_value, values


def on(repo: Repository, branch: str, where: Any, value: float) -> str:
    session = repo.writable_session(branch)
    array(session)[where] = value
    return session.commit(f"{value} on {branch}")


def both_wrote() -> Repository:
    """``side`` wrote chunks (0, *, *), ``main`` (*, 0, *): two of them are in conflict."""
    repo = climate()
    repo.create_branch("side", repo.lookup_branch("main"))
    on(repo, "side", np.s_[:2], 5.0)
    commit_value(repo, np.s_[:, :3], 7.0, "on main")
    return repo


def ask(view: ConflictResolver, request: str, **params: Any) -> Any:
    reply, buffers = view.respond({"id": 1, "method": request, "params": params})
    assert reply["ok"], reply
    return (reply["result"], buffers) if buffers else reply["result"]


def test_sides_are_named_by_the_branches() -> None:
    repo = both_wrote()
    view = ConflictResolver(repo.merge_session("side", into="main"))
    assert view.merging
    content = ask(view, "conflicts")
    assert content["message"] == "Merge branch 'side' into main"
    sides = content["sides"]
    assert sides["ours"] == {"label": "side", "detail": "5.0 on side"}
    assert sides["theirs"]["label"].startswith("main @ ")
    assert sides["base"]["label"].startswith("merge base @ ")
    assert (view.total, view.undecided) == (2, 2)


def test_pictures_and_maps_show_source_target_and_base() -> None:
    view = ConflictResolver(both_wrote().merge_session("side"))
    picture, _ = ask(view, "preview", path="/SST", chunk=[0, 0, 0])
    means = {side["side"]: side["stats"]["mean"] for side in picture["sides"]}
    assert means["ours"] == 5.0
    assert means["theirs"] == 7.0
    assert means["base"] not in (5.0, 7.0)
    _, [cells] = ask(view, "chunk_map", path="/SST")
    states = np.frombuffer(cells, np.uint8).tolist()
    assert states == [1, 1, 5, 5, 6, 6, 0, 0]


@pytest.mark.parametrize(("choice", "value"), [("ours", 5.0), ("theirs", 7.0), ("base", None)])
def test_a_decided_merge_is_committed_with_both_parents(choice: str, value: float | None) -> None:
    repo = both_wrote()
    tip, side = repo.lookup_branch("main"), repo.lookup_branch("side")
    before = values(repo, branch="main")
    base = np.arange(192, dtype="f4").reshape(4, 6, 8)
    view = ConflictResolver(repo.merge_session("side"))
    view.decide("/SST", choice)
    new = view.complete()
    assert repo.lookup_branch("main") == new
    assert repo.lookup_snapshot(new).parents == [tip, side]
    assert repo.lookup_snapshot(new).message == "Merge branch 'side' into main"
    wanted = before.copy()
    wanted[:2, 3:] = 5.0
    wanted[:2, :3] = base[:2, :3] if value is None else value
    assert values(repo).tolist() == wanted.tolist()
    assert view.result == "Merged side into main and committed."


def test_cells_are_merged_and_what_the_script_says_does_the_same() -> None:
    def scene() -> Repository:
        repo = climate()
        repo.create_branch("side", repo.lookup_branch("main"))
        on(repo, "side", np.s_[0, 0, :4], 5.0)
        commit_value(repo, np.s_[1, 0, 2:4], 7.0, "on main")
        return repo

    repo, other = scene(), scene()
    view = ConflictResolver(repo.merge_session("side"))
    assert view.merge_cells("/SST") == 1
    program = view.script()
    view.complete()
    assert values(repo)[0, 0, :4].tolist() == [5.0] * 4
    assert values(repo)[1, 0, 2:4].tolist() == [7.0] * 2
    session = other.merge_session("side")
    exec(program.replace(repo_tip(program), session.snapshot_id), {"session": session})
    assert values(other).tolist() == values(repo).tolist()


def repo_tip(program: str) -> str:
    """The snapshot that a program names."""
    return program.split("# decided against snapshot ")[1].split("\n")[0]


def test_a_moved_target_asks_about_what_is_new_only() -> None:
    repo = both_wrote()
    view = ConflictResolver(repo.merge_session("side"))
    view.decide("/SST", "ours")
    commit_value(repo, np.s_[:2, 3:, :4], 9.0, "meanwhile")
    with pytest.raises(IcechunkError, match="1 of 3 decisions are missing"):
        view.complete()
    assert view.status == "pending"
    view.decide("/SST", "theirs", chunks=[(0, 1, 0)])
    view.complete()
    found = values(repo)
    assert found[:2, :3].max() == 5.0
    assert found[:2, 3:, :4].min() == 9.0
    assert found[:2, 3:, 4:].max() == 5.0


def test_node_conflicts_offer_the_source_and_name_the_sides() -> None:
    repo = climate()
    repo.create_branch("side", repo.lookup_branch("main"))
    session = repo.writable_session("side")
    array(session).attrs["units"] = "K"
    session.commit("units")
    session = repo.writable_session("main")
    del zarr.open_group(session.store, mode="r+")["SST"]
    session.commit("deleted")
    view = ConflictResolver(repo.merge_session("side"))
    [row] = view.conflicts
    assert row["choices"] == ["ours", "theirs"]
    assert "they" not in row["title"]
    assert row["title"] == "One side changed the metadata; the other deleted the array"
    facts = ask(view, "node_conflict", path="/SST", type=row["type"])["facts"]
    assert facts[:2] == ["Source side changed its metadata.", "Target main deleted it."]
    view.decide("/SST", "ours")
    view.complete()
    assert array(repo.readonly_session("main"), mode="r").attrs["units"] == "K"


def test_a_merge_made_elsewhere_meanwhile_leaves_nothing_to_commit() -> None:
    repo = both_wrote()
    view = ConflictResolver(repo.merge_session("side"))
    view.decide("/SST", "ours")
    repo.merge("side", prefer="source")
    tip = repo.lookup_branch("main")
    view.complete()
    assert view.status == "rebased"
    assert repo.lookup_branch("main") == tip


def test_a_merge_of_several_sources_is_refused() -> None:
    repo = both_wrote()
    repo.create_branch("third", [*repo.ancestry(branch="side")][1].id)
    on(repo, "third", np.s_[2:, 3:], 3.0)
    with pytest.raises(IcechunkError, match="one source"):
        ConflictResolver(repo.merge_session(["side", "third"]))
