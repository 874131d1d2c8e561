from __future__ import annotations

import json

import pytest
import traitlets

from icechunk import RefNotFoundError
from icechunk_widgets.history.widget import History
from tests.widgets.scenes import array, climate, commit_value


def ask(widget: History, method: str, **params: object) -> object:
    reply, _ = widget.respond({"id": 1, "method": method, "params": params})
    json.dumps(reply, allow_nan=False)
    assert reply["ok"], reply
    return reply["result"]


def test_requests_of_the_view() -> None:
    repo = climate()
    base = repo.lookup_branch("main")
    tip = commit_value(repo, 0, 1, "next")
    session = repo.writable_session("main")
    array(session)[0] = 2
    widget = History(repo, session)
    held = ask(widget, "history")
    assert held["session"]["dirty"]  # type: ignore[index]
    assert ask(widget, "commit", id=tip)["changes"]["counts"]["chunks"] == 4  # type: ignore[index]
    summary = ask(widget, "diff_summary", a=base, b=tip)
    assert [node["path"] for node in summary["nodes"]] == ["/SST"]  # type: ignore[index]
    reverse = ask(widget, "diff_summary", a=tip, b=base)
    assert reverse["counts"]["changed"] == 1  # type: ignore[index]


def test_an_unknown_commit_is_an_answer() -> None:
    reply, _ = History(climate()).respond({"id": 1, "method": "commit", "params": {"id": "no"}})
    assert reply["error"]["kind"] == "invalid-snapshot-id"


def test_the_selection_is_a_trait() -> None:
    widget = History(climate(), selected=["a"])
    assert widget.selected == ["a"]
    with pytest.raises(traitlets.TraitError):
        widget.selected = ["a", "b", "c"]


def test_one_ref_only() -> None:
    repo = climate()
    repo.create_branch("dev", repo.lookup_branch("main"))
    commit_value(repo, 0, 1, "on main")
    assert next(row["message"] for row in History(repo, ref="dev").commits) == "base"
    assert History(repo, ref="dev").title == "History of dev"
    with pytest.raises(RefNotFoundError, match="no branch, tag or snapshot `nope`"):
        History(repo, ref="nope")
    with pytest.raises(TypeError, match="Repository"):
        History("path")  # type: ignore[arg-type]


def test_text_and_html_forms() -> None:
    repo = climate()
    for number in range(60):
        with repo.transaction("main", message=f"<b>commit {number}</b>\nmore") as store:
            import zarr

            zarr.open_array(store, path="X")[0] = number
    widget = History(repo)
    assert "commit 59" in repr(widget)
    assert "(main)" in repr(widget)
    assert "and 42 more" in repr(widget)
    html = widget.static_html()
    assert "<b>" not in html
    assert "&lt;b&gt;commit 59" in html
    assert "and 12 more" in html
    bundle = widget._repr_mimebundle_()
    assert bundle is not None
    assert set(bundle[0]) >= {
        "text/plain",
        "text/html",
        "application/vnd.jupyter.widget-view+json",
    }
    assert "commit 59" in bundle[0]["text/plain"]


def test_what_a_saved_page_needs_is_answered() -> None:
    repo = climate()
    base = repo.lookup_branch("main")
    repo.create_branch("dev", base)
    tip = commit_value(repo, 0, 1, "on main")
    dev = repo.writable_session("dev")
    array(dev)[0] = 2
    dev.commit("on dev")
    session = repo.writable_session("main")
    array(session)[1] = 3
    widget = History(repo, session)
    answers: dict[str, object] = {}
    for method, params in widget.saved_requests():
        answers.setdefault(method, ask(widget, method, **params))
    verdicts = answers["rebases"]["verdicts"]  # type: ignore[index]
    assert {name: told["state"] for name, told in verdicts.items()} == {
        "": "ahead",
        "main": "same",
        "dev": "conflicts",
    }
    assert answers["activity"][tip]["chunks"] == 4  # type: ignore[index]
    assert set(answers) == {"history", "commit", "tree", "activity", "rebases", "diff_summary"}
    repo.storage.delete([f"transactions/{tip}"])
    again = History(type(repo).open(repo.storage))
    assert ask(again, "activity", ids=[tip, base])[tip] is None  # type: ignore[index]
    assert ask(again, "activity", ids=[tip, base])[base]["chunks"] == 11  # type: ignore[index]
