"""File systems without hard links, without locks, or that lose the answer to a request."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest

from icechunk import StorageError, local_filesystem_storage
from icechunk.core.runtime import map_parallel
from tests.storage.contract import keys_below

fcntl = pytest.importorskip("fcntl")


def refuse(code: int) -> object:
    """Return a system call that always fails."""

    def call(*args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.EMLINK])
def test_exclusive_creation_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "link", refuse(code))
    storage = local_filesystem_storage(tmp_path)
    wins = map_parallel(lambda n: storage.create("repo", b"%d" % n) is not None, range(8))
    assert wins.count(True) == 1
    assert storage.get("repo").data == b"%d" % wins.index(True)
    assert keys_below(storage) == ["repo"]


def test_an_answer_lost_on_a_network_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def link_twice(source: str, target: str) -> None:
        real(source, target)
        real(source, target)

    monkeypatch.setattr(os, "link", link_twice)
    storage = local_filesystem_storage(tmp_path)
    assert storage.create("repo", b"mine") is not None
    assert storage.create("repo", b"again") is None


def test_without_locks_the_process_is_still_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOLCK))
    storage = local_filesystem_storage(tmp_path)
    other = local_filesystem_storage(tmp_path)
    storage.create("counter", b"0")

    def count(n: int) -> None:
        here = storage if n % 2 else other
        done = 0
        while done < 10:
            data, version = here.get("counter")
            done += here.replace("counter", b"%d" % (int(data) + 1), version) is not None

    with caplog.at_level(logging.WARNING):
        map_parallel(count, range(4))
    assert storage.get("counter").data == b"40"
    assert "has no locks" in caplog.text


@pytest.mark.parametrize(
    ("code", "advice"), [(errno.ENOSPC, "free some space"), (errno.EIO, "check the disk")]
)
def test_a_full_or_broken_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, advice: str
) -> None:
    storage = local_filesystem_storage(tmp_path)
    version = storage.create("repo", b"old")
    assert version is not None
    pack = storage.open_pack("chunks/P")
    assert pack is not None
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", refuse(code))
        broken.setattr(os, "pwrite", refuse(code))
        for verb in (
            lambda: storage.put("chunks/A", b"x"),
            lambda: storage.create("refs/x", b"x"),
            lambda: storage.replace("repo", b"new", version),
            lambda: pack.append(b"x"),
        ):
            with pytest.raises(StorageError, match=advice) as caught:
                verb()
            assert caught.value.kind == "io"
            assert caught.value.__cause__ is not None
    assert keys_below(storage) == ["chunks/P", "repo"]
    assert storage.get("repo").data == b"old"
    assert storage.replace("repo", b"new", version) is not None, "the lock was given back"


def test_nothing_counts_as_durable_when_flushing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = local_filesystem_storage(tmp_path)
    version = storage.create("repo", b"old")
    assert version is not None
    storage.put("chunks/A", b"x")
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
    with pytest.raises(StorageError, match="cannot flush"):
        storage.sync(["chunks/A"])
    with pytest.raises(StorageError):
        storage.replace("repo", b"new", version)
    assert storage.get("repo").data == b"old"
    with pytest.raises(StorageError):
        storage.create("refs/x", b"x")
    assert keys_below(storage) == ["chunks/A", "repo"]


def test_syncing_what_is_gone_is_an_error(tmp_path: Path) -> None:
    storage = local_filesystem_storage(tmp_path)
    storage.put("chunks/A", b"x")
    with pytest.raises(StorageError, match=r"object not found: `chunks/B`") as caught:
        storage.sync(["chunks/A", "chunks/B"])
    assert caught.value.kind == "object-not-found"
