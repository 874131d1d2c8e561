from __future__ import annotations

import pytest

from icechunk import SnapshotNotFoundError
from icechunk_widgets.commits.details import commit, history
from tests.widgets.scenes import array, climate, commit_value


def test_history_of_all_refs() -> None:
    repo = climate()
    base = repo.lookup_branch("main")
    repo.create_branch("a-branch", base)
    repo.create_tag("v1", base)
    tip = commit_value(repo, 0, 1, "next\n\nbody")
    held = history(repo)
    assert [row["id"] for row in held["commits"]][:2] == [tip, base]
    assert [row["parent"] for row in held["commits"]][:2] == [base, held["commits"][2]["id"]]
    assert held["commits"][-1]["parent"] is None
    assert [(ref["name"], ref["kind"], ref["id"]) for ref in held["refs"]] == [
        ("main", "branch", tip),
        ("a-branch", "branch", base),
        ("v1", "tag", base),
    ]
    assert held["commits"][1]["author"] == "Ana"
    assert held["commits"][0]["author"] is None
    assert held["commits"][0]["time"].endswith("Z")
    assert held["session"] is None
    assert not held["truncated"]


def test_history_of_one_ref_leaves_out_the_rest() -> None:
    repo = climate()
    base = repo.lookup_branch("main")
    repo.create_tag("v1", base)
    commit_value(repo, 0, 1, "next")
    held = history(repo, ref=base)
    assert [row["message"] for row in held["commits"]] == ["base", "Repository initialized"]
    assert [ref["name"] for ref in held["refs"]] == ["v1"]


def test_a_long_history_is_cut() -> None:
    held = history(climate(), limit=1)
    assert held["truncated"]
    assert [row["message"] for row in held["commits"]] == ["base"]


def test_the_session_on_top() -> None:
    repo = climate()
    session = repo.writable_session("main")
    assert history(repo, session)["session"] == {
        "branch": "main",
        "base": repo.lookup_branch("main"),
        "dirty": False,
        "changes": 0,
    }
    array(session)[:2] = 0
    held = history(repo, session)["session"]
    assert held["dirty"]
    assert held["changes"] == 4
    assert history(repo, repo.readonly_session("main"))["session"] is None


def test_one_commit_against_its_parent() -> None:
    repo = climate()
    held = commit(repo, repo.lookup_branch("main"))
    assert held["message"] == "base"
    assert held["changes"]["new_arrays"] == ["/SST", "/TIME", "/X", "/Y"]
    assert held["changes"]["counts"]["new_arrays"] == 4
    assert {"path": "/SST", "chunks": 8} in held["changes"]["updated_chunks"]
    first = list(repo.ancestry(branch="main"))[-1]
    assert commit(repo, first.id)["changes"] is None
    with pytest.raises(SnapshotNotFoundError):
        commit(repo, "0" * 20)
