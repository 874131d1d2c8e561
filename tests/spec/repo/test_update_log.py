from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.errors import FormatError
from icechunk.core.ids import ObjectId
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.update_log import Stamp, UpdateLog, check_decreasing
from icechunk.spec.repo.updates import Update
from tests.spec.states import logs, update_kinds


@given(update_kinds)
def test_every_kind_survives_the_records(kind: u.UpdateKind) -> None:
    assert UpdateLog.from_updates([Update(kind, 7)])[0] == Update(kind, 7)


def test_there_are_sixteen_kinds() -> None:
    assert sorted(kind.TAG for kind in u.UpdateKind.__args__) == list(range(17))


@given(logs())
def test_a_log_is_a_sequence_of_updates(updates: list[Update]) -> None:
    log = UpdateLog.from_updates(updates)
    assert list(log) == updates
    assert log[0] == updates[0]
    assert log[-1] == updates[-1]
    assert log[1:3] == updates[1:3]
    assert len(log) == len(updates)
    assert check_decreasing(log.times)
    with pytest.raises(IndexError):
        log[len(updates)]


@given(logs(), update_kinds, st.integers(1, 8))
def test_a_push_follows_the_rules_of_the_format(
    updates: list[Update], kind: u.UpdateKind, limit: int
) -> None:
    at = updates[0].updated_at + 1
    log, before = UpdateLog.from_updates(updates).pushed(kind, Stamp(at, "backup", limit))
    whole = [Update(kind, at), updates[0]._replace(backup_path="backup"), *updates[1:]]
    cuts = [k for k in range(limit, len(whole)) if whole[k].backup_path is not None]
    cut = cuts[0] if cuts else len(whole)
    assert list(log) == whole[:cut]
    assert before == (whole[cut].backup_path if cuts else None)


def test_a_log_whose_newest_entry_has_a_backup_cannot_grow() -> None:
    log = UpdateLog.from_updates([Update(u.GCRan(), 1, "repo.1")])
    with pytest.raises(FormatError, match="last element has backup path"):
        log.pushed(u.GCRan(), Stamp(2, "repo.2", 10))


def test_a_long_log_stays_small_while_it_moves_on() -> None:
    log = UpdateLog.from_updates([Update(u.RepoInitialized(), 0)])
    for k in range(1, 300):
        log, _ = log.pushed(u.NewCommit("main", bytes(12)), Stamp(k, f"repo.{k:020}", 20))
    assert len(log) == 20
    assert len(log.backups.data) < 3 * 20 * 36
    assert len(log.texts.data) == 12
    assert [update.updated_at for update in log] == list(range(299, 279, -1))


def test_kinds_with_the_same_fields_differ() -> None:
    tag, branch = (kind("a", ObjectId(bytes(12))) for kind in (u.TagDeleted, u.BranchDeleted))
    assert tag != branch
    assert len({tag, branch}) == 2
    assert u.GCRan() != u.ExpirationRan()
    assert u.GCRan() == u.GCRan()
    assert repr(u.GCRan()) == "GCRan()"
    assert bool(u.GCRan())
