from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.ids import NodeId, ObjectId
from icechunk.spec.dialect import V1, V2
from icechunk.spec.envelope import FileType, pack, unpack
from icechunk.spec.manifest import patch as module
from icechunk.spec.manifest.chunk_table import INLINE, NATIVE, VIRTUAL, ChunkTable, Location
from icechunk.spec.manifest.decode import Manifest, decode_manifest, encode_manifest
from icechunk.spec.manifest.patch import plan_patch
from icechunk.spec.manifest.patch_note import note
from tests.spec.table_strategies import tables

NODE, ID, NEW = NodeId(b"node-id!"), ObjectId(b"manifest-id!"), ObjectId(b"patched-id!!")
PLACES = [
    Location(NATIVE, ObjectId(b"another-one!"), 9, 8, None, None, None, 0),
    Location(VIRTUAL, None, 5, 9, None, "s3://bucket/other", '"tag"', 0),
    Location(VIRTUAL, None, 5, 9, None, "s3://bucket/dated", None, 77),
    Location(INLINE, None, 0, 4, b"data", None, None, 0),
]


@pytest.fixture(autouse=True)
def _small_manifests_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALLEST", 1)


def virtual(count: int) -> ChunkTable:
    place = Location(VIRTUAL, None, 0, 9, None, "s3://bucket/long/enough/to/matter", None, 0)
    return ChunkTable.from_locations(1, [((k,), place) for k in range(count)])


def opened(table: ChunkTable) -> Manifest:
    return decode_manifest(encode_manifest(ID, {NODE: table}), name="m")


def rows(table: ChunkTable) -> list[Any]:
    places = [table.location(row) for row in range(len(table))]
    plain = [p._replace(inline=None if p.inline is None else bytes(p.inline)) for p in places]
    return list(zip(table.coords().tolist(), plain, strict=True))


@given(tables(), st.data())
def test_patched_files_read_like_files_written_anew(table: ChunkTable, data: st.DataObject) -> None:
    coords = table.coords().tolist()
    if not coords:
        return
    chosen = data.draw(st.lists(st.sampled_from(coords), min_size=1, max_size=3))
    edits = ChunkTable.from_locations(
        table.ndim, [(c, data.draw(st.sampled_from(PLACES))) for c in chosen]
    )
    dialect = data.draw(st.sampled_from([V1, V2]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SMALLEST", 1)
        patch.setattr(module, "_WASTE", 0.001)
        patch.setattr(Manifest, "num_chunk_refs", 10**6)
        plan = plan_patch(opened(table), NODE, edits)
    assert plan is not None
    patched = decode_manifest(plan.encode(NEW, dialect=dialect, level=3), name="m")
    assert patched.id == NEW
    assert list(patched.arrays) == [NODE]
    found = patched.arrays[NODE]
    assert rows(found) == rows(ChunkTable.merge(table, edits))


def test_patches_pile_up_until_the_file_is_written_anew() -> None:
    table = virtual(3000)
    data = encode_manifest(ID, {NODE: table})
    size = len(unpack(data, FileType.MANIFEST, name="m").body)
    patches = 0
    while True:
        place = Location(VIRTUAL, None, patches, 1, None, f"s3://bucket/{patches}", None, 0)
        edits = ChunkTable.from_locations(1, [((k,), place) for k in (7, 8, 2999)])
        plan = plan_patch(decode_manifest(data, name="m"), NODE, edits)
        if plan is None:
            break
        assert plan.num_chunk_refs == 3000
        data = plan.encode(NEW, dialect=V2, level=3)
        table = ChunkTable.merge(table, edits)
        patches += 1
        cold = decode_manifest(data, name="m")
        found = cold.locate(NODE, (8,))
        assert found is not None
        assert found.offset == patches - 1
    assert patches > 20
    body = unpack(data, FileType.MANIFEST, name="m").body
    assert len(body) <= size * 9 // 8 + 100
    assert rows(decode_manifest(data, name="m").arrays[NODE]) == rows(table)


def test_what_cannot_be_patched() -> None:
    table = virtual(3000)
    one = ChunkTable.from_locations(1, [((7,), PLACES[0])])
    gone = Location(0, None, 0, 0, None, None, None, 0)
    assert plan_patch(opened(table), NODE, one) is not None
    for edits in (
        ChunkTable.empty(1),
        ChunkTable.from_locations(1, [((3000,), PLACES[0])]),
        ChunkTable.from_locations(1, [((7,), gone)]),
        ChunkTable.from_locations(2, [((7, 0), PLACES[0])]),
        virtual(200),
    ):
        assert plan_patch(opened(table), NODE, edits) is None
    decoded = opened(table)
    assert decoded.arrays[NODE]
    assert plan_patch(decoded, NODE, one) is None
    other = NodeId(b"other-id")
    shared = encode_manifest(ID, {NODE: table, other: table})
    assert plan_patch(decode_manifest(shared, name="m"), NODE, one) is None


def test_a_note_that_lies_does_no_harm() -> None:
    table = virtual(3000)
    data = encode_manifest(ID, {NODE: table})
    body = unpack(data, FileType.MANIFEST, name="m").body
    for size in (0, 1, len(body), 2**63):
        lying = pack(FileType.MANIFEST, 2, body + note(size))
        one = ChunkTable.from_locations(1, [((7,), PLACES[0])])
        plan = plan_patch(decode_manifest(lying, name="m"), NODE, one)
        if plan is not None:
            patched = decode_manifest(plan.encode(NEW, dialect=V2, level=3), name="m").arrays[NODE]
            assert rows(patched) == rows(ChunkTable.merge(table, one))
