from __future__ import annotations

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import Repository
from icechunk_widgets.commits.columns import listing
from icechunk_widgets.history.branch_rebase import of_branch, of_session
from icechunk_widgets.history.widget import History
from tests.widgets.scenes import array, clash, climate, commit_value


def verdict(repo: Repository, branch: str, onto: str = "main") -> dict[str, object]:
    result = of_branch(repo, listing(repo), branch, onto, lambda: False)
    assert result is not None
    return result


def write(repo: Repository, branch: str, where: object, value: float) -> None:
    session = repo.writable_session(branch)
    array(session)[where] = value
    session.commit(f"{value} on {branch}")


@pytest.fixture
def repo() -> Repository:
    repo = climate()
    for name in ("dev", "same", "behind"):
        repo.create_branch(name, repo.lookup_branch("main"))
    return repo


def test_branches_that_did_not_part(repo: Repository) -> None:
    assert verdict(repo, "same")["state"] == "same"
    write(repo, "dev", 0, 1)
    assert verdict(repo, "dev")["state"] == "ahead"
    assert verdict(repo, "dev")["text"] == "1 commit ahead of main"
    assert verdict(repo, "main", "dev")["state"] == "behind"


def test_clean_and_conflicting_branches(repo: Repository) -> None:
    write(repo, "dev", np.s_[:2], 1)
    write(repo, "main", np.s_[2:], 2)
    result = verdict(repo, "dev")
    assert (result["state"], result["ours"], result["theirs"]) == ("clean", 1, 1)
    before = list(repo.ops_log())
    write(repo, "main", np.s_[:2, :3], 3)
    write(repo, "dev", np.s_[:, :], 4)
    result = verdict(repo, "dev")
    assert result["state"] == "conflicts"
    assert result["text"] == "6 chunk conflicts with main"
    assert result["nodes"] == [{"path": "/SST", "title": "Chunk double update", "chunks": 6}]
    assert len(list(repo.ops_log())) == len(before) + 2  # nothing but the two commits


def test_the_verdict_is_what_a_rebase_of_the_same_changes_meets(repo: Repository) -> None:
    session = repo.writable_session("main")

    def edit(session: icechunk.Session) -> None:
        array(session)[0] = 5
        array(session).attrs["units"] = "K"
        root = zarr.open_group(session.store, mode="r+")
        root.create_group("fresh")
        del root["X"]

    edit(session)
    dev = repo.writable_session("dev")
    edit(dev)
    dev.commit("the same on dev")
    theirs = repo.writable_session("main")
    array(theirs)[:2, :3] = 7
    array(theirs).attrs["units"] = "C"
    root = zarr.open_group(theirs.store, mode="r+")
    root.create_group("fresh")
    array(theirs, "X")[0] = 9
    theirs.commit("theirs")
    expected = {
        (str(c.conflict_type), c.path, len(c.conflicted_chunks or []))
        for c in session.conflicts().conflicts
    }
    result = verdict(repo, "dev")
    nodes = result["nodes"]
    assert isinstance(nodes, list)
    assert {(n["title"], n["path"], n["chunks"]) for n in nodes} == expected
    assert len(expected) >= 4


def test_an_unknown_verdict(repo: Repository) -> None:
    session = repo.rearrange_session("dev")
    session.move("/X", "/lon")
    session.commit("move")
    write(repo, "main", 0, 1)
    assert verdict(repo, "dev")["state"] == "unknown"
    assert "moves nodes" in str(verdict(repo, "dev")["text"])
    assert verdict(repo, "main", "dev")["state"] == "conflicts"  # over a move nothing is rebased
    assert of_branch(repo, listing(repo), "dev", "main", lambda: True) is None


def test_sessions() -> None:
    repo = climate()
    assert of_session(repo.readonly_session("main")) is None
    session = clash(repo)
    result = of_session(session)
    assert result is not None
    assert result["text"] == "2 chunk conflicts with main"
    fresh = repo.writable_session("main")
    array(fresh)[0] = 1
    assert of_session(fresh) == {
        "state": "ahead", "text": "on the tip of main", "ours": 0, "theirs": 0, "chunks": 0,
        "nodes": [],
    }  # fmt: skip


def test_the_widget_finds_out_in_the_background(repo: Repository) -> None:
    write(repo, "dev", 0, 1)
    write(repo, "main", 0, 2)
    session = repo.writable_session("main")
    array(session)[0] = 3
    commit_value(repo, 0, 4, "newer")
    widget = History(repo, session)
    pushed: list[dict[str, object]] = []
    widget.send = lambda content, buffers=None: pushed.append(content)  # type: ignore[method-assign]
    first = widget.rebases("main", ["dev", "same", "", "missing"])
    assert first["verdicts"] == {"dev": None, "same": None, "": None}
    widget._dry_runs.join(20)
    found = {name: result for event in pushed for name, result in event["verdicts"].items()}  # type: ignore[attr-defined]
    assert {name: result["state"] for name, result in found.items()} == {
        "dev": "conflicts",
        "same": "behind",
        "": "conflicts",
    }
    assert widget.rebases("main", ["dev", "same", ""])["verdicts"] == found
    assert widget.rebases("missing", ["dev"])["verdicts"] == {}


def test_a_merged_branch_is_behind() -> None:
    repo = climate()
    repo.create_branch("side", repo.lookup_branch("main"))
    write(repo, "side", 0, 1.0)
    write(repo, "main", -1, 2.0)
    repo.merge("side")
    found = verdict(repo, "side")
    assert (found["state"], found["text"]) == ("behind", "main has all of it")
    assert (found["ours"], found["theirs"]) == (0, 2)
