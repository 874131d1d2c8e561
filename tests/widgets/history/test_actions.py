from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from icechunk import IcechunkError, InvalidInputError, Repository, Session
from icechunk_widgets import History
from icechunk_widgets.history.actions import plan
from tests.widgets.scenes import array, climate, commit_value, values


def scene() -> tuple[Repository, str, str]:
    """A repository, its first commit with data, and its tip."""
    repo = climate()
    base = repo.lookup_branch("main")
    return repo, base, commit_value(repo, 0, 5.0, "second")


def ask(view: History, request: str, **params: Any) -> Any:
    """A request as the browser sends it."""
    reply, buffers = view.respond({"id": 1, "method": request, "params": params})
    assert reply["ok"], reply
    return (reply["result"], buffers) if buffers else reply["result"]


@pytest.mark.parametrize(("action", "name"), [("branch", "try"), ("tag", "v1"), ("reset", "main")])
def test_what_is_shown_is_what_runs(action: str, name: str) -> None:
    repo, base, tip = scene()
    other, other_base, other_tip = scene()
    planned = plan(repo, action, base, name, None)
    exec(planned.python.replace(base, other_base).replace(tip, other_tip), {"repo": other})
    planned.run()
    assert refs(repo, {base: "base", tip: "tip"}) == refs(
        other, {other_base: "base", other_tip: "tip"}
    )


def refs(repo: Repository, called: dict[str, str]) -> dict[str, str]:
    """Branches and tags, and which commit each names."""
    branches = {name: called[repo.lookup_branch(name)] for name in repo.list_branches()}
    return branches | {name: called[repo.lookup_tag(name)] for name in repo.list_tags()}


def test_nothing_happens_before_run() -> None:
    repo, base, tip = scene()
    told = ask(History(repo), "action", action="reset", id=base, name="main")
    assert "leaves out 1 commit." in told["warning"]
    assert "done" not in told
    assert repo.lookup_branch("main") == tip


def test_a_reset_runs_once_confirmed_and_the_views_look_again() -> None:
    repo, base, _ = scene()
    view = History(repo)
    told = ask(view, "action", action="reset", id=base, name="main", run=True)
    assert "(was" in told["done"]
    assert repo.lookup_branch("main") == base
    assert view.revision == 1


def test_a_reset_to_a_descendant_keeps_all_commits() -> None:
    repo, base, tip = scene()
    repo.create_branch("old", base)
    assert "it keeps all commits" in plan(repo, "reset", tip, "old", None).warning


def test_checkout_binds_the_notebooks_variables() -> None:
    repo, base, tip = scene()
    names: dict[str, Any] = {"repo": repo}
    plan(repo, "checkout", base, "", names).run()
    held = names["session"]
    assert isinstance(held, Session)
    assert held.read_only
    assert held.snapshot_id == base
    plan(repo, "checkout", tip, "main", names).run()
    assert not names["session"].read_only
    array(names["session"])[0] = 1
    with pytest.raises(IcechunkError, match="uncommitted changes"):
        plan(repo, "checkout", base, "", names).run()
    with pytest.raises(IcechunkError, match="no notebook"):
        plan(repo, "checkout", base, "", None).run()


def test_what_cannot_be_done_is_said() -> None:
    repo, base, _ = scene()
    with pytest.raises(InvalidInputError, match="unknown action"):
        plan(repo, "explode", base, "x", None)
    with pytest.raises(InvalidInputError, match="name is missing"):
        plan(repo, "branch", base, "", None)
    with pytest.raises(InvalidInputError, match="points to another commit"):
        plan(repo, "checkout", base, "main", {})
    with pytest.raises(IcechunkError):
        plan(repo, "branch", "ZZZZZZZZZZZZZZZZZZZZ", "x", None)


def test_activity_counts_chunks() -> None:
    repo, base, tip = scene()
    first = next(info.id for info in repo.ancestry(branch="main") if info.parent_id is None)
    counts = ask(History(repo), "activity", ids=[tip, base, first])
    assert counts[tip] == {"chunks": 4, "bytes": 264}
    assert counts[base]["chunks"] == 8 + 3
    assert counts[first] is None


def test_two_commits_are_compared_like_a_diff() -> None:
    repo, base, tip = scene()
    view = History(repo)
    told = ask(view, "compare", a=base, b=tip, method="diff", params={})
    assert [node["path"] for node in told["nodes"]] == ["/SST"]
    _, (cells,) = ask(view, "compare", a=base, b=tip, method="chunk_map", params={"path": "/SST"})
    assert sum(cells) == 4
    params = {"path": "/SST", "chunk": [0, 0, 0], "sides": ["before", "after"], "index": None}
    result, pictures = ask(view, "compare", a=base, b=tip, method="preview", params=params)
    assert len(pictures) == 2
    assert result["sides"][1]["stats"]["min"] == 5.0
    reply, _ = view.respond(
        {
            "id": 1,
            "method": "compare",
            "params": {"a": base, "b": tip, "method": "side", "params": {}},
        }
    )
    assert not reply["ok"]
    assert values(repo)[0].max() == 5.0


def two_branches(clash: bool) -> tuple[Repository, str, str]:
    """``side`` and ``main`` with a commit each, of different chunks or of the same one."""
    repo, _, tip = scene()
    repo.create_branch("side", tip)
    session = repo.writable_session("side")
    array(session)[0, 0] = 7.0
    side = session.commit("on side")
    return repo, side, commit_value(repo, np.s_[0, 0] if clash else np.s_[-1, -1], 9.0, "on main")


@pytest.mark.parametrize("action", ["merge", "pick"])
def test_a_merge_says_what_it_would_do_and_does_it(action: str) -> None:
    repo, side, tip = two_branches(clash=False)
    view = History(repo)
    found = ask(view, "action", action=action, id=side, name="main")
    assert found["outcome"] == {"state": "clean", "chunks": 0, "nodes": []}
    assert found["warning"] == "Clean: no conflicts, 2 changes in main."
    assert repo.lookup_branch("main") == tip
    other, other_side, _ = two_branches(clash=False)
    exec(found["python"].replace(side, other_side), {"repo": other})
    done = ask(view, "action", action=action, id=side, name="main", run=True)
    assert done["done"].endswith(" main.")
    assert values(repo).tolist() == values(other).tolist()
    parents = repo.lookup_snapshot(repo.lookup_branch("main")).parents
    assert parents == ([tip, side] if action == "merge" else [tip])
    again = ask(view, "action", action=action, id=side, name="main")
    assert again["outcome"]["state"] == "same"
    assert again["warning"].startswith("Nothing to do: main has ")


def test_a_revert_takes_back_a_commit() -> None:
    repo, _, tip = scene()
    before = values(repo, branch="main").tolist()
    commit_value(repo, 0, 8.0, "mistake")
    view = History(repo)
    assert tip != repo.lookup_branch("main")
    found = ask(view, "action", action="revert", id=repo.lookup_branch("main"), name="main")
    assert found["outcome"]["state"] == "clean"
    ask(view, "action", action="revert", id=repo.lookup_branch("main"), name="main", run=True)
    assert values(repo).tolist() == before


def test_a_fast_forward_is_announced() -> None:
    repo, side, tip = two_branches(clash=False)
    repo.create_branch("behind", repo.lookup_snapshot(tip).parent_id)
    found = ask(History(repo), "action", action="merge", id=side, name="behind")
    assert found["outcome"]["state"] == "forward"
    assert found["warning"].startswith("Fast-forward: behind moves to side, ")


@pytest.mark.parametrize("action", ["merge", "pick"])
def test_conflicts_are_listed_by_kind_and_nothing_runs(action: str) -> None:
    repo, side, tip = two_branches(clash=True)
    view = History(repo)
    found = ask(view, "action", action=action, id=side, name="main")
    assert found["warning"] == "1 conflict (1 × chunk double update) with main."
    assert found["outcome"] == {
        "state": "conflicts",
        "chunks": 2,
        "nodes": [{"path": "/SST", "title": "Chunk double update", "chunks": 2}],
    }
    reply, _ = view.respond(
        {
            "id": 1,
            "method": "action",
            "params": {"action": action, "id": side, "name": "main", "run": True},
        }
    )
    assert not reply["ok"]
    assert "1 conflict" in reply["error"]["message"]
    assert repo.lookup_branch("main") == tip


def test_conflicts_open_a_merge_session_in_a_notebook() -> None:
    repo, side, tip = two_branches(clash=True)
    names: dict[str, Any] = {"repo": repo}
    planned = plan(repo, "merge", side, "main", names)
    assert planned.outcome is not None
    assert planned.outcome["session"]
    assert planned.python == "session = repo.merge_session('side', into='main')"
    planned.run()
    assert names["session"].merging.names == ("side",)
    assert repo.lookup_branch("main") == tip


def test_the_session_of_the_branch_goes_on_from_the_merge() -> None:
    repo, side, _ = two_branches(clash=False)
    names: dict[str, Any] = {"repo": repo, "session": repo.writable_session("main")}
    plan(repo, "merge", side, "main", names).run()
    assert names["session"].snapshot_id == repo.lookup_branch("main")
    assert names["session"].branch == "main"


def test_uncommitted_changes_on_the_branch_block_a_merge() -> None:
    repo, side, tip = two_branches(clash=False)
    session = repo.writable_session("main")
    array(session)[0, 0] = 1.0
    for names, own in (({"repo": repo, "session": session}, None), (None, session)):
        planned = plan(repo, "merge", side, "main", names, own)
        assert planned.outcome is not None
        assert planned.outcome["state"] == "blocked"
        assert "commit, stash or discard them" in planned.warning
        with pytest.raises(IcechunkError, match="uncommitted changes"):
            planned.run()
    assert repo.lookup_branch("main") == tip
    assert plan(repo, "merge", tip, "side", {"repo": repo, "session": session}).outcome == {
        "state": "clean",
        "chunks": 0,
        "nodes": [],
    }


def test_the_root_cannot_be_reverted() -> None:
    repo, _, _ = scene()
    root = [*repo.ancestry(branch="main")][-1].id
    with pytest.raises(InvalidInputError, match="first commit"):
        plan(repo, "revert", root, "main", None)
