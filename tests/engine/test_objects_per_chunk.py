"""Packs of chunks and shared manifests can be switched off, one repository at a time."""

from __future__ import annotations

import re

import numpy as np
import pytest
import zarr

import icechunk
from tests.oracle import run_reference

PLAIN = {"pack_chunks": False, "share_manifests": False}
ARRAYS, CHUNKS = 3, 4


@pytest.fixture(params=["memory", "local", "s3"])
def storage(request, tmp_path):
    if request.param == "memory":
        return icechunk.in_memory_storage()
    if request.param == "local":
        return icechunk.local_filesystem_storage(tmp_path / "repo")
    return request.getfixturevalue("moto").storage()


def config(**fields):
    return icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0, **fields)


def write(session, value, names=range(ARRAYS)):
    root = zarr.open_group(session.store, mode="a", zarr_format=3)
    for number in names:
        array = root.require_array(f"a{number}", shape=(CHUNKS * 10,), chunks=(10,), dtype="f8")
        array[:] = np.arange(CHUNKS * 10) + value + number
    return session.commit(f"value {value}")


def objects(storage, folder):
    return {key for key, _ in storage.list_objects() if key.startswith(f"{folder}/")}


def manifests_of(repo):
    """Manifest files that each array of the branch refers to."""
    files = repo.inspect_snapshot(repo.lookup_branch("main"))["manifests"]
    return len(files)


def values(repo, number):
    root = zarr.open_group(repo.readonly_session("main").store, mode="r")
    return root[f"a{number}"][:]


def test_every_chunk_is_an_object_and_every_array_has_its_manifest(storage):
    repo = icechunk.Repository.create(storage, config(**PLAIN))
    write(repo.writable_session("main"), 0)
    assert len(objects(storage, "chunks")) == ARRAYS * CHUNKS
    assert len(objects(storage, "manifests")) == ARRAYS
    sizes = {size for key, size in storage.list_objects() if key.startswith("chunks/")}
    assert max(sizes) <= 10 * 8 + 32, "no object holds two chunks"
    for number in range(ARRAYS):
        np.testing.assert_array_equal(values(repo, number), np.arange(40) + number)


def test_the_default_shares_manifests_and_packs_where_the_storage_can_append(storage):
    repo = icechunk.Repository.create(storage, config())
    write(repo.writable_session("main"), 0)
    packs = storage.pack_target_bytes > 0
    assert len(objects(storage, "chunks")) == (1 if packs else ARRAYS * CHUNKS)
    assert len(objects(storage, "manifests")) == 1


def test_each_setting_works_alone(tmp_path):
    counts = {}
    for name in PLAIN:
        storage = icechunk.local_filesystem_storage(tmp_path / name)
        repo = icechunk.Repository.create(storage, config(**{name: False}))
        write(repo.writable_session("main"), 0)
        counts[name] = len(objects(storage, "chunks")), len(objects(storage, "manifests"))
    assert counts == {"pack_chunks": (ARRAYS * CHUNKS, 1), "share_manifests": (1, ARRAYS)}


def test_the_saved_configuration_holds_for_later_handles(storage):
    repo = icechunk.Repository.create(storage, config(**PLAIN))
    repo.save_config()
    again = icechunk.Repository.open(storage)
    assert (again.config.pack_chunks, again.config.share_manifests) == (False, False)
    write(again.writable_session("main"), 0)
    assert len(objects(storage, "chunks")) == ARRAYS * CHUNKS
    assert len(objects(storage, "manifests")) == ARRAYS
    packing = icechunk.Repository.open(storage, config(pack_chunks=True, share_manifests=True))
    assert packing.config.pack_chunks is True


def test_a_repository_changes_over_with_its_next_commits(tmp_path):
    storage = icechunk.local_filesystem_storage(tmp_path / "repo")
    repo = icechunk.Repository.create(storage, config())
    write(repo.writable_session("main"), 0)
    plain = icechunk.Repository.open(storage, config(**PLAIN))
    write(plain.writable_session("main"), 100, names=[0])
    assert len(objects(storage, "chunks")) == 1 + CHUNKS, "chunks written before stay in the pack"
    assert manifests_of(plain) == 2, "the array that changed left the shared manifest"
    plain.rewrite_manifests("apart", branch="main")
    assert manifests_of(plain) == ARRAYS
    for number in range(ARRAYS):
        expected = np.arange(40) + (100 if number == 0 else number)
        np.testing.assert_array_equal(values(plain, number), expected)
    repo.rewrite_manifests("together", branch="main")
    assert manifests_of(repo) == 1


def test_the_settings_are_shown_where_they_are_set():
    given = icechunk.RepositoryConfig(**PLAIN)
    assert re.search(r"pack_chunks: False\n.*share_manifests: False", str(given))
    assert eval(repr(given), {"icechunk": icechunk}) == given
    assert "pack_chunks" not in str(icechunk.RepositoryConfig())
    assert icechunk.RepositoryConfig().merge(given).share_manifests is False
    for name in PLAIN:
        with pytest.raises(TypeError, match=name):
            icechunk.RepositoryConfig(**{name: 1})


@pytest.mark.oracle
@pytest.mark.parametrize("version", [1, 2])
def test_the_reference_reads_writes_and_saves_beside_the_settings(version, tmp_path):
    storage = icechunk.local_filesystem_storage(tmp_path / "r")
    repo = icechunk.Repository.create(storage, config(**PLAIN), spec_version=version)
    write(repo.writable_session("main"), 0)
    seen = run_reference(
        """
        import icechunk, zarr
        storage = icechunk.local_filesystem_storage(args[0])
        repo = icechunk.Repository.open(storage)
        root = zarr.open_group(repo.readonly_session("main").store, mode="r")
        sums = [float(root[f"a{n}"][:].sum()) for n in range(3)]
        session = repo.writable_session("main")
        zarr.open_group(session.store)["a1"][0:10] = -1
        session.commit("theirs")
        threshold = repo.config.inline_chunk_threshold_bytes
        result = [sums, threshold]
        """,
        tmp_path / "r",
    )
    assert seen == [[float((np.arange(40) + n).sum()) for n in range(ARRAYS)], 0]
    again = icechunk.Repository.open(storage)
    assert values(again, 1)[0] == -1
    assert again.config.pack_chunks is False, "opening and committing keeps the settings"
    run_reference(
        """
        import icechunk
        repo = icechunk.Repository.open(icechunk.local_filesystem_storage(args[0]))
        repo.save_config()
        """,
        tmp_path / "r",
    )
    # The reference writes the fields that it knows: saving there takes the settings back.
    assert icechunk.Repository.open(storage).config.pack_chunks is None
