"""Expiration: what leaves history, what stays, what survivors remember."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import zarr

import icechunk
from tests.maintenance.histories import (
    FAR,
    ROOT,
    amend,
    at,
    cells,
    commit,
    flush,
    messages,
    moment,
    names,
    pruned,
    start,
)
from tests.repositories import edit

PAST = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture(params=[1, 2])
def repo(request: pytest.FixtureRequest) -> icechunk.Repository:
    return start(spec_version=request.param)


def c0_of(repo: icechunk.Repository) -> str:
    return next(info.id for info in repo.ancestry(branch="main") if info.message == "c0")


# -- both spec versions ----------------------------------------------------------------------------


def test_the_cut_off_is_exclusive(repo: icechunk.Repository) -> None:
    oldest, first = c0_of(repo), commit(repo, 2)
    commit(repo, 3)
    written = repo.lookup_snapshot(first).written_at
    assert repo.expire_snapshots(written) == {oldest}
    assert messages(repo) == ["c3", "c2"]


def test_nothing_is_deleted(repo: icechunk.Repository) -> None:
    for value in (2, 3):
        commit(repo, value)
    before = {kind: names(repo, kind) for kind in ("snapshots", "manifests", "chunks")}
    assert len(repo.expire_snapshots(FAR)) >= 2
    assert {kind: names(repo, kind) for kind in before} == before
    assert cells(repo) == [3, 1, 1, 1]


def test_r23_commits_go_on_after_expiration_with_any_time(repo: icechunk.Repository) -> None:
    commit(repo, 2)
    assert repo.expire_snapshots(PAST) == set()
    assert messages(repo) == ["c2", "c0"]
    commit(repo, 3)
    repo.expire_snapshots(FAR)
    assert messages(repo) == ["c3"]
    for value in (4, 5):
        commit(repo, value)
    assert messages(repo) == ["c5", "c4", "c3"]
    repo.expire_snapshots(FAR)
    assert messages(repo) == ["c5"]
    assert cells(repo) == [5, 1, 1, 1]


def test_r24_a_cut_off_after_the_tip_expires_all_but_the_tip(repo: icechunk.Repository) -> None:
    oldest, middle, tip = c0_of(repo), commit(repo, 2), commit(repo, 3)
    # Where history is in the files, the tip that stays is reported too, as the reference does.
    assert repo.expire_snapshots(FAR) - {tip} == {oldest, middle}
    assert repo.expire_snapshots(FAR) == set()
    assert [info.id for info in repo.ancestry(branch="main")] == [tip, ROOT]


def test_r25_expired_refs_are_deleted_when_asked(repo: icechunk.Repository) -> None:
    old = commit(repo, 2)
    repo.create_branch("old", old)
    repo.create_tag("old", old)
    repo.create_tag("gone", old)
    repo.delete_tag("gone")
    then = moment()
    young = commit(repo, 3)
    repo.create_branch("young", young)
    repo.create_tag("young", young)
    repo.expire_snapshots(then, delete_expired_branches=True)
    assert repo.list_branches() == {"main", "young"}
    assert repo.list_tags() == {"old", "young"}
    repo.expire_snapshots(then, delete_expired_tags=True)
    assert repo.list_tags() == {"young"}
    for name in ("old", "gone"):
        with pytest.raises(icechunk.AlreadyExistsError):
            repo.create_tag(name, young)
    assert cells(repo, "young") == [3, 1, 1, 1]


def test_r26_a_branch_that_shares_mains_tip_goes_when_it_is_old(repo: icechunk.Repository) -> None:
    tip = commit(repo, 2)
    repo.create_branch("shared", tip)
    repo.create_tag("shared", tip)
    repo.expire_snapshots(FAR, delete_expired_branches=True, delete_expired_tags=True)
    assert repo.list_branches() == {"main"}
    assert repo.list_tags() == set()
    assert repo.lookup_branch("main") == tip
    assert messages(repo) == ["c2"]


def test_kept_refs_keep_their_tips(repo: icechunk.Repository) -> None:
    tagged = commit(repo, 2)
    repo.create_tag("tagged", tagged)
    repo.create_branch("side", commit(repo, 3))
    commit(repo, 9, branch="side")
    commit(repo, 4)
    repo.expire_snapshots(FAR)
    assert at(repo, repo.lookup_tag("tagged")) == [2, 1, 1, 1]
    assert cells(repo, "side") == [9, 1, 1, 1]
    assert messages(repo) == ["c4"]
    assert messages(repo, "side") == ["c9"]
    assert [info.message for info in repo.ancestry(tag="tagged")][:-1] == ["c2"]


def test_naive_times_and_wrong_flags_are_refused(repo: icechunk.Repository) -> None:
    with pytest.raises(TypeError, match="non-None tzinfo"):
        repo.expire_snapshots(datetime(2030, 1, 1))
    with pytest.raises(TypeError, match="delete_expired_tags"):
        repo.expire_snapshots(FAR, delete_expired_tags=1)  # type: ignore[arg-type]


async def test_it_has_an_asynchronous_twin(repo: icechunk.Repository) -> None:
    commit(repo, 2)
    assert c0_of(repo) in await repo.expire_snapshots_async(FAR)


def test_another_handle_goes_on_where_history_was_cut(repo: icechunk.Repository) -> None:
    other = icechunk.Repository.open(repo.storage)
    for value in (2, 3):
        commit(repo, value)
    assert messages(other) == ["c3", "c2", "c0"]
    repo.expire_snapshots(FAR)
    repo.garbage_collect(FAR)
    assert commit(other, 4)
    assert messages(repo)[0] == messages(other)[0] == "c4"


# -- spec 2 ----------------------------------------------------------------------------------------


def chain(repo: icechunk.Repository, count: int = 5) -> list[str]:
    """Ids of ``c0`` and of `count` further commits."""
    first = c0_of(repo)
    return [first, *(commit(repo, value + 10) for value in range(count))]


def test_survivors_remember_every_ancestor_in_between() -> None:
    # init, s0..s5; a tag at s1, a branch at s2, the cut-off after s3
    repo = start()
    s = chain(repo, 3)
    repo.create_tag("t1", s[1])
    repo.create_branch("old", s[2])
    then = moment()
    s += [commit(repo, value) for value in (14, 15)]
    assert repo.expire_snapshots(then) == {s[0], s[3]}
    parents = {id: repo.lookup_snapshot(id).parent_id for id in (s[1], s[2], s[4], s[5])}
    assert parents == {s[1]: ROOT, s[2]: s[1], s[4]: ROOT, s[5]: s[4]}
    assert pruned(repo) == {
        ROOT: [], s[1]: [s[0]], s[2]: [], s[4]: [s[0], s[1], s[2], s[3]], s[5]: []
    }  # fmt: skip
    for lost in (s[0], s[3]):
        with pytest.raises(icechunk.SnapshotNotFoundError):
            repo.lookup_snapshot(lost)


def test_snapshots_without_a_ref_expire_too() -> None:
    repo = start()
    oldest, loose, replaced = c0_of(repo), flush(repo, 7), commit(repo, 2)
    amend(repo, 3)
    assert repo.expire_snapshots(FAR) == {oldest, loose, replaced}
    assert messages(repo) == ["c3"]
    assert cells(repo) == [3, 1, 1, 1]


def test_the_run_is_on_record_also_when_nothing_expires() -> None:
    repo = start()
    repo.expire_snapshots(PAST)
    assert isinstance(next(repo.ops_log()).kind, icechunk.UpdateType.ExpirationRan)


def test_refs_at_the_first_snapshot_stay() -> None:
    repo = start()
    repo.create_branch("empty", ROOT)
    repo.create_tag("empty", ROOT)
    repo.expire_snapshots(FAR, delete_expired_branches=True, delete_expired_tags=True)
    assert repo.list_branches() == {"main", "empty"}
    assert repo.list_tags() == {"empty"}


def test_r30_diff_tells_everything_after_expiration() -> None:
    repo = start()
    a, b, c = (commit(repo, value, where=value) for value in (1, 2, 3))
    session = repo.writable_session("main")
    zarr.create_group(session.store, path="g")
    d = session.commit("d")
    assert repo.expire_snapshots(repo.lookup_snapshot(c).written_at) >= {a, b}
    assert repo.lookup_snapshot(c).parent_id == ROOT
    told = repo.diff(from_snapshot_id=ROOT, to_snapshot_id=d)
    assert told.new_groups == {"/", "/g"}
    assert told.new_arrays == {"/a"}
    assert sorted(told.updated_chunks["/a"]) == [[0], [1], [2], [3]]
    repo.garbage_collect(FAR)
    assert repo.diff(from_snapshot_id=ROOT, to_snapshot_id=d) == told
    assert repo.inspect_transaction_log(a)["updated_chunks"]


def test_r30_a_rebase_over_expired_commits_meets_their_conflicts() -> None:
    repo = start()
    then = moment()
    session = repo.writable_session("main")
    edit(session, 2, 50)
    commit(repo, 2, where=2)
    tip = commit(repo, 3, where=3)
    repo.expire_snapshots(repo.lookup_snapshot(tip).written_at)
    repo.garbage_collect(then)
    with pytest.raises(icechunk.RebaseFailedError) as failure:
        session.rebase(icechunk.ConflictDetector())
    assert any(
        conflict.conflict_type == icechunk.ConflictType.ChunkDoubleUpdate
        and conflict.conflicted_chunks == [[2]]
        for conflict in failure.value.conflicts
    )


def test_amending_after_expiration_keeps_what_the_tip_remembered() -> None:
    repo = start()
    first, tip = commit(repo, 2), commit(repo, 3)
    repo.expire_snapshots(FAR)
    new = amend(repo, 4)
    assert pruned(repo)[new] == pruned(repo)[tip] != []
    assert first in pruned(repo)[new]
    told = repo.diff(from_snapshot_id=ROOT, to_snapshot_id=new)
    assert told.new_arrays == {"/a"}


def test_r31_what_was_remembered_is_added_to_not_replaced() -> None:
    repo = start()
    ids = [commit(repo, value) for value in (2, 3, 4, 5)]
    repo.expire_snapshots(repo.lookup_snapshot(ids[1]).written_at)
    assert pruned(repo)[ids[1]] == [ids[0]] or pruned(repo)[ids[1]][1:] == [ids[0]]
    once = pruned(repo)[ids[1]]
    # a second expiration further on, after a detour of the branch and a collection
    repo.create_tag("tip", ids[3])
    repo.reset_branch("main", ids[1])
    repo.garbage_collect(FAR)
    repo.reset_branch("main", ids[3])
    repo.expire_snapshots(repo.lookup_snapshot(ids[3]).written_at)
    assert pruned(repo)[ids[3]] == [*once, ids[1], ids[2]]
    told = repo.diff(from_snapshot_id=ROOT, to_snapshot_id=ids[3])
    assert told.new_arrays == {"/a"}


def test_r32_expired_commits_stay_expired_after_resets() -> None:
    repo = start()
    ids = [commit(repo, value) for value in range(2, 9)]
    repo.reset_branch("main", ids[3])
    expired = repo.expire_snapshots(repo.lookup_snapshot(ids[3]).written_at)
    assert set(ids[:3]) <= expired
    for lost in ids[:3]:
        with pytest.raises(icechunk.SnapshotNotFoundError):
            repo.reset_branch("main", lost)
    repo.reset_branch("main", ids[5])
    assert messages(repo) == ["c7", "c6", "c5"]
    repo.garbage_collect(FAR)
    assert cells(repo) == [7, 1, 1, 1]
    with pytest.raises(icechunk.SnapshotNotFoundError):
        repo.lookup_snapshot(ids[6])


def test_a_read_only_repository_is_left_alone() -> None:
    repo = start()
    commit(repo, 2)
    make_read_only(repo)
    with pytest.raises(icechunk.ReadOnlyError, match="Cannot expire") as refusal:
        repo.expire_snapshots(FAR)
    assert refusal.value.kind == icechunk.ErrorKind.READ_ONLY_REPOSITORY


def make_read_only(repo: icechunk.Repository) -> None:
    from icechunk.core.clock import now_us
    from icechunk.spec.repo.updates import RepoStatusValue

    status = RepoStatusValue(1, now_us(), "maintenance")
    repo._ctx.ref_store.update(lambda state, stamp: state.with_status(status, stamp))


# -- spec 1 ----------------------------------------------------------------------------------------


def test_files_of_expired_snapshots_of_spec_1_can_still_be_read(tmp_path: Path) -> None:
    repo = start("local", tmp_path, spec_version=1)
    old = commit(repo, 2)
    commit(repo, 3)
    repo.expire_snapshots(FAR)
    assert messages(repo) == ["c3"]
    assert at(repo, old) == [2, 1, 1, 1]
    repo.reset_branch("main", old)
    assert messages(repo) == ["c2", "c0"]
    repo.garbage_collect(FAR)
    assert cells(repo) == [2, 1, 1, 1]


def test_old_refs_of_spec_1_at_the_first_snapshot_go_like_in_the_reference() -> None:
    repo = start(spec_version=1)
    repo.create_branch("empty", ROOT)
    repo.create_tag("empty", ROOT)
    repo.expire_snapshots(FAR, delete_expired_branches=True, delete_expired_tags=True)
    assert repo.list_branches() == {"main"}
    assert repo.list_tags() == set()
