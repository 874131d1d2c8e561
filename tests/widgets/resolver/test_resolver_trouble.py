"""What goes wrong beneath the resolver: it says what, and keeps the decisions."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import icechunk
from icechunk import IcechunkError, Repository, Session, SessionStateError
from icechunk_widgets.resolver.widget import ConflictResolver
from tests.widgets.scenes import array, clash, climate, commit_value, values

PREVIEW = {"path": "/SST", "chunk": [0, 0, 1], "sides": ["ours", "theirs", "base"]}


class Watched(ConflictResolver):
    """A resolver that keeps what it sends."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        super().__init__(*args, **options)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append(content)

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        return self.respond({"id": "1", "method": method, "params": params})[0]


def on_disk(place: Path) -> Repository:
    """The scene with every chunk in a file."""
    climate(icechunk.local_filesystem_storage(str(place)))
    config = icechunk.RepositoryConfig.default()
    config.inline_chunk_threshold_bytes = 0
    return Repository.open(icechunk.local_filesystem_storage(str(place)), config)


def damage(place: Path, repo: Repository) -> tuple[Repository, Session]:
    """Our session, and a repository in which what it wrote cannot be decoded."""
    commit_value(repo, np.s_[:], 1, "in files")
    kept = set((place / "chunks").iterdir())
    mine = clash(repo)
    for file in set((place / "chunks").iterdir()) - kept:
        file.write_bytes(bytes(file.stat().st_size))
    return repo, mine


def test_a_damaged_chunk_takes_only_its_own_picture_away(tmp_path: Path) -> None:
    _, mine = damage(tmp_path, on_disk(tmp_path))
    resolver = Watched(mine)
    reply = resolver.ask("preview", **PREVIEW)["result"]
    unread = {side["side"]: side.get("unread", "") for side in reply["sides"]}
    assert "cannot be decoded" in unread["ours"]
    assert unread["base"] == ""
    assert reply["sides"][2]["stats"]["mean"] == 1
    assert reply["difference"] is None


def test_rules_and_merges_pass_over_damaged_chunks(tmp_path: Path) -> None:
    _, mine = damage(tmp_path, on_disk(tmp_path))
    resolver = Watched(mine)
    told = resolver.ask("rule", path="/SST", rule="mine-where-close")["result"]
    assert (told["takes"], told["looked"], told["unreadable"]) == (0, 2, 2)
    merged = resolver.ask("merge", path="/SST")["result"]
    assert (merged["merged"], merged["left"], merged["unreadable"]) == (0, 0, 2)
    assert resolver.ask("merge", path="/SST", both="ours")["result"]["merged"] == 0
    error = resolver.ask("cells", path="/SST", chunk=[0, 0, 1])["error"]
    assert error["hint"] == "Decide it without its values, or write the chunk again"
    assert "SST" in resolver.static_html()
    resolver.decide("/SST", "theirs")
    resolver.complete("theirs are whole")
    assert resolver.status == "committed"


def test_a_repository_that_vanished(tmp_path: Path) -> None:
    mine = clash(on_disk(tmp_path / "repo"))
    resolver = Watched(mine)
    resolver.decide("/SST", "ours", chunks=[(0, 0, 0)])
    shutil.rmtree(tmp_path / "repo")
    assert resolver.ask("conflicts")["result"]["undecided"] == 1
    resolver.decide("/SST", "theirs", chunks=[(0, 0, 1)])
    with pytest.raises(IcechunkError, match="doesn't exist"):
        resolver.complete("x")
    assert resolver.status == "failed"
    assert "Traceback" not in resolver.result
    assert "check whether" in resolver.result
    assert resolver.undecided == 0
    resolver.save(tmp_path / "kept.json")
    assert resolver.undo()


def test_a_session_committed_elsewhere_is_reported_before_completing() -> None:
    mine = clash(climate())
    resolver = Watched(mine)
    resolver.decide("/SST", "ours")
    mine.rebase(icechunk.BasicConflictSolver())
    mine.commit("elsewhere")
    for _ in range(2):
        assert resolver.ask("look")["ok"]
    moved = [message for message in resolver.sent if message.get("event") == "moved"]
    assert len(moved) == 1
    assert moved[0]["closed"]
    assert "committed elsewhere" in moved[0]["notice"]
    with pytest.raises(SessionStateError, match="committed elsewhere"):
        resolver.complete("x")
    assert resolver.decisions


def test_a_branch_that_moves_is_noticed_before_completing() -> None:
    repo = climate()
    resolver = Watched(clash(repo))
    resolver.decide("/SST", "ours")
    resolver.ask("look")
    assert not [message for message in resolver.sent if message.get("event") == "moved"]
    tip = commit_value(repo, np.s_[:2, :3, :4], -7, "again\nand more")
    resolver.ask("look")
    told = resolver.sent[-1]
    assert told["event"] == "moved"
    assert f"main has moved to {tip[:8]}: “again”" in told["notice"]
    assert resolver.undecided == 0  # nothing has changed yet
    resolver.ask("renew")
    assert resolver.sent[-1]["event"] == "state"
    assert resolver.undecided == 1  # the other chunk is as it was
    resolver.decide("/SST", "theirs", chunks=[(0, 0, 0)])
    resolver.complete("x")
    assert (values(repo)[:2, :3, :4] == -7).all()
    assert (values(repo)[:2, :3, 4:] == -2).all()


def test_storage_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    repo = on_disk(tmp_path)
    mine = clash(repo)
    resolver = Watched(mine)
    resolver.decide("/SST", "ours", chunks=[(0, 0, 0)])

    def slow(*_: Any, **__: Any) -> Any:
        raise TimeoutError("no answer in 30 s")

    with monkeypatch.context() as patch:
        patch.setattr("icechunk.storage.local.LocalStorage.read_range", slow, raising=False)
        patch.setattr("icechunk.storage.local.LocalStorage.get", slow, raising=False)
        error = resolver.ask("rule", path="/SST", rule="mine-where-close").get("error")
        assert error is None or "no answer" in error["message"]
        resolver.decide("/SST", "theirs", chunks=[(0, 0, 1)])
        with pytest.raises(Exception, match="no answer"):
            resolver.complete("x")
        assert resolver.status == "failed"
        assert "Check that the storage can be reached" in resolver.result
    assert resolver.undecided == 0
    resolver.complete("the storage is back")
    assert resolver.status == "committed"
    assert (array(repo.readonly_session("main"), mode="r")[:2, :3, :4] == -2).all()
