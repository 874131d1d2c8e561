"""Garbage collection beside writers in other processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import icechunk
from tests.maintenance.histories import FAR, cells, commit, messages, start

WRITER = '''
import sys
import icechunk, zarr
from icechunk.storage.local import LocalStorage

path, pause_at = sys.argv[1:]

def pause():
    print("ready", flush=True)
    sys.stdin.readline()

class Slow(LocalStorage):
    """Waits between writing the files of a snapshot and publishing it."""
    def sync(self, keys):
        keys = list(keys)
        if pause_at == "flushed" and any(key.startswith("snapshots/") for key in keys):
            pause()
        super().sync(keys)

repo = icechunk.Repository.open(Slow(path, durable=False))
session = repo.writable_session("main")
zarr.open_array(session.store, path="a", mode="r+")[:] = 5
if pause_at == "written":
    pause()
try:
    print("committed", session.commit("of the other process"))
except icechunk.IcechunkError as error:
    print(type(error).__name__, error.kind)
    print("kept" if session.has_uncommitted_changes else "lost")
'''


class Writer:
    """A process that writes all of ``/a``, waits, and commits on a signal."""

    def __init__(self, folder: Path, pause_at: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder / "repo"), pause_at],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def go_on(self) -> list[str]:
        """What it says of its commit."""
        out, _ = self.process.communicate("\n", timeout=60)
        assert self.process.returncode == 0
        return out.splitlines()


@pytest.fixture(params=[1, 2])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> icechunk.Repository:
    repo = start("local", tmp_path, spec_version=request.param)
    commit(repo, 2)
    return repo


def _everything(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("pause_at", ["written", "flushed"])
def test_r6_a_commit_of_what_was_collected_fails_and_changes_nothing(
    repo: icechunk.Repository, tmp_path: Path, pause_at: str
) -> None:
    """Its chunks are gone, or (between flush and publication) its manifests and snapshot too."""
    writer = Writer(tmp_path, pause_at)
    done = repo.garbage_collect(FAR)
    assert done.chunks_deleted > 0
    assert (done.manifests_deleted, done.snapshots_deleted) == (
        (1, 1) if pause_at == "flushed" else (0, 0)
    )
    before = _everything(tmp_path)
    assert writer.go_on() == ["StorageError object-not-found", "kept"]
    assert _everything(tmp_path) == before
    assert messages(repo) == ["c2", "c0"]
    assert cells(repo) == [2, 1, 1, 1]


@pytest.mark.parametrize("pause_at", ["written", "flushed"])
def test_a_cut_off_before_the_writer_does_not_disturb_it(
    repo: icechunk.Repository, tmp_path: Path, pause_at: str
) -> None:
    then = repo.lookup_snapshot(repo.lookup_branch("main")).written_at
    writer = Writer(tmp_path, pause_at)
    assert repo.garbage_collect(then).chunks_deleted == 0
    (said,) = writer.go_on()
    assert said.startswith("committed ")
    assert messages(repo)[0] == "of the other process"
    assert cells(repo) == [5, 5, 5, 5]
    assert repo.garbage_collect(FAR).bytes_deleted == 0
    assert cells(repo) == [5, 5, 5, 5]
