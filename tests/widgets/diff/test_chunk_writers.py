from __future__ import annotations

import numpy as np

from icechunk_widgets.arrays.chunk_refs import sizes, written
from icechunk_widgets.commits.tree import tree_at
from icechunk_widgets.diff.chunk_writers import writers
from icechunk_widgets.diff.widget import Diff
from icechunk_widgets.history.widget import History
from tests.widgets.scenes import GRID, array, climate, commit_value


def test_the_commits_that_wrote_a_chunk() -> None:
    repo = climate()
    commit_value(repo, np.s_[:2], 1, "first half")
    commit_value(repo, np.s_[2:], 2, "second half")
    commit_value(repo, np.s_[0, 0, 0], 3, "one value")
    session = repo.readonly_session("main")

    def found(chunk: list[int]) -> list[str]:
        told = writers(session, "/SST", chunk)
        assert told["last"] is None
        return [row["message"] for row in told["commits"]]

    assert found([0, 0, 0]) == ["one value", "first half", "base"]
    assert found([0, 1, 0]) == ["first half", "base"]
    assert found([1, 1, 1]) == ["second half", "base"]
    base = writers(session, "/SST", [1, 1, 1])["commits"][-1]
    assert (base["made"], base["wrote"], base["author"]) == (True, True, "Ana")
    assert writers(session, "/nothing", [0])["commits"] == []


def test_it_goes_on_where_it_stopped() -> None:
    repo = climate()
    for number in range(5):
        commit_value(repo, 0, number, f"step {number}")
    session = repo.readonly_session("main")
    told = writers(session, "/SST", [0, 0, 0], seconds=0)
    messages = []
    for _ in range(10):
        messages += [row["message"] for row in told["commits"]]
        assert told["looked"] == 1
        if told["last"] is None:
            break
        told = writers(session, "/SST", [0, 0, 0], told["last"], seconds=0)
    assert messages == ["step 4", "step 3", "step 2", "step 1", "step 0", "base"]


def test_uncommitted_changes_and_moved_arrays() -> None:
    repo = climate()
    rearranged = repo.rearrange_session("main")
    rearranged.move("/SST", "/sea")
    rearranged.commit("move")
    session = repo.writable_session("main")
    array(session, "sea")[0, 0, 0] = 5
    told = writers(session, "/sea", [0, 0, 0])
    assert told["uncommitted"]
    assert [row["message"] for row in told["commits"]] == ["base"]
    assert not writers(session, "/sea", [1, 1, 1])["uncommitted"]


def test_a_history_that_lost_its_logs_is_said(monkeypatch: object) -> None:
    repo = climate()
    tip = commit_value(repo, 0, 1, "next")
    commit_value(repo, 0, 2, "newest")
    repo.storage.delete([f"transactions/{tip}"])
    import icechunk

    again = icechunk.Repository.open(repo.storage)
    told = writers(again.readonly_session("main"), "/SST", [0, 0, 0])
    assert [row["message"] for row in told["commits"]] == ["newest"]
    assert told["last"] is None
    assert "object-not-found" in told["note"]


def test_sizes_come_from_the_references() -> None:
    repo = climate()
    session = repo.writable_session("main")
    array(session)[:2, :3, :4] = np.nan  # the fill value: that chunk goes
    session.commit("less")
    found = sizes(repo.readonly_session("main"), "/SST", GRID)
    assert found is not None
    assert np.isnan(found[0])
    assert np.all(found[1:] > 0)
    widget = Diff(repo, repo.lookup_branch("main"), "main")
    reply, buffers = widget.respond({"id": 1, "method": "sizes", "params": {"path": "/SST"}})
    told = reply["result"]
    assert (told["stored"], told["side"]) == (7, "after")
    assert told["total"] == int(found[1:].sum())
    assert np.array_equal(np.frombuffer(buffers[0], "<f4"), found, equal_nan=True)
    held = written(repo, repo.lookup_branch("main"))
    assert held == {"chunks": 1, "bytes": 0}


def test_the_tree_of_a_commit() -> None:
    repo = climate()
    told = tree_at(repo, repo.lookup_branch("main"))
    assert [node["path"] for node in told["nodes"]] == ["/", "/SST", "/TIME", "/X", "/Y"]
    sst = told["nodes"][1]
    assert (sst["shape"], sst["dims"], sst["dtype"]) == ([4, 6, 8], ["TIME", "Y", "X"], "float32")
    dataset = next(one for one in told["python"] if one["group"] == "/")
    names: dict[str, object] = {"repo": repo, "xarray": __import__("xarray")}
    exec("\n".join(dataset["lines"]), names)
    assert dict(names["ds"].sizes) == {"TIME": 4, "Y": 6, "X": 8}  # type: ignore[attr-defined]


def test_a_look_refreshes_only_what_changed() -> None:
    repo = climate()
    session = repo.writable_session("main")
    history, diff = History(repo, session), Diff(repo, "main", session)
    history.columns()
    diff.summary()
    for widget in (history, diff):
        widget.look()
        assert widget.revision == 0
    array(session)[0] = 1
    for widget in (history, diff):
        widget.look()
        assert widget.revision == 1
        widget.look()
        assert widget.revision == 1
    commit_value(repo, 0, 4, "another session")
    history.look()
    assert history.revision == 2
