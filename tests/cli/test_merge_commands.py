"""Merging and what goes with it on the command line."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from icechunk import Repository
from tests.cli.commands import Commands
from tests.repositories import edit


def run(command: Commands, *words: str, status: int = 0) -> str:
    """What a command prints, errors included."""
    ran = command(*words)
    assert ran.status == status, ran
    return ran.out + ran.err


def conflict(repo: Repository) -> None:
    """Let dev write the chunk that main wrote."""
    session = repo.writable_session("dev")
    edit(session, (0, 0), 9.0)
    session.commit("also on dev")


def test_merge(icechunk_command: Commands, place: str, repo: Repository) -> None:
    before = repo.lookup_branch("main")
    assert "main would get a commit: 1 chunk of 1 array" in run(
        icechunk_command, "merge", place, "dev", "--dry-run"
    )
    assert repo.lookup_branch("main") == before
    done = json.loads(run(icechunk_command, "merge", place, "dev", "-m", "both", "--json"))
    assert done["outcome"] == "merged"
    assert repo.lookup_branch("main") == done["snapshot_id"]
    assert repo.lookup_snapshot(done["snapshot_id"]).message == "both"
    assert "main has these changes already" in run(icechunk_command, "merge", place, "dev")
    assert run(icechunk_command, "merge-base", place, "main", "dev").strip() == repo.lookup_branch(
        "dev"
    )


def test_history_shows_the_parents_of_merges(
    icechunk_command: Commands, place: str, repo: Repository
) -> None:
    parents = [repo.lookup_branch("main"), repo.lookup_branch("dev")]
    assert "Merge: " not in run(icechunk_command, "log", place)
    run(icechunk_command, "merge", place, "dev")
    line = f"Merge: {' '.join(parents)}\n"
    for words in (("log", place), ("show", place), ("ancestry", place)):
        assert run(icechunk_command, *words).count(line) == 1
    assert json.loads(run(icechunk_command, "show", place, "--json"))["parents"] == parents
    # The second parent can be collected; the merge is still one.
    repo.delete_branch("dev")
    repo.garbage_collect(datetime(2900, 1, 1, tzinfo=UTC))
    assert run(icechunk_command, "log", place).count(line) == 1
    assert "error" not in run(icechunk_command, "doctor", place).lower()


def test_conflicts_are_listed_and_change_nothing(
    icechunk_command: Commands, place: str, repo: Repository, tmp_path: Path
) -> None:
    conflict(repo)
    before = repo.lookup_branch("main")
    shown = run(icechunk_command, "merge", place, "dev", status=1)
    assert "nothing was changed" in shown
    assert "chunk double update [0, 0]" in shown
    assert repo.lookup_branch("main") == before
    found = json.loads(run(icechunk_command, "merge", place, "dev", "--json", status=1))
    assert found["outcome"] == "conflicts"
    decisions = [
        {"path": one["path"], "type": one["type"], "choice": "source"} for one in found["conflicts"]
    ]
    file = tmp_path / "decisions.json"
    file.write_text(json.dumps(decisions))
    run(icechunk_command, "merge", place, "dev", "--decisions", str(file))
    assert repo.lookup_branch("main") != before


def test_picks_reverts_and_undo(icechunk_command: Commands, place: str, repo: Repository) -> None:
    before = repo.lookup_branch("main")
    run(icechunk_command, "cherry-pick", place, "dev")
    run(icechunk_command, "revert", place, "main")
    held = [repo.readonly_session(snapshot_id=one) for one in (before, repo.lookup_branch("main"))]
    assert held[0].diff(held[1]).is_empty()
    shown = run(icechunk_command, "undo", place, status=1)
    assert "would move main back to" in shown
    run(icechunk_command, "undo", place, "--yes")
    assert repo.lookup_snapshot(repo.lookup_branch("main")).message == "on dev"
    run(icechunk_command, "squash", place, "main~2", "-m", "one", status=1)
    run(icechunk_command, "squash", place, "main~2", "-m", "one", "--yes")
    assert [info.message for info in repo.ancestry(branch="main")][:1] == ["one"]


def test_blame(icechunk_command: Commands, place: str, repo: Repository) -> None:
    array = next(node.path for node in repo.readonly_session("main").nodes() if node.is_array)
    assert "second" in run(icechunk_command, "blame", place, array)
    form = json.loads(run(icechunk_command, "blame", place, f"{array}[0:1, 0:1]", "--json"))
    assert [one["message"] for one in form["commits"]] == ["second\nwith details"]
    assert "is not a region" in run(icechunk_command, "blame", place, f"{array}[0", status=1)


def test_bisect(icechunk_command: Commands, place: str, repo: Repository) -> None:
    tip = repo.lookup_branch("main")
    test = f"import sys; sys.exit('{{}}' == '{tip}')"
    shown = run(icechunk_command, "bisect", place, "main~1", "--", sys.executable, "-c", test)
    assert f"the first bad commit is {tip}" in shown
    assert "give the test" in run(icechunk_command, "bisect", place, "main~1", status=2)


def test_stashes(icechunk_command: Commands, place: str, repo: Repository) -> None:
    assert "no stashes" in run(icechunk_command, "stash", place)
    session = repo.writable_session("main")
    edit(session, (5, 5), 3.0)
    session.stash("for later")
    assert "for later" in run(icechunk_command, "stash", "list", place)
    assert "Chunks updated" in run(icechunk_command, "stash", "show", place, "0")
    assert "dropped stash 0" in run(icechunk_command, "stash", "drop", place)
    assert "no stash 3" in run(icechunk_command, "stash", "show", place, "3", status=1)


def test_cells(icechunk_command: Commands, place: str, repo: Repository) -> None:
    conflict(repo)
    shown = run(icechunk_command, "merge", place, "dev", status=1)
    assert "--cells auto" in shown
    assert "write --tolerance 1e-6" in run(
        icechunk_command, "merge", place, "dev", "--tolerance", "x", status=2
    )
    run(icechunk_command, "merge", place, "dev", "--cells", "auto", "--tolerance", "100,0")
    assert "main has these changes already" in run(icechunk_command, "merge", place, "dev")
