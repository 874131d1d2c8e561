"""Reading, writing, deleting, refusals and concurrent use of `IcechunkStore`."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import cpu

import icechunk
from tests.oracle import run_reference
from tests.repositories import grid_array, read, with_grid
from tests.store.documents import GROUP, array_document


@pytest.fixture
def store():
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    return repo.writable_session("main").store


def put(store, key, data):
    store.set_sync(key, cpu.Buffer.from_bytes(data))


@pytest.mark.parametrize(
    ("key", "data", "error", "kind"),
    [
        ("foo", b"x", icechunk.InvalidInputError, "invalid-key"),
        ("x/.zarray", b"{}", icechunk.SessionStateError, "unimplemented"),
        ("zarr.json", b"not json", icechunk.InvalidInputError, "bad-metadata"),
        ("zarr.json", b"[]", icechunk.InvalidInputError, "bad-metadata"),
        ("zarr.json", b'{"zarr_format": 2}', icechunk.InvalidInputError, "bad-metadata"),
        ("missing/c/0", b"x", icechunk.NodeNotFoundError, "node-not-found"),
        ("g/c/0", b"x", icechunk.InvalidInputError, "not-an-array"),
        ("a/c/3", b"x", icechunk.InvalidInputError, "invalid-chunk-index"),
        ("a/c/0/0", b"x", icechunk.InvalidInputError, "invalid-chunk-index"),
        ("a/c/0", b"", icechunk.InvalidInputError, "zero-length-chunk"),
        ("a/zarr.json", GROUP, icechunk.AlreadyExistsError, "node-already-exists"),
    ],
)
def test_bad_writes_are_refused_and_change_nothing(store, key, data, error, kind):
    put(store, "g/zarr.json", GROUP)
    put(store, "a/zarr.json", array_document((3,)))
    before = sorted(store.list())
    with pytest.raises(error) as caught:
        put(store, key, data)
    assert caught.value.kind == kind
    assert len(str(caught.value)) > 20
    assert sorted(store.list()) == before


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [-1]},
        {"shape": "no"},
        {"shape": [2**40]},
        {"chunk_grid": {"name": "hexagonal"}},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 1]}}},
        {"dimension_names": ["x", "y"]},
        {"dimension_names": [3]},
        {"chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}}},
        {"codecs": None, "data_type": None, "fill_value": None, "node_type": "table"},
    ],
)
def test_arrays_that_could_not_be_stored_are_refused(store, change):
    document = json.dumps({**json.loads(array_document((3,))), **change}).encode()
    with pytest.raises(icechunk.InvalidInputError):
        put(store, "zarr.json", document)
    assert not store.session.has_uncommitted_changes


@pytest.mark.parametrize(
    "request_", [RangeByteRequest(0, 5), OffsetByteRequest(5), SuffixByteRequest(5)]
)
@pytest.mark.parametrize("size", [4, 700])
def test_ranges_beyond_a_chunk(store, request_, size):
    put(store, "zarr.json", array_document((3,)))
    put(store, "c/0", bytes(size))
    wide = type(request_)(*(value + size for value in vars_of(request_)))
    with pytest.raises(icechunk.InvalidInputError) as caught:
        store.get_sync("c/0", byte_range=wide)
    assert caught.value.kind == icechunk.ErrorKind.INVALID_BYTE_RANGE


def vars_of(request):
    return [getattr(request, name) for name in request.__dataclass_fields__]


def test_v2_keys_are_simply_absent(store):
    assert store.get_sync(".zgroup") is None
    store.delete_sync("a/.zarray")


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f2", "f8", "c16", "<U7", "M8[s]", "S5"])
@pytest.mark.filterwarnings("ignore:The data type")
def test_arrays_of_many_types_survive_a_commit(dtype):
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    data = np.arange(60).reshape(5, 12).astype(dtype)
    array = zarr.create_array(session.store, name="x", shape=data.shape, chunks=(2, 5), dtype=dtype)
    array[...] = data
    session.commit("x")
    assert (read(repo.readonly_session("main"), "x") == data).all()


def test_sharded_scalar_and_nested_arrays_survive_a_commit(tmp_path):
    repo = icechunk.Repository.create(icechunk.local_filesystem_storage(tmp_path / "r"))
    session = repo.writable_session("main")
    root = zarr.create_group(session.store, attributes={"title": "ü"})
    data = np.arange(64 * 64, dtype="i4").reshape(64, 64)
    sharded = root.create_array(
        "deep/er/sharded",
        shape=data.shape,
        chunks=(4, 4),
        shards=(32, 32),
        dtype="i4",
        dimension_names=["y", None],
    )
    sharded[...] = data
    root.create_array("scalar", shape=(), dtype="f8")[...] = 2.5
    root.create_array("empty", shape=(0, 3), chunks=(1, 3), dtype="f8")
    session.commit("all")
    back = zarr.open_group(repo.readonly_session("main").store, mode="r")
    assert back.attrs["title"] == "ü"
    assert (back["deep/er/sharded"][:] == data).all()
    assert (back["deep/er/sharded"][5:9, 60:] == data[5:9, 60:]).all()
    assert back["deep/er/sharded"].metadata.dimension_names == ("y", None)
    assert back["scalar"][()] == 2.5
    assert back["empty"].shape == (0, 3)


def test_append_and_resize_over_commits():
    repo, _ = with_grid(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    array = zarr.open_array(session.store, path="a", mode="r+")
    array.append(np.full((3, 8), 5, "f4"))
    session.commit("append")
    cells = read(repo.readonly_session("main"))
    assert cells.shape == (9, 8)
    assert (cells[6:] == 5).all()
    session = repo.writable_session("main")
    zarr.open_array(session.store, path="a", mode="r+").resize((2, 4))
    session.commit("shrink")
    session = repo.writable_session("main")
    zarr.open_array(session.store, path="a", mode="r+").resize((6, 8))
    session.commit("grow")
    cells = read(repo.readonly_session("main"))
    assert (cells[:2, :4] == np.arange(48).reshape(6, 8)[:2, :4]).all()
    assert (cells[2:] == -1).all()
    assert (cells[:, 4:] == -1).all()


def test_overwriting_an_array_forgets_its_chunks():
    repo, _ = with_grid(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    zarr.create_array(
        session.store,
        name="a",
        shape=(6, 8),
        chunks=(2, 4),
        dtype="f4",
        overwrite=True,
        fill_value=3,
    )
    session.commit("again")
    assert (read(repo.readonly_session("main")) == 3).all()


def test_many_loops_and_threads_at_once(tmp_path):
    """One session is written from eight threads, each with its own event loop."""
    import threading

    repo = icechunk.Repository.create(icechunk.local_filesystem_storage(tmp_path / "r"))
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", shape=(8, 50), chunks=(1, 1), dtype="i4")
    errors = []

    def work(row):
        async def write():
            for column in range(50):
                data = cpu.Buffer.from_bytes(bytes([row, column, 0, 0]) * 200)
                await session.store.set(f"a/c/{row}/{column}", data)

        try:
            asyncio.run(write())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(row,)) for row in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    session.commit("all")
    store = repo.readonly_session("main").store
    for row in range(8):
        for column in range(50):
            found = store.get_sync(f"a/c/{row}/{column}").to_bytes()
            assert found == bytes([row, column, 0, 0]) * 200


def test_arrays_and_groups_print_on_one_line(store):
    array = grid_array(store)
    assert "\n" not in repr(array)


@pytest.mark.parametrize(
    ("name", "separator"), [("v2", "."), ("v2", "/"), ("default", "."), ("default", "/")]
)
def test_an_array_that_is_made_can_be_filled(store, name, separator):
    group = zarr.create_group(store)
    encoding = {"name": name, "separator": separator}
    if (name, separator) == ("default", "/"):
        array = group.create_array("x", shape=4, dtype="i4", chunk_key_encoding=encoding)
        array[:] = 7
        assert array[:].tolist() == [7] * 4
    else:
        with pytest.raises(icechunk.InvalidInputError, match="chunk_key_encoding"):
            group.create_array("x", shape=4, dtype="i4", chunk_key_encoding=encoding)
        assert list(group) == []


@pytest.mark.oracle
def test_arrays_of_the_reference_with_other_chunk_keys_stay_readable_as_nodes(tmp_path):
    run_reference(
        """
        import icechunk, zarr
        repo = icechunk.Repository.create(icechunk.local_filesystem_storage(args[0]))
        session = repo.writable_session("main")
        group = zarr.create_group(session.store)
        keys = {"name": "v2", "separator": "."}
        group.create_array("x", shape=4, dtype="i4", chunk_key_encoding=keys)
        group.create_array("y", shape=4, dtype="i4")[:] = 3
        session.commit("made")
        """,
        tmp_path / "repo",
    )
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(tmp_path / "repo"))
    session = repo.writable_session("main")
    group = zarr.open_group(session.store, mode="a")
    assert group["x"].shape == (4,)
    with pytest.raises(icechunk.InvalidInputError, match="invalid zarr key"):
        group["x"][:]
    del group["x"]
    group["y"].attrs["units"] = "m"
    session.commit("without it")
    assert sorted(zarr.open_group(repo.readonly_session("main").store, mode="r")) == ["y"]
