from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.ids import new_object_id
from icechunk.spec.manifest.file_info import ManifestFileInfo
from icechunk.spec.repo.codec import decode_repo, encode_repo
from icechunk.spec.repo.lazy_record import LazyRecords, Walk
from icechunk.spec.repo.snapshot_info import SnapshotInfo
from icechunk.spec.repo.snapshot_listing import infos
from icechunk.spec.repo.snapshot_table import SnapshotRecord, SnapshotTable
from icechunk.spec.repo.state import RepoState
from tests.spec.states import states

NAMES = ("id", "parent_id", "written_at", "message", "metadata")


def _none(snapshot_id: str) -> list[ManifestFileInfo]:
    return []


def _history(count: int) -> list[SnapshotRecord]:
    """Commits of every kind of message and metadata, newest first."""
    records: list[SnapshotRecord] = []
    for number in range(count):
        metadata = [{}, {"number": -number}, {"a": [number], "b": {"ü": "x"}}, {"t": "é"}]
        records.append(
            SnapshotRecord(
                new_object_id(),
                records[-1].id if records else None,
                1_700_000_000_000_000 + number,
                f"commit {number}" + ("" if number % 3 else " ü"),
                dict(metadata[number % 4]),
            )
        )
    return records[::-1]


def _listed(records: Sequence[SnapshotRecord]) -> LazyRecords:
    table = SnapshotTable.from_records(records)
    return LazyRecords(table, [table.find(record.id) for record in records])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("asked", [*[(name,) for name in NAMES], NAMES, ()])
def test_a_listing_tells_what_each_commit_tells(asked: tuple[str, ...], packed: bool) -> None:
    records = _history(120)
    lazy = _listed(records)
    if packed:
        state = RepoState.initial(records[-1], None, records[0].flushed_at)
        table = SnapshotTable.from_records(records)
        table = decode_repo(encode_repo(replace(state, snapshots=table))).snapshots
        lazy = LazyRecords(table, [table.find(record.id) for record in records])
    seen = []
    for info, record in zip(infos(lazy, _none), records, strict=True):
        wanted = SnapshotInfo.of(record)
        for name in asked:
            assert getattr(info, name) == getattr(wanted, name)
        seen.append(info)
    # Whatever was asked on the way, everything can be asked afterwards.
    for info, record in zip(seen, records, strict=True):
        assert info == SnapshotInfo.of(record)
        assert pickle.loads(pickle.dumps(info)) == info


def test_what_is_asked_late_is_decoded_as_well() -> None:
    records = _history(200)
    for number, info in enumerate(infos(_listed(records), _none)):
        if number == 100:
            assert info.message == records[100].message
        if number == 199:
            assert info.message == records[199].message
            assert info.metadata == records[199].metadata


def test_metadata_of_two_commits_are_two_objects() -> None:
    records = [SnapshotRecord(new_object_id(), None, 1 + n, "m", {"list": [1]}) for n in range(64)]
    made = list(infos(_listed(records), _none))
    for info in made:
        info.metadata["list"].append(2)
        assert info.metadata["list"] == [1, 2]


def test_plain_records_are_listed_too() -> None:
    records = _history(40)
    found = [info.message for info in infos(Walk(records), _none)]
    assert found == [record.message for record in records]


@given(states(), st.sets(st.sampled_from(NAMES)))
def test_listings_of_any_state(state: RepoState, asked: set[str]) -> None:
    table = decode_repo(encode_repo(state)).snapshots
    rows = list(range(len(table))) * 20
    for info, row in zip(infos(LazyRecords(table, rows), _none), rows, strict=True):
        wanted = SnapshotInfo.of(table.record(row))
        for name in asked:
            assert getattr(info, name) == getattr(wanted, name)
