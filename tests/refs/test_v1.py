"""Repositories of spec 1: refs, history and configuration in files."""

from __future__ import annotations

import json
import pickle
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk.core.ids import INITIAL_SNAPSHOT_ID, parse_object_id
from icechunk.files.layout import log_key, snapshot_key
from icechunk.refs.capabilities import Capability
from icechunk.storage.memory import MemoryStorage
from tests.repositories import edit, grid_array, put, read, storage_of

NOWHERE = "0" * 20


@pytest.fixture(params=["memory", "local"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> icechunk.Storage:
    return storage_of(request.param, tmp_path)


@pytest.fixture
def repo(storage: icechunk.Storage) -> icechunk.Repository:
    return icechunk.Repository.create(storage, spec_version=1)


@pytest.fixture
def tip(repo: icechunk.Repository) -> str:
    session = repo.writable_session("main")
    zarr.create_group(session.store)
    grid_array(session.store)
    return session.commit("a grid", {"list": [1, 2.5, None], "text": "é"})


def keys(storage: icechunk.Storage) -> set[str]:
    return {key for key, _ in storage.list_objects()}


def test_a_new_repository_is_a_snapshot_and_a_branch_file(storage: icechunk.Storage) -> None:
    repo = icechunk.Repository.create(storage, spec_version=icechunk.SpecVersion.v1)
    assert keys(storage) == {"refs/branch.main/ref.json", "snapshots/1CECHNKREP0F1RSTCMT0"}
    content = storage.get("refs/branch.main/ref.json").data
    assert content == b'{"snapshot":"1CECHNKREP0F1RSTCMT0"}'
    assert repo.spec_version == 1
    assert icechunk.Repository.fetch_spec_version(storage) is icechunk.SpecVersion.v1
    assert icechunk.Repository.fetch_config(storage) is None
    assert icechunk.Repository.open(storage).spec_version is icechunk.SpecVersion.v1
    assert icechunk.supported_spec_versions() == [icechunk.SpecVersion.v2, icechunk.SpecVersion.v1]


def test_only_one_repository_fits_in_a_place(storage: icechunk.Storage) -> None:
    icechunk.Repository.create(storage, spec_version=1)
    for version in (1, 2):
        with pytest.raises(icechunk.InvalidInputError) as dirty:
            icechunk.Repository.create(storage, spec_version=version)
        assert dirty.value.kind == "parent-directory-not-clean"
        with pytest.raises(icechunk.ConflictError) as taken:
            icechunk.Repository.create(storage, spec_version=version, check_clean_root=False)
        assert taken.value.kind == "repo-info-updated"


def test_commits_read_back_with_history(
    repo: icechunk.Repository, storage: icechunk.Storage, tip: str
) -> None:
    session = repo.writable_session("main")
    edit(session, slice(0, 2), 5)
    second = session.commit("fives")
    opened = icechunk.Repository.open(storage)
    history = opened.ancestry(branch="main")
    assert [info.id for info in history] == [second, tip, "1CECHNKREP0F1RSTCMT0"]
    assert [info.parent_id for info in history] == [tip, "1CECHNKREP0F1RSTCMT0", None]
    assert history[1].metadata == {"list": [1, 2.5, None], "text": "é"}
    assert history[2].metadata == {"__icechunk": {"is_root": True}}
    values = read(opened.readonly_session("main"))
    assert (values[:2] == 5).all()
    assert (read(opened.readonly_session(snapshot_id=tip))[0] == np.arange(8)).all()
    diff = opened.diff(from_snapshot_id=tip, to_branch="main")
    assert list(diff.updated_chunks) == ["/a"]
    assert "repo" not in keys(storage)
    for written in (tip, second):
        assert storage.get(snapshot_key(parse_object_id(written))).data[36] == 1
        assert storage.get(log_key(parse_object_id(written))).data[36] == 1


def test_a_second_session_conflicts_and_rebases(repo: icechunk.Repository, tip: str) -> None:
    first, second = repo.writable_session("main"), repo.writable_session("main")
    edit(first, slice(0, 2), 1)
    edit(second, slice(2, 4), 2)
    done = first.commit("first")
    with pytest.raises(icechunk.ConflictError) as caught:
        second.commit("second")
    assert (caught.value.expected_parent, caught.value.actual_parent) == (tip, done)
    second.rebase(icechunk.ConflictDetector())
    second.commit("second")
    values = read(repo.readonly_session("main"))
    assert (values[:2] == 1).all()
    assert (values[2:4] == 2).all()


def test_threads_that_commit_at_once_lose_nothing(repo: icechunk.Repository, tip: str) -> None:
    def write(row: int) -> None:
        session = repo.writable_session("main")
        edit(session, (slice(2 * (row % 3), 2 * (row % 3) + 2), slice(4 * (row % 2), None)), row)
        session.commit(f"row {row}", rebase_with=icechunk.BasicConflictSolver())

    threads = [threading.Thread(target=write, args=(row,)) for row in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    messages = {info.message for info in repo.ancestry(branch="main")}
    assert {f"row {row}" for row in range(6)} <= messages


PLAIN = ["dev", "", "x y", "a.b", "-_.+=:@", "!$&'(),;"]
ENCODED = ["we ird%ü~#?*", "名", "a\tb", *(f"x{character}" for character in '%~#?*{^}]"><[|`\x7f')]


@pytest.mark.parametrize("name", PLAIN)
def test_branches_and_tags_of_plain_names(
    repo: icechunk.Repository, storage: icechunk.Storage, tip: str, name: str
) -> None:
    repo.create_branch(name, tip)
    repo.create_tag(name, tip)
    use_refs(repo, storage, tip, name)
    repo.create_branch(name, tip)
    with pytest.raises(icechunk.AlreadyExistsError) as caught:
        repo.create_tag(name, tip)
    assert caught.value.kind == "tag-already-exists"


@pytest.mark.parametrize("name", ENCODED)
def test_names_that_others_lose_are_refused_and_existing_ones_stay_usable(
    repo: icechunk.Repository, storage: icechunk.Storage, tip: str, name: str
) -> None:
    for create in (repo.create_branch, repo.create_tag):
        with pytest.raises(icechunk.InvalidInputError, match="upgrade the repository") as caught:
            create(name, tip)
        assert caught.value.kind == icechunk.ErrorKind.INVALID_REF_NAME
    for kind in ("branch", "tag"):
        storage.create(f"refs/{kind}.{name}/ref.json", b'{"snapshot":"%b"}' % tip.encode())
    with repo.transaction(name, message="a commit") as store:
        zarr.create_group(store, path="more")
    repo.reset_branch(name, tip)
    use_refs(repo, storage, tip, name)


def use_refs(repo: icechunk.Repository, storage: icechunk.Storage, tip: str, name: str) -> None:
    """List, look up, reset and delete the branch and the tag of a name."""
    opened = icechunk.Repository.open(storage)
    assert opened.list_branches() == {"main", name}
    assert opened.list_tags() == {name}
    assert opened.lookup_branch(name) == opened.lookup_tag(name) == tip
    opened.reset_branch(name, "1CECHNKREP0F1RSTCMT0", from_snapshot_id=tip)
    assert repo.lookup_branch(name) == "1CECHNKREP0F1RSTCMT0"
    opened.delete_branch(name)
    opened.delete_tag(name)
    assert (repo.list_branches(), repo.list_tags()) == ({"main"}, set())
    assert f"refs/tag.{name}/ref.json" in keys(storage)


def test_every_refusal_has_the_class_and_kind_of_spec_1(
    repo: icechunk.Repository, tip: str
) -> None:
    repo.create_tag("t", tip)
    repo.create_tag("gone", tip)
    repo.delete_tag("gone")
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda: repo.create_branch("main", tip), icechunk.ConflictError, "branch-update-conflict"),
        (lambda: repo.create_branch("a/b", tip), icechunk.InvalidInputError, "invalid-ref-name"),
        (lambda: repo.create_tag("a/b", tip), icechunk.InvalidInputError, "invalid-ref-name"),
        (lambda: repo.lookup_tag("a/b"), icechunk.InvalidInputError, "invalid-ref-name"),
        (lambda: repo.lookup_branch("no"), icechunk.RefNotFoundError, "ref-not-found"),
        (lambda: repo.lookup_tag("gone"), icechunk.RefNotFoundError, "ref-not-found"),
        (lambda: repo.delete_tag("gone"), icechunk.RefNotFoundError, "ref-not-found"),
        (lambda: repo.delete_tag("no"), icechunk.RefNotFoundError, "ref-not-found"),
        (lambda: repo.delete_branch("no"), icechunk.RefNotFoundError, "ref-not-found"),
        (lambda: repo.reset_branch("no", tip), icechunk.RefNotFoundError, "ref-not-found"),
        (lambda: repo.delete_branch("main"), icechunk.SessionStateError, "cannot-delete-main"),
        (lambda: repo.create_tag("t", tip), icechunk.AlreadyExistsError, "tag-already-exists"),
        (
            lambda: repo.reset_branch("main", tip, from_snapshot_id="1CECHNKREP0F1RSTCMT0"),
            icechunk.ConflictError,
            "branch-update-conflict",
        ),
        (
            lambda: repo.create_branch("b", NOWHERE),
            icechunk.SnapshotNotFoundError,
            "snapshot-not-found",
        ),
        (
            lambda: repo.create_tag("b", NOWHERE),
            icechunk.SnapshotNotFoundError,
            "snapshot-not-found",
        ),
        (
            lambda: repo.readonly_session(snapshot_id=NOWHERE),
            icechunk.SnapshotNotFoundError,
            "snapshot-not-found",
        ),
    ]
    for call, error, kind in cases:
        with pytest.raises(error) as caught:
            call()
        assert getattr(caught.value, "kind") == kind, caught.value  # noqa: B009


def test_what_needs_a_repo_object_is_refused(repo: icechunk.Repository) -> None:
    ref_store = repo._ctx.ref_store
    for call in (ref_store.state, lambda: ref_store.require(Capability.MOVE_NODES)):
        with pytest.raises(icechunk.FormatError) as caught:
            call()
        assert caught.value.kind == "unsupported-spec-version"
        assert "at least version 2.0" in str(caught.value)


def test_chunks_of_different_sizes_need_spec_2(repo: icechunk.Repository) -> None:
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [6],
        "data_type": "uint8",
        "chunk_grid": {
            "name": "rectilinear",
            "configuration": {"kind": "inline", "chunk_shapes": [[1, 2, 3]]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes"}],
        "attributes": {},
    }
    session = repo.writable_session("main")
    with pytest.raises(icechunk.InvalidInputError) as caught:
        put(session, "r/zarr.json", json.dumps(document).encode())
    assert caught.value.kind == "bad-metadata"
    assert "spec_version=2" in str(caught.value)


def test_a_flushed_snapshot_is_known_by_id_and_history(repo: icechunk.Repository, tip: str) -> None:
    session = repo.writable_session("main")
    edit(session, slice(0, 2), 5)
    loose = session.flush("loose")
    assert repo.lookup_branch("main") == tip
    assert [info.id for info in repo.ancestry(snapshot_id=loose)][:2] == [loose, tip]
    repo.create_tag("kept", loose)
    assert (read(repo.readonly_session(tag="kept"))[:2] == 5).all()


def test_handles_pickle_with_their_version(tmp_path: Path) -> None:
    storage = storage_of("local", tmp_path)
    repo = icechunk.Repository.create(storage, spec_version=1)
    again = pickle.loads(pickle.dumps(repo))
    assert again.spec_version == 1
    session = again.writable_session("main")
    grid_array(session.store)
    assert session.commit("from the copy") == repo.lookup_branch("main")


class TestConfiguration:
    def test_it_is_yaml_and_read_by_the_next_handle(self, storage: icechunk.Storage) -> None:
        config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=3)
        icechunk.Repository.create(storage, config, spec_version=1)
        assert storage.get("config.yaml").data.startswith(b"inline_chunk_threshold_bytes: 3\n")
        stored = icechunk.Repository.fetch_config(storage)
        assert stored is not None
        assert stored.inline_chunk_threshold_bytes == 3
        assert icechunk.Repository.open(storage).config.inline_chunk_threshold_bytes == 3

    def test_a_stale_handle_does_not_overwrite_it(
        self, repo: icechunk.Repository, storage: icechunk.Storage
    ) -> None:
        first = icechunk.Repository.open(
            storage, icechunk.RepositoryConfig(inline_chunk_threshold_bytes=1)
        )
        second = icechunk.Repository.open(
            storage, icechunk.RepositoryConfig(inline_chunk_threshold_bytes=2)
        )
        first.save_config()
        with pytest.raises(icechunk.ConflictError) as caught:
            second.save_config()
        assert caught.value.kind == "config-updated"
        stored = icechunk.Repository.fetch_config(storage)
        assert stored is not None
        assert stored.inline_chunk_threshold_bytes == 1

    def test_what_it_was_is_kept(self, storage: icechunk.Storage) -> None:
        config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=3)
        icechunk.Repository.create(storage, config, spec_version=1)
        before = storage.get("config.yaml").data
        changed = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=4)
        handle = icechunk.Repository.open(storage, changed)
        handle.save_config()
        handle.save_config()
        copies = sorted(key for key in keys(storage) if key.startswith("overwritten/config.yaml."))
        assert len(copies) == 2
        assert before in [storage.get(key).data for key in copies]


class SlowStorage(MemoryStorage):
    """Memory that claims to be slow, and counts requests and how many run at once."""

    blocking_ok = False

    def __init__(self) -> None:
        super().__init__()
        self.gets: list[str] = []

    def get(self, key: str) -> Any:
        self.gets.append(key)
        return super().get(key)


class TestLongHistories:
    def make(self, storage: icechunk.Storage, commits: int) -> list[str]:
        repo = icechunk.Repository.create(storage, spec_version=1)
        made = [
            repo.writable_session("main").commit(str(number), allow_empty=True)
            for number in range(commits)
        ]
        return [*made[::-1], "1CECHNKREP0F1RSTCMT0"]

    def test_files_are_fetched_ahead_and_once(self) -> None:
        storage = SlowStorage()
        made = self.make(storage, 90)
        fresh = icechunk.Repository.open(storage)
        storage.gets.clear()
        assert [info.id for info in fresh.ancestry(branch="main")] == made
        fetched = [key for key in storage.gets if key.startswith("snapshots/")]
        assert len(fetched) == len(set(fetched)) == 91
        storage.gets.clear()
        assert [info.id for info in fresh.ancestry(branch="main")] == made
        assert storage.gets == ["refs/branch.main/ref.json"]

    def test_a_missing_ancestor_is_named(self) -> None:
        storage = icechunk.in_memory_storage()
        made = self.make(storage, 4)
        storage.delete([f"snapshots/{made[2]}"])
        fresh = icechunk.Repository.open(storage)
        with pytest.raises(icechunk.FormatError, match=made[2]):
            list(fresh.ancestry(branch="main"))

    def test_a_history_that_others_shortened_is_followed(self) -> None:
        storage = icechunk.in_memory_storage()
        made = self.make(storage, 4)
        reader, editor = (icechunk.Repository.open(storage) for _ in range(2))
        assert reader.lookup_snapshot(made[1]).parent_id == made[2]
        files = editor._ctx.files
        snapshot = files.snapshot(parse_object_id(made[1]))
        files.rewrite_snapshot(replace(snapshot, parent_id=INITIAL_SNAPSHOT_ID))
        storage.delete([f"snapshots/{made[2]}", f"snapshots/{made[3]}"])
        assert [info.id for info in reader.ancestry(branch="main")] == [made[0], made[1], made[4]]


def test_a_place_with_refs_but_no_main_branch_is_explained(
    repo: icechunk.Repository, storage: icechunk.Storage, tip: str
) -> None:
    repo.create_branch("other", tip)
    storage.delete(["refs/branch.main/ref.json"])
    with pytest.raises(icechunk.RepositoryNotFoundError, match="upgrade") as caught:
        icechunk.Repository.open(storage)
    assert caught.value.kind == "repository-not-found"
    assert "refs/branch.other/ref.json" in str(caught.value)
