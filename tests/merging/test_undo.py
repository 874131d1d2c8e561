"""Taking back the newest operation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import zarr

from icechunk import Repository
from icechunk.core.errors import FormatError, SessionStateError
from tests.merging.worlds import array, branches, commit, new_repo, values, write


@pytest.fixture
def repo() -> Repository:
    return new_repo()


def test_a_commit_and_again(repo: Repository) -> None:
    before = repo.lookup_branch("main")
    tip = commit(repo, "main", write(0, 2, 5), "mine")
    planned = repo.undo(dry_run=True)
    assert planned.operation == f"commit {tip} `mine` on main"
    assert repo.lookup_branch("main") == tip
    done = repo.undo()
    assert (done.operation, done.done) == (planned.operation, True)
    assert repo.lookup_branch("main") == before
    assert values(repo) == [1] * 8
    repo.undo()
    assert repo.lookup_branch("main") == tip


def test_a_merge(repo: Repository) -> None:
    _, target = branches(repo, write(0, 2, 5), write(4, 6, 7))
    repo.merge("f")
    repo.undo()
    assert repo.lookup_branch("main") == target
    assert repo.merge("f").outcome == "merged"


def test_an_amend(repo: Repository) -> None:
    tip = commit(repo, "main", write(0, 2, 5))
    session = repo.writable_session("main")
    array(zarr.open_group(session.store))[0] = 9
    session.amend("other")
    repo.undo()
    assert repo.lookup_branch("main") == tip


def test_branches_and_tags(repo: Repository) -> None:
    tip = commit(repo, "main", write(0, 2, 5))
    repo.create_branch("f", tip)
    repo.undo()
    assert "f" not in repo.list_branches()
    repo.undo()
    repo.delete_branch("f")
    repo.undo()
    assert repo.lookup_branch("f") == tip
    repo.create_tag("v1", tip)
    repo.undo()
    assert repo.list_tags() == set()
    repo.create_tag("v1", tip)
    repo.delete_tag("v1")
    repo.undo()
    assert repo.lookup_tag("v1") == tip


def test_a_dropped_stash(repo: Repository) -> None:
    session = repo.writable_session("main")
    array(zarr.open_group(session.store))[0] = 9
    stashed = session.stash("mine")
    repo.drop_stash()
    assert repo.undo().operation == "drop of a stash"
    assert [one.snapshot_id for one in repo.stashes()] == [stashed]


def test_maintenance_is_passed_over(repo: Repository) -> None:
    before = repo.lookup_branch("main")
    commit(repo, "main", write(0, 2, 5))
    repo.garbage_collect(datetime.now(UTC) - timedelta(days=1))
    repo.undo()
    assert repo.lookup_branch("main") == before


def test_refused(repo: Repository) -> None:
    repo.set_metadata({"x": 1})
    with pytest.raises(SessionStateError, match="MetadataChanged"):
        repo.undo()
    with pytest.raises(FormatError):
        new_repo(1).undo()


def test_what_was_collected_does_not_come_back(repo: Repository) -> None:
    tip = commit(repo, "main", write(0, 2, 5))
    repo.undo()
    repo.garbage_collect(datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(SessionStateError, match=f"snapshot {tip}, where main was before"):
        repo.undo()
