"""Reading virtual chunks from every kind of store."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.codecs import BytesCodec
from zarr.core.buffer import default_buffer_prototype

import icechunk
from tests.virtual_chunks.places import Place, local_place, new_array, s3_place, values, web_place

PROTOTYPE = default_buffer_prototype()


def referring(place: Place, location: str, chunks: int = 4, **checks: Any) -> icechunk.Session:
    """A session with an array of chunks of 10 numbers, from byte 8 of the object on."""
    session = place.repository(name="named").writable_session("main")
    new_array(session, chunks, 10)
    session.store.set_virtual_refs_arr(
        "a",
        (chunks,),
        [location] * chunks,
        (8 + np.arange(chunks) * 40).astype(np.uint64),
        np.full(chunks, 40, np.uint64),
        **checks,
    )
    return session


def numbers(count: int = 40) -> Any:
    return np.arange(count, dtype="f4")


def body(count: int = 40) -> bytes:
    return b"8 bytes." + numbers(count).tobytes()


def failure(session: icechunk.Session) -> icechunk.IcechunkError:
    with pytest.raises(icechunk.IcechunkError) as caught:
        values(session)
    return caught.value


def test_chunks_are_read_before_and_after_the_commit(place: Place) -> None:
    session = referring(place, place.put("x.bin", body()))
    np.testing.assert_array_equal(values(session), numbers())
    session.commit("references")
    np.testing.assert_array_equal(values(session), numbers())


def test_byte_ranges_are_relative_to_the_chunk(place: Place) -> None:
    store = referring(place, place.put("x.bin", body())).store
    whole = numbers()[10:20].tobytes()

    async def get(request: Any) -> bytes:
        found = await store.get("a/c/1", PROTOTYPE, request)
        assert found is not None
        return found.to_bytes()

    for request, part in (
        (None, slice(0, 40)),
        (RangeByteRequest(4, 12), slice(4, 12)),
        (OffsetByteRequest(30), slice(30, 40)),
        (SuffixByteRequest(7), slice(33, 40)),
        (RangeByteRequest(5, 5), slice(0, 0)),
    ):
        assert asyncio.run(get(request)) == whole[part]
        found = store.get_sync("a/c/1", byte_range=request)
        assert found is not None
        assert found.to_bytes() == whole[part]
    with pytest.raises(icechunk.InvalidInputError) as caught:
        asyncio.run(get(RangeByteRequest(0, 41)))
    assert caught.value.kind == "invalid-byte-range"


def test_inner_chunks_of_a_virtual_shard_are_read_in_part(place: Place) -> None:
    memory = zarr.storage.MemoryStore()
    shape: dict[str, Any] = {"shape": (64, 64), "shards": (64, 64), "chunks": (8, 8), "dtype": "i4"}
    plain = zarr.create_array(memory, name="a", compressors=None, **shape)
    plain[...] = np.arange(64 * 64, dtype="i4").reshape(64, 64)
    shard = asyncio.run(memory.get("a/c/0/0", PROTOTYPE))
    assert shard is not None
    session = place.repository().writable_session("main")
    zarr.create_array(session.store, name="a", compressors=None, **shape)
    location = place.put("shard", b"head" + shard.to_bytes())
    session.store.set_virtual_ref("a/c/0/0", location, offset=4, length=len(shard))
    np.testing.assert_array_equal(
        zarr.open_array(session.store, path="a")[10:20, 3], plain[10:20, 3]
    )
    if place.web is not None:
        assert sum(int(a.headers["range"].count("-")) for a in place.web.asked) > 1
        assert all("range" in asked.headers for asked in place.web.asked)


def test_named_containers_resolve_when_they_are_read(place: Place) -> None:
    place.put("deep/x.bin", body())
    session = referring(place, "vcc://named/deep/x.bin")
    np.testing.assert_array_equal(values(session), numbers())
    assert set(session.all_virtual_chunk_locations()) == {place.prefix + "deep/x.bin"}


@pytest.mark.parametrize(
    "name", ["a b.nc", "a%20b", "100%", "a#b?c=d", "é/ü.nc", "a+b&c;d", "x..y/...z", "[1]{2}'\"`^|"]
)
def test_odd_names_are_reached_when_they_are_percent_encoded(place: Place, name: str) -> None:
    session = referring(place, place.put(name, body()))
    np.testing.assert_array_equal(values(session), numbers())


def test_an_object_that_is_gone_is_named(place: Place) -> None:
    session = referring(place, place.put("x.bin", body()))
    place.remove("x.bin")
    error = failure(session)
    assert type(error) is icechunk.StorageError
    assert error.kind == "virtual-chunk-fetch"
    assert place.prefix + "x.bin" in str(error)
    assert "not found" in str(error)
    assert "set_virtual_ref" in str(error)


@pytest.mark.parametrize("size", [0, 8, 100, 167])
def test_an_object_that_is_too_short_is_named(place: Place, size: int) -> None:
    session = referring(place, place.put("x.bin", body()))
    place.put("x.bin", body()[:size])
    error = failure(session)
    assert error.kind == "virtual-chunk-fetch"
    assert "not enough data. Expected: (40), available (" in str(error)
    assert place.prefix + "x.bin" in str(error)


def etag_of(place: Place, name: str) -> str:
    if place.folder is not None:
        found = os.stat(place.folder / name)
        return f'"{found.st_ino:x}-{found.st_mtime_ns // 1000:x}-{found.st_size:x}"'
    if place.web is not None:
        return str(place.web.objects["/data/" + name].etag)
    assert place.s3 is not None
    return str(place.s3.client().head_object(Bucket="archive", Key=f"data/{name}")["ETag"])


def modified(place: Place, name: str) -> datetime:
    if place.folder is not None:
        return datetime.fromtimestamp((place.folder / name).stat().st_mtime, UTC)
    if place.web is not None:
        return datetime.fromtimestamp(place.web.objects["/data/" + name].modified or 0, UTC)
    assert place.s3 is not None
    head = place.s3.client().head_object(Bucket="archive", Key=f"data/{name}")
    found: datetime = head["LastModified"]
    return found


@pytest.mark.parametrize("quoted", [True, False])
def test_an_etag_is_checked(place: Place, quoted: bool) -> None:
    location = place.put("x.bin", body())
    etag = etag_of(place, "x.bin")
    session = referring(place, location, checksum=etag if quoted else etag.strip('"'))
    np.testing.assert_array_equal(values(session), numbers())
    place.put("x.bin", body()[::-1])
    error = failure(session)
    assert error.kind == "virtual-chunk-modified"
    assert f"has changed ({location})" in str(error)
    place.put("x.bin", b"much shorter")
    assert failure(session).kind in ("virtual-chunk-modified", "virtual-chunk-fetch")


def test_a_time_of_the_last_change_is_checked(place: Place) -> None:
    location = place.put("x.bin", body())
    written = modified(place, "x.bin")
    for good in (written, written + timedelta(days=1)):
        np.testing.assert_array_equal(values(referring(place, location, checksum=good)), numbers())
    error = failure(referring(place, location, checksum=written - timedelta(seconds=2)))
    assert error.kind == "virtual-chunk-modified"
    assert "written 2 s after" in str(error)


def test_a_checksum_that_the_place_does_not_tell_is_not_passed_over(web: Any) -> None:
    place = web_place(web)
    location = place.put("x.bin", body())
    web.objects["/data/x.bin"].etag = None
    error = failure(referring(place, location, checksum='"v1"'))
    assert error.kind == "virtual-chunk-fetch"
    assert "ETag" in str(error)


def test_many_readers_at_once(place: Place) -> None:
    session = referring(place, place.put("x.bin", body(4000)), chunks=400)
    expected = numbers(4000)
    np.testing.assert_array_equal(values(session), expected)

    async def everything() -> list[Any]:
        return await asyncio.gather(*(session.store.get(f"a/c/{k}", PROTOTYPE) for k in range(400)))

    for chunk, found in enumerate(asyncio.run(everything())):
        assert found.to_bytes() == expected[chunk * 10 : chunk * 10 + 10].tobytes()


def test_neighbours_that_are_asked_for_together_share_requests(web: Any) -> None:
    place = web_place(web)
    session = referring(place, place.put("x.bin", body(4000)), chunks=400)
    np.testing.assert_array_equal(values(session), numbers(4000))
    assert len(web.asked) <= 60  # ten chunks at once is what Zarr asks for
    web.asked.clear()
    zarr.open_array(session.store, path="a")[5:8]
    assert [asked.headers["range"] for asked in web.asked] == ["bytes=8-47"]


def test_neighbours_may_have_a_little_between_them(web: Any) -> None:
    place = web_place(web)
    location = place.put("x.bin", bytes(range(250)) * 1000)
    session = place.repository().writable_session("main")
    zarr.create_array(
        session.store, name="a", shape=(50,), chunks=(10,), dtype="u1", compressors=None
    )
    starts = [0, 1_000, 1_005, 20_000, 15_000]  # with gaps, overlapping, distant, out of order
    specs = [icechunk.VirtualChunkSpec([k], location, at, 10) for k, at in enumerate(starts)]
    session.store.set_virtual_refs("a", specs)
    found = values(session).reshape(5, 10)
    for row, at in zip(found, starts, strict=True):
        np.testing.assert_array_equal(row, (at + np.arange(10)) % 250)
    assert [asked.headers["range"] for asked in web.asked] == ["bytes=0-20009"]
    session.store.set_virtual_ref("a/c/4", location, offset=200_000, length=10)
    web.asked.clear()
    values(session)
    assert sorted(asked.headers["range"] for asked in web.asked) == [
        "bytes=0-1014",
        "bytes=20000-20009",
        "bytes=200000-200009",
    ]


def test_each_of_several_neighbours_is_checked_by_its_own_checksum(web: Any) -> None:
    place = web_place(web)
    location = place.put("x.bin", body())
    good = etag_of(place, "x.bin")
    session = place.repository().writable_session("main")
    new_array(session, 4, 10)
    tags = [good, good, '"of a former version"', good]
    specs = [
        icechunk.VirtualChunkSpec([k], location, 8 + 40 * k, 40, etag_checksum=tag)
        for k, tag in enumerate(tags)
    ]
    session.store.set_virtual_refs("a", specs)
    array = zarr.open_array(session.store, path="a", mode="r")
    np.testing.assert_array_equal(array[:20], numbers()[:20])

    async def read_all() -> list[Any]:
        reads = [session.store.get(f"a/c/{k}", PROTOTYPE) for k in range(4)]
        return await asyncio.gather(*reads, return_exceptions=True)

    for k, found in enumerate(asyncio.run(read_all())):
        if k == 2:
            assert isinstance(found, icechunk.IcechunkError)
            assert found.kind == "virtual-chunk-modified"
        else:
            assert found.to_bytes() == numbers()[10 * k : 10 * k + 10].tobytes()


def test_a_large_chunk_is_read_by_several_requests(
    web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icechunk.virtual_chunks.coalesce._PART", 64 * 1024)
    place = web_place(web)
    numbers_of = np.random.default_rng(5).random(100_000, "f4")
    location = place.put("x.bin", b"8 bytes." + numbers_of.tobytes())
    session = place.repository().writable_session("main")
    new_array(session, 1, 100_000)
    session.store.set_virtual_ref("a/c/0", location, offset=8, length=400_000)
    np.testing.assert_array_equal(values(session), numbers_of)
    assert len(web.asked) == 7


def test_one_bad_chunk_among_neighbours_fails_alone(web: Any) -> None:
    place = web_place(web)
    session = referring(place, place.put("x.bin", body(40)), chunks=4)
    session.store.set_virtual_ref(
        "a/c/3", place.prefix + "x.bin", offset=128, length=41
    )  # one byte too many

    async def everything() -> list[Any]:
        gets = (session.store.get(f"a/c/{k}", PROTOTYPE) for k in range(4))
        return await asyncio.gather(*gets, return_exceptions=True)

    *good, bad = asyncio.run(everything())
    assert b"".join(one.to_bytes() for one in good) == numbers(30).tobytes()
    assert isinstance(bad, icechunk.StorageError)


def test_a_cancelled_reader_leaves_its_neighbours_alone(web: Any) -> None:
    place = web_place(web)
    session = referring(place, place.put("x.bin", body()))

    async def story() -> bytes:
        first = asyncio.ensure_future(session.store.get("a/c/0", PROTOTYPE))
        second = asyncio.ensure_future(session.store.get("a/c/1", PROTOTYPE))
        await asyncio.sleep(0)
        first.cancel()
        found = await second
        assert found is not None
        return found.to_bytes()

    assert asyncio.run(story()) == numbers()[10:20].tobytes()


def test_references_to_different_objects_mix(folder: Any, bucket: Any, web: Any) -> None:
    places = [local_place(folder), s3_place(bucket), web_place(web)]
    config = icechunk.RepositoryConfig()
    for place in places:
        config.set_virtual_chunk_container(place.container())
    access = {key: value for place in places for key, value in place.access.items()}
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), config, access)
    session = repo.writable_session("main")
    array = new_array(session, 5, 10)
    for chunk, place in enumerate(places):
        location = place.put("x.bin", numbers()[chunk * 10 : chunk * 10 + 10].tobytes())
        session.store.set_virtual_ref(f"a/c/{chunk}", location, offset=0, length=40)
    array[30:40] = numbers()[30:40]
    for fast in (False, True):
        with icechunk.fast_pipeline(fast):
            np.testing.assert_array_equal(values(session), [*numbers(), *[-1] * 10])
    assert [session.chunk_type("/a", [k]).name for k in range(5)] == [
        "virtual",
        "virtual",
        "virtual",
        "inline",
        "uninitialized",
    ]


def test_codecs_apply_to_virtual_chunks_as_to_others(place: Place) -> None:
    location = place.put("x", np.arange(10, dtype=">i2").tobytes() + b"\0" * 4)
    session = place.repository().writable_session("main")
    zarr.create_array(
        session.store,
        name="a",
        shape=(10,),
        chunks=(10,),
        dtype=">i2",
        serializer=BytesCodec(endian="big"),
        compressors=None,
    )
    session.store.set_virtual_ref("a/c/0", location, offset=0, length=20)
    np.testing.assert_array_equal(values(session), np.arange(10))


@pytest.mark.parametrize("offset", [0, 160, 2**40, 2**63, 2**64 - 1])
@pytest.mark.parametrize("length", [2**20, 2**50, 2**64 - 1])
def test_references_that_ask_for_too_much_are_refused_at_once(
    place: Place, offset: int, length: int
) -> None:
    location = place.put("x.bin", body())
    session = place.repository().writable_session("main")
    new_array(session, 1, 10)
    session.store.set_virtual_ref("a/c/0", location, offset=offset, length=length)
    assert failure(session).kind == "virtual-chunk-fetch"
    with pytest.raises(icechunk.StorageError) as caught:
        session.store.get_sync("a/c/0")
    assert caught.value.kind == "virtual-chunk-fetch"
    assert location in str(caught.value)


def test_many_threads_read_at_once(place: Place) -> None:
    session = referring(place, place.put("x.bin", body(400)), chunks=40)
    expected = numbers(400)

    def read(chunk: int) -> bool:
        found = session.store.get_sync(f"a/c/{chunk % 40}")
        at = chunk % 40 * 10
        return found is not None and found.to_bytes() == expected[at : at + 10].tobytes()

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(read, range(400)))
