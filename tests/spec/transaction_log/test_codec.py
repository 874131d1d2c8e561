from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.errors import FormatError
from icechunk.core.ids import NodeId, ObjectId
from icechunk.spec.dialect import V1, V2, Dialect
from icechunk.spec.envelope import FileType, pack, unpack
from icechunk.spec.flatbuffers.read import Body
from icechunk.spec.flatbuffers.write import Builder, Field, ref, struct
from icechunk.spec.manifest.coordinates import sorted_unique
from icechunk.spec.transaction_log import codec as txlog
from icechunk.spec.transaction_log.codec import (
    check_log_size,
    decode_transaction_log,
    encode_transaction_log,
)
from icechunk.spec.transaction_log.log import Move, TransactionLog
from tests.spec.damage import damaged
from tests.spec.table_strategies import node_ids, object_ids

id_sets = st.frozensets(node_ids, max_size=3)
paths = st.sampled_from(["/n/b", "/n-b", "/n", "/é/x"])


@st.composite
def coordinates(draw: st.DrawFn) -> Any:
    ndim = draw(st.integers(0, 3))
    row = st.tuples(*[st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 1))] * ndim)
    rows = draw(st.lists(row, min_size=1, max_size=10))
    return sorted_unique(np.array(rows, np.uint32).reshape(len(rows), ndim))


logs = st.builds(
    TransactionLog,
    id=object_ids,
    new_groups=id_sets,
    new_arrays=id_sets,
    deleted_groups=id_sets,
    deleted_arrays=id_sets,
    updated_groups=id_sets,
    updated_arrays=id_sets,
    updated_chunks=st.dictionaries(node_ids, coordinates(), max_size=3),
)


@given(logs, st.sampled_from([V1, V2]))
def test_round_trip(log: TransactionLog, dialect: Dialect) -> None:
    data = encode_transaction_log(log, dialect=dialect)
    assert data[36] == dialect.spec_version
    found = decode_transaction_log(data, name="t")
    assert found == log
    assert encode_transaction_log(found, dialect=dialect) == data


@given(st.lists(st.builds(Move, paths, paths, node_ids, st.booleans()), max_size=5))
def test_moves_are_written_by_target_component_wise(moves: list[Move]) -> None:
    log = TransactionLog(id=ObjectId(bytes(12)), moved=tuple(moves))
    found = decode_transaction_log(encode_transaction_log(log), name="t").moved
    assert sorted(found, key=repr) == sorted(moves, key=repr)
    targets = [move.target.split("/") for move in found]
    assert targets == sorted(targets)


def test_only_v2_has_a_list_of_moves() -> None:
    log = TransactionLog(id=ObjectId(bytes(12)))
    for dialect in (V1, V2):
        raw = unpack(
            encode_transaction_log(log, dialect=dialect), FileType.TRANSACTION_LOG, name="t"
        ).body
        root = Body(raw, "t").root()
        assert root.presence(8) == dialect.moved_nodes
        assert all(root.presence(slot) for slot in range(8))


def test_lists_are_sorted_and_distinct_fields() -> None:
    nodes = [NodeId(bytes([k]) * 8) for k in (9, 3, 200)]
    log = TransactionLog(
        id=ObjectId(bytes(12)),
        updated_arrays=frozenset(nodes),
        updated_groups=frozenset(nodes[:1]),
        updated_chunks={node: np.zeros((1, 1), np.uint32) for node in nodes},
    )
    raw = unpack(encode_transaction_log(log), FileType.TRANSACTION_LOG, name="t").body
    root = Body(raw, "t").root()
    assert root.struct_vector(5, 8) == b"".join(sorted(nodes))
    assert root.struct_vector(6, 8) == nodes[0]
    assert [t.struct(0, 8) for t in root.vector_of_tables(7)] == sorted(nodes)


def test_unsorted_and_repeated_chunks_are_put_in_order() -> None:
    coords = np.array([[2, 0], [0, 5], [2, 0]], np.uint32)
    node = NodeId(bytes(8))
    log = TransactionLog(id=ObjectId(bytes(12)), updated_chunks={node: coords})
    found = decode_transaction_log(encode_transaction_log(log), name="t")
    assert found.updated_chunks[node].tolist() == [[0, 5], [2, 0]]


@pytest.mark.parametrize("hole", range(8))
def test_a_missing_list_is_refused(hole: int) -> None:
    b = Builder()
    fields: dict[int, Field] = {0: struct(bytes(12))}
    for slot in range(1, 8):
        fields[slot] = ref(b.offset_vector([]))
    del fields[hole]
    data = pack(FileType.TRANSACTION_LOG, 1, b.finish(b.table(fields)))
    with pytest.raises(FormatError, match=f"missing required field {hole}"):
        decode_transaction_log(data, name="t")


def test_more_changes_than_a_log_can_hold_are_refused_beforehand() -> None:
    huge = np.lib.stride_tricks.as_strided(
        np.zeros((1, 3), np.uint32), (70_000_000, 3), (0, 4), writeable=False
    )
    with pytest.raises(FormatError, match="one commit cannot change 70000000 chunks") as caught:
        check_log_size(
            TransactionLog(ObjectId(bytes(12)), updated_chunks={NodeId(b"array-id"): huge})
        )
    assert caught.value.kind == "serialization"
    check_log_size(
        TransactionLog(ObjectId(bytes(12)), updated_chunks={NodeId(b"array-id"): huge[:1000]})
    )


@pytest.mark.parametrize("count", [15, 16, 17, 48, 100])
@pytest.mark.parametrize("ndim", [0, 1, 2, 3])
def test_long_lists_are_read_as_they_were_written(count: int, ndim: int) -> None:
    rows = np.arange(count, dtype=np.uint32)
    coords = np.stack([rows // 7**axis for axis in range(ndim)[::-1]], axis=1) if ndim else None
    coords = np.zeros((1, 0), np.uint32) if coords is None else coords
    log = TransactionLog(ObjectId(bytes(12)), updated_chunks={NodeId(bytes(8)): coords})
    found = decode_transaction_log(encode_transaction_log(log), name="t")
    assert found == log
    assert not found.updated_chunks[NodeId(bytes(8))].flags.writeable


@pytest.mark.parametrize("count", [32, 37])
def test_the_short_way_to_read_a_list_never_says_anything_else(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens to the bytes: what blocks in the expected form hold is what offsets say."""
    coords = np.random.default_rng(3).integers(0, 9, (count, 2)).astype(np.uint32)
    log = TransactionLog(
        ObjectId(bytes(12)), updated_chunks={NodeId(bytes(8)): np.unique(coords, axis=0)}
    )
    data = encode_transaction_log(log)

    def read(variant: bytes) -> Any:
        try:
            return decode_transaction_log(variant, name="t")
        except FormatError:
            return None

    kind = FileType.TRANSACTION_LOG
    variants = [data, *damaged(data, kind, 1500, seed=count)]
    # aimed at the list: that is where both ways could part
    body = bytearray(unpack(data, kind, name="t").body)
    for at in range(len(body) - 16 * 20, len(body)):
        body[at] ^= 1
        variants.append(pack(kind, 2, bytes(body), 1))
        body[at] ^= 1
    short = [read(variant) for variant in variants]
    monkeypatch.setattr(txlog, "_block_coords", lambda *_: None)
    assert short == [read(variant) for variant in variants]
