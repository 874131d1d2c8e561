"""Upkeep by one library, work by the other."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import icechunk
from tests.maintenance.histories import (
    FAR,
    amend,
    at,
    cells,
    commit,
    flush,
    messages,
    moment,
    names,
    start,
)
from tests.oracle import run_reference

pytestmark = pytest.mark.oracle

TELL = """
import icechunk as ic, zarr
from datetime import datetime, timezone
folder = args[0]
repo = ic.Repository.open(ic.local_filesystem_storage(folder))
FAR = datetime(2100, 1, 1, tzinfo=timezone.utc)
def line(**where):
    return [[i.id, i.parent_id] for i in repo.ancestry(**where)]
def cells(**where):
    return zarr.open_array(repo.readonly_session(**where).store, path="a", mode="r")[:].tolist()
def commit(value, branch="main", where=0):
    session = repo.writable_session(branch)
    zarr.open_array(session.store, path="a", mode="r+")[where] = value
    return session.commit(f"c{value}")
def tell():
    return {
        "branches": {b: line(branch=b) for b in sorted(repo.list_branches())},
        "tags": {t: line(tag=t) for t in sorted(repo.list_tags())},
        "cells": {b: cells(branch=b) for b in sorted(repo.list_branches())},
    }
"""


def tell(repo: icechunk.Repository) -> dict[str, Any]:
    def line(**where: str) -> list[list[str | None]]:
        return [[info.id, info.parent_id] for info in repo.ancestry(**where)]

    branches = sorted(repo.list_branches())
    return {
        "branches": {name: line(branch=name) for name in branches},
        "tags": {name: line(tag=name) for name in sorted(repo.list_tags())},
        "cells": {name: cells(repo, name) for name in branches},
    }


@pytest.fixture(params=[1, 2])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> icechunk.Repository:
    return start("local", tmp_path, spec_version=request.param)


def grow(repo: icechunk.Repository) -> datetime:
    """Commits, a side branch, tags, leftovers; a moment, and more commits."""
    first = commit(repo, 2, where=1)
    repo.create_tag("old", commit(repo, 3, where=2))
    repo.create_branch("side", first)
    for value in (4, 5):
        commit(repo, value, "side", 3)
    flush(repo, 6)
    back = repo.lookup_branch("main")
    commit(repo, 7)
    repo.reset_branch("main", back)
    commit(repo, 8)
    if repo.spec_version == 2:
        amend(repo, 9)
    then = moment()
    for value in (10, 11):
        commit(repo, value, where=value % 4)
    return then


def test_our_upkeep_then_the_references_work(repo: icechunk.Repository, tmp_path: Path) -> None:
    then = grow(repo)
    repo.expire_snapshots(then)
    summary = repo.garbage_collect(FAR)
    assert summary.snapshots_deleted > 0
    folder = tmp_path / "repo"
    theirs = run_reference(
        TELL
        + """
seen = tell()
tip = commit(50)
history = [i.id for i in repo.ancestry(branch="main")]
diff = repo.diff(from_snapshot_id=history[-1], to_branch="main")
gc = repo.garbage_collect(FAR)
result = {
    "seen": seen, "tip": tip, "after": cells(branch="main"),
    "new_arrays": sorted(diff.new_arrays), "chunks": diff.updated_chunks.get("/a"),
    "deleted": [gc.bytes_deleted, gc.snapshots_deleted, gc.transaction_logs_deleted,
                gc.manifests_deleted, gc.chunks_deleted],
}
""",
        folder,
    )
    assert theirs["seen"] == tell_before(theirs["seen"], repo)
    assert theirs["deleted"] == [0, 0, 0, 0, 0]
    assert repo.lookup_branch("main") == theirs["tip"]
    assert cells(repo) == theirs["after"]
    if repo.spec_version == 2:  # spec 1 keeps no logs of expired commits
        assert theirs["new_arrays"] == ["/a"]
        assert sorted(theirs["chunks"]) == [[0], [1], [2], [3]]
    assert messages(repo)[0] == "c50"


def tell_before(seen: dict[str, Any], repo: icechunk.Repository) -> dict[str, Any]:
    """What we see, without the commit that the reference added to main."""
    ours = tell(repo)
    ours["branches"]["main"] = ours["branches"]["main"][1:]
    ours["cells"]["main"] = at(repo, ours["branches"]["main"][0][0])
    return ours


def test_the_references_upkeep_then_our_work(repo: icechunk.Repository, tmp_path: Path) -> None:
    then = grow(repo)
    folder = tmp_path / "repo"
    theirs = run_reference(
        TELL
        + """
then = datetime.fromisoformat(args[1])
expired = repo.expire_snapshots(then)
gc = repo.garbage_collect(FAR)
result = {"seen": tell(), "expired": sorted(expired)}
""",
        folder,
        then.isoformat(),
    )
    assert theirs["expired"]
    repo = icechunk.Repository.open(repo.storage)
    assert tell(repo) == theirs["seen"]
    assert repo.garbage_collect(FAR) == icechunk.maintenance.gc_summary.GCSummary()
    history = [info.id for info in repo.ancestry(branch="main")]
    if repo.spec_version == 2:
        told = repo.diff(from_snapshot_id=history[-1], to_branch="main")
        assert told.new_arrays == {"/a"}
        assert sorted(told.updated_chunks["/a"]) == [[0], [1], [2], [3]]
    commit(repo, 50)
    repo.expire_snapshots(FAR)
    repo.garbage_collect(FAR)
    seen = run_reference(TELL + "result = tell()", folder)
    assert seen == tell(repo)
    assert seen["cells"]["main"][0] == 50


@pytest.mark.parametrize("branches", [False, True])
@pytest.mark.parametrize("tags", [False, True])
def test_both_cut_the_same(
    repo: icechunk.Repository, tmp_path: Path, branches: bool, tags: bool
) -> None:
    """The same history in two copies: the same result, snapshot by snapshot and file by file."""
    then = grow(repo)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "repo", copy)
    theirs = run_reference(
        TELL
        + """
then, branches, tags = datetime.fromisoformat(args[1]), args[2], args[3]
first = repo.expire_snapshots(
    then, delete_expired_branches=branches, delete_expired_tags=tags)
counts = []
for when in (then, FAR):
    gc = repo.garbage_collect(when)
    counts.append([gc.bytes_deleted, gc.snapshots_deleted, gc.transaction_logs_deleted,
                   gc.manifests_deleted, gc.chunks_deleted])
second = repo.expire_snapshots(
    FAR, delete_expired_branches=branches, delete_expired_tags=tags)
result = [sorted(first), counts, sorted(second), tell()]
""",
        copy,
        then.isoformat(),
        branches,
        tags,
    )
    first = repo.expire_snapshots(then, delete_expired_branches=branches, delete_expired_tags=tags)
    counts = []
    for when in (then, FAR):
        gc = repo.garbage_collect(when)
        counts.append(
            [
                gc.bytes_deleted,
                gc.snapshots_deleted,
                gc.transaction_logs_deleted,
                gc.manifests_deleted,
                gc.chunks_deleted,
            ]
        )
    second = repo.expire_snapshots(FAR, delete_expired_branches=branches, delete_expired_tags=tags)
    if repo.spec_version == 1:
        # Expiration of spec 1 rewrites files, which makes them young; the reference then deletes
        # what such a file refers to before the file, we delete both together later.
        counts, theirs[1] = (
            [sum(kind) for kind in zip(*counts, strict=True)],
            [sum(kind) for kind in zip(*theirs[1], strict=True)],
        )
        counts[0], theirs[1][0] = 0, 0  # the rewritten files differ in size
    assert [sorted(first), counts, sorted(second), tell(repo)] == theirs
    other = icechunk.Repository.open(icechunk.local_filesystem_storage(copy, durable=False))
    for kind in ("snapshots", "transactions", "manifests", "chunks"):
        assert names(repo, kind) == names(other, kind)


def test_rewritten_manifests_are_read_by_the_reference(
    repo: icechunk.Repository, tmp_path: Path
) -> None:
    grow(repo)
    fine = icechunk.Repository.open(
        repo.storage,
        icechunk.RepositoryConfig(
            manifest=icechunk.ManifestConfig(
                splitting=icechunk.ManifestSplittingConfig.from_dict(
                    {
                        icechunk.ManifestSplitCondition.any_array(): {
                            icechunk.ManifestSplitDimCondition.Any(): 1
                        }
                    }
                )
            )
        ),
    )
    tip = fine.rewrite_manifests("split", branch="main")
    seen = run_reference(
        TELL
        + """
tip, = args[1:]
files = len(repo.list_manifest_files(tip))
metadata = repo.lookup_snapshot(tip).metadata
commit(60)
result = [files, metadata, cells(branch="main")]
""",
        tmp_path / "repo",
        tip,
    )
    assert seen[0] == 4
    assert seen[1] == repo.lookup_snapshot(tip).metadata
    assert seen[2] == cells(repo)
    assert seen[2][0] == 60
