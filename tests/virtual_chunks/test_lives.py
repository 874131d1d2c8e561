"""Virtual chunks in commits, rebases, forks and maintenance."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from tests.virtual_chunks.places import Place, local_place, new_array, values

GOOD = np.arange(60, dtype="f4")


@pytest.fixture
def source(folder: Path) -> Place:
    found = local_place(folder)
    found.put("x", GOOD.tobytes())
    found.put("y", (GOOD + 1000).tobytes())
    return found


@pytest.fixture(params=[1, 2])
def repo(request: pytest.FixtureRequest, source: Place, tmp_path: Path) -> icechunk.Repository:
    storage = icechunk.local_filesystem_storage(tmp_path / "repo", durable=False)
    config = source.config("named")
    repo = icechunk.Repository.create(storage, config, source.access, spec_version=request.param)
    session = repo.writable_session("main")
    zarr.create_group(session.store)
    new_array(session, 6, 10)
    refer(session, source.prefix + "x", *range(6))
    session.commit("references")
    return repo


def refer(session: icechunk.Session, location: str, *chunks: int) -> None:
    specs = [icechunk.VirtualChunkSpec([k], location, 40 * k, 40) for k in chunks]
    assert session.store.set_virtual_refs("a", specs) is None


def later() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=10)


def test_every_commit_keeps_its_own_references(repo: icechunk.Repository, source: Place) -> None:
    first = repo.lookup_branch("main")
    session = repo.writable_session("main")
    refer(session, source.prefix + "y", 1, 2)
    array: Any = zarr.open_array(session.store, path="a")
    array[50:60] = -7
    second = session.commit("others")
    expected = GOOD.copy()
    expected[10:30] += 1000
    expected[50:60] = -7
    np.testing.assert_array_equal(values(repo.readonly_session("main")), expected)
    np.testing.assert_array_equal(values(repo.readonly_session(snapshot_id=first)), GOOD)
    diff = repo.diff(from_snapshot_id=first, to_snapshot_id=second)
    assert sorted(map(tuple, diff.updated_chunks["/a"])) == [(1,), (2,), (5,)]
    kinds = [repo.readonly_session("main").chunk_type("/a", [k]).name for k in range(6)]
    assert kinds == ["virtual"] * 5 + ["inline"]


def test_rebase_keeps_ours_and_theirs(repo: icechunk.Repository, source: Place) -> None:
    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    refer(theirs, source.prefix + "y", 0, 1)
    theirs.commit("theirs")
    refer(ours, "vcc://named/y", 4)
    ours.commit("ours", rebase_with=icechunk.ConflictDetector())
    expected = GOOD.copy()
    expected[[*range(20), *range(40, 50)]] += 1000
    np.testing.assert_array_equal(values(repo.readonly_session("main")), expected)


def test_the_same_chunk_referred_to_twice_is_a_conflict(
    repo: icechunk.Repository, source: Place
) -> None:
    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    refer(theirs, source.prefix + "y", 3)
    refer(ours, source.prefix + "x", 3)
    theirs.commit("theirs")
    with pytest.raises(icechunk.RebaseFailedError):
        ours.commit("ours", rebase_with=icechunk.ConflictDetector())
    ours.commit(
        "theirs wins",
        rebase_with=icechunk.BasicConflictSolver(
            on_chunk_conflict=icechunk.VersionSelection.UseTheirs
        ),
        allow_empty=True,
    )
    np.testing.assert_array_equal(values(repo.readonly_session("main"))[30:40], GOOD[30:40] + 1000)


def test_forks_carry_references_and_access(repo: icechunk.Repository, source: Place) -> None:
    session = repo.writable_session("main")
    fork = pickle.loads(pickle.dumps(session.fork()))
    refer(fork, source.prefix + "y", 2)
    np.testing.assert_array_equal(values(fork)[20:30], GOOD[20:30] + 1000)
    session.merge(pickle.loads(pickle.dumps(fork)))
    np.testing.assert_array_equal(values(session)[20:30], GOOD[20:30] + 1000)
    session.commit("merged")
    np.testing.assert_array_equal(
        values(repo.readonly_session("main"))[15:25], [*GOOD[15:20], *(GOOD[20:25] + 1000)]
    )


def test_upkeep_keeps_them(repo: icechunk.Repository, source: Place, folder: Path) -> None:
    for number in range(3):
        session = repo.writable_session("main")
        refer(session, source.prefix + "y", number)
        session.commit(f"number {number}")
    expected = GOOD.copy()
    expected[:30] += 1000
    repo.rewrite_manifests("rewritten", branch="main")
    np.testing.assert_array_equal(values(repo.readonly_session("main")), expected)
    repo.expire_snapshots(older_than=later())
    repo.garbage_collect(later())
    np.testing.assert_array_equal(values(repo.readonly_session("main")), expected)
    stats = repo.chunk_storage_stats()
    assert stats.virtual_bytes > 0
    assert stats.native_bytes == 0
    assert {path.name for path in folder.iterdir()} == {"x", "y"}


def test_amending_moving_and_shifting_keep_them(repo: icechunk.Repository, source: Place) -> None:
    if int(repo.spec_version) == 1:
        pytest.skip("spec 1 has neither")
    session = repo.writable_session("main")
    refer(session, source.prefix + "y", 0)
    session.amend("amended")
    session = repo.rearrange_session("main")
    session.move("/a", "/b")
    session.commit("moved")
    session = repo.writable_session("main")
    expected = GOOD.copy()
    expected[:10] += 1000
    np.testing.assert_array_equal(values(session, "b"), expected)
    session.shift_array("/b", [1])
    np.testing.assert_array_equal(values(session, "b"), [*[-1] * 10, *expected[:50]])


def test_resizing_and_deleting(repo: icechunk.Repository) -> None:
    session = repo.writable_session("main")
    array: Any = zarr.open_array(session.store, path="a")
    array.resize((30,))
    assert len(session.all_virtual_chunk_locations()) == 3
    array.resize((60,))
    np.testing.assert_array_equal(values(session), [*GOOD[:30], *[-1] * 30])
    asyncio.run(session.store.delete("a/c/0"))
    session.commit("smaller")
    found = values(repo.readonly_session("main"))
    np.testing.assert_array_equal(found, [*[-1] * 10, *GOOD[10:30], *[-1] * 30])


def test_references_can_be_read_back(repo: icechunk.Repository, source: Place) -> None:
    session = repo.readonly_session("main")
    assert session.all_virtual_chunk_locations() == [source.prefix + "x"] * 6

    async def batches() -> list[Any]:
        return [batch async for batch in session.store.array_chunk_iterator("a")]

    ((coords, kinds, places, offsets, lengths, inlined),) = asyncio.run(batches())
    assert coords.ravel().tolist() == list(range(6))
    assert kinds.tolist() == [2] * 6
    assert places == [source.prefix + "x"] * 6
    assert offsets.tolist() == [40 * k for k in range(6)]
    assert lengths.tolist() == [40] * 6
    assert inlined == {}


def test_migration_keeps_them(source: Place, tmp_path: Path) -> None:
    storage = icechunk.local_filesystem_storage(tmp_path / "old", durable=False)
    config = source.config()
    repo = icechunk.Repository.create(storage, config, source.access, spec_version=1)
    session = repo.writable_session("main")
    new_array(session, 6, 10)
    refer(session, source.prefix + "x", *range(6))
    session.commit("references")
    icechunk.upgrade_icechunk_repository(repo, dry_run=False)
    again = icechunk.Repository.open(storage, authorize_virtual_chunk_access=source.access)
    assert int(again.spec_version) == 2
    np.testing.assert_array_equal(values(again.readonly_session("main")), GOOD)


def test_collections_never_touch_the_files(repo: icechunk.Repository, folder: Path) -> None:
    session = repo.writable_session("main")
    asyncio.run(session.store.delete_dir("a"))
    session.commit("gone")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    repo.expire_snapshots(older_than=later())
    repo.garbage_collect(later())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_two_ways_of_the_same_spelling(repo: icechunk.Repository, source: Place) -> None:
    session = repo.writable_session("main")
    refer(session, source.prefix + "deep/../y", 0)
    refer(session, source.prefix.replace("file:", "FILE:") + "y", 1)
    refer(session, "vcc://named/./y", 2)
    np.testing.assert_array_equal(values(session)[:30], GOOD[:30] + 1000)
    assert session.all_virtual_chunk_locations()[:3] == [source.prefix + "y"] * 3
