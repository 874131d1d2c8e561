"""Check renames, flushes and locks of a local disk, and whether it is local."""

from __future__ import annotations

import os
import re
import statistics
import sys
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from icechunk.core.errors import ErrorKind, StorageError
from icechunk.diagnostics.report import Check, failed, not_applicable, passed
from icechunk.diagnostics.scratch import ScratchArea, all_not_applicable, judged
from icechunk.storage.local import LocalStorage

if sys.platform != "win32":
    import fcntl

T = TypeVar("T")

_NETWORK = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.sshfs", "fuse.glusterfs", "glusterfs",
    "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "pvfs2", "smb3", "smbfs", "vboxsf",
    "virtiofs",
))  # fmt: skip
_BUCKETS = frozenset(
    ["fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.blobfuse", "fuse.blobfuse2"]
)
"""Buckets mounted as folders: they have neither locks nor renames."""
_VOLATILE = frozenset(("tmpfs", "ramfs"))
_LOCKLESS = ("nolock", "local_lock=all", "local_lock=flock", "nobrl", "localflock", "noflock")
"""Mount options under which locks do not reach other hosts."""
_MOUNTS = "/proc/self/mountinfo"
_OCTAL = re.compile(r"\\([0-7]{3})")  # how it writes spaces
_FLUSHES = 5


class Mount(NamedTuple):
    """The file system of a folder."""

    kind: str
    options: frozenset[str]


def local_disk(area: ScratchArea) -> list[Check]:
    """Examine the file system of a local storage; nothing for other storages."""
    storage = area.storage
    if not isinstance(storage, LocalStorage):
        return []
    checks = [_file_system(area, storage.root)]
    names = ("rename", "flush", "lock")
    if area.why_not_written:
        return [*checks, *all_not_applicable(names, area.why_not_written)]
    _, failure = area.tried(_raising(area.open_folder, f"make a folder in {storage.root}"))
    if failure is not None:
        return [*checks, *all_not_applicable(names, "nothing can be written")]
    flush = _flush(area) if storage.durable else not_applicable("flush", "durable=False")
    return [*checks, _rename(area), flush, _lock(area)]


def _raising(call: Callable[[], T], what: str) -> Callable[[], T]:
    """Return a call whose errors say what was attempted."""

    def run() -> T:
        try:
            return call()
        except OSError as error:
            raise StorageError(
                f"input/output error: cannot {what}: {error.strerror or error}", ErrorKind.IO
            ) from error

    return run


# -- which file system -------------------------------------------------------------------------


def _file_system(area: ScratchArea, root: str) -> Check:
    mount, _ = area.tried(lambda: mount_of(root))
    if mount is None:
        return not_applicable("filesystem", area.bounds.why_not or "this system does not report it")
    return judged_mount(mount)


def judged_mount(mount: Mount) -> Check:
    """Return the check of a file system's kind and options: are commits safe there?"""
    weak = sorted(mount.options.intersection(_LOCKLESS))
    if mount.kind in _BUCKETS:
        return failed(
            "filesystem",
            f"{mount.kind}, a bucket mounted as a folder",
            "use the bucket itself: s3_storage, gcs_storage or azure_storage",
            needed=True,
        )
    if mount.kind in _NETWORK and weak:
        return failed(
            "filesystem",
            f"{mount.kind} mounted with {', '.join(weak)}: locks do not reach other hosts",
            "mount it with locks, or let one host at a time write",
        )
    if mount.kind in _NETWORK:
        return passed("filesystem", f"{mount.kind}, a network file system with locks")
    if mount.kind in _VOLATILE:
        return passed("filesystem", f"{mount.kind}: in memory, gone when the machine stops")
    return passed("filesystem", f"{mount.kind}, on this machine")


def mount_of(path: str, table: str = _MOUNTS) -> Mount | None:
    """Find the file system that a path is in.

    Parameters
    ----------
    path : str
        An absolute path; it need not exist.
    table : str
        The system's list of mounts (proc(5), "mountinfo").

    Returns
    -------
    Mount or None
        Kind and options; None where the system has no such list.
    """
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    real = os.path.realpath(path)
    best: tuple[int, Mount] | None = None
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, source = before.split(" "), after.split(" ")
        if len(fields) < 6 or len(source) < 3:
            continue
        point = _OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[4])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and (best is None or len(point) >= best[0]):
            options = frozenset((*fields[5].split(","), *source[2].split(",")))
            best = len(point), Mount(source[0], options)
    return None if best is None else best[1]


# -- what it does ------------------------------------------------------------------------------


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _rename(area: ScratchArea) -> Check:
    """Replace a file by another, and create one exclusively."""

    def run() -> tuple[bool, bool]:
        old, new = (os.path.join(area.folder, name) for name in ("old", "new"))
        _write(old, b"old")
        _write(new, b"new")
        os.replace(new, old)
        with open(old, "rb") as file:
            replaced = file.read() == b"new" and not os.path.exists(new)
        _write(new, b"newer")
        try:
            os.link(new, old)
        except FileExistsError:
            return replaced, True
        except OSError:
            return replaced, False
        return False, False

    done, failure = area.tried(_raising(run, "rename a file"))
    advice = "use another file system: this one cannot replace a file in one step"
    if failure is not None or done is None:
        return failed("rename", "" if failure is None else failure.text, advice)
    if not done[0]:
        return failed("rename", "a file did not take the place of another", advice)
    if not done[1]:
        return passed("rename", "works; without hard links, new files are made under the lock")
    return passed("rename", "works; a file that is there is not made again")


def _flush(area: ScratchArea) -> Check:
    """Flush files and their folder."""

    def run() -> float:
        times = []
        for n in range(_FLUSHES):
            path = os.path.join(area.folder, f"flushed{n}")
            _write(path, b"x" * 4096)
            began = time.perf_counter()
            for each in (path, area.folder) if os.name != "nt" else (path,):
                fd = os.open(each, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
            times.append((time.perf_counter() - began) * 1000)
        return statistics.median(times)

    median, failure = area.tried(_raising(run, "flush a file"))
    if median is None:
        advice = "use another file system, or durable=False for scratch data"
        return judged("flush", failure, advice) if failure else not_applicable("flush", "")
    return passed("flush", f"file and folder are flushed, {median:.2g} ms (median)")


def _lock(area: ScratchArea) -> Check:
    """Take a lock twice, as two processes would."""
    if sys.platform == "win32":
        return not_applicable("lock", "Windows always locks")

    def run() -> bool:
        path = os.path.join(area.folder, "lock")
        first = os.open(path, os.O_RDWR | os.O_CREAT)
        second = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False
        finally:
            os.close(first)
            os.close(second)

    held, failure = area.tried(_raising(run, "lock a file"))
    advice = "write from one process only, or mount the file system with locks"
    if failure is not None:
        return judged("lock", failure, advice)
    if not held:
        return failed("lock", "two held the same lock at the same time", advice)
    return passed("lock", "a second holder has to wait")
