"""Manifests rewritten under another configuration."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import ManifestSplitCondition, ManifestSplitDimCondition
from icechunk.core.errors import ErrorKind
from tests.maintenance.histories import FAR, ROOT, cells, commit, messages, names, start
from tests.repositories import edit, read

UNSPLIT = {
    "split_sizes": [
        [{"path_matches": {"regex": ".*"}}, [{"condition": "Any", "num_chunks": 4294967295}]]
    ]
}


def split(size: int) -> icechunk.RepositoryConfig:
    rules = {ManifestSplitCondition.any_array(): {ManifestSplitDimCondition.Any(): size}}
    return icechunk.RepositoryConfig(
        inline_chunk_threshold_bytes=0,
        manifest=icechunk.ManifestConfig(
            splitting=icechunk.ManifestSplittingConfig.from_dict(rules)
        ),
    )


@pytest.fixture(params=[1, 2])
def repo(request: pytest.FixtureRequest) -> icechunk.Repository:
    return start(spec_version=request.param)


def test_references_are_split_and_joined_again(repo: icechunk.Repository) -> None:
    commit(repo, 2)
    chunks = names(repo, "chunks")
    assert [m.num_chunk_refs for m in repo.list_manifest_files(repo.lookup_branch("main"))] == [4]
    fine = icechunk.Repository.open(repo.storage, split(1))
    tip = fine.rewrite_manifests("one each", branch="main")
    assert [m.num_chunk_refs for m in repo.list_manifest_files(tip)] == [1, 1, 1, 1]
    assert cells(repo) == [2, 1, 1, 1]
    tip = repo.rewrite_manifests("together", branch="main", metadata={"why": "reads"})
    assert [m.num_chunk_refs for m in repo.list_manifest_files(tip)] == [4]
    assert cells(repo) == [2, 1, 1, 1]
    assert messages(repo) == ["together", "one each", "c2", "c0"]
    assert names(repo, "chunks") == chunks
    assert repo.lookup_snapshot(tip).metadata == {
        "why": "reads",
        "__icechunk": {"splitting_config": UNSPLIT},
    }


def test_its_log_is_empty_and_it_can_be_diffed_and_rebased_over(repo: icechunk.Repository) -> None:
    base = repo.lookup_branch("main")
    session = repo.writable_session("main")
    edit(session, 0, 7)
    tip = repo.rewrite_manifests("again", branch="main")
    log = repo.inspect_transaction_log(tip)
    assert not any(log[key] for key in log if key != "header")
    assert repo.diff(from_snapshot_id=base, to_snapshot_id=tip).is_empty()
    session.commit("after it", rebase_with=icechunk.ConflictDetector())
    assert cells(repo) == [7, 1, 1, 1]


def test_metadata_is_merged_with_defaults_and_given_keys(repo: icechunk.Repository) -> None:
    repo.set_default_commit_metadata({"who": "me", "a": 0})
    tip = repo.rewrite_manifests("x", branch="main", metadata={"a": 1, "__icechunk": {"b": 2}})
    assert repo.lookup_snapshot(tip).metadata == {
        "who": "me",
        "a": 1,
        "__icechunk": {"b": 2, "splitting_config": UNSPLIT},
    }


def test_amend_replaces_the_tip_and_keeps_its_log() -> None:
    repo = start()
    tip = commit(repo, 2, where=3)
    new = repo.rewrite_manifests("instead", branch="main", commit_method="amend")
    assert messages(repo) == ["instead", "c0"]
    mine, former = repo.inspect_transaction_log(new), repo.inspect_transaction_log(tip)
    assert mine == former
    assert cells(repo) == [1, 1, 1, 2]
    repo.garbage_collect(FAR)
    assert cells(repo) == [1, 1, 1, 2]


def test_r38_it_can_follow_a_move() -> None:
    repo = start()
    session = repo.rearrange_session("main")
    session.move("/a", "/b")
    moved = session.commit("moved")
    for method in ("new_commit", "amend"):
        tip = repo.rewrite_manifests("after", branch="main", commit_method=method)
        assert read(repo.readonly_session("main"), "b").tolist() == [1, 1, 1, 1]
    told = repo.diff(from_snapshot_id=moved, to_snapshot_id=tip)
    assert told.is_empty()


def test_spec_1_has_no_amend() -> None:
    repo = start(spec_version=1)
    with pytest.raises(icechunk.FormatError) as refusal:
        repo.rewrite_manifests("x", branch="main", commit_method="amend")
    assert refusal.value.kind == ErrorKind.UNSUPPORTED_SPEC_VERSION


def test_wrong_methods_and_branches(repo: icechunk.Repository) -> None:
    with pytest.raises(ValueError, match=r"Invalid commit method: 'foo'\. Expected"):
        repo.rewrite_manifests("x", branch="main", commit_method="foo")
    with pytest.raises(icechunk.RefNotFoundError):
        repo.rewrite_manifests("x", branch="nowhere")


def test_the_first_snapshot_can_be_followed_but_not_replaced() -> None:
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    with pytest.raises(icechunk.SessionStateError) as refusal:
        repo.rewrite_manifests("x", branch="main", commit_method="amend")
    assert refusal.value.kind == ErrorKind.NO_AMEND_FOR_INITIAL_COMMIT
    tip = repo.rewrite_manifests("x", branch="main")
    assert repo.lookup_snapshot(tip).parent_id == ROOT


def test_references_outside_the_grid_are_left_out(repo: icechunk.Repository) -> None:
    session = repo.writable_session("main")
    zarr.open_array(session.store, path="a", mode="r+").resize((2,))
    session.commit("smaller")
    tip = repo.rewrite_manifests("x", branch="main")
    assert [m.num_chunk_refs for m in repo.list_manifest_files(tip)] == [2]
    assert cells(repo) == [1, 1]


def test_r10_arrays_that_were_not_touched_keep_their_chunks(repo: icechunk.Repository) -> None:
    for name in ("x", "y", "z"):
        session = repo.writable_session("main")
        array = zarr.create_array(session.store, name=name, shape=4, chunks=2, dtype="i4")
        array[:] = np.arange(4)
        session.commit(name)
    for name in ("x", "y", "z"):
        assert read(repo.readonly_session("main"), name).tolist() == [0, 1, 2, 3]
    assert cells(repo) == [1, 1, 1, 1]


def test_r11_splitting_leaves_arrays_alone_that_were_not_touched() -> None:
    repo = start()
    fine = icechunk.Repository.open(repo.storage, split(1))
    before = repo.list_manifest_files(repo.lookup_branch("main"))
    session = fine.writable_session("main")
    zarr.create_array(session.store, name="b", shape=3, chunks=1, dtype="i4", fill_value=0)[:] = 5
    tip = session.commit("b")
    after = repo.list_manifest_files(tip)
    assert len(after) == 4
    assert [m.id for m in after if m.num_chunk_refs == 4] == [m.id for m in before]
    assert cells(repo) == [1, 1, 1, 1]
    assert read(repo.readonly_session("main"), "b").tolist() == [5, 5, 5]
    session = fine.writable_session("main")
    edit(session, 0, 9, "b")
    session.commit("b again")
    assert cells(repo) == [1, 1, 1, 1]
    assert read(repo.readonly_session("main"), "b").tolist() == [9, 5, 5]


async def test_it_has_an_asynchronous_twin(repo: icechunk.Repository) -> None:
    tip = await repo.rewrite_manifests_async("x", branch="main")
    assert repo.lookup_branch("main") == tip
