from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest
from hypothesis import given

from icechunk.format.repo_info import decode_repo, encode_repo
from icechunk.model.lazy_record import lazy_record
from icechunk.model.repo_state import RepoState
from icechunk.model.snapshot_info import SnapshotInfo
from tests.model.states import states


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
        line = state.line(target)
        wanted = list(state.ancestry(target))
        assert list(line) == wanted
        assert len(line) == len(wanted)
        assert list(line[1:]) == wanted[1:]
        assert line[-1] == wanted[-1]
        assert wanted[0] in line
