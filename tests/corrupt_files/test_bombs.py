"""Small files that decompress to large ones are refused before they cost memory or time."""

from __future__ import annotations

import io
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import zstandard

from icechunk.config.limits import VARIABLE
from icechunk.core.errors import FormatError
from icechunk.core.ids import NodeId
from icechunk.spec.envelope import FileType, pack
from icechunk.spec.flatbuffers import flex
from icechunk.spec.flatbuffers.write import Builder, i32, ref, struct, u8, u64
from icechunk.spec.manifest.decode import decode_manifest
from icechunk.spec.repo.codec import decode_repo
from icechunk.spec.snapshot.codec import decode_snapshot
from icechunk.spec.transaction_log.codec import decode_transaction_log

MIB = 2**20
ID = bytes(12)


@contextmanager
def frugally(memory: int, seconds: float = 5.0) -> Iterator[None]:
    """Fail when the block takes more memory at its peak, or more CPU time."""
    begin = time.process_time()
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < memory
    assert time.process_time() - begin < seconds


def frame(size: int, *, declared: bool) -> bytes:
    """A zstd frame of zeros."""
    compressor = zstandard.ZstdCompressor(level=1)
    if declared:
        return compressor.compress(bytes(size))
    out = io.BytesIO()
    with compressor.stream_writer(out, closefd=False) as writer:
        for _ in range(size // MIB):
            writer.write(bytes(MIB))
    return out.getvalue()


@pytest.mark.parametrize("declared", [True, False])
def test_zstd_bombs(declared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack(FileType.SNAPSHOT, 2, b"")[:39] + frame(256 * MIB, declared=declared)
    assert len(data) < MIB // 8
    monkeypatch.setenv(VARIABLE, str(4 * MIB))
    with (
        frugally(12 * MIB),
        pytest.raises(FormatError, match=r"snapshots/S.*larger than the limit of 4194304"),
    ):
        decode_snapshot(data, name="snapshots/S")


def snapshot_bomb() -> bytes:
    """20,000 nodes that share a table, and 100 kB of user data."""
    b = Builder()
    node = {
        0: struct(b"n" * 8),
        1: ref(b.string("/a")),
        2: ref(b.bytes_vector(bytes(100_000))),
        3: u8(2),
        4: ref(b.table({})),
    }
    nodes = b.offset_vector([b.table(node)] * 20_000)
    empty = b.offset_vector([])
    root = {0: struct(ID), 2: ref(nodes), 3: u64(1), 4: ref(b.string("m")), 5: ref(empty)}
    return pack(FileType.SNAPSHOT, 2, b.finish(b.table({**root, 6: ref(empty), 7: ref(empty)})))


def nested_snapshot_bomb() -> bytes:
    """5,000 arrays that share a list of 5,000 manifests with extents of 5,000 axes."""
    b = Builder()
    box = b.struct_vector(bytes(8 * 5000), 5000, 4)
    manifests = b.offset_vector([b.table({0: struct(ID), 1: ref(box)})] * 5000)
    axes = b.offset_vector([b.table({0: u64(1)})] * 5000)
    array = b.table({0: ref(b.struct_vector(b"", 0, 8)), 2: ref(manifests), 3: ref(axes)})
    path, data = b.string("/a"), b.bytes_vector(b"{}")
    node = {0: struct(b"n" * 8), 1: ref(path), 2: ref(data), 3: u8(1), 4: ref(array)}
    nodes = b.offset_vector([b.table(node)] * 5000)
    empty = b.offset_vector([])
    root = {0: struct(ID), 2: ref(nodes), 3: u64(1), 4: ref(path), 5: ref(empty), 6: ref(empty)}
    return pack(FileType.SNAPSHOT, 2, b.finish(b.table({**root, 7: ref(empty)})))


def distinct_nodes_bomb() -> bytes:
    """2,000 arrays with paths and ids of their own that share a list of long names."""
    b = Builder()
    name = b.string("n" * 100_000)
    names = b.offset_vector([b.table({0: ref(name)})] * 8)
    nothing = b.offset_vector([])
    shape = b.struct_vector(b"", 0, 8)
    array = b.table({0: ref(shape), 1: ref(names), 2: ref(nothing), 3: ref(nothing)})
    data = b.bytes_vector(b"{}")
    nodes = [
        b.table(
            {
                0: struct(number.to_bytes(8, "big")),
                1: ref(b.string(f"/{number}")),
                2: ref(data),
                3: u8(1),
                4: ref(array),
            }
        )
        for number in range(2000)
    ]
    listed = b.offset_vector(nodes)
    message = b.string("m")
    root = {0: struct(ID), 2: ref(listed), 3: u64(1), 4: ref(message), 5: ref(nothing)}
    return pack(FileType.SNAPSHOT, 2, b.finish(b.table({**root, 6: ref(nothing), 7: ref(nothing)})))


def _every_node(data: bytes, name: str) -> None:
    assert all(node.path for node in decode_snapshot(data, name=name).nodes)


def _index(b: Builder, *coords: int) -> int:
    return b.struct_vector(np.array(coords, "<u4").tobytes(), len(coords), 4)


def manifest_bomb() -> bytes:
    """300 arrays that share a list of 20,000 references."""
    b = Builder()
    one = b.table({0: ref(_index(b, 7)), 4: struct(ID)})
    refs = b.offset_vector([one] * 20_000)
    arrays = [b.table({0: struct(k.to_bytes(8, "big")), 1: ref(refs)}) for k in range(300)]
    root = {0: struct(ID), 1: ref(b.offset_vector(arrays))}
    return pack(FileType.MANIFEST, 2, b.finish(b.table(root)))


def location_bomb() -> bytes:
    """20,000 references with compressed locations of 1,000 bytes in a few bytes each."""
    b = Builder()
    dictionary = zstandard.ZstdCompressionDict(b"a" * 1000)
    compressor = zstandard.ZstdCompressor(dict_data=dictionary, write_content_size=False)
    frames = [b.bytes_vector(compressor.compress(b"a" * (800 + k))) for k in range(200)]
    refs = [
        b.table({0: ref(_index(b, k)), 3: u64(1), 8: ref(b.bytes_vector(bytes(0)))})
        if k % 2
        else b.table({0: ref(_index(b, k)), 3: u64(1), 8: ref(frames[k % 200])})
        for k in range(20_000)
    ]
    array = b.table({0: struct(bytes(8)), 1: ref(b.offset_vector(refs))})
    fields = {0: struct(ID), 1: ref(b.offset_vector([array])), 3: u8(1)}
    fields[2] = ref(b.bytes_vector(dictionary.as_bytes()))
    return pack(FileType.MANIFEST, 2, b.finish(b.table(fields)))


def log_bomb() -> bytes:
    """500 arrays that share a list of 20,000 changed chunks."""
    b = Builder()
    chunks = b.offset_vector([b.table({0: ref(_index(b, 7))})] * 20_000)
    arrays = [b.table({0: struct(k.to_bytes(8, "big")), 1: ref(chunks)}) for k in range(500)]
    empty = b.struct_vector(b"", 0, 1)
    root = {0: struct(ID), 7: ref(b.offset_vector(arrays)), **{k: ref(empty) for k in range(1, 7)}}
    return pack(FileType.TRANSACTION_LOG, 2, b.finish(b.table(root)))


def repo_bomb() -> bytes:
    """20,000 snapshots with overlapping messages of up to 80 kB, made of each other."""
    b = Builder()
    text = b.struct_vector((b"\xff\xff\0\0" * 20_000), 80_000, 1)
    rows = [
        b.table({0: struct(k.to_bytes(12, "big")), 1: i32(-1), 3: ref(text - 4 * k - 4)})
        for k in range(1, 4_000)
    ]
    empty = b.offset_vector([])
    status = b.table({0: u8(0), 1: u64(1)})
    root = {0: u8(2), 4: ref(b.offset_vector(rows)), 5: ref(status)}
    root |= {slot: ref(empty) for slot in (1, 2, 3, 7)}
    return pack(FileType.REPO_INFO, 2, b.finish(b.table(root)))


def _everything_in(data: bytes, name: str) -> None:
    for table in decode_manifest(data, name=name).arrays.values():
        assert table.extents()


BOMBS: list[tuple[Callable[[], bytes], Callable[..., object]]] = [
    (snapshot_bomb, decode_snapshot),
    (nested_snapshot_bomb, decode_snapshot),
    (distinct_nodes_bomb, _every_node),
    (manifest_bomb, _everything_in),
    (log_bomb, decode_transaction_log),
    (repo_bomb, decode_repo),
]


@pytest.mark.parametrize(("make", "decode"), BOMBS, ids=[make.__name__ for make, _ in BOMBS])
def test_parts_that_are_shared_do_not_multiply(
    make: Callable[[], bytes], decode: Callable[..., object]
) -> None:
    data = make()
    with frugally(100 * MIB), pytest.raises(FormatError, match=r"some/name|`repo`"):
        decode(data, name="some/name")


def test_compressed_locations_cost_what_they_hold_once() -> None:
    data = location_bomb()
    with frugally(32 * MIB):
        _everything_in(data, "some/name")


def index_bomb() -> bytes:
    """60,000 references that share coordinates of a million axes."""
    b = Builder()
    one = b.table({0: ref(b.struct_vector(bytes(4 * MIB), MIB, 4)), 4: struct(ID)})
    refs = b.offset_vector([one] * 60_000)
    array = b.table({0: struct(bytes(8)), 1: ref(refs)})
    root = {0: struct(ID), 1: ref(b.offset_vector([array]))}
    return pack(FileType.MANIFEST, 2, b.finish(b.table(root)))


def test_looks_into_a_file_cost_no_more_than_what_was_asked_for() -> None:
    data = index_bomb()
    with frugally(32 * MIB):
        manifest = decode_manifest(data, name="some/name")
        node = NodeId(bytes(8))
        assert manifest.searchable(node)
        assert [manifest.peek(node, (k, k)) for k in range(100)] == [None] * 100
        with pytest.raises(FormatError, match="some/name"):
            manifest.locate(node, (0, 0))


def test_values_that_contain_themselves() -> None:
    # vectors of vectors of vectors, each naming the next 200 times
    raw = bytearray(b"\0")
    below = 0
    for _ in range(8):
        start = len(raw) + 1
        raw += bytes([200])
        raw += bytes(start + k - below & 0xFF for k in range(200)) + bytes([10 << 2] * 200)
        below = start
    with frugally(MIB), pytest.raises(FormatError, match="`repo`"):
        flex.decode(bytes(raw) + bytes([1, 10 << 2, 1]), name="repo")
