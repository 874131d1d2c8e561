"""The fast pipeline reads the same arrays and stores the same bytes as Zarr's pipeline."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    TransposeCodec,
    ZstdCodec,
)
from zarr.core.buffer import cpu
from zarr.storage import MemoryStore

import icechunk
from icechunk.core.errors import IcechunkError
from icechunk.store import pipeline
from icechunk.store.pipeline import IcechunkPipeline, fast_pipeline
from tests.repositories import storage_of

DTYPES = ["b1", "i1", "u2", "<i4", ">i4", "f4", ">f8", "c8", "M8[s]", "m8[ms]", "S3", "<U2"]
CHAINS: dict[str, dict[str, Any]] = {
    "plain": {"compressors": None},
    "other endian": {"compressors": None, "serializer": BytesCodec(endian="big")},
    "zstd": {"compressors": ZstdCodec(level=1, checksum=True)},
    "gzip, checksum": {"compressors": [GzipCodec(level=1), Crc32cCodec()]},
    "blosc": {"compressors": BloscCodec(cname="lz4")},
    "transposed": {"compressors": None, "filters": "transpose"},
    "transposed, zstd": {"compressors": ZstdCodec(), "filters": "transpose"},
    "shards": {"compressors": None, "shards": True},
    "shards, zstd": {"compressors": ZstdCodec(), "shards": True},
}


needs_plain_calls = pytest.mark.skipif(
    not hasattr(BytesCodec, "_decode_sync"),
    reason="codecs of this zarr have asynchronous methods alone: all is left to its pipeline",
)


@pytest.fixture(params=["at once", "threads"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run each test with small batches (on the event loop) and with large ones (in threads)."""
    if request.param == "threads":
        for name in ("_AT_ONCE", "INLINE_READ_LIMIT", "_SMALL_CHUNK"):
            monkeypatch.setattr(pipeline, name, -1)
        monkeypatch.setattr(pipeline, "_ALONE", 2)
        monkeypatch.setattr(pipeline, "_WIDTH", 3)
    return str(request.param)


@pytest.fixture(params=["memory", "local"])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> icechunk.Repository:
    return icechunk.Repository.create(storage_of(request.param, tmp_path))


def create(store: Any, shape: tuple[int, ...], chunks: tuple[int, ...], **how: Any) -> Any:
    """An array under the present pipeline."""
    how = dict(how)
    if how.get("filters") == "transpose":
        how["filters"] = TransposeCodec(order=tuple(reversed(range(len(shape)))))
    if how.pop("shards", False):
        how["shards"] = tuple(2 * side for side in chunks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # data types without a Zarr v3 specification
        return zarr.create_array(store, name="a", shape=shape, chunks=chunks, **how)


def twins(repo: icechunk.Repository, *args: Any, **how: Any) -> tuple[Any, Any]:
    """The same array twice in sessions of one repository: fast, and with Zarr's pipeline."""
    arrays = []
    for enabled in (True, False):
        with fast_pipeline(enabled):
            array = create(repo.writable_session("main").store, *args, **how)
        assert isinstance(array._async_array.codec_pipeline, IcechunkPipeline) is enabled
        arrays.append(array)
    return arrays[0], arrays[1]


def stored(array: Any) -> dict[str, bytes]:
    """Everything below an array's store, byte by byte."""
    store = array.store
    return {key: store.get_sync(key).to_bytes() for key in store.list()}


def same(one: Any, two: Any) -> None:
    one, two = np.asarray(one), np.asarray(two)
    assert one.dtype == two.dtype
    assert one.shape == two.shape
    assert one.tobytes() == two.tobytes()


def some_values(dtype: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray[Any, Any]:
    """Values of any data type, zeros among them."""
    numbers = np.random.default_rng(seed).integers(0, 50, shape)
    kind = np.dtype(dtype).kind
    if kind in "SU":
        return numbers.astype(f"{kind}{np.dtype(dtype).itemsize}").astype(dtype)
    return numbers.astype("i8").astype(dtype)


class TestLikeZarr:
    @pytest.mark.parametrize(
        ("chain", "dtype"),
        [("plain", dtype) for dtype in DTYPES]
        + [("other endian", dtype) for dtype in ("<i4", ">f8", "c8", "M8[s]")]
        + [(chain, dtype) for chain in [*CHAINS][2:] for dtype in ("u2", ">f8")],
    )
    def test_dtypes_and_codecs(
        self, repo: icechunk.Repository, way: str, dtype: str, chain: str
    ) -> None:
        fast, slow = twins(repo, (7, 9), (2, 3), dtype=dtype, **CHAINS[chain])
        values = some_values(dtype, (7, 9))
        for array in (fast, slow):
            array[...] = values
            array[2:4, 3:6] = np.zeros((2, 3), dtype)  # a chunk of the fill value is none
            array[5] = values[1]
        assert stored(fast).keys() == stored(slow).keys()
        assert "gzip" in chain or stored(fast) == stored(slow)
        for selection in (..., 3, (slice(1, 6, 2), 4), (2, 3)):
            same(fast[selection], slow[selection])

    @given(data=st.data())
    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    def test_selections(self, data: st.DataObject, way: str) -> None:
        repo = icechunk.Repository.create(icechunk.in_memory_storage())
        shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=7))
        chunks = tuple(data.draw(st.integers(1, side)) for side in shape)
        chain = data.draw(st.sampled_from(["plain", "zstd", "transposed", "shards"]))
        how = dict(CHAINS[chain])
        if not shape:
            how = {"compressors": how["compressors"]}
        how["order"] = data.draw(st.sampled_from("CF"))
        how["fill_value"] = data.draw(st.sampled_from([0, 7]))
        fast, slow = twins(repo, shape, chunks, dtype="i4", **how)
        values = np.arange(int(np.prod(shape)), dtype="i4").reshape(shape)
        model = np.full(shape, how["fill_value"], "i4")
        for _ in range(data.draw(st.integers(0, 3))):
            where = data.draw(hnp.basic_indices(shape, allow_newaxis=False, allow_ellipsis=True))
            new = data.draw(st.sampled_from([values, values * 0 + 7]))[where]
            if new.size and self._zarr_takes(where):
                for array in (fast, slow):
                    array[where] = new
                model[where] = new
        assert stored(fast) == stored(slow)
        for _ in range(4):
            where = data.draw(hnp.basic_indices(shape, allow_newaxis=False, allow_ellipsis=True))
            if self._zarr_takes(where):
                same(fast[where], slow[where])
                same(np.asarray(fast[where]), np.asarray(model[where]))
        if shape:
            rows = np.array(data.draw(st.lists(st.integers(0, shape[0] - 1), min_size=1)))
            same(fast.oindex[np.unique(rows)], slow.oindex[np.unique(rows)])
            points = tuple(rows % side for side in shape)
            same(fast.vindex[points], slow.vindex[points])
            mask = np.array(data.draw(hnp.arrays(bool, shape)))
            same(fast.get_mask_selection(mask), slow.get_mask_selection(mask))
            for array in (fast, slow):
                array.set_mask_selection(mask, 3)
                array.oindex[np.unique(rows)] = 5
            assert stored(fast) == stored(slow)

    @staticmethod
    def _zarr_takes(where: Any) -> bool:
        parts = where if isinstance(where, tuple) else (where,)
        return all(part.step is None or part.step > 0 for part in parts if isinstance(part, slice))

    @pytest.mark.parametrize("fill", [0.0, -0.0, np.nan, 1.5])
    @pytest.mark.parametrize("keep", [True, False])
    def test_chunks_of_the_fill_value(
        self, repo: icechunk.Repository, way: str, fill: float, keep: bool
    ) -> None:
        fast, slow = twins(
            repo,
            (6,),
            (1,),
            dtype="f8",
            fill_value=fill,
            compressors=None,
            config={"write_empty_chunks": keep},
        )
        for array in (fast, slow):
            array[:] = np.array([0.0, -0.0, np.nan, 1.5, 2, np.inf])
            array[:] = np.array([0.0, -0.0, np.nan, 1.5, 1.5, 1.5])
        assert stored(fast) == stored(slow)
        assert (len(stored(fast)) == 2 + 6) is keep  # two documents, six chunks
        same(fast[:], slow[:])

    def test_no_dimensions_and_no_cells(self, repo: icechunk.Repository, way: str) -> None:
        for shape, chunks in (((), ()), ((0, 3), (1, 3))):
            fast, slow = twins(repo, shape, chunks, dtype="i2", fill_value=4, compressors=None)
            same(fast[...], slow[...])
            for array in (fast, slow):
                array[...] = 9
            same(fast[...], slow[...])

    def test_structures_fall_to_zarr(self, repo: icechunk.Repository, way: str) -> None:
        dtype = np.dtype([("x", "<i4"), ("y", "f8")])
        values = np.array([(1, 2.0), (3, 4.0), (5, 6.0)], dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fast, slow = twins(repo, (3,), (2,), dtype=dtype, compressors=None)
            for array in (fast, slow):
                array[:] = values
            same(fast[:], slow[:])

    def test_text_of_any_length(self, repo: icechunk.Repository, way: str) -> None:
        fast, slow = twins(repo, (4,), (3,), dtype="str")
        for array in (fast, slow):
            array[:] = np.array(["a", "bcd", "", "é"], dtype=object)
        assert fast[:].tolist() == slow[:].tolist()

    @pytest.mark.parametrize("chain", ["plain", "zstd"])
    def test_the_callers_memory(self, repo: icechunk.Repository, way: str, chain: str) -> None:
        fast, _ = twins(repo, (6, 8), (2, 4), dtype="i4", **CHAINS[chain])
        values = np.arange(48, dtype="i4").reshape(6, 8)
        fast[:] = values
        memory = np.zeros((12, 16), "i4")
        for out in (memory[:6, :8], memory[::2, ::2], memory.T[:6, :8]):
            fast.get_orthogonal_selection(..., out=cpu.NDBuffer(out))
            same(out, values)
        wide = np.zeros((6, 8), "f8")  # another data type than the array's
        fast.get_orthogonal_selection(..., out=cpu.NDBuffer(wide))
        same(wide, values.astype("f8"))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Batches that the pipeline left to Zarr's pipeline."""
    left: list[str] = []
    for name in ("read", "write"):
        real = getattr(pipeline.BatchedCodecPipeline, name)

        async def noting(self: Any, *args: Any, _real: Any = real, _name: str = name) -> Any:
            left.append(_name)
            return await _real(self, *args)

        monkeypatch.setattr(pipeline.BatchedCodecPipeline, name, noting)
    return left


@needs_plain_calls
def test_whole_chunks_never_touch_zarrs_pipeline(
    repo: icechunk.Repository, way: str, watched: list[str]
) -> None:
    fast, _ = twins(repo, (6, 8), (2, 4), dtype="f4", compressors=ZstdCodec())
    fast[:] = np.ones((6, 8), "f4")
    assert (fast[1:5, 2:7] == 1).all()
    assert watched == []
    fast[1, 1] = 5
    assert watched == ["write"]


@needs_plain_calls
def test_ragged_edges_alone_are_merged(
    repo: icechunk.Repository, watched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, _ = twins(repo, (5, 8), (2, 4), dtype="f4", compressors=None)
    values = np.arange(40, dtype="f4").reshape(5, 8)
    fast[:] = values
    same(fast[:], values)
    assert "read" not in watched


def test_other_stores_are_zarrs(watched: list[str]) -> None:
    with fast_pipeline():
        array = create(MemoryStore(), (4,), (2,), dtype="i4")
        array[:] = [1, 2, 3, 4]
        assert array[:].tolist() == [1, 2, 3, 4]
    assert watched == ["write", "read"]


def test_a_manifest_that_is_not_in_memory_is_fetched(tmp_path: Path, way: str) -> None:
    storage = storage_of("local", tmp_path)
    session = icechunk.Repository.create(storage).writable_session("main")
    create(session.store, (64,), (1,), dtype="i4", compressors=None)[:] = np.arange(64)
    session.commit("numbers")
    with fast_pipeline():
        store = icechunk.Repository.open(storage).readonly_session("main").store
        array = zarr.open_array(store, path="a", mode="r")
        assert array[:].tolist() == list(range(64))
        assert array[5] == 5


def test_damage_and_refusals_are_reported(tmp_path: Path, way: str) -> None:
    storage = storage_of("local", tmp_path)
    repo = icechunk.Repository.create(storage)
    with fast_pipeline():
        array = create(
            repo.writable_session("main").store, (4, 5000), (1, 5000), dtype="i4", compressors=None
        )
        array[:] = 1
        array.store.session.commit("ones")
        with pytest.raises(IcechunkError):
            array[:] = np.zeros((4, 5000), "i4")
        array = zarr.open_array(repo.readonly_session("main").store, path="a", mode="r")
        assert (array[:] == 1).all()
        for key, size in storage.list_objects(prefix="chunks"):
            path = tmp_path / "repo" / "chunks" / key
            path.write_bytes(path.read_bytes()[: size - 1])
        with pytest.raises(IcechunkError) as caught:
            array[:]
        assert caught.value.kind == "invalid-object-size"
        for key, _ in storage.list_objects(prefix="chunks"):
            (tmp_path / "repo" / "chunks" / key).unlink()
        array = zarr.open_array(
            icechunk.Repository.open(storage_of("local", tmp_path)).readonly_session("main").store,
            path="a",
            mode="r",
        )
        with pytest.raises(IcechunkError) as caught:
            array[:]
        assert caught.value.kind == "object-not-found"


def test_a_chunk_of_another_size_is_no_chunk(repo: icechunk.Repository, way: str) -> None:
    fast, slow = twins(repo, (4,), (4,), dtype="i4", compressors=None)
    for array in (fast, slow):
        array.store.set_sync("a/c/0", cpu.Buffer.from_bytes(bytes(12)))
        with pytest.raises(ValueError, match="reshape"):
            array[:]


def test_the_option_is_zarrs_and_comes_back() -> None:
    before = zarr.config.get("codec_pipeline.path")
    with fast_pipeline():
        assert zarr.config.get("codec_pipeline.path").endswith("IcechunkPipeline")
        with fast_pipeline(False):
            assert zarr.config.get("codec_pipeline.path").endswith("BatchedCodecPipeline")
    assert zarr.config.get("codec_pipeline.path") == before


def test_it_is_had_from_the_package():
    import icechunk

    assert icechunk.fast_pipeline is fast_pipeline
    assert "fast_pipeline" in icechunk.__all__
