"""Changes while a resolver is open: only decisions about them are made again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import Session, SessionStateError
from tests.widgets.scenes import GRID, array, clash, climate, commit_value, values
from tests.widgets.watched import Watched


def test_a_further_commit_brings_a_new_batch_and_keeps_the_rest() -> None:
    repo = climate()
    mine = clash(repo)  # conflicts: (0, 0, 0) and (0, 0, 1)
    resolver = Watched(mine, "merged")
    resolver.decide("/SST", "ours", chunks=[(0, 0, 0)])
    resolver.decide("/SST", "theirs", chunks=[(0, 0, 1)])
    commit_value(repo, np.s_[:2, :3, :4], -3, "rewrites one of the decided chunks")
    commit_value(repo, np.s_[2:, :3, :4], -4, "conflicts elsewhere")
    resolver.ask("complete")
    state = resolver.finish()
    assert state["event"] == "state"
    assert "2 decisions more" in state["notice"]
    assert (resolver.status, resolver.undecided, resolver.total) == ("pending", 2, 3)
    _, (raw,) = resolver.ask("chunk_map", path="/SST")
    cells = np.frombuffer(raw, np.uint8).reshape(GRID)
    assert cells[0, 0, 0] == 1  # theirs has changed since it was decided
    assert cells[0, 0, 1] == 3  # as decided
    assert cells[1, 0, 0] == 1  # new
    resolver.decide("/SST", "ours", chunks=[(0, 0, 0)])
    resolver.decide("/SST", "theirs", chunks=[(1, 0, 0)])
    resolver.complete()
    held = values(repo)
    assert (held[:2, :3, :4] == -2).all()
    assert (held[:2, :3, 4:] == -1).all()
    assert (held[2:, :3, :4] == -4).all()
    assert (held[2:, :3, 4:] == -2).all()


def test_headless_completion_tells_about_the_new_batch() -> None:
    repo = climate()
    resolver = Watched(clash(repo))
    resolver.decide("/SST", "ours")
    commit_value(repo, np.s_[2:], -4, "conflicts elsewhere")
    with pytest.raises(SessionStateError, match="missing"):
        resolver.complete("x")
    assert resolver.status == "pending"


def test_what_the_session_writes_meanwhile_is_asked_about_again() -> None:
    repo = climate()
    mine = clash(repo)
    resolver = Watched(mine)
    resolver.decide("/SST", "theirs")
    array(mine)[:2, :3, :4] = -9
    resolver.ask("complete")
    assert resolver.finish()["event"] == "state"
    assert resolver.undecided == 1
    resolver.decide("/SST", "ours")
    resolver.complete()
    assert (values(repo)[:2, :3, :4] == -9).all()


def test_a_commit_between_looking_and_rebasing_is_not_decided_unseen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repo = climate()
    mine = clash(repo)
    resolver = Watched(mine)
    resolver.decide("/SST", "ours")
    rebase = Session.rebase
    raced = []

    def late(session: Session, solver: Any) -> None:
        if not raced:
            raced.append(commit_value(repo, np.s_[:2, :3, :4], -7, "at the last moment"))
        rebase(session, solver)

    monkeypatch.setattr(Session, "rebase", late)
    resolver.ask("complete")
    assert resolver.finish()["event"] == "state"
    assert resolver.undecided == 1
    assert resolver.conflicts[0]["chunks"] == 1
    resolver.decide("/SST", "theirs")
    resolver.complete()
    held = values(repo)
    assert (held[:2, :3, :4] == -7).all()
    assert (held[:2, :3, 4:] == -2).all()


def test_a_commit_between_rebase_and_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    repo = climate()
    mine = clash(repo)
    resolver = Watched(mine)
    resolver.decide("/SST", "ours")
    commit = Session.commit
    raced = []

    def late(session: Session, *args: Any, **options: Any) -> str:
        if not raced and session == mine:
            raced.append(True)
            commit_value(repo, np.s_[2:, 3:], -7, "elsewhere")
        return commit(session, *args, **options)

    monkeypatch.setattr(Session, "commit", late)
    resolver.complete("x")
    assert resolver.status == "committed"
    assert (values(repo)[2:, 3:] == -7).all()
    assert (values(repo)[:, :3] == -2).all()


def test_a_decision_that_uncovers_another_conflict() -> None:
    repo = climate()
    first = repo.writable_session("main")
    zarr.open_group(first.store).create_group("g").attrs["n"] = 1
    first.commit("group")
    mine = repo.writable_session("main")
    root = zarr.open_group(mine.store)
    del root["g"]
    root.create_group("g").attrs["n"] = 2
    other = repo.writable_session("main")
    zarr.open_group(other.store)["g"].attrs["n"] = 3
    other.commit("theirs")
    resolver = Watched(mine)
    assert [item["type"] for item in resolver.conflicts] == ["DeleteOfUpdatedGroup"]
    resolver.decide("/g", "theirs")
    resolver.ask("complete")
    assert resolver.finish()["event"] == "state"
    assert resolver.undecided == 1
    kind = "NewNodeConflictsWithExistingNode"
    assert {item["type"] for item in resolver.conflicts} == {"DeleteOfUpdatedGroup", kind}
    resolver.decide("/g", "theirs", type=kind)
    resolver.complete("settled")
    assert resolver.status in ("committed", "rebased")
    tip = zarr.open_group(repo.readonly_session("main").store, mode="r")
    assert tip["g"].attrs["n"] == 3


def test_a_session_that_was_committed_meanwhile() -> None:
    repo = climate()
    mine = clash(repo)
    resolver = Watched(mine)
    resolver.decide("/SST", "ours")
    mine.rebase(icechunk.BasicConflictSolver())
    mine.commit("elsewhere")
    with pytest.raises(SessionStateError):
        resolver.complete("x")
    assert resolver.status == "failed"


def test_chunks_beyond_our_smaller_array() -> None:
    repo = climate()
    mine = repo.writable_session("main")
    commit_value(repo, np.s_[2:, 3:, 4:], 5, "the last chunk")
    array(mine).resize((2, 6, 8))
    resolver = Watched(mine)
    _, (raw,) = resolver.ask("chunk_map", path="/SST")
    cells = np.frombuffer(raw, np.uint8).reshape(GRID)
    assert cells[1].tolist() == [[5, 5], [5, 1]]  # only mine, and the one in conflict
    resolver.decide("/SST", "theirs")
    with pytest.raises(icechunk.InvalidInputError, match="no place"):
        resolver.complete("x")
    resolver.decide("/SST", "ours")
    resolver.complete("smaller")
    assert values(repo).shape == (2, 6, 8)
