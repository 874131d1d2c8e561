"""Invariants of histories and listings."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from icechunk.core.ids import INITIAL_SNAPSHOT_ID, id_text
from icechunk.core.paths import by_segments
from icechunk.snapshots import SnapshotInfo
from icechunk.store import IcechunkStore
from icechunk.testing.models import ModelStore

__all__ = [
    "assert_ancestry_invariants",
    "assert_list_dir_equal",
    "assert_moves_sorted_by_final_path",
    "compare_list_dir",
]


def assert_ancestry_invariants(
    ancestry: list[SnapshotInfo],
    known_commits: set[str] | None = None,
    *,
    must_contain_initial: bool = True,
) -> None:
    """A history is one chain, newest first, without repetition, down to a root.

    Parameters
    ----------
    ancestry : list of SnapshotInfo
        What `Repository.ancestry` gives.
    known_commits : set of str, optional
        Ids that may occur; all when absent.
    must_contain_initial : bool
        The root must be the first snapshot of the repository; else any without a parent will do.

    Raises
    ------
    AssertionError
        When something does not hold; says what.
    """
    assert ancestry, "the history is empty"
    ids = [info.id for info in ancestry]
    assert len(set(ids)) == len(ids), f"snapshots occur more than once: {ids}"
    for child, parent in pairwise(ancestry):
        assert child.parent_id == parent.id, f"{child.id} is followed by {parent.id}, no parent"
        assert child.written_at > parent.written_at, f"{child.id} is not newer than its parent"
    assert ancestry[-1].parent_id is None, f"the history ends at {ids[-1]}, which has a parent"
    if must_contain_initial:
        assert ids[-1] == id_text(INITIAL_SNAPSHOT_ID), f"the history begins with {ids[-1]}"
    if known_commits is not None:
        assert set(ids) <= known_commits, f"unknown snapshots {set(ids) - known_commits}"


def assert_moves_sorted_by_final_path(moved_nodes: list[tuple[str, str]]) -> None:
    """Moves are sorted by target, segment by segment: ``/a``, ``/a/b``, ``/a-b``."""
    finals = [final for _, final in moved_nodes]
    assert finals == sorted(finals, key=by_segments), f"moves are not sorted: {finals}"


def assert_list_dir_equal(path: str, expected: list[str], actual: list[str]) -> None:
    """Two listings of a folder agree, but ``c`` of an array without chunks may be listed."""
    wanted, found = sorted(set(expected) - {"c"}), sorted(set(actual) - {"c"})
    assert wanted == found, f"listing {path!r}: expected {wanted}, got {found}"
    assert len(set(actual)) == len(actual), f"listing {path!r}: names occur twice in {actual}"


async def compare_list_dir(model: ModelStore, store: IcechunkStore, paths: Iterable[str]) -> None:
    """List folders in a model and in a store, and assert that they agree."""
    for path in paths:
        expected = [name async for name in model.list_dir(path)]
        actual = [name async for name in store.list_dir(path)]
        assert_list_dir_equal(path, expected, actual)
