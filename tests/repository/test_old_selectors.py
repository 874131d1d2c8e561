"""Older names of the arguments that select a snapshot."""

from __future__ import annotations

import pytest

import icechunk
from tests.repositories import edit, with_grid


def test_snapshot_is_snapshot_id() -> None:
    repo, first = with_grid(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    edit(session, (0, 0), 5)
    second = session.commit("second")
    wanted = repo.diff(from_snapshot_id=first, to_snapshot_id=second)
    assert not wanted.is_empty()
    assert repo.diff(from_snapshot=first, to_snapshot=second) == wanted
    assert repo.diff(from_snapshot=first, to_branch="main") == wanted
    assert list(repo.ancestry(snapshot=second)) == list(repo.ancestry(snapshot_id=second))
    assert repo.readonly_session(snapshot=first).snapshot_id == first


@pytest.mark.parametrize(
    "selectors",
    [
        {"from_snapshot": "X", "from_snapshot_id": "X", "to_branch": "main"},
        {"from_snapshot": "X", "from_branch": "main", "to_branch": "main"},
        {"from_branch": "main", "to_snapshot": "X", "to_tag": "X"},
        {"from_branch": "main"},
    ],
)
def test_one_selector_for_each_side(selectors: dict[str, str]) -> None:
    repo, _ = with_grid(icechunk.in_memory_storage())
    with pytest.raises(ValueError, match="Must provide one of"):
        repo.diff(**selectors)
