"""Upgrades from spec 1 to spec 2, undisturbed, killed, and with old programs still writing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk.core.ids import parse_object_id
from icechunk.spec.refs_v1 import branch_key, encode_ref
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.codec import decode_repo
from icechunk.storage.memory import MemoryStorage
from tests.maintenance.dying import Death, DyingStorage
from tests.repositories import edit, grid_array, read, storage_of


def build(storage: icechunk.Storage) -> icechunk.Repository:
    """A repository of spec 1 with branches, tags, a deleted tag and a configuration."""
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=8)
    repo = icechunk.Repository.create(storage, config, spec_version=1)
    session = repo.writable_session("main")
    zarr.create_group(session.store)
    grid_array(session.store)
    first = session.commit("first", {"n": 1, "x": [1.5, None, "é"]})
    # Earlier programs made names that are refused today.
    storage.create(branch_key("dev ü"), encode_ref(parse_object_id(first)))
    for branch, value in (("main", 5), ("dev ü", 6), ("main", 7)):
        session = repo.writable_session(branch)
        edit(session, slice(0, 2), value)
        session.commit(f"{branch} {value}")
    repo.create_tag("v1", first)
    repo.create_tag("gone", first)
    repo.delete_tag("gone")
    return repo


def facts(repo: icechunk.Repository) -> dict[str, Any]:
    """Everything a user can see, in plain values."""
    branches = {name: repo.lookup_branch(name) for name in repo.list_branches()}
    tags = {name: repo.lookup_tag(name) for name in repo.list_tags()}
    history = {
        name: [
            (info.id, info.parent_id, info.written_at, info.message, info.metadata)
            for info in repo.ancestry(snapshot_id=tip)
        ]
        for name, tip in (branches | tags).items()
    }
    data = {
        snapshot: read(repo.readonly_session(snapshot_id=snapshot)).tolist()
        for snapshot in {*branches.values(), *tags.values()}
    }
    threshold = repo.config.inline_chunk_threshold_bytes
    return {"b": branches, "t": tags, "h": history, "d": data, "c": threshold}


def keys(storage: icechunk.Storage) -> set[str]:
    return {key for key, _ in storage.list_objects()}


@pytest.fixture(params=["memory", "local"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> icechunk.Storage:
    return storage_of(request.param, tmp_path)


def test_everything_is_as_it_was(storage: icechunk.Storage) -> None:
    repo = build(storage)
    before, files = facts(repo), keys(storage)
    contents = {key: storage.get(key).data for key in files if not key.startswith("refs/")}
    upgraded = icechunk.upgrade_icechunk_repository(repo, dry_run=False)
    assert upgraded.spec_version == 2
    assert facts(upgraded) == before
    assert facts(icechunk.Repository.open(storage)) == before
    gone = {key for key in files if key.startswith("refs/")} | {"config.yaml"}
    assert keys(storage) == (files - gone) | {"repo"}
    assert all(storage.get(key).data == contents[key] for key in files - gone)
    with pytest.raises(icechunk.AlreadyExistsError) as caught:
        upgraded.create_tag("gone", upgraded.lookup_branch("main"))
    assert caught.value.kind == "tag-previously-deleted"


def test_the_old_handle_says_what_to_use(storage: icechunk.Storage) -> None:
    repo = build(storage)
    session = repo.writable_session("main")
    edit(session, slice(4, 6), 1)
    upgraded = icechunk.upgrade_icechunk_repository(repo, dry_run=False)
    for use in (lambda: repo.list_branches(), lambda: repo.storage, lambda: str(repo)):
        with pytest.raises(RuntimeError, match="upgraded to a newer format"):
            use()
    assert isinstance(repo, icechunk.Repository)
    with pytest.raises(icechunk.FormatError, match="open the repository again"):
        session.commit("too late")
    assert facts(upgraded) == facts(icechunk.Repository.open(storage))


def test_the_upgraded_repository_takes_changes(storage: icechunk.Storage) -> None:
    upgraded = icechunk.upgrade_icechunk_repository(build(storage), dry_run=False)
    old_tip = upgraded.lookup_branch("main")
    session = upgraded.writable_session("main")
    edit(session, slice(2, 4), 9)
    new_tip = session.commit("on top")
    values = read(icechunk.Repository.open(storage).readonly_session("main"))
    assert np.array_equal(values[2:4], np.full((2, 8), 9, "f4"))
    assert (values[:2] == 7).all()
    assert upgraded.ancestry(branch="main")[1].id == old_tip
    diff = upgraded.diff(from_snapshot_id=old_tip, to_snapshot_id=new_tip)
    assert list(diff.updated_chunks) == ["/a"]


def test_a_dry_run_writes_nothing(storage: icechunk.Storage) -> None:
    repo = build(storage)
    files = keys(storage)
    same = icechunk.upgrade_icechunk_repository(repo, dry_run=True)
    assert same.spec_version == repo.spec_version == 1
    assert keys(storage) == files


def test_files_can_be_kept_and_removed_later(
    storage: icechunk.Storage, caplog: pytest.LogCaptureFixture
) -> None:
    repo = build(storage)
    files, before = keys(storage), facts(repo)
    kept = icechunk.upgrade_icechunk_repository(repo, dry_run=False, delete_unused_v1_files=False)
    assert keys(storage) == files | {"repo"}
    with caplog.at_level(logging.WARNING):
        assert facts(icechunk.Repository.open(storage)) == before
    assert "finish it" in caplog.text
    with pytest.raises(icechunk.SessionStateError, match="delete_unused_v1_files=True"):
        icechunk.upgrade_icechunk_repository(kept, dry_run=False, delete_unused_v1_files=False)
    again = icechunk.upgrade_icechunk_repository(kept, dry_run=False)
    assert facts(again) == facts(kept) == before
    assert not any(key.startswith(("refs/", "config")) for key in keys(storage))
    with pytest.raises(icechunk.SessionStateError) as caught:
        icechunk.upgrade_icechunk_repository(again, dry_run=False)
    assert caught.value.kind == "invalid-repository-migration"


def test_a_ref_to_nowhere_stops_it_and_is_named(storage: icechunk.Storage) -> None:
    repo = build(storage)
    storage.put("refs/tag.lost/ref.json", b'{"snapshot":"00000000000000000000"}')
    files = keys(storage)
    with pytest.raises(icechunk.FormatError, match="`lost`"):
        icechunk.upgrade_icechunk_repository(repo, dry_run=False)
    assert keys(storage) == files
    assert repo.spec_version == 1


def test_the_operations_log_tells_the_history(storage: icechunk.Storage) -> None:
    repo = build(storage)
    icechunk.upgrade_icechunk_repository(repo, dry_run=False)
    log = decode_repo(storage.get("repo").data).updates[:][::-1]
    assert isinstance(log[-1].kind, u.RepoMigrated)
    assert isinstance(log[0].kind, u.RepoInitialized)
    commits = [entry.kind for entry in log if isinstance(entry.kind, u.NewCommit)]
    assert [kind.branch for kind in commits] == ["main", "main", "dev ü", "main"]
    assert all(entry.backup_path is None for entry in log)
    times = [entry.updated_at for entry in log]
    assert times == sorted(set(times))


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_killed_at_any_call_nothing_is_lost(done: bool) -> None:
    count = DyingStorage(MemoryStorage())
    build(count)
    count.calls = 0
    upgrade_on(count)
    total, seen = count.calls, set()
    for at in range(total):
        inner = MemoryStorage()
        build(inner)
        before = facts(icechunk.Repository.open(inner))
        with pytest.raises(Death):
            upgrade_on(DyingStorage(inner, at, done))
        found = icechunk.Repository.open(inner)
        assert facts(found) == before
        left = any(key.startswith("refs/") or key == "config.yaml" for key in keys(inner))
        seen.add((int(found.spec_version), left))
        if left:
            found = icechunk.upgrade_icechunk_repository(found, dry_run=False)
        assert found.spec_version == 2
        assert facts(found) == before
        assert not any(key.startswith(("refs/", "config")) for key in keys(inner))
    assert seen >= {(1, True), (2, True)}


def upgrade_on(storage: icechunk.Storage) -> None:
    icechunk.upgrade_icechunk_repository(icechunk.Repository.open(storage), dry_run=False)


class TestOldPrograms:
    """Writers that still believe in spec 1: their refs change behind the repo object's back."""

    def half_way(
        self, edit_refs: Callable[[icechunk.Session, icechunk.Repository], None]
    ) -> tuple[icechunk.Storage, icechunk.Repository]:
        storage = MemoryStorage()
        repo = build(storage)
        old = icechunk.Repository.open(storage)
        session = old.writable_session("main")
        edit(session, slice(4, 6), 1)
        new = icechunk.upgrade_icechunk_repository(
            repo, dry_run=False, delete_unused_v1_files=False
        )
        hidden = storage._objects.pop("repo")  # what such a program does not look for
        edit_refs(session, new)
        storage._objects["repo"] = hidden
        return storage, new

    def test_their_commits_are_taken_over(self, caplog: pytest.LogCaptureFixture) -> None:
        storage, new = self.half_way(lambda session, new: str(session.commit("late")) and None)
        tip = storage.get("refs/branch.main/ref.json").data
        with caplog.at_level(logging.WARNING):
            icechunk.upgrade_icechunk_repository(new, dry_run=False)
        fresh = icechunk.Repository.open(storage)
        assert fresh.lookup_branch("main").encode() in tip
        assert fresh.ancestry(branch="main")[0].message == "late"
        assert (read(fresh.readonly_session("main"))[4:] == 1).all()
        assert "1 commits" in caplog.text

    def test_and_kept_apart_where_the_branch_went_on(self) -> None:
        storage, new = self.half_way(lambda session, new: str(session.commit("late")) and None)
        session = new.writable_session("main")
        edit(session, slice(2, 4), 2)
        session.commit("new way")
        icechunk.upgrade_icechunk_repository(new, dry_run=False)
        fresh = icechunk.Repository.open(storage)
        assert fresh.ancestry(branch="main")[0].message == "new way"
        (apart,) = (name for name in fresh.list_branches() if name.startswith("main-"))
        assert fresh.ancestry(branch=apart)[0].message == "late"

    def test_handles_of_ours_refuse_to_write_refs(self) -> None:
        storage = MemoryStorage()
        repo = build(storage)
        old = icechunk.Repository.open(storage)
        tip = old.lookup_branch("main")
        icechunk.upgrade_icechunk_repository(repo, dry_run=False)
        calls: list[Callable[[], Any]] = [
            lambda: old.create_branch("b", tip),
            lambda: old.reset_branch("main", tip),
            lambda: old.create_tag("t", tip),
            lambda: old.delete_branch("dev ü"),
            lambda: old.lookup_branch("main"),
            lambda: old.list_branches(),
            lambda: old.save_config(),
            lambda: old.writable_session("main"),
        ]
        for call in calls:
            with pytest.raises(icechunk.FormatError, match="upgraded to format version 2"):
                call()
        assert not any(key.startswith("refs/") for key in keys(storage))
