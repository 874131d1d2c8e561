"""What the format has no room for is refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

import icechunk
from icechunk.spec.flatbuffers import write as flat_write
from icechunk.spec.repo import snapshot_rows
from icechunk.spec.snapshot import codec as snapshot
from tests.repositories import edit, read, storage_of, with_grid


def keys(repo: icechunk.Repository) -> set[str]:
    """Every object of a repository."""
    return {info.key for info in repo.storage.list("")}


def large_node(session: icechunk.Session) -> None:
    zarr.create_group(session.store, path="large", attributes={"text": "x" * 20_000})


def large_path(session: icechunk.Session) -> None:
    zarr.create_group(session.store, path="/".join(["name" * 20] * 40))


@pytest.mark.parametrize("addition", [large_node, large_path])
def test_a_snapshot_without_room_is_refused_before_anything_is_written(
    tmp_path: Path, addition, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, tip = with_grid(storage_of("local", tmp_path))
    session = repo.writable_session("main")
    edit(session, np.s_[...], 3)
    addition(session)
    before = keys(repo)
    monkeypatch.setattr(snapshot, "MAX_BODY", 10_000)
    with pytest.raises(icechunk.FormatError, match="the format allows 10000") as caught:
        session.commit("too large")
    assert caught.value.kind == icechunk.ErrorKind.SERIALIZATION
    assert keys(repo) == before
    assert repo.lookup_branch("main") == tip
    monkeypatch.undo()
    session.commit("fits")
    assert (read(repo.readonly_session("main")) == 3).all()


def test_the_size_of_what_did_not_change_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, _ = with_grid(storage_of("local", tmp_path))
    for number in range(4):
        session = repo.writable_session("main")
        zarr.create_group(session.store, path=f"g{number}", attributes={"text": "x" * 3000})
        session.commit("a group")
    repo = icechunk.Repository.open(repo.storage)
    session = repo.writable_session("main")
    edit(session, np.s_[...], 3)
    before = keys(repo)
    monkeypatch.setattr(snapshot, "MAX_BODY", 10_000)
    with pytest.raises(icechunk.FormatError, match="the format allows 10000"):
        session.commit("too large")
    assert keys(repo) == before
    for number in range(3):
        del zarr.open_group(session.store)[f"g{number}"]
    session.commit("less")


@pytest.mark.parametrize("what", ["message", "metadata"])
def test_so_do_messages(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    repo, _ = with_grid(storage_of("local", tmp_path))
    session = repo.writable_session("main")
    edit(session, np.s_[...], 3)
    before = keys(repo)
    monkeypatch.setattr(snapshot, "MAX_BODY", 10_000)
    text = "x" * 20_000
    message, metadata = (text, {}) if what == "message" else ("short", {"key": text})
    with pytest.raises(icechunk.FormatError, match="the format allows 10000"):
        session.commit(message, metadata)
    assert keys(repo) == before


@pytest.mark.parametrize("module", [snapshot_rows, flat_write])
def test_a_commit_that_the_repo_object_has_no_room_for_leaves_nothing(
    tmp_path: Path, module, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, tip = with_grid(storage_of("local", tmp_path))
    for number in range(30):
        session = repo.writable_session("main")
        session.commit(f"{number} " + "x" * 200, allow_empty=True)
    tip = repo.lookup_branch("main")
    session = repo.writable_session("main")
    edit(session, (0, 0), 3)
    before = {key for key in keys(repo) if not key.startswith("chunks/")}
    monkeypatch.setattr(module, "MAX_BODY", 6_000)
    with pytest.raises(icechunk.FormatError, match="the format allows 6000") as caught:
        session.commit("one more")
    assert caught.value.kind == icechunk.ErrorKind.SERIALIZATION
    assert {key for key in keys(repo) if not key.startswith("chunks/")} == before
    assert repo.lookup_branch("main") == tip
    monkeypatch.undo()
    session.commit("fits")
    assert read(repo.readonly_session("main"))[0, 0] == 3


@pytest.mark.parametrize("spec", [1, 2])
@pytest.mark.parametrize(
    ("shape", "chunks"),
    [((2**40,), (1,)), ((2, 2**32), (1, 1)), ((2**64,), (2**40,))],
    ids=["chunks", "along the second axis", "elements"],
)
def test_arrays_without_room_leave_no_trace(
    shape: tuple[int, ...], chunks: tuple[int, ...], spec: int
) -> None:
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), spec_version=spec)
    before = keys(repo)
    session = repo.writable_session("main")
    with pytest.raises(icechunk.InvalidInputError) as caught:
        zarr.create_array(session.store, name="a", shape=shape, chunks=chunks, dtype="u1")
    assert caught.value.kind == icechunk.ErrorKind.INVALID_ARRAY_METADATA
    assert keys(repo) == before
    zarr.create_group(session.store, path="g")
    session.commit("something else")
    assert list(zarr.open_group(repo.readonly_session("main").store, mode="r")) == ["g"]


@pytest.mark.parametrize("name", ["half \ud800", "\udfff"], ids=ascii)
def test_names_that_no_file_can_hold_leave_no_trace(name: str) -> None:
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    with pytest.raises(icechunk.InvalidInputError, match="surrogate") as caught:
        zarr.create_group(session.store, path=name)
    assert caught.value.kind == icechunk.ErrorKind.INVALID_PATH
    zarr.create_group(session.store, path="g")
    session.commit("something else")
    assert list(zarr.open_group(repo.readonly_session("main").store, mode="r")) == ["g"]
