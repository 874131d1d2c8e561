"""The invariants hold for real repositories, and notice when they do not."""

from __future__ import annotations

import asyncio
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings

import icechunk
from icechunk.testing.invariants import (
    assert_ancestry_invariants,
    assert_list_dir_equal,
    assert_moves_sorted_by_final_path,
    compare_list_dir,
)
from icechunk.testing.models import ArrayNode, GroupNode
from icechunk.testing.trees import trees
from icechunk.testing.utils import precommit_postcommit_readonly, tree_to_model_and_icechunk
from tests.repositories import with_grid


@pytest.fixture
def history() -> list[icechunk.SnapshotInfo]:
    repo, _ = with_grid(icechunk.in_memory_storage())
    return list(repo.ancestry(branch="main"))


def test_a_history_is_sound(history: list[icechunk.SnapshotInfo]) -> None:
    assert_ancestry_invariants(history, {info.id for info in history})


def test_damaged_histories_are_noticed(history: list[icechunk.SnapshotInfo]) -> None:
    tip, first = history
    orphan = dataclasses.replace(tip, parent_id=None)
    assert_ancestry_invariants([orphan], must_contain_initial=False)
    for wrong in (
        [],
        [tip],
        [orphan],
        [tip, tip, first],
        [first, tip],
        [dataclasses.replace(tip, written_at=first.written_at), first],
    ):
        with pytest.raises(AssertionError):
            assert_ancestry_invariants(wrong)
    with pytest.raises(AssertionError, match="unknown snapshots"):
        assert_ancestry_invariants(history, {first.id})


def test_moves_are_sorted_segment_by_segment() -> None:
    assert_moves_sorted_by_final_path([("/x", "/a"), ("/y", "/a/b"), ("/z", "/a-b")])
    with pytest.raises(AssertionError):
        assert_moves_sorted_by_final_path([("/z", "/a-b"), ("/y", "/a/b")])


def test_the_chunk_folder_is_left_out_of_listings() -> None:
    assert_list_dir_equal("a", ["zarr.json"], ["c", "zarr.json"])
    with pytest.raises(AssertionError):
        assert_list_dir_equal("a", ["zarr.json"], ["zarr.json", "zarr.json"])


@given(tree=trees())
@settings(max_examples=15)
def test_listings_agree_through_a_sessions_life(tree: GroupNode) -> None:
    model, session, repo = tree_to_model_and_icechunk(tree)
    labels = []
    for label, store in precommit_postcommit_readonly(session, repo):
        labels.append((label, store.read_only))
        asyncio.run(compare_list_dir(model, store, ["", *tree.nodes()]))
    assert labels == [("pre-commit", False), ("post-commit", True), ("readonly", True)]


def test_a_tree_can_be_built_outside_of_hypothesis() -> None:
    tree = GroupNode({"a": ArrayNode((2,), np.dtype("f4"))})
    _, session, _ = tree_to_model_and_icechunk(tree, add_hypothesis_note=False)
    assert session.has_uncommitted_changes
