from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given

from icechunk.core.ids import ObjectId
from icechunk.spec.repo.codec import decode_repo, encode_repo
from icechunk.spec.repo.lazy_record import Walk, lazy_record
from icechunk.spec.repo.snapshot_info import SnapshotInfo
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.repo.state import RepoState
from tests.spec.states import states


@given(states())
def test_lazy_records_equal_those_made_at_once(state: RepoState) -> None:
    table = decode_repo(encode_repo(state)).snapshots
    for row, record in enumerate(table):
        lazy = lazy_record(table, row)
        assert lazy == record
        assert record == lazy
        assert lazy == lazy_record(table, row)
        assert pickle.loads(pickle.dumps(lazy)) == record
        changed = replace(lazy, message="other")
        assert changed.message == "other"
        assert changed.id == record.id
        assert changed != record
        assert SnapshotInfo.of(lazy) == SnapshotInfo.of(record)


@given(states())
def test_public_forms_survive_copies(state: RepoState) -> None:
    info = SnapshotInfo.of(lazy_record(state.snapshots, 0))
    for other in (copy.copy(info), copy.deepcopy(info), pickle.loads(pickle.dumps(info))):
        assert other == info
        assert str(other) == str(info)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = info.nothing
    with pytest.raises(AttributeError):
        _ = lazy_record(state.snapshots, 0).nothing
    with pytest.raises(AttributeError):
        info.message = "frozen"  # type: ignore[misc]


@given(states())
def test_lines_of_records(state: RepoState) -> None:
    for target in state.branches.values():
        line = state.ancestry(target)
        wanted = [
            state.snapshots.record(row)
            for row in state.snapshots.line(state.snapshots.row_of(target))
        ]
        assert list(line) == wanted
        assert len(line) == len(wanted)
        assert list(line[1:]) == wanted[1:]
        assert line[-1] == wanted[-1]
        assert wanted[0] in line


def test_a_walk_goes_no_further_than_it_is_asked_to() -> None:
    passed: list[int] = []

    def rows() -> Iterator[SnapshotRecord]:
        for number in range(9):
            passed.append(number)
            yield SnapshotRecord(ObjectId(bytes([number]) * 12), None, number, "m")

    walk = Walk(rows())
    assert passed == []
    assert walk[2].flushed_at == 2
    assert passed == [0, 1, 2]
    assert [record.flushed_at for record, _ in zip(walk, range(4), strict=False)] == [0, 1, 2, 3]
    assert len(passed) <= 5
    assert walk[-1].flushed_at == 8
    assert len(walk) == 9
    with pytest.raises(IndexError):
        walk[9]
