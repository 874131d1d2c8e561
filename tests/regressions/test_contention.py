"""Defects of other implementations under many writers and much data, kept from coming back."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import zarr

import icechunk
from icechunk.spec.transaction_log import codec as txlog
from tests.repositories import edit, read, storage_of, with_grid

WRITERS = 32


@pytest.mark.timeout(100)
@pytest.mark.parametrize("kind", ["memory", "local"])
@pytest.mark.parametrize("version", [1, 2])
def test_r48_many_disjoint_writers_all_come_through(kind, version, tmp_path):
    repo = icechunk.Repository.create(storage_of(kind, tmp_path), spec_version=version)
    session = repo.writable_session("main")
    zarr.create_array(
        session.store, name="a", shape=(WRITERS,), chunks=(1,), dtype="i4", fill_value=-1
    )
    base = session.commit("empty")
    sessions = [repo.writable_session("main") for _ in range(WRITERS)]
    for number, one in enumerate(sessions):
        edit(one, number, number)
    failures: list[BaseException] = []
    start = threading.Barrier(WRITERS)

    def commit(one: icechunk.Session) -> None:
        try:
            start.wait(30)
            one.commit("mine", rebase_with=icechunk.ConflictDetector())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=commit, args=(one,), daemon=True) for one in sessions]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90 - (time.monotonic() - begun))
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []
    history = list(repo.ancestry(branch="main"))
    assert [info.message for info in history[:WRITERS]] == ["mine"] * WRITERS
    assert history[WRITERS].id == base
    assert read(repo.readonly_session("main")).tolist() == list(range(WRITERS))


def test_r49_more_chunks_than_one_commit_can_tell_of_are_refused_before_anything_is_written(
    monkeypatch, tmp_path
):
    repo, tip = with_grid(storage_of("local", tmp_path))
    session = repo.writable_session("main")
    edit(session, np.s_[...], 3)
    before = {info.key for info in repo.storage.list("")}
    monkeypatch.setattr(txlog, "MAX_BODY", 100)
    with pytest.raises(icechunk.FormatError, match="cannot change 6 chunks"):
        session.commit("too many")
    assert {info.key for info in repo.storage.list("")} == before
    assert repo.lookup_branch("main") == tip
    assert len(session.status().updated_chunks["/a"]) == 6
    monkeypatch.undo()
    session.commit("fits")
    assert (read(repo.readonly_session("main")) == 3).all()
