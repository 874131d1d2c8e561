"""What the views say when a repository, a commit or a chunk is not what it was."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import icechunk
from icechunk_widgets.diff.widget import Diff
from icechunk_widgets.history.widget import History
from icechunk_widgets.kernel.widget import BaseWidget
from tests.widgets.scenes import array, climate, commit_value


def refused(widget: BaseWidget, method: str, **params: object) -> dict[str, str]:
    reply, buffers = widget.respond({"id": 1, "method": method, "params": params})
    assert not reply["ok"]
    assert buffers == []
    error: dict[str, str] = reply["error"]
    assert "Traceback" not in str(error)
    assert error["hint"], error
    return error


def answered(widget: BaseWidget, method: str, **params: object) -> Any:
    reply, _ = widget.respond({"id": 1, "method": method, "params": params})
    assert reply["ok"], reply
    return reply["result"]


def test_a_repository_that_vanished(tmp_path: Path) -> None:
    repo = climate(icechunk.local_filesystem_storage(str(tmp_path / "repo")))
    base = repo.lookup_branch("main")
    commit_value(repo, 0, 1, "next")
    history, diff = History(repo), Diff(repo, base, "main")
    answered(history, "history")
    shutil.rmtree(tmp_path / "repo")
    for method in ("history", "look"):
        error = refused(history, method)
        assert error["kind"] == "repository-not-found"
    assert refused(diff, "look")["kind"] == "repository-not-found"


@pytest.mark.parametrize("part", ["chunks", "snapshots"])
def test_a_chunk_that_cannot_be_decoded(tmp_path: Path, part: str) -> None:
    storage = icechunk.local_filesystem_storage(str(tmp_path / "repo"))
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    repo = icechunk.Repository.create(storage, config)
    import numpy as np
    import zarr

    session = repo.writable_session("main")
    whole = zarr.group(session.store).create_array("a", shape=(8,), chunks=(4,), dtype="f8")
    whole[:] = np.arange(8)
    first = session.commit("good")
    session = repo.writable_session("main")
    array(session, "a")[:] = 5
    second = session.commit("changed")
    for file in (tmp_path / "repo" / part).rglob("*"):
        if file.is_file():
            file.write_bytes(bytes(len(file.read_bytes())))
    again = icechunk.Repository.open(storage)
    if part == "snapshots":
        history = History(again)
        assert answered(history, "history")["count"] == 3  # the list is elsewhere
        error = refused(history, "commit", id=second)
        assert error["kind"] == "invalid-file-format"
        assert "intact Icechunk object" in error["hint"]
        return
    diff = Diff(again, first, second)
    params = {"path": "/a", "chunk": [0], "sides": ["before", "after"], "index": None}
    pictures = answered(diff, "preview", **params)["sides"]
    assert all("a chunk of `/a` cannot be decoded" in side["unread"] for side in pictures)
    assert [side["stats"]["count"] for side in pictures] == [0, 0]
    told = answered(diff, "magnitudes", path="/a", chunks=[[0], [1]])
    assert told["chunks"] == [{"equal": None, "largest": None}] * 2
    assert len(answered(diff, "writers", path="/a", chunk=[0])["commits"]) == 2
    assert answered(diff, "sizes", path="/a")["stored"] == 2


def test_a_session_that_became_read_only() -> None:
    repo = climate()
    session = repo.writable_session("main")
    array(session)[0] = 1
    history, diff = History(repo, session), Diff(repo, None, session)
    assert answered(history, "history")["session"]["dirty"]
    session.commit("done")
    assert answered(history, "history")["session"] is None
    assert answered(history, "rebases", onto="main", branches=["", "main"])["onto"] == "main"
    history._dry_runs.join(10)
    assert answered(diff, "diff")["counts"]["chunks"] == 4
