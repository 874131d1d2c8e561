"""The storage in local files."""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import stat
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from icechunk import StorageError, local_filesystem_storage
from icechunk.core.runtime import map_parallel
from icechunk.storage import ConcurrentWriterWarning, files
from icechunk.storage.base import Storage
from icechunk.storage.local import LocalStorage
from icechunk.storage.names import LOCK_NAME
from tests.storage.contract import StorageContract, keys_below

HOUR = 3600


def files_below(root: Path) -> list[str]:
    """Everything that is really there, sorted."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


class LocalContract(StorageContract):
    durable: bool

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "not yet" / "there"

    @pytest.fixture
    def storage(self, root: Path) -> Storage:
        return local_filesystem_storage(root, durable=self.durable)

    def test_folders_are_made_lazily(self, storage: Storage, root: Path) -> None:
        assert keys_below(storage) == []
        assert storage.head("repo") is None
        assert storage.replace("repo", b"x", "y") is None
        storage.delete(["repo"])
        assert not root.parent.exists()
        storage.create("refs/branch.main/ref.json", b"{}")
        assert files_below(root) == ["refs/branch.main/ref.json"]

    def test_layout_on_disk(self, storage: Storage, root: Path) -> None:
        storage.put("chunks/A", b"1")
        version = storage.create("repo", b"22")
        assert version is not None
        storage.replace("repo", b"333", version)
        storage.create("refs/branch.we ird%ü~#?*/ref.json", b"")
        assert files_below(root) == [
            "chunks/A",
            LOCK_NAME,
            "refs/branch.we ird%25%C3%BC%7E%23%3F%2A/ref.json",
            "repo",
        ]
        assert (root / "repo").read_bytes() == b"333"

    def test_temporaries_are_no_objects(self, storage: Storage, root: Path) -> None:
        storage.put("chunks/A", b"1")
        for name in ("repo#1", "repo#123456789012345678", "chunks/A#2", LOCK_NAME):
            (root / name).write_bytes(b"junk")
        assert keys_below(storage) == ["chunks/A"]
        assert storage.list_objects() == [("chunks/A", 1)]

    def test_empty_folders_are_no_objects(self, storage: Storage, root: Path) -> None:
        (root / "chunks" / "deep").mkdir(parents=True)
        assert keys_below(storage) == []

    def test_stale_temporaries_are_cleared_away(self, storage: Storage, root: Path) -> None:
        root.mkdir(parents=True)
        left = {
            name: root / name
            for name in ("repo#123456789012345678", "repo#987654321098765432", "repo#1")
        }
        for path in left.values():
            path.write_bytes(b"junk")
        now = left["repo#1"].stat().st_mtime
        for name in ("repo#123456789012345678", "repo#1"):
            os.utime(left[name], (now - 2 * HOUR, now - 2 * HOUR))
        assert storage.create("repo", b"x") is not None
        assert files_below(root) == ["repo", "repo#1", "repo#987654321098765432"]

    def test_failed_writes_leave_nothing(self, storage: Storage, root: Path) -> None:
        storage.put("chunks/A", b"1")
        (root / "chunks" / "folder").mkdir()
        (root / "chunks" / "folder" / "inside").write_bytes(b"")
        with pytest.raises(StorageError, match="a folder where a file is needed") as caught:
            storage.put("chunks/folder", b"x")
        assert caught.value.kind == "io"
        with pytest.raises(StorageError, match="a file where a folder is needed"):
            storage.put("chunks/A/B", b"x")
        assert files_below(root) == ["chunks/A", "chunks/folder/inside"]

    def test_open_pack_survives_its_deletion_from_the_reader_cache(
        self, storage: Storage, root: Path
    ) -> None:
        pack = storage.open_pack("chunks/P")
        assert pack is not None
        pack.append(b"0123456789")
        pack.close()
        assert storage.read_range("chunks/P", 5, 5) == b"56789"
        storage.delete(["chunks/P"])
        with pytest.raises(StorageError, match="object not found"):
            storage.read_range("chunks/P", 5, 5)

    def test_pack_names_are_not_reused(self, storage: Storage) -> None:
        storage.put("chunks/P", b"x")
        with pytest.raises(StorageError, match="cannot begin pack"):
            storage.open_pack("chunks/P")

    def test_many_packs_are_read_at_once(self, storage: Storage) -> None:
        for n in range(100):
            storage.put(f"chunks/{n}", bytes([n]) * 100)

        def read(n: int) -> bool:
            return storage.read_range(f"chunks/{n % 100}", 50, 50) == bytes([n % 100]) * 50

        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        assert all(map_parallel(read, range(3000), limit=8))
        if before:
            assert len(os.listdir("/proc/self/fd")) <= before + 32

    def test_root_may_be_deleted_and_made_again(self, storage: Storage, root: Path) -> None:
        for _ in range(2):
            assert storage.create("repo", b"x") is not None
            storage.put("chunks/A", b"1")
            storage.sync(["chunks/A"])
            assert storage.read_range("chunks/A", 0, 1) == b"1"
            shutil.rmtree(root)

    def test_a_foreign_writer_makes_the_update_stale(self, storage: Storage, root: Path) -> None:
        version = storage.create("repo", b"ours")
        assert version is not None
        (root / "repo#1").write_bytes(b"theirs")
        os.replace(root / "repo#1", root / "repo")
        assert storage.replace("repo", b"ours again", version) is None
        assert storage.get("repo").data == b"theirs"

    def test_pickle_is_a_recipe(self, storage: Storage) -> None:
        storage.put("chunks/A", b"0123")
        storage.read_range("chunks/A", 2, 2)
        assert len(pickle.dumps(storage)) < 500
        copy = pickle.loads(pickle.dumps(storage))
        assert isinstance(copy, LocalStorage)
        assert copy.durable is self.durable
        assert copy.identity == storage.identity
        assert copy.get("chunks/A").data == b"0123"


class TestDurable(LocalContract):
    durable = True


class TestNotDurable(LocalContract):
    durable = False


def open_below(folder: Path) -> int:
    """How many descriptors of this process are files below a folder; sockets come and go."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith(f"{folder}/")
        except FileNotFoundError:
            continue  # that of the listing itself
    return count


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are listed on Linux")
def test_a_storage_closes_its_files_when_it_goes(tmp_path: Path) -> None:
    gc.collect()
    gc.disable()
    try:
        storage = local_filesystem_storage(tmp_path)
        pack = storage.open_pack("chunks/P")
        assert pack is not None
        pack.append(b"0123456789")
        storage.read_range("chunks/P", 5, 5)
        with storage.lock("repo"):
            pass
        assert open_below(tmp_path) == 2
        del storage, pack
        assert open_below(tmp_path) == 0
    finally:
        gc.enable()


class TestPaths:
    def test_relative_paths_become_absolute_at_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        storage = local_filesystem_storage("some/repo")
        assert f"path: {tmp_path}/some/repo" in repr(storage)
        monkeypatch.chdir("/")
        storage.put("a", b"x")
        assert (tmp_path / "some/repo/a").read_bytes() == b"x"

    def test_tilde_is_the_home_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.chdir(tmp_path)
        local_filesystem_storage("~/repo").put("a", b"x")
        assert files_below(tmp_path) == ["home/repo/a"]

    def test_wrong_types_are_refused(self) -> None:
        with pytest.raises(TypeError):
            local_filesystem_storage(3)  # type: ignore[arg-type]

    def test_folders_may_be_links(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "repo").mkdir()
        (tmp_path / "repo/chunks").symlink_to(tmp_path / "elsewhere")
        storage = local_filesystem_storage(tmp_path / "repo")
        storage.put("chunks/A", b"x")
        storage.sync(["chunks/A"])
        assert keys_below(storage) == ["chunks/A"]
        assert (tmp_path / "elsewhere/A").exists()

    def test_files_get_the_permissions_of_the_umask(self, tmp_path: Path) -> None:
        old = os.umask(0o027)
        try:
            storage = local_filesystem_storage(tmp_path / "r")
            storage.put("a", b"x")
            version = storage.create("repo", b"x")
            assert version is not None
            storage.replace("repo", b"y", version)
        finally:
            os.umask(old)
        for name in ("a", "repo", LOCK_NAME):
            assert stat.S_IMODE((tmp_path / "r" / name).stat().st_mode) == 0o640


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may do everything")
class TestPermissions:
    def test_a_listing_that_fails_is_not_empty(self, tmp_path: Path) -> None:
        storage = local_filesystem_storage(tmp_path / "r")
        storage.put("chunks/A", b"x")
        (tmp_path / "r/chunks").chmod(0)
        try:
            with pytest.raises(StorageError, match="permission"):
                list(storage.list(""))
        finally:
            (tmp_path / "r/chunks").chmod(0o755)


def test_a_foreign_write_right_after_ours_is_warned_of_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = local_filesystem_storage(tmp_path)
    version = storage.create("repo", b"base")
    assert version is not None
    flush = files.flush_folder

    def foreign_writer_meanwhile(path: str) -> None:
        (tmp_path / "repo#1").write_bytes(b"theirs, made from base")
        os.replace(tmp_path / "repo#1", tmp_path / "repo")
        flush(path)

    monkeypatch.setattr(files, "flush_folder", foreign_writer_meanwhile)
    with pytest.warns(ConcurrentWriterWarning, match="does not take the lock"):
        assert storage.replace("repo", b"ours, made from base", version) is None
    assert storage.get("repo").data == b"theirs, made from base"


def test_a_foreign_write_during_ours_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = local_filesystem_storage(tmp_path)
    version = storage.create("repo", b"base")
    assert version is not None
    write = files.write_temporary

    def foreign_writer_meanwhile(*args: Any, **named: Any) -> str:
        made = write(*args, **named)
        (tmp_path / "foreign").write_bytes(b"theirs")
        os.replace(tmp_path / "foreign", tmp_path / "repo")
        return made

    monkeypatch.setattr(files, "write_temporary", foreign_writer_meanwhile)
    assert storage.replace("repo", b"ours, made from base", version) is None
    assert storage.get("repo").data == b"theirs"
    assert sorted(files_below(tmp_path)) == [LOCK_NAME, "repo"]


def test_each_new_name_is_synced_with_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash after the call must not lose the directory entry (POSIX fsync of the folder)."""
    storage = local_filesystem_storage(tmp_path)
    synced: list[str] = []
    flush = files.flush_folder

    def recorded(path: str) -> None:
        names = os.listdir(path)
        synced.append(f"{os.path.relpath(path, tmp_path)} with {sorted(names)}")
        flush(path)

    monkeypatch.setattr(files, "flush_folder", recorded)
    version = storage.create("refs/repo", b"one")
    assert version is not None
    assert "refs with ['repo']" in synced
    synced.clear()
    assert storage.replace("refs/repo", b"two", version) is not None
    assert "refs with ['repo']" in synced


def test_a_mutable_file_is_read_again_once_it_changes(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, durable=False)
    storage.create("repo", b"first")
    path = tmp_path / "repo"
    old = path.stat().st_mtime - HOUR
    for content in (b"other", b"third", b"x"):
        os.utime(path, (old + 0.123, old + 0.123))
        before = storage.get("repo")
        assert storage.get("repo").data == before.data
        path.write_bytes(content)  # in place, as a program that knows nothing of locks may do it
        after = storage.get("repo")
        assert after.data == content
        assert after.version != before.version
        assert storage.replace("repo", b"lost", before.version) is None
        assert path.read_bytes() == content


def test_a_file_that_may_change_within_one_tick_of_the_clock_is_read_again(tmp_path: Path) -> None:
    """A change in place that leaves inode, size and times as they were."""
    storage = LocalStorage(tmp_path, durable=False)
    storage.create("repo", b"first")
    path = tmp_path / "repo"
    still = time.time_ns() + HOUR * 10**9 + 123
    for content in (b"first", b"other", b"third"):
        path.write_bytes(content)
        os.utime(path, ns=(still, still))
        assert storage.get("repo").data == content


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_an_object_that_cannot_be_looked_at_is_an_error_not_absent(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, durable=False)
    storage.put("chunks/A", b"1")
    (tmp_path / "chunks/B").symlink_to("B")  # a circle
    for call in (storage.head, storage.get, lambda key: storage.read_range(key, 0, 1)):
        with pytest.raises(StorageError, match="chunks/B") as caught:
            call("chunks/B")
        assert caught.value.kind != "object-not-found"


def test_an_old_mutable_file_is_not_read_again(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, durable=False)
    storage.create("repo", b"first")
    found = [storage.get("repo").data]
    deadline = time.monotonic() + 30
    while found[-1] is not storage.get("repo").data:  # until it is older than a tick
        found.append(storage.get("repo").data)
        assert time.monotonic() < deadline
    os.replace(shutil.copy(tmp_path / "repo", tmp_path / "copy"), tmp_path / "repo")
    assert storage.get("repo").data == b"first"
    (tmp_path / "repo").unlink()
    with pytest.raises(StorageError):
        storage.get("repo")


@pytest.mark.parametrize(("offset", "length"), [(0, 2**26 + 1), (1, 2**40), (2**40 + 1, 1)])
def test_a_range_beyond_the_end_is_refused_before_memory_is_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: int, length: int
) -> None:
    storage = local_filesystem_storage(tmp_path / "repo", durable=False)
    storage.put("chunks/A", b"0123456789")
    reads: list[int] = []
    pread = os.pread

    def recorded(fd: int, count: int, at: int) -> bytes:
        reads.append(count)
        return pread(fd, min(count, 100), at)

    monkeypatch.setattr(os, "pread", recorded)
    there = max(10 - offset, 0)
    with pytest.raises(StorageError, match=f"`chunks/A` has {there} of the {length} bytes"):
        storage.read_range("chunks/A", offset, length)
    assert reads == []


def test_a_large_range_that_ends_with_the_file_is_read(tmp_path: Path) -> None:
    storage = local_filesystem_storage(tmp_path / "repo", durable=False)
    storage.put("chunks/A", b"1")
    size = 2**26 + 2
    os.truncate(tmp_path / "repo/chunks/A", size)  # the rest is a hole
    assert len(storage.read_range("chunks/A", 0, size)) == size
    assert len(storage.read_range("chunks/A", 1, size - 1)) == size - 1


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((2, 3), "u1"),
        np.zeros((), "u1"),
        np.zeros(3, "i1"),
        np.zeros((2, 2), "f4"),
        np.zeros((), "f8"),
    ],
)
def test_what_is_written_is_a_flat_view_of_bytes(data: Any) -> None:
    view = files.as_bytes_view(data)
    assert (view.ndim, view.format, len(view)) == (1, "B", data.nbytes)
