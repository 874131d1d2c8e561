from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.errors import FormatError
from icechunk.core.ids import INITIAL_SNAPSHOT_ID, ObjectId
from icechunk.spec.envelope import FileType, pack, unpack
from icechunk.spec.flatbuffers import flex
from icechunk.spec.flatbuffers.read import Body, Table
from icechunk.spec.flatbuffers.write import Builder, i32, ref, struct, u8, u16, u32, u64
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.codec import decode_repo, encode_repo
from icechunk.spec.repo.refs import Refs
from icechunk.spec.repo.snapshot_table import SnapshotRecord, SnapshotTable
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.update_log import Stamp, UpdateLog
from icechunk.spec.repo.updates import RepoStatusValue, Update
from tests.spec.damage import assert_only_format_errors
from tests.spec.states import metadata, states, update_kinds

START = 1_700_000_000_000_000


def number(k: int) -> ObjectId:
    return ObjectId(((k * 7919) % 100_003).to_bytes(12, "big"))


def history(length: int) -> RepoState:
    """Straight history with metadata on every third commit and a log of all commits."""
    records = [
        SnapshotRecord(
            number(k),
            number(k - 1) if k else None,
            START + k,
            f"commit {k}",
            {} if k % 3 else {"author": f"me {k}", "n": k},
            (number(k + 50_000),) if k % 5 == 4 else (),
        )
        for k in range(length)
    ]
    kinds: list[u.UpdateKind] = [u.NewCommit("main", number(k)) for k in range(length - 1, 0, -1)]
    kinds.append(u.RepoInitialized())
    updates = [
        Update(kind, START + length - k, None if k == 0 else f"repo.{k:014}.{'X' * 20}")
        for k, kind in enumerate(kinds)
    ]
    return replace(
        RepoState.initial(records[0], None, START),
        branches=Refs({"main": number(length - 1)}),
        snapshots=SnapshotTable.from_records(records),
        updates=UpdateLog.from_updates(updates),
    )


def body_of(data: bytes) -> Table:
    return Body(unpack(data, FileType.REPO_INFO, name="repo").body, "repo").root()


@given(states())
def test_states_come_back(state: RepoState) -> None:
    assert decode_repo(encode_repo(state)) == state


@given(states())
def test_what_was_read_is_written_again_unchanged(state: RepoState) -> None:
    first = encode_repo(state)
    assert encode_repo(decode_repo(first)) == encode_repo(decode_repo(encode_repo(state)))
    assert decode_repo(encode_repo(decode_repo(first))) == state


@given(states(), metadata, update_kinds)
def test_a_state_that_was_read_takes_changes(
    state: RepoState, extra: dict[str, object], kind: u.UpdateKind
) -> None:
    read = decode_repo(encode_repo(state))
    latest = int(state.snapshots.flushed_at.max())
    record = SnapshotRecord(
        ObjectId(b"brand new id"), read.snapshots.id_at(0), latest + 1, "new", extra
    )
    if record.id in read.snapshots:
        return
    log, _ = read.updates.pushed(kind, Stamp(read.updates[0].updated_at + 1, "backup", 1000))
    longer = replace(read, snapshots=read.snapshots.insert(record), updates=log)
    again = decode_repo(encode_repo(longer))
    assert again == longer
    assert again.snapshot(record.id) == record
    assert list(again.updates)[2:] == list(state.updates)[1:]


@given(update_kinds)
def test_every_kind_of_update_comes_back(kind: u.UpdateKind) -> None:
    state = replace(history(2), updates=UpdateLog.from_updates([Update(kind, 7)]))
    assert decode_repo(encode_repo(state)).updates[0] == Update(kind, 7)


@given(states())
def test_all_lists_are_sorted_by_bytes(state: RepoState) -> None:
    root = body_of(encode_repo(state))
    for slot in (1, 2):
        names = [table.string(0).encode() for table in root.vector_of_tables(slot)]
        assert names == sorted(names)
    deleted = [name.encode() for name in root.string_vector(3)]
    assert deleted == sorted(deleted)
    ids = [table.struct(0, 12) for table in root.vector_of_tables(4)]
    assert ids == sorted(ids)
    for table in root.vector_of_tables(4):
        items = [item.string(0).encode() for item in table.opt_vector_of_tables(4) or []]
        assert items == sorted(items)
    for slot in (10, 11):
        flags = np.frombuffer(root.opt_struct_vector(slot, 2) or b"", "<u2").tolist()
        assert flags == sorted(flags)


@given(states())
def test_a_reader_of_single_tables_sees_the_same_snapshots(state: RepoState) -> None:
    tables = body_of(encode_repo(state)).vector_of_tables(4)
    for table, record in zip(tables, state.snapshots, strict=True):
        parent = table.i32(1)
        assert table.struct(0, 12) == record.id
        assert (None if parent < 0 else tables[parent].struct(0, 12)) == record.parent_id
        assert (table.u64(2), table.string(3)) == (record.flushed_at, record.message)
        items = table.opt_vector_of_tables(4) or []
        assert {i.string(0): flex.decode(i.bytes_vector(1)) for i in items} == record.metadata
        pruned = table.opt_struct_vector(5, 12)
        assert pruned == (b"".join(record.pruned) or None)  # absent, never empty


@given(states())
def test_numbers_lie_where_readers_demand(state: RepoState) -> None:
    body = unpack(encode_repo(state), FileType.REPO_INFO, name="repo").body
    root = Body(body, "repo").root()
    for slot in (4, 7):
        for table in root.vector_of_tables(slot):
            assert table.pos % 8 == 0
            assert table.place(2, 8) % 8 == 0
    for update in root.vector_of_tables(7):
        value = update.table(1)
        assert value.pos % 4 == 0
        if update.u8(0) == 16:
            assert value.table(0).place(1, 8) % 8 == 0


def test_a_root_stores_that_it_has_no_parent() -> None:
    root = body_of(encode_repo(history(3)))
    parents = [table.i32(1, default=77) for table in root.vector_of_tables(4)]
    assert parents == history(3).snapshots.parents.tolist()
    assert parents.count(-1) == 1


def test_metadata_is_carried_without_being_decoded() -> None:
    state = decode_repo(encode_repo(history(40)))
    value = flex.encode("me 3")
    assert value in state.snapshots.packed.values.data
    broken = state.snapshots.packed.values.data.replace(value, b"\xff" * len(value))
    values = replace(state.snapshots.packed.values, data=broken)
    packed = replace(state.snapshots.packed, values=values)
    again = decode_repo(
        encode_repo(replace(state, snapshots=replace(state.snapshots, packed=packed)))
    )
    for record in history(40).snapshots:
        if record.metadata.get("n") != 3:
            assert again.snapshot(record.id) == record
    with pytest.raises(FormatError):
        again.snapshot(number(3))


def test_texts_are_copied_in_one_piece_from_commit_to_commit() -> None:
    state = decode_repo(encode_repo(history(500)))
    for pool in (state.snapshots.messages, state.snapshots.packed.values, state.updates.backups):
        assert pool.dense
    again = decode_repo(encode_repo(state))
    assert again.snapshots.messages.data == state.snapshots.messages.data


# ------------------------------------------------------------------ other writers


class Foreign:
    """Repo object as another writer lays it out: defaults left out, vtables per pattern."""

    def __init__(self) -> None:
        self.builder = Builder()

    def item(self, name: str, value: object) -> int:
        b = self.builder
        return b.table({0: ref(b.string(name)), 1: ref(b.bytes_vector(flex.encode(value)))})

    def snapshot(self, k: int, parent: int, *, pruned: bytes = b"", **items: object) -> int:
        b = self.builder
        listed = [self.item(name, value) for name, value in items.items()]
        return b.table(
            {
                0: struct(bytes([k]) * 12),
                1: i32(parent, default=0),
                2: u64(START + k),
                3: ref(b.string(f"commit {k}")),
                4: ref(b.offset_vector(listed) if items else None),
                5: ref(b.struct_vector(pruned, len(pruned) // 12, 1) if pruned else None),
                9: u32(5),  # from a later version of the format
            }
        )

    def update(self, tag: int, value: int, at: int, backup: str | None = None) -> int:
        b = self.builder
        path = None if backup is None else b.string(backup)
        return b.table({0: u8(tag), 1: ref(value), 2: u64(at), 3: ref(path)})

    def ref(self, name: str, row: int) -> int:
        return self.builder.table({0: ref(self.builder.string(name)), 1: u32(row, default=0)})

    def finish(
        self, snapshots: list[int], updates: list[int], refs: list[int], **more: int
    ) -> bytes:
        b = self.builder
        status = b.table({1: u64(START)})
        version = more.get("version", 2)
        root = b.table(
            {
                0: u8(version),
                1: ref(b.offset_vector([])),
                2: ref(b.offset_vector(refs)),
                3: ref(b.offset_vector([])),
                4: ref(b.offset_vector(snapshots)),
                5: ref(None if "no_status" in more else status),
                7: ref(b.offset_vector(updates)),
                12: ref(b.bytes_vector(b"extra")),
                13: u64(99),  # from a later version of the format
            }
        )
        return pack(FileType.REPO_INFO, 2, b.finish(root))


def test_files_of_other_writers() -> None:
    f = Foreign()
    snapshots = [
        f.snapshot(1, -1, is_root=True),
        f.snapshot(2, 0, pruned=b"x" * 24, a=1, b=[1.5, None]),
        f.snapshot(3, 1),
    ]
    b = f.builder
    flag = b.table({0: u16(3), 1: u8(1), 2: u8(1)})
    unset = b.table({0: u16(4)})
    status = b.table({0: ref(b.table({0: u8(1), 1: u64(5), 2: ref(b.string("why"))}))})
    name = b.string("main")
    commit = b.table({0: ref(name), 1: struct(b"\3" * 12)})
    reset = b.table({0: ref(name), 1: struct(b"\2" * 12)})
    updates = [
        f.update(10, commit, 60),
        f.update(9, reset, 50, "five"),
        f.update(15, flag, 40, "four"),
        f.update(15, unset, 30, "three"),
        f.update(16, status, 20, "two"),
        f.update(1, b.table({}), 10),
    ]
    state = decode_repo(f.finish(snapshots, updates, [f.ref("main", 2), f.ref("other", 0)]))
    one, two, three = (ObjectId(bytes([k]) * 12) for k in (1, 2, 3))
    assert state.branches == {"main": three, "other": one}
    assert list(state.ancestry(three)) == [
        SnapshotRecord(three, two, START + 3, "commit 3"),
        SnapshotRecord(
            two, one, START + 2, "commit 2", {"a": 1, "b": [1.5, None]}, (ObjectId(b"x" * 12),) * 2
        ),
        SnapshotRecord(one, None, START + 1, "commit 1", {"is_root": True}),
    ]
    assert list(state.updates) == [
        Update(u.NewCommit("main", three), 60),
        Update(u.BranchReset("main", two), 50, "five"),
        Update(u.FeatureFlagChanged(3, True), 40, "four"),
        Update(u.FeatureFlagChanged(4, None), 30, "three"),
        Update(u.RepoStatusChanged(RepoStatusValue(1, 5, "why")), 20, "two"),
        Update(u.RepoInitialized(), 10),
    ]
    assert state.status == RepoStatusValue(0, START)
    assert state.extra == b"extra"
    assert decode_repo(encode_repo(state)) == state


def test_updates_of_unknown_kinds_are_shown_but_not_written() -> None:
    f = Foreign()
    updates = [f.update(40, f.builder.table({}), 60)]
    state = decode_repo(f.finish([f.snapshot(1, -1)], updates, [f.ref("main", 0)]))
    assert state.updates[0].kind == u.UnknownUpdate(40)
    with pytest.raises(FormatError, match="unknown kind 40"):
        encode_repo(state)


def _bad_parent(f: Foreign) -> bytes:
    return f.finish([f.snapshot(1, 1)], [f.update(1, f.builder.table({}), 1)], [])


def _below_no_parent(f: Foreign) -> bytes:
    return f.finish([f.snapshot(1, -2)], [f.update(1, f.builder.table({}), 1)], [])


def _bad_ref(f: Foreign) -> bytes:
    return f.finish([f.snapshot(1, -1)], [f.update(1, f.builder.table({}), 1)], [f.ref("a", 1)])


def _two_refs(f: Foreign) -> bytes:
    refs = [f.ref("a", 0), f.ref("a", 0)]
    return f.finish([f.snapshot(1, -1)], [f.update(1, f.builder.table({}), 1)], refs)


def _unsorted(f: Foreign) -> bytes:
    rows = [f.snapshot(2, -1), f.snapshot(1, -1)]
    return f.finish(rows, [f.update(1, f.builder.table({}), 1)], [])


def _times(f: Foreign) -> bytes:
    updates = [f.update(1, f.builder.table({}), 1), f.update(1, f.builder.table({}), 1)]
    return f.finish([f.snapshot(1, -1)], updates, [])


def _no_name(f: Foreign) -> bytes:
    return f.finish([f.snapshot(1, -1)], [f.update(5, f.builder.table({}), 1)], [])


def _no_status(f: Foreign) -> bytes:
    return f.finish([f.snapshot(1, -1)], [], [], no_status=1)


def _late(f: Foreign) -> bytes:
    return f.finish([f.snapshot(1, -1)], [f.update(1, f.builder.table({}), 2**63)], [])


@pytest.mark.parametrize(
    "make",
    [
        _bad_parent,
        _below_no_parent,
        _bad_ref,
        _two_refs,
        _unsorted,
        _times,
        _no_name,
        _no_status,
        _late,
    ],
)
def test_impossible_content_is_a_format_error(make: object) -> None:
    assert callable(make)
    with pytest.raises(FormatError) as caught:
        decode_repo(make(Foreign()))
    assert caught.value.kind == "deserialization"


def test_a_newer_version_in_the_table_is_refused() -> None:
    f = Foreign()
    with pytest.raises(FormatError) as caught:
        decode_repo(f.finish([], [], [], version=3))
    assert caught.value.kind == "unsupported-spec-version"


def test_duplicate_ids_are_refused() -> None:
    f = Foreign()
    data = f.finish([f.snapshot(1, -1), f.snapshot(1, -1)], [], [])
    with pytest.raises(FormatError) as caught:
        decode_repo(data)
    assert caught.value.kind == "duplicate-snapshot-id"


def test_a_ref_to_an_unlisted_snapshot_cannot_be_written() -> None:
    state = replace(history(3), tags=Refs({"x": ObjectId(b"?" * 12)}))
    with pytest.raises(FormatError, match="ref `x`"):
        encode_repo(state)


def _visit(data: bytes) -> None:
    """Read everything a caller can ask for, and write it again."""
    state = decode_repo(data)
    list(state.snapshots)
    list(state.updates)
    state.status.describe()
    for tip in (*state.branches.values(), *state.tags.values()):
        list(state.ancestry(tip))
    encode_repo(state)


@given(st.integers(0, 2**32))
def test_damage_gives_format_errors_only(seed: int) -> None:
    rich = replace(
        history(12),
        tags=Refs({"v1": number(3)}),
        deleted_tags=frozenset({"old"}),
        metadata={"m": [1, None]},
        config={"a": {"b": 2}},
        updates_before="repo.before",
        flags_disabled=frozenset({4}),
    )
    log = rich.updates
    log, _ = log.pushed(
        u.RepoStatusChanged(RepoStatusValue(1, 5, "why")), Stamp(START + 99, "b1", 99)
    )
    log, _ = log.pushed(u.FeatureFlagChanged(4, False), Stamp(START + 100, "b2", 99))
    data = encode_repo(replace(rich, updates=log))
    assert_only_format_errors(data, FileType.REPO_INFO, _visit, 12)


def test_the_smallest_repository() -> None:
    record = SnapshotRecord(INITIAL_SNAPSHOT_ID, None, START, "Repository initialized")
    state = RepoState.initial(record, None, START)
    root = body_of(encode_repo(state))
    assert [slot for slot in range(16) if root.presence(slot)] == [0, 1, 2, 3, 4, 5, 7]
    assert root.u8(0) == 2
