"""Defects of other implementations that lost acknowledged commits, kept from coming back."""

from __future__ import annotations

import multiprocessing
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
import zarr

import icechunk
from tests.repositories import edit, read, with_grid

DONE = 6


def count_up(path: Path) -> list[str]:
    """Read, add one, commit; again until `DONE` commits were acknowledged. Returns their ids."""
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(path))
    acknowledged: list[str] = []
    while len(acknowledged) < DONE:
        session = repo.writable_session("main")
        edit(session, np.s_[0, 0], read(session)[0, 0] + 1)
        try:
            acknowledged.append(session.commit("one more"))
        except icechunk.ConflictError:
            continue
    return acknowledged


def check_counted(path: Path, acknowledged: list[list[str]]) -> None:
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(path))
    history = [info.id for info in repo.ancestry(branch="main")][:-2]
    assert sorted(history) == sorted(one for several in acknowledged for one in several)
    assert read(repo.readonly_session("main"))[0, 0] == DONE * len(acknowledged)


@pytest.mark.slow
def test_r1_commits_of_several_processes_are_all_there(tmp_path):
    with_grid(icechunk.local_filesystem_storage(tmp_path / "r"))
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        acknowledged = pool.map(count_up, [tmp_path / "r"] * 3, chunksize=1)
    check_counted(tmp_path / "r", acknowledged)


def test_r1_commits_of_several_threads_are_all_there(tmp_path):
    with_grid(icechunk.local_filesystem_storage(tmp_path / "r"))
    acknowledged: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: acknowledged.append(count_up(tmp_path / "r")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert len(acknowledged) == 4
    check_counted(tmp_path / "r", acknowledged)


class Disk:
    """What a power cut would leave: contents and names as of their last ``fsync``."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.contents: dict[int, bytes] = {}
        self.names: dict[str, dict[str, tuple[bool, int]]] = {}
        self.images: list[dict[str, bytes | None]] = []
        self._fsync = os.fsync

    def fsync(self, fd: int) -> None:
        self._fsync(fd)
        path = os.readlink(f"/proc/self/fd/{fd}")
        if not path.startswith(os.path.dirname(self.root)):
            return
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            self.names[path] = {
                entry.name: (entry.is_dir(), entry.inode()) for entry in os.scandir(path)
            }
        else:
            self.contents[os.fstat(fd).st_ino] = Path(f"/proc/self/fd/{fd}").read_bytes()
        self.images.append(self.image())

    def image(self) -> dict[str, bytes | None]:
        """Every file that is left, and its bytes; what was never flushed is empty."""
        left: dict[str, bytes | None] = {}
        folders = [self.root]
        while folders:
            folder = folders.pop()
            for name, (is_folder, inode) in self.names.get(folder, {}).items():
                path = f"{folder}/{name}"
                if is_folder:
                    folders.append(path)
                else:
                    left[path[len(self.root) + 1 :]] = self.contents.get(inode, b"")
        return left


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors have names on Linux")
def test_r2_a_power_cut_at_any_instant_leaves_the_old_state_or_the_new(tmp_path, monkeypatch):
    root = tmp_path / "r"
    disk = Disk(root)
    monkeypatch.setattr(os, "fsync", disk.fsync)
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    repo, first = with_grid(icechunk.local_filesystem_storage(root), config)
    before = len(disk.images)
    session = repo.writable_session("main")
    edit(session, np.s_[...], 7)
    second = session.commit("seven")
    acknowledged = disk.image()

    seen = []
    for number, image in enumerate([*disk.images[before - 1 :], acknowledged]):
        folder = tmp_path / f"after-{number}"
        for name, data in image.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data or b"")
        left = icechunk.Repository.open(icechunk.local_filesystem_storage(folder))
        tip = left.lookup_branch("main")
        cells = read(left.readonly_session("main"))
        assert (cells == 7).all() if tip == second else (cells[0] == np.arange(8)).all()
        seen.append(tip)
    assert seen[0] == first
    assert seen[-1] == second
    assert seen == sorted(seen, key=[first, second].index)


@pytest.mark.parametrize("threshold", [0, 10_000], ids=["native", "inline"])
def test_r3_forks_that_fill_one_shard_do_not_overwrite_each_other(threshold):
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=threshold)
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), config)
    session = repo.writable_session("main")
    zarr.create_array(
        session.store, name="s", shape=(8,), shards=(8,), chunks=(2,), dtype="i4", fill_value=-1
    )
    session.commit("empty")
    session = repo.writable_session("main")
    forks = [session.fork() for _ in range(4)]
    for number, fork in enumerate(forks):
        edit(fork, np.s_[2 * number : 2 * number + 2], number, "s")
    with pytest.raises(icechunk.ConflictError, match=r"chunks of /s: \[0\]") as caught:
        session.merge(*forks)
    assert caught.value.kind == icechunk.ErrorKind.MERGE_FAILED
    assert not session.has_uncommitted_changes


def test_r4_forks_that_write_one_chunk_do_not_overwrite_each_other():
    repo, _ = with_grid(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    one, two = session.fork(), session.fork()
    edit(one, np.s_[0, 0], 1)
    edit(two, np.s_[0, 1], 2)
    with pytest.raises(icechunk.ConflictError, match=r"chunks of /a: \[0, 0\]"):
        session.merge(one, two)
    session.merge(one, two, last_wins=True)
    assert read(session)[0, :2].tolist() == [0, 2]


def test_r5_a_fork_of_an_older_base_reverts_no_commits():
    repo, _ = with_grid(icechunk.in_memory_storage())
    old = repo.writable_session("main").fork()
    edit(old, np.s_[0, 0], 1)
    session = repo.writable_session("main")
    edit(session, np.s_[0, 1], 2)
    session.commit("newer")
    session = repo.writable_session("main")
    with pytest.raises(icechunk.ConflictError) as caught:
        session.merge(old)
    assert caught.value.kind == icechunk.ErrorKind.MERGE_FAILED
    assert read(session)[0, :2].tolist() == [0, 2]
