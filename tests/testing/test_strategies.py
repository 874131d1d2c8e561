"""Strategies draw what they promise."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import hypothesis.strategies as st
import pytest
import zarr
from hypothesis import given, settings

import icechunk
from icechunk.testing.models import GroupNode
from icechunk.testing.strategies import (
    chunk_coordinates,
    chunk_paths,
    chunk_slicers,
    draw_older_than,
    repository_configs,
    splitting_configs,
)
from icechunk.testing.trees import (
    MixedMove,
    child_names_at,
    fresh_names,
    is_descendant,
    tree_and_invalid_moves,
    tree_and_mixed_moves,
    tree_and_valid_moves,
    wrap_tolerant,
)
from icechunk.testing.utils import update_paths_after_move
from tests.repositories import read, with_grid

GRIDS = st.lists(st.integers(1, 4), max_size=3).map(tuple)


@given(data=st.data(), grid=GRIDS)
def test_chunks_lie_in_the_grid(data: st.DataObject, grid: tuple[int, ...]) -> None:
    where = data.draw(chunk_coordinates(grid))
    assert len(where) == len(grid)
    assert all(0 <= at < count for at, count in zip(where, grid, strict=True))
    slices = data.draw(chunk_slicers(grid, tuple(3 for _ in grid)))
    assert all(part.stop - part.start == 3 and part.start % 3 == 0 for part in slices)
    assert len([part for part in data.draw(chunk_paths(grid)).split("/") if part]) == len(grid)


@given(data=st.data())
@settings(max_examples=20)
def test_any_splitting_keeps_the_data(data: st.DataObject) -> None:
    repo, _ = with_grid(icechunk.in_memory_storage())
    array = zarr.open_array(repo.readonly_session("main").store, path="a", mode="r")
    splitting = data.draw(splitting_configs(arrays=[array]))
    again, _ = with_grid(
        icechunk.in_memory_storage(),
        data.draw(
            repository_configs(
                splitting=st.just(splitting), inline_chunk_threshold_bytes=st.integers(0, 50)
            )
        ),
    )
    assert (read(again.readonly_session("main")) == read(repo.readonly_session("main"))).all()


@given(config=repository_configs(ic_module=icechunk))
@settings(max_examples=5)
def test_configurations_keep_few_updates(config: icechunk.RepositoryConfig) -> None:
    assert 1 <= (config.num_updates_per_repo_info_file or 0) <= 5


@given(data=st.data())
@settings(max_examples=20)
def test_a_cutoff_lies_between_snapshots(data: st.DataObject) -> None:
    storage = icechunk.in_memory_storage()
    repo, _ = with_grid(storage)
    for number in range(2):
        repo.writable_session("main").commit(str(number), allow_empty=True)
    cutoff = draw_older_than(data, storage, repo)
    assert cutoff.tzinfo is UTC
    assert cutoff <= datetime.now(UTC).replace(microsecond=999_999)


def _nodes(tree: GroupNode) -> tuple[set[str], set[str]]:
    return set(tree.arrays("/")), set(tree.groups("/", include_root=True))


def _reason(move: tuple[str, str], arrays: set[str], groups: set[str]) -> str | None:
    """What is wrong with a move, by the rules of `Session.move`."""
    source, target = move
    parent = target.rpartition("/")[0] or "/"
    if source not in arrays | groups:
        return "node not found"
    if source == target or is_descendant(target, source):
        return "into itself or its own descendant"
    if target in arrays | groups:
        return "move cannot overwrite existing node"
    if parent in arrays:
        return "is an array, not a group"
    if parent not in groups:
        return "the destination's parent group"
    return None


@given(given_tree=tree_and_mixed_moves())
@settings(max_examples=40)
def test_moves_are_what_they_say(given_tree: tuple[GroupNode, list[MixedMove]]) -> None:
    tree, moves = given_tree
    arrays, groups = _nodes(tree)
    for source, target, pattern in moves:
        reason = _reason((source, target), arrays, groups)
        if pattern is None:
            assert reason is None
            arrays, groups = update_paths_after_move(source, target, arrays, groups)
        else:
            assert reason is not None
            assert re.search(pattern, reason)


@given(valid=tree_and_valid_moves(), invalid=tree_and_invalid_moves())
@settings(max_examples=10)
def test_moves_of_one_kind(
    valid: tuple[GroupNode, list[tuple[str, str]]],
    invalid: tuple[GroupNode, list[tuple[str, str, str]]],
) -> None:
    arrays, groups = _nodes(valid[0])
    for source, target in valid[1]:
        assert _reason((source, target), arrays, groups) is None
        arrays, groups = update_paths_after_move(source, target, arrays, groups)
    arrays, groups = _nodes(invalid[0])
    for source, target, _ in invalid[1]:
        assert _reason((source, target), arrays, groups) is not None


@given(names=fresh_names({"a", "ab"}, {"a"}, 5))
@settings(max_examples=20)
def test_fresh_names_are_new_and_different(names: list[str]) -> None:
    assert len({*names, "a"}) == 6


def test_helpers() -> None:
    assert child_names_at("foo", {"foo/a", "foo/b/c", "bar"}) == {"a", "b"}
    assert child_names_at("", {"foo", "bar/baz"}) == {"foo", "bar"}
    assert re.search(wrap_tolerant("not a group|gone"), "is not a\n  | group")
    assert not is_descendant("ab", "a")


@pytest.mark.parametrize("slash", ["", "/"])
def test_paths_follow_a_move(slash: str) -> None:
    arrays, groups = update_paths_after_move(
        f"{slash}a", f"{slash}c", {f"{slash}a/x", f"{slash}ab"}, {f"{slash}a"}
    )
    assert (arrays, groups) == ({f"{slash}c/x", f"{slash}ab"}, {f"{slash}c"})
