"""Check that the storage returns what was written, and that it honours conditions."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial

from icechunk.core.errors import ErrorKind, StorageError
from icechunk.diagnostics.bounds import Cause
from icechunk.diagnostics.report import Check, failed, not_applicable, passed
from icechunk.diagnostics.scratch import ScratchArea, all_not_applicable, judged, remove_folders
from icechunk.files.layout import REPO

_SIZE = 1024
_UNSAFE = (
    "use a store with conditional writes (S3, GCS, Azure, R2, Ceph, local disks have them); or let "
    "one process write at a time and say so with StorageSettings("
    "unsafe_use_conditional_create=False, unsafe_use_conditional_update=False)"
)
_BROKEN = "this store does not keep what it is given: do not use it"
_RANGES = "do not use this server, or ask who runs it: it must answer ranges with status 206"
_GRANT = "grant the permission to write, or look with read-only"


def objects(area: ScratchArea) -> list[Check]:
    """Write an object, read it back whole and in parts."""
    if area.why_not_written:
        written = not_applicable("write", area.why_not_written)
        return [written, *_reading_only(area)]
    data = secrets.token_bytes(_SIZE)
    key = area.key("object")

    def write() -> None:
        area.dirty = True
        area.place.put(key, data)
        area.place.sync([key])

    _, failure = area.tried(write)
    if failure is not None:
        if failure.cause is not Cause.NOT_TRIED:
            area.end_writing("nothing could be written")
        checks = [judged("write", failure, _GRANT)]
        why = area.bounds.why_not or "nothing was written to read"
        return [*checks, *all_not_applicable(("read", "range"), why)]
    area.sizes[key] = len(data)
    back, failure = area.tried(lambda: area.place.get(key).data)
    if failure is not None:
        read = judged("read", failure, _BROKEN)
    elif back != data:
        read = failed("read", f"{len(back or b'')} bytes came back that were not written", _BROKEN)
    else:
        read = passed("read", f"{_SIZE} bytes came back as they were written")
    return [passed("write", "works"), read, _ranges(area, key, data)]


def _reading_only(area: ScratchArea) -> list[Check]:
    """Read the repository's own file, where there is one."""
    data, failure = area.tried(lambda: area.storage.get(REPO).data)
    if data is None or not data:
        missing = failure is not None and failure.cause in (Cause.MISSING, Cause.DENIED)
        why = "nothing to read" if missing or failure is None else failure.text
        return all_not_applicable(("read", "range"), why)
    return [
        passed("read", f"`{REPO}` was read, {len(data):,} bytes"),
        _ranges(area, REPO, bytes(data)),
    ]


def _ranges(area: ScratchArea, key: str, data: bytes) -> Check:
    """Read the beginning, the middle, the end, and what is beyond it."""
    storage = area.storage if key == REPO else area.place
    size = len(data)
    for what, offset, length in (
        ("the beginning", 0, min(10, size)),
        ("the middle", size // 2, min(24, size - size // 2)),
        ("the end", max(size - 10, 0), min(10, size)),
    ):
        got, failure = area.tried(partial(storage.read_range, key, offset, length))
        if failure is not None:
            whole = "non-partial response" in failure.text
            said = "the whole object was sent" if whole else failure.text
            return judged("range", failure._replace(text=f"{what}: {said}"), _RANGES)
        if got is None or bytes(got) != data[offset : offset + length]:
            return failed("range", f"{what} comes back wrong", _RANGES)
    beyond, failure = area.tried(_beyond(lambda: storage.read_range(key, size - 4, 64)))
    if failure is not None:
        return judged("range", failure, _RANGES)
    if not beyond:
        return failed("range", "a range beyond the end was answered as if it were there", _RANGES)
    return passed("range", "beginning, middle and end are right, beyond the end is refused")


def _beyond(read: Callable[[], object]) -> Callable[[], bool]:
    """Return a call: whether a read beyond the object's end is refused."""

    def refused() -> bool:
        try:
            read()
        except StorageError as error:
            if error.kind != ErrorKind.INVALID_OBJECT_SIZE:
                raise
            return True
        return False

    return refused


def conditions(area: ScratchArea) -> list[Check]:
    """Make conditional writes whose conditions hold, and some whose do not."""
    names = ("create", "update", "stale-update", "missing-update")
    if area.why_not_written:
        return all_not_applicable(names, area.why_not_written)
    key = area.key("condition")
    return [_create(area, key), *_updates(area, key), _missing(area, key)]


def _create(area: ScratchArea, key: str) -> Check:
    place = area.place
    first, failure = area.tried(lambda: place.create(key, b"first"))
    if failure is not None:
        return judged("create", failure, _UNSAFE)
    if first is None:
        return failed("create", "a new object was refused as if it were there", _UNSAFE)
    second, failure = area.tried(lambda: (place.create(key, b"second"), place.get(key).data))
    if failure is not None:
        return judged("create", failure, _UNSAFE)
    if second != (None, b"first"):
        return failed("create", "an object that was there was overwritten", _UNSAFE)
    return passed("create", "made once; the second one was refused")


def _updates(area: ScratchArea, key: str) -> list[Check]:
    place = area.place

    def present() -> str:
        if place.head(key) is None:  # it could not be created, which another check reports
            place.put(key, b"first")
        return place.get(key).version

    before, failure = area.tried(present)
    if before is None:
        text = "nothing to update" if failure is None else failure.text
        return all_not_applicable(("update", "stale-update"), text)
    fresh, failure = area.tried(lambda: place.replace(key, b"third", before))
    if failure is not None:
        fails = judged("update", failure, _UNSAFE)
        return [fails, not_applicable("stale-update", "there was no update to fall behind")]
    if fresh is None:
        fails = failed("update", "an update of the present version was refused", _UNSAFE)
        return [fails, not_applicable("stale-update", "there was no update to fall behind")]
    works = passed("update", "an update of the present version was accepted")
    late, failure = area.tried(lambda: (place.replace(key, b"late", before), place.get(key).data))
    if failure is not None:
        return [works, judged("stale-update", failure, _UNSAFE)]
    if late != (None, b"third"):
        said = "an update of an older version was carried out: the other commit would be lost"
        return [works, failed("stale-update", said, _UNSAFE)]
    return [works, passed("stale-update", "an update of an older version was refused")]


def _missing(area: ScratchArea, key: str) -> Check:
    place, absent = area.place, area.absent()

    def revive() -> bool:
        version = place.get(key).version
        return place.replace(absent, b"revived", version) is None and place.head(absent) is None

    refused, failure = area.tried(revive)
    if failure is not None and failure.cause is Cause.MISSING:
        return not_applicable("missing-update", "there was nothing to compare with")
    if failure is not None:
        return judged("missing-update", failure, _UNSAFE)
    if not refused:
        return failed("missing-update", "an object that did not exist was created", _UNSAFE)
    return passed("missing-update", "refused")


def deletion(area: ScratchArea) -> Check:
    """Delete all that was written, and check that it is gone."""
    if area.why_not_written:
        return not_applicable("delete", area.why_not_written)
    keys = area.keys()

    def remove() -> list[str]:
        area.place.delete(keys)
        remove_folders(area.place, area.prefix)
        return [info.key for info in area.place.list(area.prefix)]

    left, failure = area.tried(remove)
    where = f"`{area.prefix}/` in {area.place.identity}"
    if failure is not None:
        return judged("delete", failure, f"grant the permission to delete; remove {where} by hand")
    if left:
        said = f"{len(left)} of the objects that were written are still there"
        return failed("delete", said, f"remove {where} by hand")
    area.dirty = False
    return passed("delete", "everything that was written here is removed")
