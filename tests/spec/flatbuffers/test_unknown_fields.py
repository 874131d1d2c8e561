"""Fields of the repo object that a newer library added survive our rewrites."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import icechunk
from icechunk.spec.envelope import FileType, pack, unpack
from icechunk.spec.flatbuffers.read import Body, Table
from icechunk.spec.flatbuffers.unknown_fields import UnknownFields
from icechunk.spec.flatbuffers.write import Builder, ref, u8, u16, u32, u64
from icechunk.spec.flatbuffers.write import struct as struct_field
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.codec import KNOWN_SLOTS, decode_repo, encode_repo, repo_fields
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.update_log import Stamp, UpdateLog
from icechunk.spec.repo.updates import Update
from tests.oracle import run_reference
from tests.repositories import storage_of
from tests.spec.damage import assert_only_format_errors
from tests.spec.repo.test_codec import START, history

FIRST = KNOWN_SLOTS


def from_the_future(state: RepoState) -> bytes:
    """The repo object as a later library would write it: every sort of field added."""
    builder = Builder()
    fields = repo_fields(builder, state)
    leaf = builder.table({0: ref(builder.string("léaf")), 3: u64(2**60)})
    tree = builder.table({0: ref(builder.offset_vector([leaf, leaf])), 1: u8(7)})
    words = builder.struct_vector(np.arange(5, dtype="<u8").tobytes(), 5, 8)
    names = builder.offset_vector([builder.string(text) for text in ("", "b", "ünï")])
    root = builder.table(
        {
            **fields,
            FIRST: u8(200),
            FIRST + 1: u16(60_000),
            FIRST + 2: u32(64),
            FIRST + 3: u64(2**63 + 5),
            FIRST + 4: struct_field(b"twelve bytes"),
            FIRST + 5: ref(builder.string("späť")),
            FIRST + 6: ref(builder.bytes_vector(bytes(range(256)))),
            FIRST + 7: ref(words),
            FIRST + 8: ref(names),
            FIRST + 9: u8(2),  # the type of a union
            FIRST + 10: ref(tree),
            FIRST + 12: ref(builder.offset_vector([])),
        }
    )
    return pack(FileType.REPO_INFO, 2, builder.finish(root))


def root_of(data: bytes) -> Table:
    return Body(unpack(data, FileType.REPO_INFO, name="repo").body, "repo").root()


def check(data: bytes) -> None:
    """All the fields of `from_the_future` are there."""
    root = root_of(data)
    numbers = root.u8(FIRST), root.u16(FIRST + 1), root.u32(FIRST + 2), root.u64(FIRST + 3)
    assert numbers == (200, 60_000, 64, 2**63 + 5)
    assert root.struct(FIRST + 4, 12) == b"twelve bytes"
    assert root.string(FIRST + 5) == "späť"
    assert root.bytes_vector(FIRST + 6) == bytes(range(256))
    assert np.frombuffer(root.struct_vector(FIRST + 7, 8), "<u8").tolist() == [0, 1, 2, 3, 4]
    assert root.string_vector(FIRST + 8) == ["", "b", "ünï"]
    assert root.u8(FIRST + 9) == 2
    leaves = root.table(FIRST + 10).vector_of_tables(0)
    assert [(leaf.string(0), leaf.u64(3)) for leaf in leaves] == [("léaf", 2**60)] * 2
    assert not root.presence(FIRST + 11)
    assert root.vector_of_tables(FIRST + 12) == []


def next_state(state: RepoState, step: int) -> RepoState:
    return state.with_metadata(
        {"step": "x" * step}, Stamp(START + 10**9 + step, f"repo.{step:020}", 1000)
    )


@pytest.mark.parametrize("commits", [1, 3, 400])
def test_every_sort_of_field_survives_many_rewrites(commits: int) -> None:
    data = from_the_future(history(commits))
    check(data)
    sizes = []
    for step in range(5):
        state = next_state(decode_repo(data), step)
        data = encode_repo(state)
        check(data)
        assert decode_repo(data) == state
        sizes.append(len(unpack(data, FileType.REPO_INFO, name="repo").body))
    assert sizes[-1] - sizes[1] < 1000  # the block is found again, not wrapped again
    assert len(root_of(data).body.data) < 2 * sizes[0]


def test_alignment_is_kept() -> None:
    data = from_the_future(history(3))
    before = root_of(data).fields_from(FIRST)
    for step in range(3):
        data = encode_repo(next_state(decode_repo(data), step))
        now = root_of(data).fields_from(FIRST)
        assert now.keys() == before.keys()
        assert all((now[slot] - before[slot]) % 8 == 0 for slot in now)


def test_a_newer_library_that_rewrites_the_object_ends_the_old_block() -> None:
    data = encode_repo(next_state(decode_repo(from_the_future(history(3))), 0))
    theirs = from_the_future(next_state(decode_repo(data), 1))
    state = decode_repo(theirs)
    assert state.unknown is not None
    assert len(state.unknown.data) == root_of(theirs).body.size
    check(encode_repo(state))


def test_without_unknown_fields_there_is_no_block() -> None:
    data = encode_repo(history(3))
    assert b"carried\x01" not in unpack(data, FileType.REPO_INFO, name="repo").body
    assert decode_repo(data).unknown is None


def test_fields_out_of_reach_are_dropped_aloud(caplog: pytest.LogCaptureFixture) -> None:
    near_and_far = UnknownFields(bytes(4) + b"\x07" + bytes(2**17), ((FIRST, 4), (14, 2**17)))
    state = replace(history(2), unknown=near_and_far)
    with caplog.at_level(logging.WARNING):
        root = root_of(encode_repo(state))
    assert root.u8(FIRST) == 7
    assert not root.presence(14)
    assert "[14] of `repo`" in caplog.text


def test_damage_is_told_as_such() -> None:
    data = encode_repo(next_state(decode_repo(from_the_future(history(2))), 0))
    assert_only_format_errors(data, FileType.REPO_INFO, lambda raw: encode_repo(decode_repo(raw)))


def test_updates_of_unknown_kinds_stay_in_the_copy_of_the_object() -> None:
    kinds: list[u.UpdateKind] = [u.ConfigChanged(), u.UnknownUpdate(40), u.RepoInitialized()]
    entries = [
        Update(kind, START + 10 - k, None if k == 0 else f"copy {k}")
        for k, kind in enumerate(kinds)
    ]
    state = replace(history(1), updates=UpdateLog.from_updates(entries))
    following = next_state(state, 0)
    assert [entry.kind for entry in following.updates] == [u.MetadataChanged(), u.ConfigChanged()]
    assert following.updates_before == "copy 1"
    assert decode_repo(encode_repo(following)) == following
    newest = replace(state, updates=UpdateLog.from_updates([entries[1]._replace(backup_path=None)]))
    following = next_state(newest, 7)
    assert [entry.kind for entry in following.updates] == [u.MetadataChanged()]
    assert following.updates_before == f"repo.{7:020}"


@pytest.mark.oracle
def test_the_reference_library_reads_and_rewrites_such_an_object(tmp_path: Path) -> None:
    storage = storage_of("local", tmp_path)
    repo = icechunk.Repository.create(storage)
    fetched = storage.get("repo")
    storage.replace("repo", from_the_future(decode_repo(fetched.data)), fetched.version)
    repo = icechunk.Repository.open(storage)
    first = repo.writable_session("main").commit("ours", allow_empty=True)
    check(storage.get("repo").data)
    result = run_reference(
        """
        import icechunk as ic
        repo = ic.Repository.open(ic.local_filesystem_storage(args[0]))
        seen = repo.lookup_branch("main")
        made = repo.writable_session("main").commit("theirs", allow_empty=True)
        result = [seen, made, [type(x.kind).__name__ for x in repo.ops_log()]]
        """,
        tmp_path / "repo",
    )
    assert result[0] == first
    assert len(result[2]) == 3
    assert repo.lookup_branch("main") == result[1]


def test_fields_of_nested_tables_are_dropped_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whether such a field is a number or an offset cannot be known."""
    builder = Builder()
    fields = repo_fields(builder, history(1))
    branch = builder.table({0: ref(builder.string("main")), 1: u32(0), 2: u32(77)})
    status = builder.table({0: u8(0), 1: u64(1), 3: ref(builder.string("new"))})
    fields |= {2: ref(builder.offset_vector([branch])), 5: ref(status)}
    data = pack(FileType.REPO_INFO, 2, builder.finish(builder.table(fields)))
    with caplog.at_level(logging.WARNING):
        state = decode_repo(data)
    (record,) = caplog.records
    assert "fields of branches, status" in record.getMessage()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert decode_repo(encode_repo(state)) == state
    assert caplog.records == []
