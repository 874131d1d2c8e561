from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from icechunk.core.errors import IcechunkError
from icechunk.core.ids import INITIAL_SNAPSHOT_ID, ObjectId, id_text
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.update_log import Stamp
from icechunk.spec.repo.updates import RepoStatusValue

START = 1_700_000_000_000_000
ROOT = SnapshotRecord(INITIAL_SNAPSHOT_ID, None, START, "Repository initialized", {"root": True})


def number(k: int) -> ObjectId:
    return ObjectId(k.to_bytes(12, "big")) if k else INITIAL_SNAPSHOT_ID


def record(k: int, parent: int, at: int | None = None) -> SnapshotRecord:
    return SnapshotRecord(number(k), number(parent), START + k if at is None else at, f"commit {k}")


class Clock:
    """Arguments that every change takes, a second apart."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, limit: int = 1000) -> Stamp:
        self.count += 1
        return Stamp(START + self.count * 1_000_000, f"repo.{self.count}", limit)


@pytest.fixture
def now() -> Clock:
    return Clock()


@pytest.fixture
def state(now: Clock) -> RepoState:
    """History 0 - 1 - 2 - 3 on main, branch `dev` at 1 - 4, tag `v1` at 2."""
    made = RepoState.initial(ROOT, None, START)
    for k in (1, 2, 3):
        made = made.with_commit("main", number(k - 1), record(k, k - 1), now())
    made = made.with_branch("dev", number(1), now())
    made = made.with_commit("dev", number(1), record(4, 1), now())
    return made.with_tag("v1", number(2), now())


def refused(kind: str, change: Callable[[], object]) -> str:
    with pytest.raises(IcechunkError) as caught:
        change()
    assert caught.value.kind == kind
    return str(caught.value)


def newest(state: RepoState) -> u.UpdateKind:
    return state.updates[0].kind


def test_a_new_repository_has_main_and_one_update() -> None:
    state = RepoState.initial(ROOT, {"a": 1}, START + 5)
    assert state.branches == {"main": ROOT.id}
    assert list(state.snapshots) == [ROOT]
    assert [(x.kind, x.updated_at, x.backup_path) for x in state.updates] == [
        (u.RepoInitialized(), START + 5, None)
    ]
    assert state.config == {"a": 1}


def test_a_commit_moves_its_branch_and_is_logged(state: RepoState, now: Clock) -> None:
    after = state.with_commit("main", number(3), record(5, 3), now())
    assert after.branch_tip("main") == number(5)
    assert after.branch_tip("dev") == number(4)
    assert newest(after) == u.NewCommit("main", number(5))
    assert after.updates[0].backup_path is None
    assert after.updates[1].backup_path == f"repo.{now.count}"
    assert state.branch_tip("main") == number(3)
    assert number(5) not in state.snapshots


def test_a_commit_on_a_moved_branch_is_a_conflict(state: RepoState, now: Clock) -> None:
    text = refused(
        "commit-conflict",
        lambda: state.with_commit("main", number(2), record(5, 2), now()),
    )
    ids = (id_text(number(2)), id_text(number(3)))
    assert (
        text == 'Failed to commit, expected parent: Some("%s"), actual parent: Some("%s")' % ids  # noqa: UP031
    )


def test_a_commit_on_a_deleted_branch_says_so(state: RepoState, now: Clock) -> None:
    gone = state.without_branch("dev", now())
    text = refused(
        "branch-not-found", lambda: gone.with_commit("dev", number(4), record(5, 4), now())
    )
    assert text.startswith("branch not found `dev`")


def test_a_commit_is_later_than_its_parent_and_new(state: RepoState, now: Clock) -> None:
    late = record(5, 3, at=START + 3)
    refused("snapshot-timestamp", lambda: state.with_commit("main", number(3), late, now()))
    again = record(2, 3, at=START + 9)
    refused("duplicate-snapshot-id", lambda: state.with_commit("main", number(3), again, now()))


def test_an_amend_takes_the_place_of_the_tip(state: RepoState, now: Clock) -> None:
    pruned = replace(record(5, 3), pruned=(number(77),))
    state = state.with_commit("main", number(3), pruned, now())
    after = state.with_amend("main", number(5), replace(record(6, 0), parent_id=None), now())
    amended = after.snapshot(number(6))
    assert amended is not None
    assert amended.parent_id == number(3)
    assert amended.pruned == (number(77),)
    assert after.branch_tip("main") == number(6)
    assert number(5) in after.snapshots
    assert newest(after) == u.CommitAmended("main", number(5), number(6))


def test_the_first_commit_cannot_be_amended(now: Clock) -> None:
    state = RepoState.initial(ROOT, None, START)
    refused(
        "no-amend-for-initial-commit",
        lambda: state.with_amend("main", ROOT.id, record(1, 0), now()),
    )


def test_a_detached_snapshot_moves_no_branch(state: RepoState, now: Clock) -> None:
    after = state.with_detached(record(5, 3), now())
    assert after.branches == state.branches
    assert number(5) in after.snapshots
    assert newest(after) == u.NewDetachedSnapshot(number(5))
    refused("snapshot-not-found", lambda: state.with_detached(record(6, 99), now()))


def test_branches_come_and_go(state: RepoState, now: Clock) -> None:
    assert newest(state.with_branch("new", number(2), now())) == u.BranchCreated("new")
    text = refused("branch-already-exists", lambda: state.with_branch("dev", number(2), now()))
    assert text.startswith(f"branch already exists `dev -> {id_text(number(4))}`")
    refused("snapshot-not-found", lambda: state.with_branch("new", number(99), now()))
    gone = state.without_branch("dev", now())
    assert newest(gone) == u.BranchDeleted("dev", number(4))
    refused("ref-not-found", lambda: gone.branch_tip("dev"))
    refused("ref-not-found", lambda: gone.without_branch("dev", now()))
    refused("cannot-delete-main", lambda: state.without_branch("main", now()))
    assert gone.with_branch("dev", number(1), now()).branch_tip("dev") == number(1)


def test_any_text_names_a_branch_or_tag(state: RepoState, now: Clock) -> None:
    for name in ("", "a/b", "ünï\ncode", " "):
        state = state.with_branch(name, number(1), now()).with_tag(name, number(1), now())
        assert state.branch_tip(name) == state.tag_target(name) == number(1)


def test_a_branch_is_reset_to_any_snapshot(state: RepoState, now: Clock) -> None:
    after = state.with_branch_reset("dev", number(3), now())
    assert after.branch_tip("dev") == number(3)
    assert newest(after) == u.BranchReset("dev", number(4))
    guarded = state.with_branch_reset("dev", number(3), now(), number(4))
    assert guarded.branch_tip("dev") == number(3)
    text = refused(
        "branch-update-conflict",
        lambda: state.with_branch_reset("dev", number(99), now(), number(3)),
    )
    expected, actual = id_text(number(3)), id_text(number(4))
    assert f"`(Some({expected})) != (Some({actual}))`" in text
    refused("snapshot-not-found", lambda: state.with_branch_reset("dev", number(99), now()))
    refused("ref-not-found", lambda: state.with_branch_reset("none", number(1), now()))


def test_a_tag_name_is_used_once(state: RepoState, now: Clock) -> None:
    refused("snapshot-not-found", lambda: state.with_tag("v1", number(99), now()))
    refused("tag-already-exists", lambda: state.with_tag("v1", number(1), now()))
    gone = state.without_tag("v1", now())
    assert newest(gone) == u.TagDeleted("v1", number(2))
    assert gone.deleted_tags == {"v1"}
    refused("ref-not-found", lambda: gone.tag_target("v1"))
    refused("ref-not-found", lambda: gone.without_tag("v1", now()))
    refused("tag-previously-deleted", lambda: gone.with_tag("v1", number(1), now()))


def test_flags_turn_features_off(state: RepoState, now: Clock) -> None:
    off = state.with_flag("create_tag", False, now()).with_flag("delete_tag", False, now())
    assert newest(off) == u.FeatureFlagChanged(5, False)
    text = refused("feature-flag-disabled", lambda: off.with_tag("x", number(1), now()))
    assert text.startswith("tag creation is disabled by a feature flag (create_tag)")
    text = refused("feature-flag-disabled", lambda: off.without_tag("v1", now()))
    assert text.startswith("tag delete is disabled by a feature flag (delete_tag)")
    assert off.flag("move_node")
    assert off.flags_disabled == {4, 5}
    assert off.flags_enabled == frozenset()
    on = off.with_flag("create_tag", None, now()).with_flag("move_node", True, now())
    assert on.flag("create_tag")
    assert (on.flags_enabled, on.flags_disabled) == ({3}, {5})
    refused("invalid-feature-flag", lambda: state.with_flag("nope", True, now()))
    unknown = replace(state, flags_enabled=frozenset({900}))
    assert 900 in unknown.with_flag("move_node", False, now()).flags_enabled


def test_config_and_metadata_are_replaced(state: RepoState, now: Clock) -> None:
    after = state.with_config({"x": 1}, now()).with_metadata({"m": [1]}, now())
    assert (after.config, after.metadata) == ({"x": 1}, {"m": [1]})
    assert [x.kind for x in after.updates[:2]] == [u.MetadataChanged(), u.ConfigChanged()]


def test_a_read_only_repository_takes_nothing_but_a_status(state: RepoState, now: Clock) -> None:
    status = RepoStatusValue(u.READ_ONLY, START, "moving house")
    closed = state.with_status(status, now())
    assert newest(closed) == u.RepoStatusChanged(status)
    cut: Any = (u.GCRan(), [], {})
    changes: list[Callable[[], object]] = [
        lambda: closed.with_commit("main", number(3), record(5, 3), now()),
        lambda: closed.with_amend("main", number(3), record(5, 2), now()),
        lambda: closed.with_detached(record(5, 3), now()),
        lambda: closed.with_branch("new", number(1), now()),
        lambda: closed.without_branch("dev", now()),
        lambda: closed.with_branch_reset("dev", number(1), now()),
        lambda: closed.with_tag("new", number(1), now()),
        lambda: closed.without_tag("v1", now()),
        lambda: closed.with_config({}, now()),
        lambda: closed.with_metadata({}, now()),
        lambda: closed.with_flag("move_node", True, now()),
        lambda: closed.with_history_cut(*cut, now()),
    ]
    for change in changes:
        text = refused("read-only-repository", change)
        assert text.startswith("the repository status is read-only: ")
        assert 'set at 2023-11-14 22:13:20.000000 UTC, reason: Some("moving house")' in text
    opened = closed.with_status(RepoStatusValue(u.ONLINE, START), now())
    assert opened.with_branch("new", number(1), now())
    offline = closed.with_status(RepoStatusValue(u.OFFLINE, START), now())
    assert offline.with_branch("new", number(1), now())


def test_a_lagging_clock_does_not_stop_a_change(state: RepoState) -> None:
    last = state.updates[0].updated_at
    behind = state.with_metadata({}, Stamp(last - 599_000_000, "b", 10))
    assert behind.updates[0].updated_at == last + 1
    same = state.with_metadata({}, Stamp(last, "b", 10))
    assert same.updates[0].updated_at == last + 1
    refused(
        "clock-skew",
        lambda: state.with_metadata({}, Stamp(last - 601_000_000, "b", 10)),
    )


def test_the_log_goes_on_in_the_backup_of_what_was_cut(now: Clock) -> None:
    history: dict[str, RepoState] = {}
    state = RepoState.initial(ROOT, None, START)
    for k in range(12):
        stamp = now(limit=3)
        history[stamp.backup_path] = state
        state = state.with_metadata({"k": k}, stamp)
        assert len(state.updates) <= 3
    times, at = [], state
    while True:
        times += [update.updated_at for update in at.updates]
        if at.updates_before is None:
            break
        at = history[at.updates_before]
    assert len(times) == 13
    assert times == sorted(set(times), reverse=True)


def test_questions_about_history(state: RepoState) -> None:
    assert [r.id for r in state.ancestry(number(4))] == [number(4), number(1), number(0)]
    assert [r.id for r in state.ancestry(number(2))] == [number(2), number(1), number(0)]
    refused("snapshot-not-found", lambda: state.ancestry(number(99)))


def test_as_of_is_the_newest_snapshot_not_after(state: RepoState) -> None:
    assert state.as_of("main", START + 2).id == number(2)
    assert state.as_of("dev", START + 3).id == number(1)
    assert state.as_of("main", START + 10**9).id == number(3)
    text = refused("no-snapshot-at-time", lambda: state.as_of("main", START - 1))
    assert text.startswith(
        "branch main does not have a snapshots before or at 2023-11-14 22:13:19.999999 UTC"
    )
    refused("ref-not-found", lambda: state.as_of("none", START))


def test_history_is_cut_with_the_refs_on_it(state: RepoState, now: Clock) -> None:
    after = state.with_history_cut(
        u.ExpirationRan(),
        [number(1), number(2), number(4)],
        {number(3): (number(0), (number(1), number(2)))},
        now(),
        branches=["dev"],
        tags=["v1"],
    )
    assert [r.id for r in after.ancestry(number(3))] == [number(3), number(0)]
    assert after.branches == {"main": number(3)}
    assert (after.tags, after.deleted_tags) == ({}, {"v1"})
    assert newest(after) == u.ExpirationRan()
    with pytest.raises(IcechunkError, match="ref `dev`"):
        state.with_history_cut(u.GCRan(), [number(4)], {}, now())
