"""Flushing in the background: commits wait less, and failures are never hidden."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import local_filesystem_storage
from icechunk.core.errors import StorageError
from icechunk.storage import local, packs
from icechunk.storage.local import LocalStorage

STEP = 10_000


class Medium:
    """A replacement of `os.fsync` that can be slow, can fail, and records what was flushed."""

    def __init__(self) -> None:
        self.real = os.fsync
        self.broken = False
        self.free = threading.Event()
        self.free.set()
        self.begun = threading.Event()
        self.seen: list[str] = []

    def fsync(self, fd: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
        self.begun.set()
        assert self.free.wait(30)
        self.seen.append(name)
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.real(fd)


@pytest.fixture
def medium(monkeypatch: pytest.MonkeyPatch) -> Medium:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("descriptors have names on Linux")
    medium = Medium()
    monkeypatch.setattr(os, "fsync", medium.fsync)
    for module in (packs, local):
        monkeypatch.setattr(module, "FLUSH_STEP", STEP)
    return medium


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    storage = local_filesystem_storage(tmp_path / "r")
    assert isinstance(storage, LocalStorage)
    return storage


def test_a_growing_pack_is_flushed_before_a_commit(medium: Medium, storage: LocalStorage) -> None:
    pack = storage.open_pack("chunks/P")
    pack.append(bytes(STEP - 1))
    assert not medium.begun.is_set(), "less than one step"
    pack.append(b"x")
    assert medium.begun.wait(30)


def test_what_is_left_of_a_pack_is_flushed_when_it_is_full(
    medium: Medium, storage: LocalStorage
) -> None:
    small, large = storage.open_pack("chunks/S"), storage.open_pack("chunks/L")
    small.append(b"x")
    small.close()
    assert not medium.begun.is_set(), "one flush at the end is cheaper"
    large.append(bytes(STEP // 2))
    large.close()
    assert medium.begun.wait(30)
    storage.sync(["chunks/L"])
    assert "S" not in medium.seen


def test_a_large_object_is_flushed_at_once(medium: Medium, storage: LocalStorage) -> None:
    storage.put("chunks/S", bytes(STEP - 1))
    assert not medium.begun.is_set()
    storage.put("chunks/L", bytes(STEP))
    assert medium.begun.wait(30)


def test_scratch_storage_is_left_alone(medium: Medium, tmp_path: Path) -> None:
    storage = local_filesystem_storage(tmp_path / "r", durable=False)
    storage.put("chunks/L", bytes(STEP))
    pack = storage.open_pack("chunks/P")
    assert pack is not None
    pack.append(bytes(STEP))
    pack.close()
    storage.sync(["chunks/L", "chunks/P"])
    assert not medium.begun.is_set()


def test_writing_goes_on_and_syncing_waits_for_everything(
    medium: Medium, storage: LocalStorage
) -> None:
    medium.free.clear()
    pack = storage.open_pack("chunks/P")
    for _ in range(5):
        pack.append(bytes(STEP))
    pack.append(b"the end")
    assert medium.begun.wait(30)
    barrier = threading.Thread(target=storage.sync, args=(["chunks/P"],))
    barrier.start()
    barrier.join(0.2)
    assert barrier.is_alive(), "not durable yet"
    medium.free.set()
    barrier.join(30)
    assert not barrier.is_alive()
    assert medium.seen.count("P") >= 2, "once in the background, once for what came later"


def test_a_failure_in_the_background_is_never_forgotten(
    medium: Medium, storage: LocalStorage
) -> None:
    medium.broken = True
    pack = storage.open_pack("chunks/P")
    pack.append(bytes(STEP))
    assert medium.begun.wait(30)
    with pytest.raises(StorageError, match="cannot flush"):
        storage.sync(["chunks/P"])
    medium.broken = False  # a second fsync says that all is well: the bytes are lost all the same
    with pytest.raises(StorageError, match="cannot flush") as caught:
        storage.sync(["chunks/P"])
    assert caught.value.kind == "io"
    storage.put("chunks/A", b"x")
    storage.sync(["chunks/A"])


def test_deleting_what_is_being_flushed(medium: Medium, storage: LocalStorage) -> None:
    for number in range(20):
        storage.put(f"chunks/{number}", bytes(STEP))
        storage.delete([f"chunks/{number}"])
    with pytest.raises(StorageError, match="object not found"):
        storage.sync(["chunks/0"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_flushes_for_itself(medium: Medium, storage: LocalStorage) -> None:
    medium.free.clear()
    pack = storage.open_pack("chunks/P")
    pack.append(bytes(STEP))
    assert medium.begun.wait(30)
    child = os.fork()
    if child == 0:
        try:
            os.fsync = medium.real
            storage.sync(["chunks/P"])
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    medium.free.set()
    storage.sync(["chunks/P"])


def values(repo: icechunk.Repository) -> np.ndarray[Any, Any]:
    return np.asarray(zarr.open_array(repo.readonly_session("main").store, path="a", mode="r")[:])


def test_a_commit_whose_chunks_were_lost_is_refused(
    medium: Medium, storage: LocalStorage, tmp_path: Path
) -> None:
    repo = icechunk.Repository.create(storage)
    session = repo.writable_session("main")
    array = zarr.create_array(
        session.store, name="a", shape=(40, 1000), chunks=(1, 1000), dtype="i4", compressors=None
    )
    array[:20] = 1
    before = session.commit("good")
    session = repo.writable_session("main")
    medium.broken = True
    medium.begun.clear()
    zarr.open_array(session.store, path="a")[20:] = 2
    assert medium.begun.wait(30)
    for _ in range(2):
        with pytest.raises(StorageError):
            session.commit("bad")
        medium.broken = False
    assert repo.lookup_branch("main") == before
    assert (values(repo)[:20] == 1).all()
    assert (values(repo)[20:] == 0).all()
    session = repo.writable_session("main")
    zarr.open_array(session.store, path="a")[20:] = 3
    session.commit("again")
    assert (values(repo)[20:] == 3).all()
