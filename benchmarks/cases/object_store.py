"""2,000 chunks in an S3 bucket, written and read; only where `ICECHUNK_BENCH_S3` names one.

`benchmarks/object_store.py` starts a server, sets the variable and runs these cases.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

from case import Case, Implementation, Sample, stopwatch
from stores import ARRAY, new_array, values

VARIABLE = "ICECHUNK_BENCH_S3"
"""Holds the arguments of `s3_storage` but the prefix, as JSON."""

SIZE = 2000


def _storage(implementation: Implementation, folder: Path) -> Any:
    import icechunk

    if implementation == "ours-fast":
        icechunk.fast_pipeline()
    place = json.loads(os.environ[VARIABLE])
    return icechunk.s3_storage(prefix=f"bench/{folder.name}-{os.getppid()}", **place)


def _concurrency(requests: int) -> None:
    import zarr

    zarr.config.set({"async.concurrency": requests})


def _write_once(storage: Any, chunks: int) -> Sample:
    import icechunk

    data = values(chunks)
    session = icechunk.Repository.create(storage).writable_session("main")
    array = new_array(session.store, chunks)
    with stopwatch() as watch:
        array[:] = data
        session.commit("written")
    return watch.sample()


def _write(implementation: Implementation, folder: Path, chunks: int, requests: int) -> Sample:
    _concurrency(requests)
    storage = _storage(implementation, folder.with_name(f"{folder.name}-{os.getpid()}"))
    return _write_once(storage, chunks)


def _fill(implementation: Implementation, folder: Path, chunks: int) -> None:
    _write_once(_storage(implementation, folder), chunks)


def _read(implementation: Implementation, folder: Path, chunks: int, requests: int) -> Sample:
    import zarr

    import icechunk

    _concurrency(requests)
    repo = icechunk.Repository.open(_storage(implementation, folder))
    array = zarr.open_array(repo.readonly_session("main").store, path=ARRAY, mode="r")
    array[0]
    with stopwatch() as watch:
        array[:]
    return watch.sample()


def _cold(implementation: Implementation, folder: Path, chunks: int) -> Sample:
    import zarr

    import icechunk

    storage = _storage(implementation, folder)
    _ = icechunk.Repository  # ours imports what is asked for
    if implementation != "reference":
        import obstore  # noqa: F401 - with the first request otherwise
    with stopwatch() as watch:
        repo = icechunk.Repository.open(storage)
        zarr.open_array(repo.readonly_session("main").store, path=ARRAY, mode="r")[0]
    return watch.sample()


def _cases() -> tuple[Case, ...]:
    who: tuple[Implementation, ...] = ("ours", "ours-fast", "reference")
    state = "an S3 server on the loopback interface, uncompressed codec"
    found = [
        Case(
            name="s3-cold",
            title="open a repository in S3 and read one chunk",
            state=f"{state}, imports done",
            place="memory",
            size=SIZE,
            implementations=who,
            prepare=_fill,
            measure=_cold,
            goal=1.0,
        )
    ]
    for requests in (16, 64):
        found += [
            Case(
                name=f"s3-write-{requests}",
                title=f"2,000 chunks of 64 KiB to S3 and commit, {requests} at a time",
                state=state,
                place="memory",
                size=SIZE,
                implementations=who,
                measure=functools.partial(_write, requests=requests),
                goal=1.0,
            ),
            Case(
                name=f"s3-read-{requests}",
                title=f"2,000 chunks of 64 KiB from S3, {requests} at a time",
                state=f"{state}, metadata warm",
                place="memory",
                size=SIZE,
                implementations=who,
                prepare=_fill,
                measure=functools.partial(_read, requests=requests),
                goal=1.0,
            ),
        ]
    return tuple(found)


CASES = _cases() if VARIABLE in os.environ else ()
