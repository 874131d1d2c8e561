from __future__ import annotations

import random
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.errors import FormatError, InternalError
from icechunk.core.ids import NodeId, ObjectId
from icechunk.spec.dialect import V1, V2, Dialect
from icechunk.spec.envelope import FileType, pack, unpack
from icechunk.spec.flatbuffers.read import Body
from icechunk.spec.flatbuffers.write import Builder, Field, ref, struct, u32, u64
from icechunk.spec.manifest import decode as module
from icechunk.spec.manifest.chunk_table import NATIVE, VIRTUAL, ChunkTable, Location, TextColumn
from icechunk.spec.manifest.decode import decode_manifest, encode_manifest
from tests.spec.table_strategies import node_ids, object_ids, rows, tables

ID = ObjectId(b"manifest-id!")
NODE = NodeId(b"node-id!")


@given(object_ids, st.dictionaries(node_ids, tables(), max_size=3), st.sampled_from([V1, V2]))
def test_round_trip(identity: ObjectId, arrays: dict[NodeId, ChunkTable], dialect: Dialect) -> None:
    data = encode_manifest(identity, arrays, dialect=dialect)
    manifest = decode_manifest(data, name="m")
    assert data[36] == dialect.spec_version
    assert manifest.id == identity
    assert list(manifest.arrays) == sorted(arrays)
    assert manifest.num_chunk_refs == sum(map(len, arrays.values()))
    objects = [arrays[node].native_ids().tobytes() for node in sorted(arrays)]
    assert [ids.tobytes() for ids in manifest.native_ids()] == objects
    for node, table in arrays.items():
        assert manifest.decoded(node) is None
        assert rows(manifest.arrays[node]) == rows(table)
    assert [ids.tobytes() for ids in manifest.native_ids()] == objects
    assert encode_manifest(identity, dict(manifest.arrays), dialect=dialect) == data


@given(tables())
def test_bulk_records_say_what_the_scalar_reader_reads(table: ChunkTable) -> None:
    raw = unpack(encode_manifest(ID, {NODE: table}), FileType.MANIFEST, name="m").body
    refs = Body(raw, "m").root().vector_of_tables(1)[0].vector_of_tables(1)
    assert len(refs) == len(table)
    for item, (*coords, place) in zip(refs, rows(table), strict=True):
        assert np.frombuffer(item.struct_vector(0, 4), "<u4").tolist() == coords
        assert item.u64(2) == place.offset
        if place.kind == NATIVE:
            assert item.struct(4, 12) == place.id
            assert item.u64(3) == place.length
        elif place.kind == VIRTUAL:
            assert item.string(5) == place.url
            assert item.opt_string(6) == place.etag
            assert item.u32(7) == place.modified
            assert item.u64(3) == place.length
        else:
            assert item.bytes_vector(1) == place.inline


def native_table(count: int) -> ChunkTable:
    ids = np.frombuffer(random.Random(1).randbytes(12 * count), np.uint8).reshape(count, 12)
    coords = np.arange(count, dtype=np.uint32).reshape(count, 1)
    return ChunkTable.from_columns(coords, np.ones(count), ids, None, np.full(count, 100))


def test_sizes_of_our_layout() -> None:
    raw = unpack(encode_manifest(ID, {NODE: native_table(1000)}), FileType.MANIFEST, name="m").body
    assert len(raw) < 46 * 1000
    spread = ChunkTable.from_locations(
        1,
        [
            ((k,), Location(VIRTUAL, None, k, 1, None, f"s3://bucket/file-{k % 3}", None, 0))
            for k in range(1000)
        ],
    )
    raw = unpack(encode_manifest(ID, {NODE: spread}), FileType.MANIFEST, name="m").body
    assert raw.count(b"s3://bucket/file-") == 3


def test_dialects_differ_by_the_algorithm_field_only() -> None:
    arrays = {NODE: native_table(3)}
    one = unpack(encode_manifest(ID, arrays, dialect=V1), FileType.MANIFEST, name="m").body
    two = unpack(encode_manifest(ID, arrays, dialect=V2), FileType.MANIFEST, name="m").body
    assert not Body(one, "m").root().presence(3)
    assert Body(two, "m").root().presence(3)
    assert Body(two, "m").root().u8(3, 1) == 0


def test_tombstones_are_never_written() -> None:
    gone = Location(0, None, 0, 0, None, None, None, 0)
    table = ChunkTable.from_locations(1, [((0,), gone)])
    with pytest.raises(InternalError, match="deleted chunks"):
        encode_manifest(ID, {NODE: table})


def test_arrays_are_decoded_on_first_access_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    decode = module.decode_refs
    monkeypatch.setattr(module, "decode_refs", lambda *a: (calls.append(a), decode(*a))[1])
    other = NodeId(b"other-id")
    manifest = decode_manifest(
        encode_manifest(ID, {NODE: native_table(50), other: native_table(10)}), name="m"
    )
    assert manifest.num_chunk_refs == 60
    assert NODE in manifest.arrays
    assert not calls
    before = manifest.nbytes
    assert manifest.arrays[NODE] is manifest.arrays[NODE]
    assert len(calls) == 1
    assert manifest.nbytes > before
    assert len(manifest.arrays[other]) == 10
    assert manifest.nbytes == 60 * 21  # the payload is no longer held
    with pytest.raises(KeyError):
        manifest.arrays[NodeId(bytes(8))]


def test_threads_may_decode_the_same_array() -> None:
    manifest = decode_manifest(encode_manifest(ID, {NODE: native_table(3000)}), name="m")
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(len(manifest.arrays[NODE]))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [3000] * 8


def handmade(*refs: dict[int, Field], shared: Builder | None = None) -> bytes:
    b = shared or Builder()
    tables = [b.table(fields) for fields in refs]
    array = b.table({0: struct(NODE), 1: ref(b.offset_vector(tables))})
    root = b.table({0: struct(ID), 1: ref(b.offset_vector([array]))})
    return pack(FileType.MANIFEST, 1, b.finish(root))


def index(b: Builder, *coords: int) -> Field:
    return ref(b.struct_vector(np.array(coords, "<u4").tobytes(), len(coords), 4))


def test_references_in_any_order_and_shape_are_read() -> None:
    b = Builder()
    refs: list[dict[int, Field]] = [
        {0: index(b, 3, 1), 4: struct(b"c" * 12), 3: u64(5)},
        {0: index(b, 0, 2), 1: ref(b.bytes_vector(b"inline"))},
        {0: index(b, 0, 1), 5: ref(b.string("s3://b/k")), 2: u64(1), 3: u64(2), 7: u32(3)},
        {0: index(b, 3, 0), 4: struct(b"d" * 12), 3: u64(6), 2: u64(7), 12: u64(99)},
    ]
    table = decode_manifest(handmade(*refs, shared=b), name="m").arrays[NODE]
    assert table.coords().tolist() == [[0, 1], [0, 2], [3, 0], [3, 1]]
    places = [table.location(row) for row in range(4)]
    assert [p.kind for p in places] == [2, 3, 1, 1]
    assert places[0][2:] == (1, 2, None, "s3://b/k", None, 3)
    assert bytes(places[1].inline or b"") == b"inline"
    assert places[2][:4] == (1, b"d" * 12, 7, 6)
    assert places[3][:4] == (1, b"c" * 12, 0, 5)


def test_precedence_of_kinds() -> None:
    b = Builder()
    everything = {0: index(b, 0), 1: ref(b.bytes_vector(b"x")), 5: ref(b.string("s3://b/k"))}
    native = {**everything, 0: index(b, 1), 4: struct(b"c" * 12)}
    table = decode_manifest(handmade(everything, native, shared=b), name="m").arrays[NODE]
    assert table.kind.tolist() == [VIRTUAL, NATIVE]
    assert table.location(1).url is None


def refused(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        decode_manifest(data, name="manifests/M").arrays[NODE]
    assert "manifests/M" in caught.value.message
    return caught.value.message


def test_references_that_break_the_rules_are_refused() -> None:
    b = Builder()
    assert "missing required field 0" in refused(handmade({4: struct(b"c" * 12)}))
    assert "neither native" in refused(handmade({0: index(b, 0)}, shared=b))
    b = Builder()
    mixed = ({0: index(b, 0), 4: struct(bytes(12))}, {0: index(b, 0, 1), 4: struct(bytes(12))})
    assert "different ranks" in refused(handmade(*mixed, shared=b))


def test_one_index_for_many_references_does_not_blow_up() -> None:
    b = Builder()
    same = b.table({0: index(b, *range(5000)), 4: struct(bytes(12))})
    array = b.table({0: struct(NODE), 1: ref(b.offset_vector([same] * 5000))})
    root = b.table({0: struct(ID), 1: ref(b.offset_vector([array]))})
    assert "overlap" in refused(pack(FileType.MANIFEST, 2, b.finish(root)))


def test_an_array_without_references_is_empty() -> None:
    manifest = decode_manifest(handmade(), name="m")
    assert len(manifest.arrays[NODE]) == 0
    assert manifest.num_chunk_refs == 0


@given(tables())
def test_cold_lookups_say_what_the_table_says(table: ChunkTable) -> None:
    data = encode_manifest(ID, {NODE: table})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_COLD_REFS", 0)
        for coords in [*table.coords().tolist(), [1] * table.ndim, [0]]:
            manifest = decode_manifest(data, name="m")
            cold = manifest.locate(NODE, coords)
            row = table.find(coords)
            assert (cold is None) == (row < 0)
            if cold is not None:
                raw = None if cold.inline is None else bytes(cold.inline)
                assert [(*coords, cold._replace(inline=raw))] == rows(table.select([row]))


def test_only_the_first_lookups_in_a_large_array_are_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COLD_REFS", 100)
    manifest = decode_manifest(encode_manifest(ID, {NODE: native_table(100)}), name="m")
    idle = manifest.nbytes
    for k in range(module._COLD_LOOKUPS):
        place = manifest.locate(NODE, (k,))
        assert place is not None
        assert manifest.nbytes == idle
    warm = manifest.locate(NODE, (50,))
    assert warm == manifest.arrays[NODE].location(50)
    assert manifest.nbytes == 21 * 100


def test_a_reference_out_of_order_is_found_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COLD_REFS", 0)
    b = Builder()
    refs: list[dict[int, Field]] = [
        {0: index(b, k), 4: struct(b"c" * 12), 3: u64(k)} for k in (9, 1, 5, 3, 0)
    ]
    data = handmade(*refs, shared=b)
    for k in (9, 1, 5, 3, 0):
        place = decode_manifest(data, name="m").locate(NODE, (k,))
        assert place is not None
        assert place.length == k
    assert decode_manifest(data, name="m").locate(NODE, (7,)) is None
    with pytest.raises(KeyError):
        decode_manifest(data, name="m").locate(NodeId(bytes(8)), (7,))


def test_a_hundred_thousand_references_of_all_kinds() -> None:
    count = 100_003
    rows = np.arange(count)
    kind = (1 + rows // 40 % 3).astype(np.uint8)
    texts = [b"%d" % (k // 7) for k in range(count)]
    table = ChunkTable.from_columns(
        np.stack([rows // 300, rows % 300], axis=1),
        kind,
        np.random.default_rng(1).integers(0, 256, (count, 12), dtype=np.uint8),
        np.where(kind == 2, rows, 0).astype(np.uint64),
        np.where(kind == 3, [len(text) for text in texts], rows + 1).astype(np.uint64),
        text=TextColumn.from_bytes(
            [t if k > 1 else None for t, k in zip(texts, kind, strict=True)]
        ),
    )
    for part in (table, table.select(kind == 1), table.select(kind == 2), table.select(kind == 3)):
        found = decode_manifest(encode_manifest(ID, {NODE: part}), name="m").arrays[NODE]
        assert (found.coords() == part.coords()).all()
        for column in ("kind", "length", "offset"):
            one, two = getattr(found, column), getattr(part, column)
            assert np.array_equal(one, two) or (one is None and not two.any())
        for row in range(0, len(part), 97):
            assert bytes(found.location(row).inline or b"") == bytes(
                part.location(row).inline or b""
            )
            assert found.location(row)[:3] == part.location(row)[:3]
            assert found.location(row).url == part.location(row).url


@pytest.mark.parametrize("step", [1, 3])
def test_decoded_native_references_take_less_than_forty_bytes_each(step: int) -> None:
    count = 100_000
    rows = np.arange(0, count * step, step)
    coords = np.stack([rows // 1000, rows % 1000], axis=1)
    ids = np.random.default_rng(1).integers(0, 256, (count, 12), dtype=np.uint8)
    lengths = np.random.default_rng(2).integers(1, 10**6, count).astype(np.uint64)
    table = ChunkTable.from_columns(coords, np.ones(count, np.uint8), ids, None, lengths)
    data = encode_manifest(ID, {NODE: table})
    del table
    tracemalloc.start()
    manifest = decode_manifest(data, name="m")
    assert manifest.arrays[NODE].find(coords[17].tolist()) == 17
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held <= 40 * count
    assert manifest.nbytes <= 40 * count
