"""The lock file of a folder: what stays when it cannot be taken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from icechunk.storage.locks import FolderLock


def test_a_lock_file_that_cannot_be_opened_leaves_no_lock_and_closes_nothing(
    tmp_path: Path,
) -> None:
    lock = FolderLock(str(tmp_path / "absent" / "lock"))
    before = [os.fstat(fd).st_ino for fd in (0, 1, 2)]
    with pytest.raises(FileNotFoundError), lock.hold():
        pass
    assert not lock.is_mine
    assert [os.fstat(fd).st_ino for fd in (0, 1, 2)] == before


def test_a_lock_can_be_taken_again_in_one_thread_and_is_released_by_the_outermost_hold(
    tmp_path: Path,
) -> None:
    lock = FolderLock(str(tmp_path / "lock"))
    with lock.hold():
        with lock.hold():
            assert lock.is_mine
        assert lock.is_mine
    assert not lock.is_mine


@pytest.mark.skipif(os.name == "nt", reason="other users' files are POSIX")
def test_a_lock_file_of_another_user_is_opened_for_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    path.touch()
    lock, open_file = FolderLock(str(path)), os.open

    def denied(name: str, flags: int, *mode: int) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY) != os.O_RDONLY:
            raise PermissionError(13, "Permission denied", name)
        return open_file(name, flags, *mode)

    monkeypatch.setattr(os, "open", denied)
    with lock.hold():
        assert lock.is_mine
