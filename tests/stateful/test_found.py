"""Shortest examples of what the state machines found."""

from __future__ import annotations

import numpy as np
import pytest

import icechunk
from icechunk.spec.columns.id_columns import union
from tests.stateful.plain_store import chunk_key, config, starting_content, write


def test_young_detached_snapshots_survive_a_collection() -> None:
    """Those that the storage listed out of order were taken for unknown, and dropped."""
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), config())
    old = repo.writable_session("main").flush("before the cut-off")
    young = [repo.writable_session("main").flush(f"number {number}") for number in range(8)]
    cutoff = repo.lookup_snapshot(young[0]).written_at
    repo.garbage_collect(cutoff)
    assert [repo.lookup_snapshot(one).id for one in young] == young
    assert all(info.id != old for info in repo.ancestry(branch="main"))


def test_a_union_of_one_column_is_in_order_too() -> None:
    ids = np.array([b"b" * 12, b"a" * 12, b"b" * 12])
    assert union([ids[:0], ids]).tolist() == [b"a" * 12, b"b" * 12]


@pytest.mark.parametrize("version", [1, 2])
def test_a_difference_across_expired_commits_is_whole(version: int) -> None:
    """Version 1 keeps no trace of commits that expired: their logs cannot tell what changed."""
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), config(), spec_version=version)
    first = repo.lookup_branch("main")
    session = repo.writable_session("main")
    for key, document in starting_content().items():
        write(session, key, document)
    session.commit("expires")
    session = repo.writable_session("main")
    write(session, chunk_key(0, 0), b"abcd")
    tip = session.commit("stays")
    repo.expire_snapshots(repo.lookup_snapshot(tip).written_at)
    diff = repo.diff(from_snapshot_id=first, to_snapshot_id=tip, any_states=True)
    assert diff.new_arrays == {"/a0", "/a1"}
    assert diff.updated_chunks == {"/a0": [[0]]}
