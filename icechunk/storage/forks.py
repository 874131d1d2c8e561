"""Detects forked processes, in which clients of object stores do not work.

The clients' threads stay in the parent process.
"""

from __future__ import annotations

from icechunk.core.errors import ErrorKind, StorageError
from icechunk.core.runtime import process_generation

_threads: list[int] = []
"""Generation of the process in which the clients' threads run (one entry, or none)."""


def clients_work() -> bool:
    """Whether clients work: not in a forked child of a process that has used them."""
    return not _threads or _threads[0] == process_generation()


def same_process() -> None:
    """Refuse a forked child, where every request would hang."""
    if not _threads:
        _threads.append(process_generation())
    if not clients_work():
        raise StorageError(
            "storage configuration error: this process was forked from one that used an object "
            "store already, and the client's threads did not come along. Start workers with "
            "multiprocessing's 'spawn' or 'forkserver' method (PyTorch: "
            "multiprocessing_context='spawn'), open the repository in the children only, or use "
            "icechunk.fsspec_storage, which can be used after a fork",
            ErrorKind.STORAGE_CONFIG,
        )
