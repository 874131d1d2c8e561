"""Run the checks of a storage in order."""

from __future__ import annotations

from icechunk.config.resolve import Retries, StorageTuning, storage_tuning
from icechunk.config.storage import StorageSettings
from icechunk.core.errors import InvalidInputError
from icechunk.diagnostics import access, clocks, disk, speed, writing
from icechunk.diagnostics.bounds import Bounds
from icechunk.diagnostics.report import Check, StorageReport
from icechunk.diagnostics.scratch import ScratchArea
from icechunk.storage.base import Storage
from icechunk.storage.wrapper import StorageWrapper

_WHOLE = 6
"""So many times the limit of one step is the limit of all."""


def doctor(
    storage: Storage,
    *,
    read_only: bool = False,
    settings: StorageSettings | None = None,
    timeout: float = 10.0,
) -> StorageReport:
    """Find out what a storage can do, and whether commits are safe there.

    Small objects are written below a fresh prefix (``probes/...``; on local disks in a folder of
    its own), and removed again; nothing that is there is touched. Where a bucket keeps versions,
    the removed ones stay among them.

    Parameters
    ----------
    storage : Storage
        What to examine.
    read_only : bool
        Write nothing; what can be read is examined.
    settings : StorageSettings, optional
        Storage classes and the like, as the repository is used with. Conditional writes are tried
        whatever they say.
    timeout : float
        Seconds that one step may take; all of them may take six times as long. A step without an
        answer ends the examination.

    Returns
    -------
    StorageReport
        Never raises for what is wrong with the storage.

    Raises
    ------
    InvalidInputError
        For an argument that is not a storage, or a time limit that is not positive.
    """
    if not isinstance(storage, Storage):
        raise InvalidInputError(
            f"icechunk.doctor takes a storage, not {type(storage).__name__}; make one with "
            "icechunk.s3_storage(...) and the like; that of a repository is `repo.storage`"
        )
    if not timeout > 0:
        raise InvalidInputError(f"timeout is in seconds and positive, not {timeout!r}")
    if not isinstance(storage, StorageWrapper):  # a wrapper would change for its owner
        storage = storage.tuned(_tuning(settings, timeout))
    why = "this storage is read-only" if storage.read_only else ""
    why = "nothing may be written (read-only)" if read_only and not why else why
    area = ScratchArea(storage, Bounds(timeout * 1.2, timeout * _WHOLE), why)
    checks: list[Check] = []
    try:
        checks = _examined(area)
    finally:
        area.clear()
    return StorageReport(storage.identity, tuple(checks), area.latency_ms, area.clock_skew_s)


def _examined(area: ScratchArea) -> list[Check]:
    """Make all checks, in the order in which they depend on each other."""
    return [
        *access.reached(area),
        access.contents(area),
        *disk.local_disk(area),
        *writing.objects(area),
        access.listing(area),
        *writing.conditions(area),
        clocks.clock(area),
        speed.latency(area),
        writing.deletion(area),
    ]


def _tuning(settings: StorageSettings | None, timeout: float) -> StorageTuning:
    """Return storage settings under which a request succeeds or fails within the time."""
    whole = max(int(timeout * 1000), 1)
    return storage_tuning(settings)._replace(
        retries=Retries(2, min(100, whole // 10), min(1000, whole // 5)),
        use_conditional_create=True,
        use_conditional_update=True,
        connect_timeout_ms=max(whole // 3, 1),
        read_timeout_ms=max(whole // 2, 1),
        operation_attempt_timeout_ms=max(whole // 2, 1),
        operation_timeout_ms=whole,
    )
