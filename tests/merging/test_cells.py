"""Chunks that both sides wrote, merged cell by cell."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from zarr.core.buffer import default_buffer_prototype

import icechunk
from icechunk import Repository
from icechunk.core.errors import InvalidInputError, MergeConflictError
from icechunk.merging.cells import Tolerance, differs, merge
from tests.merging.worlds import Edit, array, branches, commit, values, write

NAN = np.array([0x7FF8000000000001], "u8").view("f8")[0]


def bits(block: NDArray[Any]) -> bytes:
    return block.tobytes()


class TestBlocks:
    @pytest.mark.parametrize(
        ("one", "two", "expected"),
        [
            (np.array([0.0, -0.0, np.nan, 1]), np.array([-0.0, -0.0, np.nan, 2]), [1, 0, 0, 1]),
            (np.array([np.nan]), np.array([NAN]), [1]),
            (np.array([complex(np.nan, 1)]), np.array([complex(np.nan, 2)]), [1]),
            (np.array(["a", "b"]), np.array(["a", "c"]), [0, 1]),
            (np.array(["a", "b"], object), np.array(["a", "c"], object), [0, 1]),
            (np.array(["a", "b"], "T"), np.array(["a", "c"], "T"), [0, 1]),
            (np.array(["NaT", 1], "M8[s]"), np.array(["NaT", 2], "M8[s]"), [0, 1]),
            (np.array([True, False]), np.array([True, True]), [0, 1]),
            (np.array([1, 2], ">i4"), np.array([1, 3], ">i4"), [0, 1]),
            (np.array([1.5, 2], "f2"), np.array([1.5, -2], "f2"), [0, 1]),
            (np.array([b"ab", b"cd"], "S3"), np.array([b"ab", b"ce"], "S3"), [0, 1]),
        ],
    )
    def test_differences(self, one: NDArray[Any], two: NDArray[Any], expected: list[int]) -> None:
        assert differs(one, two).tolist() == [bool(one) for one in expected]
        assert differs(one[0:1].reshape(()), two[0:1].reshape(())).shape == ()

    def test_structures_are_compared_field_by_field(self) -> None:
        dtype = np.dtype([("a", "i1"), ("b", "f8"), ("c", "f4", (2,))], align=True)
        one, two = np.zeros(3, dtype), np.zeros(3, dtype)
        one.view(np.uint8)[1] = 9  # padding
        one["b"] = two["b"] = np.nan
        two["c"][1, 1] = -0.0
        two["a"][2] = 1
        assert differs(one, two).tolist() == [False, True, True]

    def test_tolerance(self) -> None:
        tolerance = Tolerance.of({"abs": 0.5, "rel": 0.1})
        assert tolerance is not None
        one = np.array([1.0, 1.0, 100.0, np.inf, np.inf, np.nan])
        two = np.array([1.4, 1.6, 109.0, 1.0, -np.inf, NAN])
        assert tolerance.near(one, two).tolist() == [True, False, True, False, False, True]
        assert Tolerance(abs=1).near(
            np.array([-128, 127], "i1"), np.array([127, 126], "i1")
        ).tolist() == [
            False,
            True,
        ]
        assert not Tolerance(abs=1).near(np.array(["a"]), np.array(["b"])).any()

    @pytest.mark.parametrize("given_", [{"abs": -1}, {"by": 1}, {"rel": "x"}, {"abs": True}, 1])
    def test_bad_tolerance(self, given_: Any) -> None:
        with pytest.raises(InvalidInputError, match="tolerance"):
            Tolerance.of(given_)

    @given(st.lists(st.tuples(*[st.sampled_from([0.0, -0.0, 1.0, np.nan, NAN])] * 3), min_size=1))
    def test_every_cell_comes_from_the_side_that_changed_it(
        self, cells: list[tuple[float, float, float]]
    ) -> None:
        base, ours, theirs = (np.array(side) for side in zip(*cells, strict=True))
        for side, chosen in (("ours", ours), ("theirs", theirs), ("base", base)):
            block, count = merge(base, ours, theirs, side)
            expected = [
                t if bits(o) == bits(b) else o if bits(t) in (bits(b), bits(o)) else c
                for b, o, t, c in zip(base, ours, theirs, chosen, strict=True)
            ]
            assert bits(block) == bits(np.array(expected))
        mirrored = merge(base, theirs, ours)[1]
        assert (count.ours, count.theirs, count.both, count.alike) == (
            mirrored.theirs,
            mirrored.ours,
            mirrored.both,
            mirrored.alike,
        )


def world(
    shape: tuple[int, ...] = (8,), chunks: tuple[int, ...] = (4,), **given_: Any
) -> Repository:
    """A repository whose root holds an array ``a`` of ones."""
    config = given_.pop("config", None)
    repo = Repository.create(icechunk.in_memory_storage(), config)
    fill = given_.pop("value", 1)

    def layout(root: zarr.Group) -> None:
        metadata = {"dtype": "f8", "fill_value": 0} | given_
        root.create_array("a", shape=shape, chunks=chunks, **metadata)[...] = fill

    commit(repo, "main", layout, "base")
    return repo


def put(cells: dict[int, Any]) -> Edit:
    def edit(root: zarr.Group) -> None:
        for at, value in cells.items():
            array(root)[at] = value

    return edit


class TestMerge:
    def test_never_by_default(self) -> None:
        repo = world()
        branches(repo, write(0, 1, 5), write(2, 3, 7))
        with pytest.raises(MergeConflictError) as caught:
            repo.merge("f")
        assert caught.value.conflicts[0].conflicted_chunks == [[0]]

    def test_disjoint_cells(self) -> None:
        repo = world()
        _, target = branches(repo, write(0, 1, 5), write(2, 3, 7))
        dry = repo.merge("f", cells="auto", dry_run=True)
        assert (dry.outcome, dry.conflicts) == ("merged", [])
        assert repo.lookup_branch("main") == target
        result = repo.merge("f", cells="auto")
        assert values(repo) == [5, 1, 7, 1, 1, 1, 1, 1]
        assert result.changes.updated_chunks == {"/a": [[0]]}

    def test_the_other_direction_gives_the_same(self) -> None:
        repo = world()
        source, target = branches(repo, put({0: -0.0, 5: 2}), put({1: np.nan, 5: 2}))
        repo.create_branch("two", source)
        repo.merge("f", cells="auto")
        repo.merge(target, into="two", cells="auto")
        one, two = (np.array(values(repo, branch=name)) for name in ("main", "two"))
        assert bits(one) == bits(two)
        assert bits(one) == bits(np.array([-0.0, np.nan, 1, 1, 1, 2, 1, 1]))

    def test_equal_values_in_other_bytes_are_clean(self) -> None:
        repo = world()

        def rewritten(root: zarr.Group) -> None:
            array(root)[0:4] = [5, 1, 7, 1]

        branches(repo, rewritten, put({0: 5, 2: 7}))
        assert repo.merge("f", cells="auto").changes.is_empty()

    def test_cells_that_both_changed(self) -> None:
        repo = world(config=icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0))
        branches(repo, put({0: 5, 1: 5, 5: 5}), put({1: 7, 2: 7, 6: 7}))
        storage_keys = _chunk_objects(repo)
        with pytest.raises(MergeConflictError) as caught:
            repo.merge("f", cells="auto")
        assert caught.value.conflicts[0].conflicted_chunks == [[0]]
        assert _chunk_objects(repo) == storage_keys
        for prefer, expected in (("source", 5), ("target", 7)):
            repo.create_branch(prefer, repo.lookup_branch("main"))
            repo.merge("f", into=prefer, cells="auto", prefer=prefer)
            assert values(repo, branch=prefer) == [5, expected, 7, 1, 1, 5, 7, 1]

    @pytest.mark.parametrize(
        ("otherwise", "expected"), [("source", 5), ("target", 7), ("base", 1), (None, None)]
    )
    def test_a_decision(self, otherwise: str | None, expected: int | None) -> None:
        repo = world()
        branches(repo, put({0: 5, 1: 5, 4: 5}), put({1: 7, 2: 7, 5: 7}))
        decision: dict[str, Any] = {
            "path": "/a",
            "type": "ChunkDoubleUpdate",
            "choice": "cells",
            "chunks": [[0]],
        }
        if otherwise is not None:
            decision["otherwise"] = otherwise
        source = {"path": "/a", "type": "ChunkDoubleUpdate", "choice": "source", "chunks": [[1]]}
        if expected is None:
            with pytest.raises(MergeConflictError):
                repo.merge("f", decisions=[source, decision])
            return
        repo.merge("f", decisions=[source, decision])
        assert values(repo) == [5, expected, 7, 1, 5, 1, 1, 1]

    def test_tolerance_keeps_the_target(self) -> None:
        repo = world()
        branches(repo, put({0: 5.0001, 1: 9}), put({0: 5}))
        with pytest.raises(MergeConflictError):
            repo.merge("f", cells="auto")
        repo.merge("f", cells="auto", tolerance={"abs": 0.01})
        assert values(repo) == [5, 9, 1, 1, 1, 1, 1, 1]

    def test_a_missing_chunk_is_the_fill_value(self) -> None:
        repo = world(value=0)
        branches(repo, put({0: 5}), put({2: 7}))
        repo.merge("f", cells="auto")
        assert values(repo) == [5, 0, 7, 0, 0, 0, 0, 0]

    def test_a_deleted_chunk_against_a_write(self) -> None:
        repo = world()
        branches(repo, write(0, 4, 0), put({2: 1.0, 4: 3}))
        branches_main = repo.lookup_branch("main")
        result = repo.merge("f", cells="auto")
        assert values(repo) == [0, 0, 0, 0, 3, 1, 1, 1]
        assert branches_main != result.snapshot_id

    def test_both_together_clear_a_chunk(self) -> None:
        repo = world()
        branches(repo, write(0, 2, 0), write(2, 4, 0))
        repo.merge("f", cells="auto")
        assert values(repo) == [0, 0, 0, 0, 1, 1, 1, 1]
        session = repo.readonly_session("main")
        assert session.chunk_type("/a", [0]) == icechunk.ChunkType.UNINITIALIZED

    def test_cells_beyond_the_shape_are_not_compared(self) -> None:
        repo = world()

        def shrunk(value: int) -> Edit:
            def edit(root: zarr.Group) -> None:
                array(root)[7] = value
                array(root).resize((6,))
                array(root)[value % 2 + 4] = value

            return edit

        branches(repo, shrunk(10), shrunk(11))
        repo.merge("f", cells="auto")
        assert values(repo) == [1, 1, 1, 1, 10, 11]

    def test_growth_inside_the_chunk(self) -> None:
        repo = world((6,), (4,))

        def grown(root: zarr.Group) -> None:
            array(root).resize((8,))
            array(root)[6:8] = 5

        branches(repo, grown, put({4: 7}))
        repo.merge("f", cells="auto")
        assert values(repo) == [1, 1, 1, 1, 7, 1, 5, 5]

    def test_arrays_made_alike(self) -> None:
        repo = world()

        def made(at: int) -> Edit:
            def edit(root: zarr.Group) -> None:
                new = root.create_array("b", shape=(4,), chunks=(4,), dtype="i4", fill_value=0)
                new[at] = at

            return edit

        branches(repo, made(1), made(2))
        repo.merge("f", cells="auto")
        assert values(repo, "b") == [0, 1, 2, 0]

    def test_several_sources(self) -> None:
        repo = world()
        start = repo.lookup_branch("main")
        for number in range(4):
            repo.create_branch(f"f{number}", start)
            commit(repo, f"f{number}", put({number: number + 5}))
        repo.merge([f"f{number}" for number in range(4)], cells="auto")
        assert values(repo) == [5, 6, 7, 8, 1, 1, 1, 1]

    def test_picks_and_reverts(self) -> None:
        repo = world()
        source, _ = branches(repo, put({0: 5}), put({1: 7}))
        repo.cherry_pick(source, cells="auto")
        assert values(repo)[:2] == [5, 7]
        repo.revert(repo.lookup_branch("main"), cells="auto")
        commit(repo, "main", put({2: 9}))
        assert values(repo)[:3] == [1, 7, 9]

    def test_objects_are_written_and_survive_collection(self) -> None:
        config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
        repo = world(config=config)
        branches(repo, put({0: 5, 4: 5}), put({1: 7, 5: 7}))
        repo.merge("f", cells="auto")
        repo.delete_branch("f")
        repo.garbage_collect(datetime.now(UTC) + timedelta(days=1))
        assert values(repo) == [5, 7, 1, 1, 5, 7, 1, 1]
        assert repo.readonly_session("main").chunk_type("/a", [0]) == icechunk.ChunkType.NATIVE

    @pytest.mark.parametrize("policy", ["ask", "", None])
    def test_another_policy(self, policy: Any) -> None:
        repo = world()
        branches(repo, put({0: 5}), put({1: 7}))
        with pytest.raises(InvalidInputError, match="cells"):
            repo.merge("f", cells=policy)


def _chunk_objects(repo: Repository) -> list[str]:
    return sorted(key for key in repo._ctx.storage.list("chunks/"))


KINDS: dict[str, tuple[Any, Any, Any]] = {
    "bool": (False, True, True),
    "i1": (1, 2, 3),
    ">u2": (1, 2, 3),
    "f2": (1, -0.0, 0.5),
    "c16": (1, complex(np.nan, 1), 2),
    "M8[s]": (np.datetime64(1, "s"), np.datetime64("NaT", "s"), np.datetime64(3, "s")),
    "<U3": ("a", "bcd", ""),
    "S3": (b"a", b"bcd", b"x"),
    "string": ("a", "a much longer text than before", "ß"),
}


@pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
@pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification.*")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sharded", [False, True])
def test_every_data_type(kind: str, sharded: bool) -> None:
    base, one, two = KINDS[kind]
    dtype: Any = str if kind == "string" else kind
    more: dict[str, Any] = {"shards": (8,)} if sharded else {}
    repo = world((8,), (2,) if sharded else (8,), dtype=dtype, fill_value=None, value=base, **more)
    branches(repo, put({0: one, 1: one, 5: one}), put({2: two, 3: two, 7: two}))
    repo.merge("f", cells="auto")
    expected = [one, one, two, two, base, one, base, two]
    got = np.asarray(array(zarr.open_group(repo.readonly_session("main").store, mode="r"))[...])
    assert not differs(got, np.array(expected, got.dtype)).any()


@pytest.mark.filterwarnings("ignore:.*does not have a Zarr V3 specification.*")
def test_structures() -> None:
    dtype = np.dtype([("a", "i4"), ("b", "f8")])
    repo = world((4,), (4,), dtype=dtype, fill_value=None, value=np.zeros(4, dtype))
    one, two = np.array((1, np.nan), dtype), np.array((2, -0.0), dtype)
    branches(repo, put({0: one}), put({3: two}))
    repo.merge("f", cells="auto")
    got = np.asarray(array(zarr.open_group(repo.readonly_session("main").store, mode="r"))[...])
    expected = np.zeros(4, dtype)
    expected[0], expected[3] = one, two
    assert bits(got) == bits(expected)


def test_a_scalar_array() -> None:
    repo = world((), (), value=1)
    source, _ = branches(repo, _scalar(5), None)
    commit(repo, "main", _scalar(5.5))
    assert source
    with pytest.raises(MergeConflictError):
        repo.merge("f", cells="auto")
    repo.merge("f", cells="auto", tolerance={"abs": 1})
    assert values(repo) == 5.5


def _scalar(value: float) -> Edit:
    def edit(root: zarr.Group) -> None:
        array(root)[...] = value

    return edit


WRITES = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 6)),
    st.sampled_from([0.0, -0.0, 1.0, 2.0, np.nan]),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(WRITES, WRITES, st.booleans())
def test_a_model(
    mine: dict[tuple[int, int], float], its: dict[tuple[int, int], float], sharded: bool
) -> None:
    """Symmetry, refinement, and equality with numpy, for random writes of both sides."""
    more: dict[str, Any] = {"shards": (4, 4)} if sharded else {}
    base = np.arange(35, dtype="f8").reshape(5, 7) % 3
    repo = world((5, 7), (2, 2) if sharded else (3, 4), value=base, **more)
    states = []
    for cells in (mine, its):
        state = base.copy()
        for at, value in cells.items():
            state[at] = value
        states.append(state)

    def state_edit(cells: dict[tuple[int, int], float]) -> Edit | None:
        def edit(root: zarr.Group) -> None:
            for at, value in cells.items():
                array(root)[at] = value

        return edit if cells else None

    source, target = branches(repo, state_edit(mine), state_edit(its))
    ours, theirs = states
    changed_mine, changed_its = differs(ours, base), differs(theirs, base)
    both = changed_mine & changed_its & differs(ours, theirs)
    outcomes = []
    for name, one, two in (("x", source, target), ("y", target, source)):
        repo.create_branch(name, two)
        plain = repo.merge(one, into=name, dry_run=True)
        result = repo.merge(one, into=name, dry_run=True, cells="auto")
        outcomes.append([(c.path, c.conflicted_chunks) for c in result.conflicts])
        assert bool(both.any()) == bool(result.conflicts)
        if result.conflicts:
            continue
        repo.create_branch(f"never-{name}", two)
        repo.merge(one, into=name, cells="auto")
        expected = np.where(changed_mine, ours, theirs)
        assert bits(np.array(values(repo, branch=name))) == bits(expected)
        if not plain.conflicts:
            repo.merge(one, into=f"never-{name}")
            assert bits(np.array(values(repo, branch=f"never-{name}"))) == bits(expected)
    assert outcomes[0] == outcomes[1]


def test_a_merge_session() -> None:
    repo = world(config=icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0))
    branches(repo, put({0: 5, 1: 5, 5: 5}), put({1: 7, 6: 7}))
    session = repo.merge_session("f")
    session.solve([{"path": "/a", "type": "ChunkDoubleUpdate", "choice": "cells"}])
    assert [one.conflicted_chunks for one in session.conflicts().conflicts] == [[[0]]]
    session.solve(
        [{"path": "/a", "type": "ChunkDoubleUpdate", "choice": "cells", "otherwise": "source"}]
    )
    session.commit("merged")
    repo.garbage_collect(datetime.now(UTC) + timedelta(days=1))
    assert values(repo) == [5, 5, 1, 1, 1, 5, 7, 1]


def test_virtual_chunks_that_may_not_be_read_stay_a_conflict(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(np.full(4, 9.0).tobytes())
    url = f"file://{tmp_path}/"
    config = icechunk.RepositoryConfig()
    place = icechunk.local_filesystem_store(str(tmp_path))
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(url, place))
    storage = icechunk.in_memory_storage()
    granted = {url: icechunk.credentials.LocalFileSystemAccess}
    repo = Repository.create(storage, config, authorize_virtual_chunk_access=granted)

    def layout(root: zarr.Group) -> None:
        metadata: dict[str, Any] = {"dtype": "f8", "fill_value": 0, "compressors": None}
        root.create_array("a", shape=(8,), chunks=(4,), **metadata)[...] = 1

    commit(repo, "main", layout)
    repo.create_branch("f", repo.lookup_branch("main"))
    session = repo.writable_session("f")
    session.store.set_virtual_ref("a/c/0", url + "data", offset=0, length=32)
    session.commit("virtual")
    commit(repo, "main", put({5: 7, 1: 9}))
    with pytest.raises(MergeConflictError):
        Repository.open(storage, config).merge("f", cells="auto")
    repo.merge("f", cells="auto")
    assert values(repo) == [9, 9, 9, 9, 1, 7, 1, 1]


def test_an_unknown_codec_stays_a_conflict() -> None:
    repo = world()
    new = default_buffer_prototype().buffer.from_bytes

    def put_bytes(branch: str, key: str, data: bytes) -> None:
        session = repo.writable_session(branch)
        session.store.set_sync(key, new(data))
        session.commit(key)

    found = repo.readonly_session("main").store.get_sync("a/zarr.json")
    assert found is not None
    document = json.loads(found.to_bytes())
    document["codecs"].append({"name": "unknown.codec"})
    put_bytes("main", "a/zarr.json", json.dumps(document).encode())
    repo.create_branch("f", repo.lookup_branch("main"))
    put_bytes("f", "a/c/0", b"one")
    put_bytes("main", "a/c/0", b"two")
    with pytest.raises(MergeConflictError):
        repo.merge("f", cells="auto")
