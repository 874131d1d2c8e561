"""Does the storage keep what is written, and are conditions conditions?"""

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


def objects(bench: ScratchArea) -> list[Check]:
    """Write an object, read it back whole and in parts."""
    if bench.why_not_written:
        written = not_applicable("write", bench.why_not_written)
        return [written, *_reading_only(bench)]
    data = secrets.token_bytes(_SIZE)
    key = bench.key("object")

    def write() -> None:
        bench.dirty = True
        bench.place.put(key, data)
        bench.place.sync([key])

    _, trouble = bench.tried(write)
    if trouble is not None:
        if trouble.cause is not Cause.NOT_TRIED:
            bench.end_writing("nothing could be written")
        checks = [judged("write", trouble, _GRANT)]
        why = bench.bounds.why_not or "nothing was written to read"
        return [*checks, *all_not_applicable(("read", "range"), why)]
    bench.sizes[key] = len(data)
    back, trouble = bench.tried(lambda: bench.place.get(key).data)
    if trouble is not None:
        read = judged("read", trouble, _BROKEN)
    elif back != data:
        read = failed("read", f"{len(back or b'')} bytes came back that were not written", _BROKEN)
    else:
        read = passed("read", f"{_SIZE} bytes came back as they were written")
    return [passed("write", "works"), read, _ranges(bench, key, data)]


def _reading_only(bench: ScratchArea) -> list[Check]:
    """Read the repository's own file, where there is one."""
    data, trouble = bench.tried(lambda: bench.storage.get(REPO).data)
    if data is None or not data:
        missing = trouble is not None and trouble.cause in (Cause.MISSING, Cause.DENIED)
        why = "nothing to read" if missing or trouble is None else trouble.text
        return all_not_applicable(("read", "range"), why)
    return [
        passed("read", f"`{REPO}` was read, {len(data):,} bytes"),
        _ranges(bench, REPO, bytes(data)),
    ]


def _ranges(bench: ScratchArea, key: str, data: bytes) -> Check:
    """Read the beginning, the middle, the end, and what is beyond it."""
    storage = bench.storage if key == REPO else bench.place
    size = len(data)
    for what, offset, length in (
        ("the beginning", 0, min(10, size)),
        ("the middle", size // 2, min(24, size - size // 2)),
        ("the end", max(size - 10, 0), min(10, size)),
    ):
        got, trouble = bench.tried(partial(storage.read_range, key, offset, length))
        if trouble is not None:
            whole = "non-partial response" in trouble.text
            said = "the whole object was sent" if whole else trouble.text
            return judged("range", trouble._replace(text=f"{what}: {said}"), _RANGES)
        if got is None or bytes(got) != data[offset : offset + length]:
            return failed("range", f"{what} comes back wrong", _RANGES)
    beyond, trouble = bench.tried(_beyond(lambda: storage.read_range(key, size - 4, 64)))
    if trouble is not None:
        return judged("range", trouble, _RANGES)
    if not beyond:
        return failed("range", "a range beyond the end was answered as if it were there", _RANGES)
    return passed("range", "beginning, middle and end are right, beyond the end is refused")


def _beyond(read: Callable[[], object]) -> Callable[[], bool]:
    """Return a call that tells whether a read is refused for the object's size."""

    def refused() -> bool:
        try:
            read()
        except StorageError as error:
            if error.kind != ErrorKind.INVALID_OBJECT_SIZE:
                raise
            return True
        return False

    return refused


def conditions(bench: ScratchArea) -> list[Check]:
    """Write on conditions that hold and on some that do not."""
    names = ("create", "update", "stale-update", "missing-update")
    if bench.why_not_written:
        return all_not_applicable(names, bench.why_not_written)
    key = bench.key("condition")
    return [_create(bench, key), *_updates(bench, key), _missing(bench, key)]


def _create(bench: ScratchArea, key: str) -> Check:
    place = bench.place
    first, trouble = bench.tried(lambda: place.create(key, b"first"))
    if trouble is not None:
        return judged("create", trouble, _UNSAFE)
    if first is None:
        return failed("create", "a new object was refused as if it were there", _UNSAFE)
    second, trouble = bench.tried(lambda: (place.create(key, b"second"), place.get(key).data))
    if trouble is not None:
        return judged("create", trouble, _UNSAFE)
    if second != (None, b"first"):
        return failed("create", "an object that was there was overwritten", _UNSAFE)
    return passed("create", "made once; the second one was refused")


def _updates(bench: ScratchArea, key: str) -> list[Check]:
    place = bench.place

    def present() -> str:
        if place.head(key) is None:  # it could not be created: that is another matter
            place.put(key, b"first")
        return place.get(key).version

    before, trouble = bench.tried(present)
    if before is None:
        text = "nothing to update" if trouble is None else trouble.text
        return all_not_applicable(("update", "stale-update"), text)
    fresh, trouble = bench.tried(lambda: place.replace(key, b"third", before))
    if trouble is not None:
        fails = judged("update", trouble, _UNSAFE)
        return [fails, not_applicable("stale-update", "there was no update to fall behind")]
    if fresh is None:
        fails = failed("update", "an update of the present version was refused", _UNSAFE)
        return [fails, not_applicable("stale-update", "there was no update to fall behind")]
    works = passed("update", "an update of the present version was accepted")
    late, trouble = bench.tried(lambda: (place.replace(key, b"late", before), place.get(key).data))
    if trouble is not None:
        return [works, judged("stale-update", trouble, _UNSAFE)]
    if late != (None, b"third"):
        said = "an update of an older version was carried out: the other commit would be lost"
        return [works, failed("stale-update", said, _UNSAFE)]
    return [works, passed("stale-update", "an update of an older version was refused")]


def _missing(bench: ScratchArea, key: str) -> Check:
    place, absent = bench.place, bench.absent()

    def revive() -> bool:
        version = place.get(key).version
        return place.replace(absent, b"revived", version) is None and place.head(absent) is None

    refused, trouble = bench.tried(revive)
    if trouble is not None and trouble.cause is Cause.MISSING:
        return not_applicable("missing-update", "there was nothing to compare with")
    if trouble is not None:
        return judged("missing-update", trouble, _UNSAFE)
    if not refused:
        return failed("missing-update", "an object that was not there was made", _UNSAFE)
    return passed("missing-update", "refused")


def deletion(bench: ScratchArea) -> Check:
    """Remove all that was written, and look."""
    if bench.why_not_written:
        return not_applicable("delete", bench.why_not_written)
    keys = bench.keys()

    def remove() -> list[str]:
        bench.place.delete(keys)
        remove_folders(bench.place, bench.prefix)
        return [info.key for info in bench.place.list(bench.prefix)]

    left, trouble = bench.tried(remove)
    where = f"`{bench.prefix}/` in {bench.place.identity}"
    if trouble is not None:
        return judged("delete", trouble, f"grant the permission to delete; remove {where} by hand")
    if left:
        said = f"{len(left)} of the objects that were written are still there"
        return failed("delete", said, f"remove {where} by hand")
    bench.dirty = False
    return passed("delete", "everything that was written here is removed")
