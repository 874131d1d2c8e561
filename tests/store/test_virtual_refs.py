from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk.config.containers import VirtualChunkContainer, local_filesystem_store, s3_store
from icechunk.core.errors import ErrorKind, IcechunkError
from icechunk.spec.manifest.chunk_table import Location
from icechunk.virtual import VirtualChunkSpec

URL = "s3://bucket/ok/file.nc"


def u64(*values: int) -> Any:
    return np.array(values, np.uint64)


@pytest.fixture
def session() -> icechunk.Session:
    config = icechunk.RepositoryConfig()
    config.set_virtual_chunk_container(
        VirtualChunkContainer("s3://bucket/ok/", s3_store(region="us-east-1"), name="named")
    )
    config.set_virtual_chunk_container(
        VirtualChunkContainer("file:///data/", local_filesystem_store("/data"))
    )
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), config)
    session = repo.writable_session("main")
    group = zarr.create_group(session.store)
    group.create_array("a", shape=(4, 6), chunks=(1, 1), dtype="i4")
    group.create_array("scalar", shape=(), chunks=(), dtype="i4")
    return session


def found(session: icechunk.Session, path: str, *coords: int) -> Location | None:
    return session._transaction.array_reader(path).find(coords)


def kind_of(call: Callable[[], object]) -> str:
    with pytest.raises(IcechunkError) as caught:
        call()
    return caught.value.kind


def test_single_references_are_found_before_and_after_the_commit(
    session: icechunk.Session,
) -> None:
    store = session.store
    store.set_virtual_ref("a/c/0/1", "S3://bucket/ok/x", offset=5, length=7, checksum='"tag"')
    when = datetime(2024, 1, 2, 3, 4, 5, 900_000, UTC)
    store.set_virtual_ref("a/c/0/2", URL, offset=2**63, length=1, checksum=when)
    store.set_virtual_ref("scalar/c", "vcc://named/y", offset=0, length=4)
    for _ in range(2):
        tagged = found(session, "/a", 0, 1)
        assert tagged == Location(2, None, 5, 7, None, "s3://bucket/ok/x", '"tag"', 0)
        seconds = int(when.timestamp())
        dated = found(session, "/a", 0, 2)
        assert dated == Location(2, None, 2**63, 1, None, URL, None, seconds)
        assert found(session, "/scalar") == Location(2, None, 0, 4, None, "vcc://named/y", None, 0)
        if not session.read_only:
            session.commit("references")


def test_times_before_1970_still_count_as_a_check(session: icechunk.Session) -> None:
    early = datetime(1960, 1, 1, tzinfo=timezone(timedelta(hours=3)))
    session.store.set_virtual_ref("a/c/0/0", URL, offset=0, length=1, checksum=early)
    place = found(session, "/a", 0, 0)
    assert place is not None
    assert place.modified == 1


@pytest.mark.parametrize(
    ("key", "location", "length", "kind"),
    [
        ("a/zarr.json", URL, 1, ErrorKind.NOT_ALLOWED),
        ("a/foo", URL, 1, ErrorKind.INVALID_KEY),
        ("zz/c/0/0", URL, 1, ErrorKind.NODE_NOT_FOUND),
        ("c/0/0", URL, 1, ErrorKind.NOT_AN_ARRAY),
        ("a/c/9/0", URL, 1, ErrorKind.INVALID_CHUNK_INDEX),
        ("a/c/1", URL, 1, ErrorKind.INVALID_CHUNK_INDEX),
        ("a/c/0/0", URL, 0, ErrorKind.ZERO_LENGTH_CHUNK),
        ("a/c/0/0", "s3://other/x", 1, ErrorKind.NO_CONTAINER_FOR_VIRTUAL_CHUNK),
        ("a/c/0/0", "s3://bucket/ok", 1, ErrorKind.NO_CONTAINER_FOR_VIRTUAL_CHUNK),
        ("a/c/0/0", "file:///data/../x", 1, ErrorKind.NO_CONTAINER_FOR_VIRTUAL_CHUNK),
        ("a/c/0/0", "vcc://other/x", 1, ErrorKind.NO_CONTAINER_FOR_VIRTUAL_CHUNK),
        ("a/c/0/0", "data/x", 1, ErrorKind.INVALID_VIRTUAL_REF),
        ("a/c/0/0", "s3:foo", 1, ErrorKind.INVALID_VIRTUAL_REF),
    ],
)
def test_what_cannot_be_a_reference_is_refused(
    session: icechunk.Session, key: str, location: str, length: int, kind: str
) -> None:
    store = session.store
    assert kind_of(lambda: store.set_virtual_ref(key, location, offset=0, length=length)) == kind
    assert not session.status().updated_chunks


def test_without_validation_any_url_will_do(session: icechunk.Session) -> None:
    store = session.store
    store.set_virtual_ref("a/c/0/0", "s3://x/y", offset=0, length=1, validate_container=False)
    place = found(session, "/a", 0, 0)
    assert place is not None
    assert place.url == "s3://x/y"
    with pytest.raises(IcechunkError, match="relative URL without a base"):
        store.set_virtual_ref("a/c/0/0", "y", offset=0, length=1, validate_container=False)


def test_specs_are_written_except_those_without_a_container(session: icechunk.Session) -> None:
    rejected = session.store.set_virtual_refs(
        "a",
        [
            VirtualChunkSpec([2, 3], "s3://no/x", 0, 1),
            VirtualChunkSpec([2, 4], URL, 1, 3, "tag"),
            VirtualChunkSpec([2, 5], "file:///data/a b/../c", 2, 3, None, datetime.now(UTC)),
            VirtualChunkSpec([2, 4], URL, 9, 3),
        ],
    )
    assert rejected == [(2, 3)]
    assert found(session, "/a", 2, 3) is None
    assert found(session, "/a", 2, 4) == Location(2, None, 9, 3, None, URL, None, 0)
    dated = found(session, "/a", 2, 5)
    assert dated is not None
    assert dated.url == "file:///data/c"
    assert dated.modified > 0
    assert session.store.set_virtual_refs("/a", []) is None


def test_one_bad_spec_writes_nothing(session: icechunk.Session) -> None:
    good = VirtualChunkSpec([2, 4], URL, 1, 3)
    for bad in (
        VirtualChunkSpec([2], URL, 0, 1),
        VirtualChunkSpec([9, 1], URL, 0, 1),
        VirtualChunkSpec([2, 1], URL, 0, 0),
        VirtualChunkSpec([2, 1], "bad", 0, 1),
    ):
        kind_of(lambda bad=bad: session.store.set_virtual_refs("/a", [good, bad]))  # type: ignore[misc]
    with pytest.raises(TypeError, match="VirtualChunkSpec"):
        session.store.set_virtual_refs("/a", [good, 1])  # type: ignore[list-item]
    assert not session.status().updated_chunks


FOUR = [URL, "s3://no/x", "", "s3://bucket/ok/two.nc"]


@pytest.mark.parametrize(
    "locations",
    [
        FOUR,
        np.array(FOUR),
        np.array(FOUR, "S"),
        np.array(FOUR, object),
        *([np.array(FOUR, np.dtypes.StringDType())] if hasattr(np.dtypes, "StringDType") else []),
    ],
    ids=lambda given: str(getattr(given, "dtype", "list")),
)
def test_columns_are_written_in_c_order_from_a_corner(
    session: icechunk.Session, locations: Any
) -> None:
    rejected = session.store.set_virtual_refs_arr(
        "/a", (2, 2), locations, u64(0, 1, 2, 3), u64(1, 1, 0, 4), arr_offset=(1, 3), checksum="t"
    )
    assert rejected == [(1, 4)]
    assert found(session, "/a", 1, 3) == Location(2, None, 0, 1, None, URL, "t", 0)
    assert found(session, "/a", 2, 3) is None
    last = Location(2, None, 3, 4, None, "s3://bucket/ok/two.nc", "t", 0)
    assert found(session, "/a", 2, 4) == last
    scalar = session.store.set_virtual_refs_arr("scalar", (), [URL], u64(3), u64(4))
    assert scalar is None
    assert found(session, "/scalar") == Location(2, None, 3, 4, None, URL, None, 0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"locations": [URL] * 3}, ValueError),
        ({"offsets": u64(0)}, ValueError),
        ({"chunk_grid_shape": (2, 3)}, ValueError),
        ({"arr_offset": (1,)}, ValueError),
        ({"arr_offset": (-1, 0)}, OverflowError),
        ({"locations": (URL,) * 4}, TypeError),
        ({"locations": [URL, 1, URL, URL]}, TypeError),
        ({"offsets": np.arange(4)}, TypeError),
        ({"lengths": [1, 1, 1, 1]}, TypeError),
        ({"lengths": u64(1, 1, 1, 1).reshape(2, 2)}, TypeError),
        ({"checksum": datetime(2024, 1, 1)}, TypeError),
        ({"checksum": 5}, TypeError),
        ({"chunk_grid_shape": (4,)}, IcechunkError),
        ({"arr_offset": (3, 0)}, IcechunkError),
        ({"lengths": u64(1, 0, 1, 1)}, IcechunkError),
        ({"locations": [URL, URL, "\ud800", URL]}, IcechunkError),
        ({"array_path": "/zz"}, IcechunkError),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    session: icechunk.Session, change: dict[str, Any], error: type[Exception]
) -> None:
    given: dict[str, Any] = {
        "array_path": "/a",
        "chunk_grid_shape": (2, 2),
        "locations": [URL] * 4,
        "offsets": u64(0, 1, 2, 3),
        "lengths": u64(1, 1, 1, 1),
    }
    with pytest.raises(error):
        session.store.set_virtual_refs_arr(**{**given, **change})
    assert not session.status().updated_chunks


def test_files_are_normalised_in_columns_too(session: icechunk.Session) -> None:
    given = ["file:///data/a.nc", "file:///data/x/../b c.nc", "FILE:///data/%2e/d", "file:///x/y"]
    ones = u64(1, 1, 1, 1)
    assert session.store.set_virtual_refs_arr("a", (1, 4), given, ones, ones) == [(0, 3)]
    places = [found(session, "/a", 0, k) for k in range(3)]
    assert [p.url for p in places if p] == [
        "file:///data/a.nc",
        "file:///data/b%20c.nc",
        "file:///data/d",
    ]


def test_read_only_stores_refuse(session: icechunk.Session) -> None:
    store = session.store.with_read_only(True)
    ones = u64(1)
    for call in (
        lambda: store.set_virtual_ref("a/c/0/0", URL, offset=0, length=1),
        lambda: store.set_virtual_refs("a", []),
        lambda: store.set_virtual_refs_arr("a", (1, 1), [URL], ones, ones),
    ):
        assert kind_of(call) == ErrorKind.READ_ONLY_STORE


def test_asynchronous_twins(session: icechunk.Session) -> None:
    async def write() -> object:
        store = session.store
        await store.set_virtual_ref_async("a/c/0/0", URL, offset=0, length=1)
        await store.set_virtual_refs_async("a", [VirtualChunkSpec([0, 1], URL, 0, 1)])
        return await store.set_virtual_refs_arr_async("a", (1, 1), ["s3://n/x"], u64(0), u64(1))

    assert asyncio.run(write()) == [(0, 0)]
    assert len(session.chunk_references("/a")) == 2


def test_a_later_write_wins_over_references(session: icechunk.Session) -> None:
    ones = np.ones(24, np.uint64)
    session.store.set_virtual_refs_arr("a", (4, 6), [URL] * 24, ones, ones)
    zarr.open_array(session.store, path="a")[0, 0] = 5
    place = found(session, "/a", 0, 0)
    assert place is not None
    assert place.kind != 2
    session.commit("mixed")
    assert len(session.chunk_references("/a")) == 24
