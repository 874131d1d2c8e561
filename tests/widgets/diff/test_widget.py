from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from icechunk import RefNotFoundError
from icechunk_widgets.diff.widget import Diff
from tests.widgets.scenes import array, climate, commit_value


def ask(widget: Diff, method: str, **params: Any) -> tuple[Any, list[bytes]]:
    reply, buffers = widget.respond({"id": 1, "method": method, "params": params})
    json.dumps(reply, allow_nan=False)
    assert reply["ok"], reply
    return reply["result"], buffers


def test_requests_of_the_view() -> None:
    repo = climate()
    repo.create_tag("v1", repo.lookup_branch("main"))
    commit_value(repo, np.s_[:2], 500, "next")
    widget = Diff(repo, "v1", "main")
    summary, _ = ask(widget, "diff")
    assert summary["a"]["label"].startswith("v1 (")
    assert summary["counts"]["chunks"] == 4
    held, (cells,) = ask(widget, "chunk_map", path="/SST")
    assert np.frombuffer(cells, np.uint8).tolist() == [1] * 4 + [0] * 4
    picture, (before, after) = ask(
        widget, "preview", path="/SST", chunk=[0, 1, 0], sides=["before", "after"], index=None
    )
    assert [side["label"] for side in picture["sides"]] == [summary["a"]["label"],
                                                            summary["b"]["label"]]  # fmt: skip
    assert np.frombuffer(after, "<f4").tolist() == [500.0] * 12
    assert np.frombuffer(before, "<f4")[0] == 24.0
    assert picture["vmax"] == 500.0
    assert held["path"] == "/SST"


def test_a_session_against_its_base_follows_the_session() -> None:
    repo = climate()
    session = repo.writable_session("main")
    widget = Diff(repo, None, session)
    assert ask(widget, "diff")[0]["nodes"] == []
    assert "no differences" in repr(widget)
    array(session)[0, 0, 0] = 5
    assert ask(widget, "diff")[0]["counts"]["chunks"] == 1
    session.commit("done")
    widget.refresh()
    assert widget.revision == 1
    assert ask(widget, "diff")[0]["counts"]["chunks"] == 1


def test_refresh_follows_a_branch() -> None:
    repo = climate()
    widget = Diff(repo, repo.lookup_branch("main"), "main")
    commit_value(repo, 0, 1, "next")
    assert ask(widget, "diff")[0]["nodes"] == []
    widget.refresh()
    assert ask(widget, "diff")[0]["counts"]["chunks"] == 4


def test_arguments() -> None:
    repo = climate()
    with pytest.raises(RefNotFoundError):
        Diff(repo, "main", "nope")
    with pytest.raises(TypeError, match="session"):
        Diff(repo, None, "main")
    with pytest.raises(TypeError, match="Repository"):
        Diff("repo", "a", "b")  # type: ignore[arg-type]


def test_errors_are_answers() -> None:
    widget = Diff(climate(), "main", "main")
    for method, params in (
        ("chunk_map", {"path": "/none"}),
        ("preview", {"path": "/none", "chunk": [0]}),
        ("preview", {"path": "/SST", "chunk": ["x"]}),
        ("preview", {"path": "/SST", "chunk": "xyz"}),
        ("preview", {"path": "/SST", "chunk": None}),
    ):
        reply, _ = widget.respond({"id": 1, "method": method, "params": params})
        assert not reply["ok"]
        assert reply["error"]["message"]


def test_static_form_has_a_map() -> None:
    repo = climate()
    base = repo.lookup_branch("main")
    commit_value(repo, np.s_[:2], 500, "next")
    html = Diff(repo, base, "main").static_html()
    assert 'src="data:image/png;base64,' in html
    assert "changed array, 4 of 8 chunks" in html
    assert "/SST: changed array, 4 of 8 chunks" in repr(Diff(repo, base, "main"))
    assert "No differences" in Diff(repo, "main", "main").static_html()
