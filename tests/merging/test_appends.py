"""Both sides appended along a dimension: what is placed after what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import icechunk
from icechunk import ConflictType, Repository
from icechunk.core.errors import MergeConflictError
from tests.merging.worlds import Edit, array, branches, commit, new_repo, values

if TYPE_CHECKING:
    import zarr

ORDERS = {"source then target": (0, 1), "target then source": (1, 0)}


def append(*new: float, name: str = "a", axis: int = 0) -> Edit:
    def edit(root: zarr.Group) -> None:
        one = array(root, name)
        rows = np.asarray(new, one.dtype)
        shape = [*one.shape]
        shape[axis] = len(new)
        one.append(np.broadcast_to(rows.reshape([-1] + [1] * (one.ndim - 1 - axis)), shape), axis)

    return edit


def both(*edits: Edit) -> Edit:
    def edit(root: zarr.Group) -> None:
        for one in edits:
            one(root)

    return edit


def decision(choice: str, path: str = "/a") -> list[dict[str, Any]]:
    return [{"path": path, "type": "AppendDoubleUpdate", "choice": choice}]


def objects(repo: Repository) -> set[str]:
    return set(repo._ctx.storage.list("chunks/"))


def test_whole_chunks_move_by_reference() -> None:
    repo = Repository.create(
        icechunk.in_memory_storage(), icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    )
    commit(
        repo,
        "main",
        lambda root: root.create_array("a", shape=(8,), chunks=(2,), dtype="i4", fill_value=0),
    )
    branches(repo, append(2, 2, 3), append(5, 5, 6, 6))
    before = objects(repo)
    with pytest.raises(MergeConflictError):
        repo.merge("f")
    repo.create_branch("other", repo.lookup_branch("main"))
    repo.merge("f", decisions=decision("target then source"))
    assert values(repo)[8:] == [5, 5, 6, 6, 2, 2, 3]
    assert objects(repo) == before
    # Three rows, then whole chunks: every chunk behind them is read and written.
    repo.merge("f", into="other", decisions=decision("source then target"))
    assert values(repo, branch="other")[8:] == [2, 2, 3, 5, 5, 6, 6]
    assert objects(repo) > before


@pytest.mark.parametrize("order", ORDERS)
def test_the_first_chunk_is_partly_old(order: str) -> None:
    repo = new_repo()
    commit(repo, "main", lambda root: array(root).resize((7,)))
    old = lambda at, value: lambda root: array(root).__setitem__(at, value)  # noqa: E731
    branches(repo, both(append(2, 3), old(6, 9)), both(append(4, 5, 6), old(0, 8)))
    repo.merge("f", decisions=decision(order))
    news = [[2, 3], [4, 5, 6]]
    one, two = ORDERS[order]
    assert values(repo) == [8, 1, 1, 1, 1, 1, 9, *news[one], *news[two]]


def test_old_rows_that_both_changed_are_a_conflict() -> None:
    repo = new_repo()
    commit(repo, "main", lambda root: array(root).resize((7,)))
    old = lambda value: lambda root: array(root).__setitem__(6, value)  # noqa: E731
    branches(repo, both(append(2, 3), old(9)), both(append(4), old(8)))
    found = repo.merge("f", decisions=decision("source then target"), dry_run=True)
    assert [(one.conflict_type, one.conflicted_chunks) for one in found.conflicts] == [
        (ConflictType.ChunkDoubleUpdate, [[3]])
    ]
    repo.merge("f", decisions=decision("source then target"), prefer="target")
    assert values(repo)[6:] == [8, 2, 3, 4]


def test_equal_growth() -> None:
    repo = new_repo()
    branches(repo, append(2, 3), append(4, 5))
    found = repo.merge("f", dry_run=True)
    assert [one.conflict_type for one in found.conflicts] == [ConflictType.AppendDoubleUpdate]
    for choice, expected in (
        ("source", [2, 3]),
        ("target", [4, 5]),
        ("source then target", [2, 3, 4, 5]),
        ("target then source", [4, 5, 2, 3]),
    ):
        name = choice.replace(" ", "-")
        repo.create_branch(name, repo.lookup_branch("main"))
        repo.merge("f", into=name, decisions=decision(choice), fast_forward="never")
        assert values(repo, branch=name)[8:] == expected


def test_equal_growth_with_equal_rows_is_clean() -> None:
    repo = new_repo()
    branches(repo, append(2, 3), append(2, 3))
    assert repo.merge("f").changes.is_empty()


def dataset(root: zarr.Group) -> None:
    time = root.create_array("time", shape=(3,), chunks=(2,), dtype="f8", dimension_names=["time"])
    time[:] = [0, 1, 2]
    root.create_array("t", shape=(3, 2), chunks=(1, 2), dtype="f8", dimension_names=["time", "x"])[
        :
    ] = 1
    root.create_array("x", shape=(2,), chunks=(2,), dtype="f8", dimension_names=["x"])[:] = 7


def step(*at: float) -> Edit:
    return both(append(*at, name="time"), append(*(10 * one for one in at), name="t"))


def scene(source: Edit, target: Edit) -> Repository:
    repo = Repository.create(icechunk.in_memory_storage())
    commit(repo, "main", dataset)
    branches(repo, source, target)
    return repo


def test_one_decision_for_all_arrays_of_a_dimension() -> None:
    repo = scene(step(3, 4), step(5, 6, 7))
    found = repo.merge("f", dry_run=True)
    assert {(one.conflict_type, one.path) for one in found.conflicts} == {
        (ConflictType.AppendDoubleUpdate, "/time"),
        (ConflictType.AppendDoubleUpdate, "/t"),
    }
    repo.merge("f", decisions=decision("source then target", "/t"))
    assert values(repo, "time") == [0, 1, 2, 3, 4, 5, 6, 7]
    assert values(repo, "t") == [[1, 1]] * 3 + [[10 * at] * 2 for at in (3, 4, 5, 6, 7)]
    assert values(repo, "x") == [7, 7]


def test_arrays_that_only_became_longer_follow() -> None:
    def longer(root: zarr.Group) -> None:
        array(root, "t").resize((5, 2))

    repo = scene(both(append(3, 4, name="time"), longer), both(append(5, 6, name="time"), longer))
    repo.merge("f", decisions=decision("target then source", "/time"))
    assert values(repo, "time")[3:] == [5, 6, 3, 4]
    assert values(repo, "t")[3:] == [[0, 0]] * 4


def test_a_decision_about_equal_rows_does_nothing() -> None:
    repo = scene(step(3, 4), step(3, 4))
    assert repo.merge("f", decisions=decision("source then target")).changes.is_empty()


@pytest.mark.parametrize(
    ("mine", "its", "expected"),
    [
        ((3, 4), (5, 6, 7), [3, 4, 5, 6, 7]),
        ((5, 6), (3, 4), [3, 4, 5, 6]),
        ((3, 5), (4, 6), None),
        ((3, 4), (4, 5), None),
        ((1, 4), (5, 6), None),
        ((3, np.nan), (4, 5), None),
        ((-1, -2), (-3,), None),
    ],
)
def test_by_coordinate(
    mine: tuple[float, ...], its: tuple[float, ...], expected: list[float] | None
) -> None:
    repo = scene(step(*mine), step(*its))
    if expected is None:
        with pytest.raises(MergeConflictError):
            repo.merge("f", decisions=decision("by coordinate", "/time"))
        return
    repo.merge("f", decisions=decision("by coordinate", "/time"))
    assert values(repo, "time")[3:] == expected
    assert values(repo, "t")[3:] == [[10 * at] * 2 for at in expected]


def test_other_units_of_the_coordinate() -> None:
    def relabelled(root: zarr.Group) -> None:
        array(root, "time").attrs["units"] = "days"

    repo = scene(both(step(3, 4), relabelled), step(5, 6, 7))
    with pytest.raises(MergeConflictError):
        repo.merge("f", decisions=decision("by coordinate", "/time"))


@pytest.mark.parametrize(
    "more",
    [
        append(9, name="t"),  # by more rows than the coordinate
        lambda root: root.create_array("n", shape=(5,), dtype="i4", dimension_names=["time"]),
        lambda root: root.__delitem__("t"),
    ],
)
def test_arrays_that_do_not_fit_stay_a_conflict(more: Edit) -> None:
    repo = scene(both(step(3, 4), more), step(5, 6, 7))
    before = repo.lookup_branch("main")
    with pytest.raises(MergeConflictError):
        repo.merge("f", decisions=decision("source then target", "/time"))
    assert repo.lookup_branch("main") == before
    repo.merge("f", prefer="target")
    assert len(values(repo, "time")) == 6


NEW = st.lists(st.sampled_from([0.0, 1.0, 2.0, -0.0]), min_size=1, max_size=7)


@settings(max_examples=80, deadline=None)
@given(NEW, NEW, st.integers(0, 5), st.integers(1, 3), st.booleans(), st.booleans())
def test_a_model(
    mine: list[float], its: list[float], length: int, chunk: int, sharded: bool, second: bool
) -> None:
    """Equals numpy's concatenation, the same in both directions, for any alignment."""
    axis = int(second)
    shape = (2, length) if second else (length, 2)
    chunks = (1, chunk) if second else (chunk, 1)
    more: dict[str, Any] = {"shards": tuple(2 * one for one in chunks)} if sharded else {}
    base = np.arange(2 * length, dtype="f8").reshape(shape) + 1
    repo = Repository.create(icechunk.in_memory_storage())

    def layout(root: zarr.Group) -> None:
        one = root.create_array("a", shape=shape, chunks=chunks, dtype="f8", fill_value=0, **more)
        one[...] = base

    commit(repo, "main", layout)
    source, target = branches(repo, append(*mine, axis=axis), append(*its, axis=axis))

    def rows(new: list[float]) -> NDArray[Any]:
        return np.broadcast_to(
            np.array(new)[None, :] if second else np.array(new)[:, None],
            (2, len(new)) if second else (len(new), 2),
        )

    news = [rows(mine), rows(its)]
    if len(mine) == len(its):
        # Rows of fill values only are not written, so that they conflict with nothing.
        assume(0 not in mine + its)
        news = news[: 1 if mine == its else 2]
    expected = np.concatenate((base, *news), axis)
    repo.create_branch("x", target)
    repo.create_branch("y", source)
    one = repo.merge("f", into="x", decisions=decision("source then target"))
    repo.merge(target, into="y", decisions=decision("target then source"))
    for name in "xy":
        got = np.array(values(repo, branch=name)).reshape(expected.shape)
        assert got.tobytes() == expected.tobytes()
    # The log says at least what differs from the first parent.
    states = repo.diff(from_snapshot_id=target, to_snapshot_id=one.snapshot_id, any_states=True)
    named = {tuple(chunk) for chunk in one.changes.updated_chunks.get("/a", ())}
    assert {tuple(chunk) for chunk in states.updated_chunks.get("/a", ())} <= named
