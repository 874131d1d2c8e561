from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.errors import FormatError, InvalidInputError, SnapshotNotFoundError
from icechunk.core.ids import ObjectId
from icechunk.spec.flatbuffers import flex
from icechunk.spec.repo.snapshot_table import SnapshotRecord, SnapshotTable
from tests.spec.states import records


def number(k: int) -> ObjectId:
    """Id whose place in the table is not its place in history."""
    return ObjectId(((k * 7919) % 1009).to_bytes(12, "big"))


def chain(length: int) -> list[SnapshotRecord]:
    return [
        SnapshotRecord(number(k), number(k - 1) if k else None, 1000 + k, f"commit {k}", {"k": k})
        for k in range(length)
    ]


@given(records())
def test_rows_are_sorted_by_id_and_complete(made: list[SnapshotRecord]) -> None:
    table = SnapshotTable.from_records(made)
    assert list(table) == sorted(made, key=lambda record: record.id)
    assert all(table.get(record.id) == record for record in made)
    assert all(record.id in table for record in made)


@given(records())
def test_inserting_one_by_one_gives_the_same_table(made: list[SnapshotRecord]) -> None:
    table = SnapshotTable.from_records([])
    for record in made:
        table = table.insert(record)
    assert table == SnapshotTable.from_records(made)


@given(records(), st.data())
def test_find_all_agrees_with_find(made: list[SnapshotRecord], data: st.DataObject) -> None:
    table = SnapshotTable.from_records(made)
    other = data.draw(st.lists(st.binary(min_size=12, max_size=12), max_size=4))
    wanted = [ObjectId(raw) for raw in [*other, *(record.id for record in made)]]
    column = np.frombuffer(b"".join(wanted), np.uint8).reshape(-1, 12)
    assert table.find_all(column).tolist() == [table.find(raw) for raw in wanted]


def test_ids_that_differ_in_trailing_zeros_only_are_told_apart() -> None:
    first, second = ObjectId(b"a".ljust(12, b"\0")), ObjectId(b"a\0\1".ljust(12, b"\0"))
    table = SnapshotTable.from_records([SnapshotRecord(first, None, 1, "a")])
    assert table.find(first) == 0
    assert table.find(second) == -1
    assert [r.id for r in table.insert(SnapshotRecord(second, first, 2, "b"))] == [first, second]


def test_an_unknown_snapshot_has_no_row() -> None:
    table = SnapshotTable.from_records(chain(3))
    assert table.get(ObjectId(b"?" * 12)) is None
    with pytest.raises(SnapshotNotFoundError) as caught:
        table.row_of(ObjectId(b"?" * 12))
    assert caught.value.kind == "snapshot-not-found"
    assert SnapshotTable.from_records([]).find(number(1)) == -1


def test_an_id_can_be_inserted_once_and_needs_its_parent() -> None:
    table = SnapshotTable.from_records(chain(3))
    with pytest.raises(FormatError) as caught:
        table.insert(SnapshotRecord(number(1), None, 1, ""))
    assert caught.value.kind == "duplicate-snapshot-id"
    with pytest.raises(SnapshotNotFoundError):
        table.insert(SnapshotRecord(number(9), number(8), 1, ""))
    with pytest.raises(FormatError, match="duplicate"):
        SnapshotTable.from_records([*chain(2), *chain(1)])


def test_lineage_goes_back_to_the_root() -> None:
    table = SnapshotTable.from_records(chain(50))
    rows = list(table.lineage(table.row_of(number(49))))
    assert [table.id_at(row) for row in rows] == [number(k) for k in range(49, -1, -1)]


def test_a_circle_of_parents_ends_in_an_error() -> None:
    table = SnapshotTable.from_records(chain(4))
    table.parents[table.row_of(number(0))] = table.row_of(number(2))
    with pytest.raises(FormatError, match="circle"):
        list(table.lineage(table.row_of(number(3))))


def test_dropped_rows_hand_their_children_over() -> None:
    table = SnapshotTable.from_records(chain(6))
    gone = [number(2), number(3)]
    cut = table.without(gone, {number(4): (number(0), (number(1), number(2)))})
    expected = {r.id: r for r in chain(6) if r.id not in gone}
    kept = {record.id: record for record in cut}
    assert kept.keys() == expected.keys()
    assert kept[number(4)].parent_id == number(0)
    assert kept[number(4)].pruned == (number(1), number(2))
    for k in (0, 1, 5):
        assert kept[number(k)] == expected[number(k)]


def test_a_row_cannot_lose_its_parent_unnoticed() -> None:
    with pytest.raises(FormatError, match="lose its parent"):
        SnapshotTable.from_records(chain(4)).without([number(1)], {})


@given(records(), st.data())
def test_dropping_rows_is_filtering_records(
    made: list[SnapshotRecord], data: st.DataObject
) -> None:
    table = SnapshotTable.from_records(made)
    gone = set(data.draw(st.lists(st.sampled_from([r.id for r in made]), unique=True)))
    adopted = {
        record.id: (None, record.pruned)
        for record in made
        if record.id not in gone and record.parent_id in gone
    }
    kept = [
        SnapshotRecord(r.id, None, r.flushed_at, r.message, r.metadata, r.pruned)
        if r.id in adopted
        else r
        for r in made
        if r.id not in gone
    ]
    assert table.without(gone, adopted) == SnapshotTable.from_records(kept)


def test_metadata_is_encoded_when_a_row_is_inserted() -> None:
    table = SnapshotTable.from_records(chain(3))
    longer = table.insert(SnapshotRecord(number(3), number(2), 9, "x", {"k": 3, "a": None}))
    assert longer.packed.values.data.startswith(table.packed.values.data)
    row = longer.row_of(number(3))
    first, count = int(longer.packed.first[row]), int(longer.packed.count[row])
    names = [longer.packed.names.raw(item) for item in range(first, first + count)]
    values = [longer.packed.values.raw(item) for item in range(first, first + count)]
    assert (names, values) == ([b"a", b"k"], [flex.encode(None), flex.encode(3)])
    with pytest.raises(InvalidInputError, match="NUL"):
        table.insert(SnapshotRecord(number(4), number(2), 9, "x", {"k": {"\0": 1}}))
