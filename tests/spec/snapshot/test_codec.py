from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import count, pairwise
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.errors import FormatError, InvalidInputError
from icechunk.core.ids import INITIAL_SNAPSHOT_ID, NodeId, ObjectId
from icechunk.spec.dialect import V1, V2, Dialect
from icechunk.spec.envelope import FileType, pack, unpack
from icechunk.spec.flatbuffers.read import Body
from icechunk.spec.flatbuffers.write import Builder, ref, struct, u8, u64
from icechunk.spec.snapshot import codec, node_rows
from icechunk.spec.snapshot import node_write as module
from icechunk.spec.snapshot.codec import (
    decode_manifest_infos,
    decode_snapshot,
    encode_and_keep,
    encode_snapshot,
    initial_snapshot,
)
from icechunk.spec.snapshot.node_rows import StoredNodes
from icechunk.spec.snapshot.nodes import ArrayData, ManifestRef, NodeSnapshot, NodeTable
from icechunk.spec.snapshot.snapshot import ManifestInfo, Snapshot
from tests.spec.damage import assert_only_format_errors
from tests.spec.states import ids, metadata, texts, times

u32s = st.integers(0, 2**32 - 1)
paths = st.lists(st.sampled_from(["a", "b", "a-b", "é", "c0"]), max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)


@st.composite
def arrays(draw: st.DrawFn, manifests: list[ObjectId]) -> ArrayData:
    rank = draw(st.integers(0, 3))
    chunks = [draw(st.integers(1, 1000)) for _ in range(rank)]
    counts = [draw(st.integers(0, 1000)) for _ in range(rank)]
    # The last chunk of an axis may be partial; an axis without chunks has no length.
    spare = [draw(st.integers(0, chunk - 1)) for chunk in chunks]
    shape = [max(c * n - s, 0) for c, n, s in zip(chunks, counts, spare, strict=True)]
    names = st.lists(st.none() | texts.filter(bool), min_size=rank, max_size=rank).map(tuple)
    sides = st.tuples(u32s, u32s).map(lambda pair: (min(pair), max(pair)))
    boxes = st.lists(sides, min_size=rank, max_size=rank).map(tuple)
    refs = st.builds(ManifestRef, st.sampled_from(manifests), boxes)
    return ArrayData(
        tuple(shape),
        tuple(counts),
        draw(st.none() | names),
        tuple(draw(st.lists(refs, max_size=3))),
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    listed = draw(st.lists(ids, min_size=1, max_size=4, unique=True))
    infos = {key: ManifestInfo(key, draw(st.integers(0, 2**63)), draw(u32s)) for key in listed}
    pairs = st.tuples(st.binary(min_size=8, max_size=8), paths)
    named = st.lists(pairs, max_size=5, unique_by=(itemgetter(0), itemgetter(1)))
    nodes = [
        NodeSnapshot(
            NodeId(node_id),
            path,
            draw(st.binary(max_size=20)),
            draw(st.none() | arrays(listed)),
        )
        for node_id, path in draw(named)
    ]
    return Snapshot(
        draw(ids), None, draw(times), draw(texts), draw(metadata), NodeTable(nodes), infos
    )


@given(snapshots())
def test_snapshots_come_back_in_spec_2(snapshot: Snapshot) -> None:
    assert decode_snapshot(encode_snapshot(snapshot), name="s") == snapshot
    orphan = decode_snapshot(encode_snapshot(replace(snapshot, parent_id=snapshot.id)), name="s")
    assert orphan == snapshot


@given(snapshots(), st.none() | ids)
def test_snapshots_come_back_in_spec_1(snapshot: Snapshot, parent: ObjectId | None) -> None:
    child = replace(snapshot, parent_id=parent)
    assert decode_snapshot(encode_snapshot(child, dialect=V1), name="s") == child


@given(snapshots(), st.sampled_from([V1, V2]))
def test_the_layout_is_the_one_of_the_dialect(snapshot: Snapshot, dialect: Dialect) -> None:
    parent = ObjectId(b"p" * 12)
    data = encode_snapshot(replace(snapshot, parent_id=parent), dialect=dialect)
    envelope = unpack(data, FileType.SNAPSHOT, name="s")
    assert envelope.spec_version == dialect.spec_version
    root = Body(envelope.body, "s").root()
    old = dialect is V1
    assert root.opt_struct(1, 12) == (parent if old else None)
    assert len(root.struct_vector(6, 32)) == (32 * len(snapshot.manifests) if old else 0)
    assert root.presence(7) == (not old)
    names = [node.string(1).encode() for node in root.vector_of_tables(2)]
    assert names == sorted(names)
    for node in root.vector_of_tables(2):
        array = node.table(4)
        if node.u8(3) == 1:
            assert array.presence(3) == (not old)
            assert array.presence(0)


@given(snapshots())
def test_the_same_snapshot_gives_the_same_bytes(snapshot: Snapshot) -> None:
    backwards = dict(reversed(snapshot.manifests.items()))
    other = replace(snapshot, manifests=backwards)
    assert encode_snapshot(snapshot) == encode_snapshot(other)


def test_the_first_snapshot() -> None:
    made = initial_snapshot(5)
    assert made == Snapshot(
        INITIAL_SNAPSHOT_ID,
        None,
        5,
        "Repository initialized",
        {"__icechunk": {"is_root": True}},
    )
    assert decode_snapshot(encode_snapshot(made), name="s") == made


def array_snapshot(**changes: Any) -> Snapshot:
    manifest = ObjectId(b"m" * 12)
    array = ArrayData((10,), (4,), ("x",), (ManifestRef(manifest, ((0, 4),)),))
    node = NodeSnapshot(NodeId(b"n" * 8), "/a", b"{}", replace(array, **changes))
    infos = {manifest: ManifestInfo(manifest, 100, 4)}
    return Snapshot(ObjectId(b"s" * 12), None, 1, "m", {}, NodeTable([node]), infos)


def test_what_would_be_stored_wrongly_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="chunks along one axis"):
        encode_snapshot(array_snapshot(num_chunks=(2**32,)))
    with pytest.raises(InvalidInputError, match="dimension names"):
        encode_snapshot(array_snapshot(dimension_names=("x", "y")))
    with pytest.raises(FormatError) as caught:
        encode_snapshot(array_snapshot(manifests=(ManifestRef(ObjectId(b"?" * 12), ()),)))
    assert caught.value.kind == "manifest-info-not-found"


def test_an_empty_dimension_name_is_stored_as_none() -> None:
    again = decode_snapshot(encode_snapshot(array_snapshot(dimension_names=("",))), name="s")
    node = again.nodes.get("/a")
    assert node is not None
    assert node.array is not None
    assert node.array.dimension_names == (None,)


def foreign(paths: list[str], flushed_at: int = 1, kind: int = 2) -> bytes:
    """Snapshot file with groups in an order of its own."""
    builder = Builder()
    nodes = [
        builder.table(
            {
                0: struct(bytes([k]) * 8),
                1: ref(builder.string(path)),
                2: ref(builder.bytes_vector(b"{}")),
                3: u8(kind),
                4: ref(builder.table({})),
            }
        )
        for k, path in enumerate(paths)
    ]
    empty = builder.offset_vector([])
    root = builder.table(
        {
            0: struct(b"s" * 12),
            2: ref(builder.offset_vector(nodes)),
            3: u64(flushed_at),
            4: ref(builder.string("m")),
            5: ref(empty),
            6: ref(builder.struct_vector(b"", 0, 8)),
        }
    )
    return pack(FileType.SNAPSHOT, 2, builder.finish(root))


def test_nodes_in_another_order_are_found() -> None:
    snapshot = decode_snapshot(foreign(["/a", "/a/b", "/a-b"]), name="s")
    assert [node.path for node in snapshot.nodes] == ["/a", "/a-b", "/a/b"]
    assert snapshot.nodes.get("/a/b") is not None


@pytest.mark.parametrize(
    "data",
    [
        foreign(["/a", "/a"]),
        foreign(["a"]),
        foreign(["/a"], flushed_at=2**63),
        foreign(["/a"], flushed_at=2**58),
        foreign(["/a"], kind=3),
        foreign(["/a"], kind=1),
    ],
    ids=["twice", "relative", "negative time", "year 11000", "unknown type", "array of nothing"],
)
def test_impossible_content_is_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        list(decode_snapshot(data, name="snapshots/X").nodes)
    assert caught.value.kind == "deserialization"
    assert "snapshots/X" in str(caught.value)


@pytest.mark.parametrize("dialect", [V1, V2], ids=["v1", "v2"])
def test_damage_gives_format_errors_only(dialect: Dialect) -> None:
    snapshot = replace(array_snapshot(), metadata={"a": [1, {"b": None}], "t": "x"})
    data = encode_snapshot(snapshot, dialect=dialect)
    assert_only_format_errors(
        data, FileType.SNAPSHOT, lambda raw: decode_snapshot(raw, name="snapshots/X")
    )


def test_a_manifest_without_extents_serves_the_whole_array() -> None:
    box = ((0, 3), (0, 1))
    array = ArrayData((30, 0), (3, 0), None, (ManifestRef(ObjectId(b"m" * 12), ()),))
    snapshot = one_array(array)
    found = decode_snapshot(encode_snapshot(snapshot), name="s").nodes.get("/a")
    assert found is not None
    assert found.array is not None
    assert found.array.manifests[0].extents == box


@pytest.mark.parametrize(
    ("extents", "problem"), [(((0, 3),), "another rank"), (((2, 1), (0, 1)), "before they start")]
)
def test_impossible_extents_are_refused(extents: Any, problem: str) -> None:
    array = ArrayData((30, 10), (3, 1), None, (ManifestRef(ObjectId(b"m" * 12), extents),))
    nodes = decode_snapshot(encode_snapshot(one_array(array)), name="s").nodes
    with pytest.raises(FormatError, match=problem):
        nodes.get("/a")


def one_array(array: ArrayData) -> Snapshot:
    nodes = NodeTable([NodeSnapshot(NodeId(b"a" * 8), "/a", b"{}", array)])
    infos = {ref.object_id: ManifestInfo(ref.object_id, 1, 1) for ref in array.manifests}
    return Snapshot(ObjectId(bytes(12)), None, 0, "", {}, nodes, infos)


def test_two_nodes_with_one_id_are_refused() -> None:
    nodes = NodeTable([NodeSnapshot(NodeId(b"a" * 8), path, b"{}") for path in ("/a", "/b")])
    snapshot = Snapshot(ObjectId(bytes(12)), None, 0, "", {}, nodes, {})
    with pytest.raises(FormatError, match="one id"):
        decode_snapshot(encode_snapshot(snapshot), name="s")


@given(snapshots(), st.data())
def test_unchanged_nodes_are_copied_from_their_file(
    snapshot: Snapshot, data: st.DataObject
) -> None:
    dialect = data.draw(st.sampled_from([V1, V2]))
    stored = decode_snapshot(encode_snapshot(snapshot, dialect=dialect), name="s")
    model = {node.path: node for node in snapshot.nodes}
    taken = {node.id for node in snapshot.nodes}
    candidates = (NodeId(number.to_bytes(8, "big")) for number in count())
    fresh = (node_id for node_id in candidates if node_id not in taken)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "can_be_copied", lambda source, *_: bool(source.paths))
        for step in range(3):
            removed = data.draw(st.sets(st.sampled_from(sorted(model)))) if model else set()
            gone = [model.pop(path).id for path in removed]
            added = [
                NodeSnapshot(next(fresh), path, b"{}")
                for path in sorted(data.draw(st.sets(paths, max_size=2)))
            ]
            model |= {node.path: node for node in added}
            nodes = stored.nodes.edited(added, gone)
            assert list(nodes) == sorted(model.values(), key=lambda node: node.path.encode())
            changed = replace(stored, nodes=nodes, message=f"step {step}")
            written, kept = encode_and_keep(changed, dialect=dialect)
            stored = decode_snapshot(written, name="s")
            assert stored == changed == kept
            assert stored.nodes == NodeTable(model.values())
            assert stored.nodes.manifest_ids() == kept.nodes.manifest_ids()
            if data.draw(st.booleans()):  # the handle goes on, or another one reads the file
                stored = kept


def test_copies_of_copies_are_written_anew_in_time() -> None:
    nodes = [NodeSnapshot(NodeId(bytes([k]) * 8), f"/{k:03d}", bytes(500)) for k in range(100)]
    snapshot = Snapshot(ObjectId(bytes(12)), None, 0, "", {}, NodeTable(nodes), {})
    fresh = len(unpack(encode_snapshot(snapshot), FileType.SNAPSHOT, name="s").body)
    sizes = []
    for step in range(200):
        changed = NodeSnapshot(NodeId(bytes([7]) * 8), "/007", bytes([step]) * 500)
        snapshot = replace(snapshot, nodes=snapshot.nodes.edited([changed]))
        data = encode_snapshot(snapshot)
        sizes.append(len(unpack(data, FileType.SNAPSHOT, name="s").body))
        snapshot = decode_snapshot(data, name="s")
        node = snapshot.nodes.get("/007")
        assert node is not None
        assert node.user_data == bytes([step]) * 500
    assert max(sizes) < fresh * 1.3
    assert sum(a > b for a, b in pairwise(sizes)) > 2
    assert len(list(snapshot.nodes)) == 100


def test_copied_nodes_must_refer_to_listed_manifests() -> None:
    ref = ManifestRef(ObjectId(b"m" * 12), ((0, 1),))
    nodes = [
        NodeSnapshot(NodeId(bytes([k]) * 8), f"/{k}", b"{}", ArrayData((1,), (1,), None, (ref,)))
        for k in range(9)
    ]
    infos = {ref.object_id: ManifestInfo(ref.object_id, 5, 6)}
    snapshot = Snapshot(ObjectId(bytes(12)), None, 0, "", {}, NodeTable(nodes), infos)
    stored = decode_snapshot(encode_snapshot(snapshot), name="s")
    assert stored.nodes.manifest_ids() == {ref.object_id}
    with pytest.raises(FormatError, match="does not list"):
        encode_snapshot(replace(stored, manifests={}))


SMALL_FILES = pytest.mark.parametrize("small_file", [0, 2**20], ids=["columns", "tables"])


@SMALL_FILES
@given(snapshots(), st.sampled_from([V1, V2]))
def test_manifests_are_found_without_decoding_nodes(
    small_file: int, snapshot: Snapshot, dialect: Dialect
) -> None:
    data = encode_snapshot(snapshot, dialect=dialect)
    with pytest.MonkeyPatch.context() as patch:
        for module_ in (node_rows, codec):
            patch.setattr(module_, "SMALL_FILE", small_file)
        assert decode_manifest_infos(data, name="s") == (snapshot.id, snapshot.manifests)


@SMALL_FILES
def test_manifests_that_only_an_array_names_are_found(
    small_file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module_ in (node_rows, codec):
        monkeypatch.setattr(module_, "SMALL_FILE", small_file)
    monkeypatch.setattr(module, "_check_array", lambda *_: None)
    snapshot = array_snapshot()
    (listed,) = snapshot.manifests
    data = encode_snapshot(replace(snapshot, manifests={}))
    assert decode_manifest_infos(data, name="s")[1] == {listed: ManifestInfo(listed, 0, 0)}
    intact = encode_snapshot(snapshot)
    assert_only_format_errors(intact, FileType.SNAPSHOT, partial(decode_manifest_infos, name="s"))


@SMALL_FILES
def test_manifests_of_an_unknown_kind_of_node_cannot_be_found(
    small_file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_rows, "SMALL_FILE", small_file)
    monkeypatch.setattr(module, "GROUP", 3)
    node = NodeSnapshot(NodeId(b"new-node"), "/new", b"{}")
    snapshot = Snapshot(ObjectId(bytes(12)), None, 0, "", {}, NodeTable([node]), {})
    with pytest.raises(FormatError, match="unknown type"):
        decode_manifest_infos(encode_snapshot(snapshot), name="s")


def test_a_node_is_decoded_once_whoever_asks() -> None:
    array = ArrayData((4,), (2,), ("x",))
    nodes = [NodeSnapshot(NodeId(bytes([k]) * 8), f"/{k}", b"{}" * 99, array) for k in range(9)]
    stored = Snapshot(ObjectId(bytes(12)), None, 1, "m", {}, NodeTable(nodes), {})
    table = decode_snapshot(encode_snapshot(stored), name="s").nodes
    edited = table.edited([NodeSnapshot(NodeId(b"new-node"), "/new", b"{}")])
    for _ in range(1000):  # far more often than the budget of the payload allows decoding
        for node in nodes:
            assert edited.get(node.path) is table.by_id(node.id) is table.get(node.path)
    assert list(table) == nodes


def test_what_one_handle_writes_in_a_row_stays_small_and_readable() -> None:
    nodes = [NodeSnapshot(NodeId(bytes([k]) * 8), f"/{k:03d}", bytes(900)) for k in range(200)]
    snapshot = Snapshot(ObjectId(bytes(12)), None, 0, "", {}, NodeTable(nodes), {})
    for step in range(120):
        if step % 3:  # every third commit changes no node
            node_id = NodeId(bytes([step]) * 8)
            changed = NodeSnapshot(node_id, f"/{step:03d}", bytes([step]) * 500)
            snapshot = replace(snapshot, nodes=snapshot.nodes.edited([changed]))
        data, kept = encode_and_keep(snapshot)
        assert decode_snapshot(data, name="s") == snapshot == kept
        _, source, _ = kept.nodes.parts()
        assert isinstance(source, StoredNodes)
        assert len(source.region.parts) <= 17
        assert all(source.region.parts)
        assert source.region.size == sum(map(len, source.region.parts))
        snapshot = kept
