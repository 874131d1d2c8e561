"""Dask blocks that share a Zarr chunk or shard: written one after another, or refused untouched."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import icechunk
from icechunk import InvalidInputError, Repository, Session
from icechunk.dask import in_session, store_dask
from icechunk.xarray import to_icechunk

da = pytest.importorskip("dask.array")
xr = pytest.importorskip("xarray")


class Layout(NamedTuple):
    """An array of Zarr, the blocks of dask, and where they go."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    blocks: tuple[Any, ...]
    shards: tuple[int, ...] | None = None
    region: tuple[slice, ...] | None = None


SHARED = {
    "rows": Layout((12, 4), (5, 4), (3, 4)),
    "columns": Layout((4, 12), (2, 5), (2, 3)),
    "smaller than a chunk": Layout((8,), (8,), (2,)),
    "irregular": Layout((12,), (4,), ((4, 3, 5),)),
    "an empty block between": Layout((8,), (4,), ((3, 0, 5),)),
    "a region that begins inside a chunk": Layout((12,), (4,), (4,), None, (slice(2, 10),)),
    "chunks fit, shards do not": Layout((12, 4), (2, 2), (2, 4), (6, 4)),
    "a shard in a region": Layout((12,), (2,), (6,), (6,), (slice(2, 12),)),
    "every other cell": Layout((12,), (6,), (2,), None, (slice(0, 12, 2),)),
}
APART = {
    "rows": Layout((12, 4), (3, 4), (6, 4)),
    "the last block is short": Layout((11,), (4,), (8,)),
    "irregular": Layout((12,), (4,), ((4, 8),)),
    "a region that begins inside a chunk": Layout((12,), (4,), ((2, 4, 2),), None, (slice(2, 10),)),
    "shards": Layout((12, 4), (2, 2), (6, 4), (6, 4)),
    "no dimension": Layout((), (), ()),
    "no cell": Layout((0, 4), (5, 2), (1, 1)),
    "cells far apart": Layout((12,), (2,), (1,), None, (slice(0, 12, 2),)),
}
SERIAL = ["synchronous", "threads"]


def source_of(layout: Layout) -> Any:
    part = np.empty(layout.shape)[layout.region or ...]
    return da.from_array(np.arange(1.0, part.size + 1).reshape(part.shape), layout.blocks)


def make(repo: Repository, layout: Layout) -> tuple[Session, Any]:
    session = repo.writable_session("main")
    target = zarr.create_array(
        session.store,
        name="a",
        shape=layout.shape,
        chunks=layout.chunks,
        shards=layout.shards,
        dtype="f8",
        dimension_names=["row", "column"][: len(layout.shape)],
    )
    return session, target


def regions(layout: Layout) -> list[Any] | None:
    return None if layout.region is None else [layout.region]


def expected(layout: Layout) -> Any:
    whole = np.zeros(layout.shape)
    whole[layout.region or ...] = source_of(layout).compute()
    return whole


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository.create(icechunk.local_filesystem_storage(tmp_path / "repo"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Workers on threads of this process: they may share arrays without pickling them."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=4, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def check_refused(session: Session, target: Any, layout: Layout, **options: Any) -> str:
    with pytest.raises(InvalidInputError, match=r"to one Zarr (chunk|shard)") as caught:
        store_dask(
            session,
            sources=[source_of(layout)],
            targets=[target],
            regions=regions(layout),
            **options,
        )
    assert caught.value.kind == "shared-chunk"
    assert not session.status().updated_chunks
    return str(caught.value)


@pytest.mark.parametrize("layout", SHARED.values(), ids=SHARED)
@pytest.mark.parametrize("scheduler", SERIAL)
def test_on_threads_shared_chunks_are_whole(
    repo: Repository, layout: Layout, scheduler: str
) -> None:
    session, target = make(repo, layout)
    store_dask(
        session,
        sources=[source_of(layout)],
        targets=[target],
        regions=regions(layout),
        scheduler=scheduler,
    )
    assert np.array_equal(target[...], expected(layout))


@pytest.mark.parametrize("layout", SHARED.values(), ids=SHARED)
def test_between_processes_shared_chunks_are_refused_before_the_first_write(
    repo: Repository, layout: Layout, cluster: Any
) -> None:
    session, target = make(repo, layout)
    with ProcessPoolExecutor(1) as pool:
        for options in (
            {"scheduler": "processes"},
            {"scheduler": cluster},
            {"scheduler": cluster.get},
            {"scheduler": "threads", "pool": pool},
            {"scheduler": pool},
            {"scheduler": "processes", "lock": True},
        ):
            said = check_refused(session, target, layout, **options)
    assert "/a" in said
    assert "'row'" in said or "'column'" in said
    # The call that the error advises does what it says.
    call = re.search(r"sources\[0\](\.rechunk\(.*?\}\))", said)
    assert call is not None
    sizes = eval(call[1].removeprefix(".rechunk(").removesuffix(")").replace(r"'row'", "0"))
    again = layout._replace(blocks=source_of(layout).rechunk(sizes).chunks)
    assert not shares(again)


@pytest.mark.parametrize("layout", APART.values(), ids=APART)
@pytest.mark.parametrize("scheduler", [*SERIAL, "cluster"])
def test_blocks_of_their_own_chunks_are_written_everywhere(
    repo: Repository, layout: Layout, scheduler: str, cluster: Any
) -> None:
    session, target = make(repo, layout)
    store_dask(
        session,
        sources=[source_of(layout)],
        targets=[target],
        regions=regions(layout),
        scheduler=cluster if scheduler == "cluster" else scheduler,
    )
    assert np.array_equal(target[...], expected(layout))


def test_a_pool_of_threads_counts_as_threads(repo: Repository) -> None:
    layout = SHARED["rows"]
    with ThreadPoolExecutor(4) as pool:
        for options in ({"scheduler": pool}, {"scheduler": "threads", "pool": pool}):
            session, target = make(repo, layout)
            store_dask(session, sources=[source_of(layout)], targets=[target], **options)
            assert np.array_equal(target[...], expected(layout))


def shares(layout: Layout) -> bool:
    """Whether any chunk is written by two blocks, found cell by cell."""
    unit = layout.shards or layout.chunks
    writers: dict[tuple[int, ...], set[int]] = {}
    source = source_of(layout)
    cells = np.argwhere(np.ones(layout.shape, bool)).reshape(*layout.shape, len(layout.shape))
    cells = cells[layout.region or ...]
    starts = [np.cumsum((0, *sizes)) for sizes in source.chunks]
    for number, block in enumerate(itertools.product(*(range(len(s) - 1) for s in starts))):
        part = tuple(slice(s[i], s[i + 1]) for s, i in zip(starts, block, strict=True))
        for cell in cells[part].reshape(-1, len(layout.shape)):
            writers.setdefault(tuple(cell // np.array(unit)), set()).add(number)
    return any(len(found) > 1 for found in writers.values())


@st.composite
def layouts(draw: Any) -> Layout:
    shape, chunks, shards, blocks, region = [], [], [], [], []
    for _ in range(draw(st.integers(1, 2))):
        size = draw(st.integers(1, 12))
        chunk = draw(st.integers(1, 5))
        start = draw(st.integers(0, size - 1))
        stop = draw(st.integers(start + 1, size))
        step = draw(st.sampled_from([1, 1, 1, 2]))
        edges = sorted(draw(st.lists(st.integers(0, len(range(start, stop, step))), max_size=3)))
        edges = [0, *edges, len(range(start, stop, step))]
        shape.append(size)
        chunks.append(chunk)
        shards.append(chunk * draw(st.integers(1, 3)))
        blocks.append(tuple(b - a for a, b in itertools.pairwise(edges)))
        region.append(slice(start, stop, step))
    sharded = tuple(shards) if draw(st.booleans()) else None
    return Layout(tuple(shape), tuple(chunks), tuple(blocks), sharded, tuple(region))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(layout=layouts())
def test_any_layout_is_right_on_threads_and_refused_where_it_shares(
    repo: Repository, layout: Layout
) -> None:
    session, target = make(repo, layout)
    if shares(layout):
        check_refused(session, target, layout, scheduler="processes")
    store_dask(
        session,
        sources=[source_of(layout)],
        targets=[target],
        regions=regions(layout),
        scheduler="threads",
    )
    assert np.array_equal(target[...], expected(layout))


def test_the_error_names_blocks_chunks_and_the_way_out(repo: Repository) -> None:
    layout = Layout((40, 8), (5, 8), (3, 8))
    session, target = make(repo, layout)
    said = check_refused(session, target, layout, scheduler="processes")
    assert "dask blocks 0 and 1 (of 14) along dimension 'row' of /a" in said
    assert "the one that starts at 0" in said
    assert (
        "start at 0, 3, 6, 9, 12, 15, …, 39; the Zarr chunks at 0, 5, 10, 15, 20, 25, …, 35" in said
    )
    assert "sources[0].rechunk({0: 5})" in said


def test_two_sources_for_one_array(repo: Repository, cluster: Any) -> None:
    session, target = make(repo, Layout((12,), (4,), ()))
    ones = da.ones(6, chunks=6)

    def store(*parts: slice, **options: Any) -> None:
        store_dask(
            session,
            sources=[ones * (n + 1) for n in range(len(parts))],
            targets=[target] * len(parts),
            regions=[(part,) for part in parts],
            **options,
        )

    for scheduler in ("processes", cluster):
        with pytest.raises(InvalidInputError, match="sources 0 and 1 would write to one Zarr"):
            store(slice(0, 6), slice(6, 12), scheduler=scheduler)
    for scheduler in (*SERIAL, "processes", cluster):
        with pytest.raises(InvalidInputError, match="both write the same cells"):
            store(slice(0, 6), slice(5, 11), scheduler=scheduler)
    assert not session.status().updated_chunks
    store(slice(0, 6), slice(6, 12), scheduler="threads")
    assert target[:].tolist() == [1] * 6 + [2] * 6


@pytest.mark.parametrize(
    ("shape", "region", "message"),
    [
        ((14,), None, "has the shape"),
        ((6,), (slice(0, 5),), "has the shape"),
        ((6, 1), None, "does not fit"),
        ((6,), (slice(11, 5, -1),), "positive step"),
        ((6,), ([0, 1, 2, 3, 4, 5],), "one slice with a positive step"),
        ((1,), (3,), "has the shape"),
        ((), (50,), "has the shape"),
    ],
)
def test_regions_that_do_not_fit_are_refused(
    repo: Repository, shape: tuple[int, ...], region: Any, message: str
) -> None:
    session, target = make(repo, Layout((12,), (4,), ()))
    with pytest.raises(InvalidInputError, match=message) as caught:
        store_dask(session, sources=[da.ones(shape)], targets=[target], regions=[region])
    assert caught.value.kind == "invalid-region"
    assert not session.status().updated_chunks


def test_indices_and_bounds_from_the_end(repo: Repository) -> None:
    session, target = make(repo, Layout((4, 6), (2, 2), ()))
    row = da.arange(1.0, 5.0, chunks=2)
    store_dask(session, sources=[row], targets=[target], regions=[(-1, slice(-4, None))])
    assert target[3].tolist() == [0, 0, 1, 2, 3, 4]
    unknown = da.from_array(np.arange(6.0), chunks=2)
    with pytest.raises(InvalidInputError, match="compute_chunk_sizes"):
        store_dask(session, sources=[unknown[unknown > 2]], targets=[target])
    with pytest.raises(InvalidInputError, match="must be dask array"):
        store_dask(session, sources=[np.ones(3)], targets=[target])


def test_rectilinear_chunks(repo: Repository) -> None:
    pytest.importorskip("zarr", minversion="3.4")
    session = repo.writable_session("main")
    with zarr.config.set({"array.rectilinear_chunks": True}):
        target = zarr.create_array(
            session.store, name="a", shape=(10,), chunks=[[3, 4, 3]], dtype="f8"
        )
        layout = Layout((10,), (1,), ((3, 4, 3),))
        store_dask(session, sources=[source_of(layout)], targets=[target], scheduler="threads")
        assert target[:].tolist() == list(range(1, 11))
        fork = session.fork()
        wrong = layout._replace(blocks=(5,))
        said = check_refused(fork, in_session(target, fork), wrong, scheduler="processes")
    assert "the Zarr chunks at 0, 3, 7" in said


# through xarray


@pytest.fixture
def stored(repo: Repository) -> Repository:
    session = repo.writable_session("main")
    values = np.arange(40.0)
    to_icechunk(xr.Dataset({"v": ("time", values)}), session, encoding={"v": {"chunks": (5,)}})
    session.commit("forty")
    return repo


def dataset(size: int, blocks: Any) -> Any:
    return xr.Dataset({"v": ("time", da.from_array(np.arange(size) + 100.0, chunks=blocks))})


CALLS: dict[str, tuple[int, dict[str, Any]]] = {
    "over what is there": (40, {"mode": "a"}),
    "a region": (20, {"region": {"time": slice(2, 22)}}),
    "appended": (20, {"append_dim": "time"}),
    "new": (40, {"mode": "w", "encoding": {"v": {"chunks": (5,)}}}),
    "new, in shards": (
        40,
        {"mode": "w", "encoding": {"v": {"chunks": (5,), "shards": (10,)}}},
    ),
    "another group": (40, {"group": "other", "encoding": {"v": {"chunks": (5,)}}}),
}


@pytest.mark.parametrize(("size", "options"), CALLS.values(), ids=CALLS)
def test_to_icechunk_without_safe_chunks(
    stored: Repository, size: int, options: dict[str, Any], cluster: Any
) -> None:
    session = stored.writable_session("main")
    given = dataset(size, 3)
    for scheduler in ("processes", cluster):
        with pytest.raises(InvalidInputError, match=r"'time' of /.*v would write to one Zarr"):
            to_icechunk(
                given,
                session,
                safe_chunks=False,
                chunkmanager_store_kwargs={"scheduler": scheduler},
                **options,
            )
        assert not session.has_uncommitted_changes
    to_icechunk(
        given,
        session,
        safe_chunks=False,
        chunkmanager_store_kwargs={"scheduler": "threads"},
        **options,
    )
    read = zarr.open_group(session.store, path=options.get("group", ""), mode="r")["v"][...]
    whole = np.arange(40.0)
    if "append_dim" in options:
        whole = np.append(whole, given["v"].values)
    else:
        whole[options.get("region", {"time": slice(None)})["time"]] = given["v"].values
    assert np.array_equal(read, whole)


@pytest.mark.parametrize(("size", "options"), CALLS.values(), ids=CALLS)
def test_what_xarray_refuses_changes_nothing(
    stored: Repository, size: int, options: dict[str, Any]
) -> None:
    session = stored.writable_session("main")
    with pytest.raises(ValueError, match=r"overlap multiple Dask chunks|to one Zarr"):
        to_icechunk(
            dataset(size, 3),
            session,
            chunkmanager_store_kwargs={"scheduler": "processes"},
            **options,
        )
    assert not session.has_uncommitted_changes
