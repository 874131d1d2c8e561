"""The state that a handle keeps between its own changes."""

from __future__ import annotations

from pathlib import Path

import pytest

import icechunk
from icechunk.config.limits import VARIABLE
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


def test_handles_opened_one_after_the_other_share_the_decoded_state(tmp_path: Path) -> None:
    repo = icechunk.Repository.create(icechunk.local_filesystem_storage(str(tmp_path)))
    opened = [
        icechunk.Repository.open(icechunk.local_filesystem_storage(str(tmp_path))) for _ in "ab"
    ]
    first, second = [each._ctx.ref_store.state() for each in opened]
    assert first is second
    opened[0].create_branch("dev", repo.lookup_branch("main"))
    assert "dev" in opened[1].list_branches()
    assert "dev" not in second.branches


def test_a_lower_limit_refuses_what_was_decoded_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    icechunk.Repository.create(icechunk.local_filesystem_storage(str(tmp_path)))
    icechunk.Repository.open(icechunk.local_filesystem_storage(str(tmp_path)))
    monkeypatch.setenv(VARIABLE, "64")
    with pytest.raises(icechunk.IcechunkError, match=VARIABLE):
        icechunk.Repository.open(icechunk.local_filesystem_storage(str(tmp_path)))
