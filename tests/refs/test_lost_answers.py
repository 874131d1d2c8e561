"""A write whose answer is lost, and that is overwritten before it is read again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
import zarr

import icechunk
from icechunk.storage.base import Storage
from icechunk.storage.wrapper import Call, StorageWrapper

T = TypeVar("T")


class Forgetful(StorageWrapper):
    """Says once that a replacement lost the race, although it was carried out."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.afterwards: Callable[[], object] | None = None

    def around(self, call: Call, run: Callable[[], T]) -> T:
        result = run()
        if call.verb == "replace" and self.afterwards is not None:
            afterwards, self.afterwards = self.afterwards, None
            afterwards()
            return None  # type: ignore[return-value]
        return result


@pytest.mark.parametrize("verb", ["commit", "amend"])
@pytest.mark.parametrize("others_write", [False, True])
def test_a_commit_that_landed_is_no_conflict(verb: str, others_write: bool) -> None:
    inner = icechunk.in_memory_storage()
    storage = Forgetful(inner)
    repo = icechunk.Repository.create(storage)
    session = repo.writable_session("main")
    zarr.open_group(session.store, mode="a")
    session.commit("group")

    def afterwards() -> None:
        if others_write:
            other = icechunk.Repository.open(inner).writable_session("main")
            zarr.open_group(other.store, mode="a").create_group("theirs")
            other.commit("theirs")

    session = repo.writable_session("main")
    zarr.open_group(session.store, mode="a").create_group("mine")
    storage.afterwards = afterwards
    tip = getattr(session, verb)("mine")
    messages = [each.message for each in repo.ancestry(branch="main")]
    assert messages.count("mine") == 1
    assert (messages[0] == "theirs") is others_write
    assert repo.readonly_session(snapshot_id=tip) is not None
    assert "mine" in zarr.open_group(repo.readonly_session("main").store, mode="r")
