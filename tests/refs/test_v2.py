"""The state that a handle keeps between its own changes."""

from __future__ import annotations

import icechunk
from icechunk.spec.flatbuffers import flex


def test_a_handle_keeps_metadata_of_commits_as_it_wrote_them() -> None:
    """Else every commit would encode those of all commits that the handle made before."""
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    given = [{"number": number, "nested": {"list": [1, None]}} for number in range(5)]
    for metadata in given:
        repo.writable_session("main").commit("one", metadata, allow_empty=True)
    packed = repo._ctx.ref_store.state().snapshots.packed
    kept = [packed.values.raw(row) for row in range(len(packed.values))]
    assert [flex.encode(one["nested"]) for one in given] == kept[1::2]
    found = [commit.metadata for commit in repo.ancestry(branch="main")]
    assert found[:5] == given[::-1]
