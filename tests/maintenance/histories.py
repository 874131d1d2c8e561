"""Repositories with a history to cut: one array of four chunks, one chunk per commit."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import zarr

import icechunk
from tests.repositories import edit, read, storage_of

FAR = datetime(2100, 1, 1, tzinfo=UTC)
ROOT = "1CECHNKREP0F1RSTCMT0"


_TICK = 0.015
"""Seconds: file systems date files by a clock that ticks every 4 to 10 ms."""


def moment() -> datetime:
    """A time after everything before it and before everything after it."""
    time.sleep(0.001)
    now = datetime.now(UTC)
    time.sleep(_TICK)
    return now


def start(
    kind: str = "memory",
    folder: Path | None = None,
    *,
    spec_version: int = 2,
    config: icechunk.RepositoryConfig | None = None,
) -> icechunk.Repository:
    """A repository with one commit, ``c0``: ``/a`` is all ones, every chunk an object of its own
    (or in packs, on local files)."""
    storage = storage_of(kind, Path() if folder is None else folder)
    config = config or icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    repo = icechunk.Repository.create(storage, config, spec_version=spec_version)
    session = repo.writable_session("main")
    zarr.create_group(session.store)
    array = zarr.create_array(
        session.store, name="a", shape=4, chunks=1, dtype="i4", fill_value=-1, compressors=None
    )
    array[:] = 1
    session.commit("c0")
    return repo


def commit(repo: icechunk.Repository, value: int, branch: str = "main", where: int = 0) -> str:
    """Write one chunk and commit it as ``c<value>``."""
    session = repo.writable_session(branch)
    edit(session, where, value)
    return session.commit(f"c{value}")


def amend(repo: icechunk.Repository, value: int, branch: str = "main", where: int = 0) -> str:
    """Write one chunk and replace the tip."""
    session = repo.writable_session(branch)
    edit(session, where, value)
    return session.amend(f"c{value}")


def flush(repo: icechunk.Repository, value: int, branch: str = "main", where: int = 0) -> str:
    """Write one chunk to a snapshot without a branch."""
    session = repo.writable_session(branch)
    edit(session, where, value)
    return session.flush(f"c{value}")


def messages(repo: icechunk.Repository, branch: str = "main") -> list[str]:
    """Commit messages, newest first, without the first snapshot's."""
    history = [info.message for info in repo.ancestry(branch=branch)]
    assert history.pop() == "Repository initialized"
    return history


def cells(repo: icechunk.Repository, branch: str = "main") -> list[int]:
    """The array at the tip of a branch."""
    return [int(value) for value in read(repo.readonly_session(branch))]


def at(repo: icechunk.Repository, snapshot_id: str) -> list[int]:
    """The array at a snapshot."""
    return [int(value) for value in read(repo.readonly_session(snapshot_id=snapshot_id))]


def names(repo: icechunk.Repository, prefix: str) -> set[str]:
    """Names of the objects below a prefix."""
    return {key for key, _ in repo.storage.list_objects(prefix=prefix)}


def count(repo: icechunk.Repository) -> dict[str, int]:
    """Number of objects of each kind."""
    kinds = ("snapshots", "transactions", "manifests", "chunks")
    return {kind: len(names(repo, kind)) for kind in kinds}


def pruned(repo: icechunk.Repository) -> dict[str, list[str]]:
    """Messages by snapshot: whose logs it remembers (spec 2), as ids."""
    from icechunk.core.ids import id_text

    state = repo._ctx.ref_store.state()
    return {id_text(r.id): [id_text(each) for each in r.pruned] for r in state.snapshots}


def later(when: datetime, seconds: float) -> datetime:
    """A time after another."""
    return when + timedelta(seconds=seconds)
