"""Bytes of chunks of all three kinds."""

from __future__ import annotations

from pathlib import Path

import pytest
import zarr

import icechunk
from icechunk.maintenance.storage_stats import ChunkStorageStats
from tests.maintenance.histories import FAR, commit, flush, start


@pytest.fixture(params=[(1, "memory"), (2, "memory"), (1, "local"), (2, "local")])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> icechunk.Repository:
    spec_version, kind = request.param
    return start(kind, tmp_path, spec_version=spec_version)


def test_native_chunks_count_once_over_all_histories(repo: icechunk.Repository) -> None:
    assert repo.chunk_storage_stats() == ChunkStorageStats(native_bytes=16)
    tip = commit(repo, 2)
    repo.create_branch("side", tip)
    commit(repo, 3, branch="side")
    assert repo.chunk_storage_stats().native_bytes == 24
    flush(repo, 4)  # in no history
    assert repo.chunk_storage_stats().native_bytes == 24
    repo.delete_branch("side")
    assert repo.chunk_storage_stats().native_bytes == 20
    repo.expire_snapshots(FAR)
    assert repo.chunk_storage_stats().native_bytes == 16


@pytest.mark.parametrize("spec_version", [1, 2])
def test_r41_all_kinds_in_both_spec_versions(spec_version: int) -> None:
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=8)
    repo = icechunk.Repository.create(
        icechunk.in_memory_storage(), config, spec_version=spec_version
    )
    session = repo.writable_session("main")
    for name, kind in (("inline", "i4"), ("native", "c16"), ("virtual", "i4")):
        array = zarr.create_array(
            session.store, name=name, shape=4, chunks=1, dtype=kind, compressors=None, fill_value=9
        )
        if name != "virtual":
            array[:3] = 1
    place = "file:///somewhere/x"
    for index, offset in enumerate((3, 3, 13)):
        session.store.set_virtual_ref(
            f"virtual/c/{index}", place, offset=offset, length=10, validate_container=False
        )
    session.commit("all kinds")
    expected = ChunkStorageStats(native_bytes=48, virtual_bytes=20, inlined_bytes=12)
    assert repo.chunk_storage_stats() == expected
    assert expected.total_bytes() == 80
    assert expected.non_virtual_bytes() == 60
    session = repo.writable_session("main")
    session.store.set_virtual_ref(
        "virtual/c/3", place, offset=3, length=20, validate_container=False
    )
    session.commit("another range of the same file")
    assert repo.chunk_storage_stats().virtual_bytes == 40


def test_sums_and_displays() -> None:
    one = ChunkStorageStats(1, 2, 3)
    assert one + one == ChunkStorageStats(2, 4, 6)
    with pytest.raises(TypeError):
        one + 1
    assert str(one) == (
        "<icechunk.stats.ChunkStorageStats>\nnative_bytes: 1\nvirtual_bytes: 2\ninlined_bytes: 3\n"
    )
    assert repr(one) == str(one)


def test_the_old_name_warns(repo: icechunk.Repository) -> None:
    text = "`total_chunks_storage`.*`chunk_storage_stats`"
    with pytest.warns(DeprecationWarning, match=text) as w:
        assert repo.total_chunks_storage() == 16
    assert [one.filename for one in w] == [__file__]


async def test_the_old_names_twin_warns_by_its_own_name(repo: icechunk.Repository) -> None:
    twin = "`total_chunks_storage_async`.*`chunk_storage_stats_async`"
    with pytest.warns(DeprecationWarning, match=twin) as w:
        assert await repo.total_chunks_storage_async() == 16
    assert [one.filename for one in w] == [__file__]


def test_limits_are_checked(repo: icechunk.Repository) -> None:
    with pytest.raises(ValueError, match="zero"):
        repo.chunk_storage_stats(max_snapshots_in_memory=0)
    with pytest.raises(OverflowError):
        repo.chunk_storage_stats(max_concurrent_manifest_fetches=2**16)


async def test_it_has_an_asynchronous_twin(repo: icechunk.Repository) -> None:
    assert await repo.chunk_storage_stats_async() == repo.chunk_storage_stats()
