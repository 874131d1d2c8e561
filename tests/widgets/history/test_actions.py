from __future__ import annotations

from typing import Any

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
