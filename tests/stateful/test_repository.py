"""A repository against a model made of dictionaries, for both format versions.

Commits, amendments, detached snapshots, branches, tags, resets, expiration, collection, upgrade,
configuration, metadata, status and flags; the operations log names them all.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import note
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import icechunk
from icechunk.testing.invariants import assert_ancestry_invariants
from icechunk.testing.strategies import draw_older_than
from tests.stateful.effort import searched
from tests.stateful.plain_store import (
    CHUNKS,
    Content,
    array_document,
    chunk_key,
    config,
    content,
    starting_content,
    write,
)
from tests.stateful.repository_model import FIRST, Commit, Model

NAMES = st.sampled_from(["a", "b", "ab", "a.b", "ä"])
V1_NAMES = ["a", "b", "ab", "a.b"]


class RepositoryMachine(RuleBasedStateMachine):
    """One repository, changed through several handles."""

    version = 2

    @initialize(inline=st.sampled_from([0, 100]), updates=st.integers(1, 4))
    def create(self, inline: int, updates: int) -> None:
        self.storage = icechunk.in_memory_storage()
        self.repo = icechunk.Repository.create(
            self.storage, config(inline, updates), spec_version=self.version
        )
        self.model = Model(branches={"main": FIRST}, ops=["RepoInitialized"])
        self._learn(FIRST, None, {})
        self._commit_to("main", starting_content())

    # -- helpers ---------------------------------------------------------------------------------

    @property
    def is_v2(self) -> bool:
        return self.repo.spec_version == 2

    def _learn(self, snapshot_id: str, parent: str | None, held: Content) -> None:
        info = self.repo.lookup_snapshot(snapshot_id)
        self.model.commits[snapshot_id] = Commit(parent, info.written_at, held, info.message)

    def _commit_to(self, branch: str, changes: dict[str, bytes | None]) -> str:
        session = self.repo.writable_session(branch)
        return self._finish(session, branch, changes)

    def _changed(self, base: str, changes: dict[str, bytes | None]) -> Content:
        held = {**self.model.commits[base].content, **changes}
        return {key: value for key, value in held.items() if value is not None}

    def _finish(
        self, session: icechunk.Session, branch: str, changes: dict[str, bytes | None]
    ) -> str:
        base = session.snapshot_id
        for key, value in changes.items():
            write(session, key, value)
        new = session.commit("a commit", allow_empty=True)
        self._learn(new, base, self._changed(base, changes))
        self.model.branches[branch] = new
        self.model.ops.append("NewCommit")
        return new

    def _changes(self, data: st.DataObject, base: str) -> dict[str, bytes | None]:
        arrays = sum(key.endswith("/zarr.json") for key in self.model.commits[base].content)
        if not arrays:
            return dict(starting_content())
        edits = data.draw(
            st.dictionaries(
                st.tuples(st.integers(0, arrays - 1), st.integers(0, CHUNKS - 1)),
                st.one_of(st.none(), st.binary(min_size=4, max_size=4)),
                max_size=3,
            )
        )
        changes: dict[str, bytes | None] = {chunk_key(*at): value for at, value in edits.items()}
        if data.draw(st.integers(0, 4)) == 0:
            revision = data.draw(st.integers(0, 3))
            changes["a0/zarr.json"] = array_document(revision)
        return changes

    def _branch(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.model.branches)), label="branch")

    def _snapshot(self, data: st.DataObject) -> str:
        # by age: names are random, and a failing example must be repeatable
        return data.draw(st.sampled_from(list(self.model.commits)), label="snapshot")

    def _refused(self, kind: type[Exception] = icechunk.IcechunkError) -> Any:
        """What a call raises that is wrong, comes to a read-only repository, or both."""
        return pytest.raises(kind if self.model.online else icechunk.IcechunkError)

    # -- commits ---------------------------------------------------------------------------------

    @precondition(lambda self: self.model.online)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        branch = self._branch(data)
        self._commit_to(branch, self._changes(data, self.model.branches[branch]))

    @precondition(lambda self: self.model.online)
    @rule(data=st.data(), rebase=st.booleans())
    def commit_late(self, data: st.DataObject, rebase: bool) -> None:
        """Another session commits first."""
        branch = self._branch(data)
        tip = self.model.branches[branch]
        late = self.repo.writable_session(branch)
        held = self.model.commits[tip].content
        free = [chunk_key(0, chunk) for chunk in (0, 1)]
        if "a0/zarr.json" not in held:
            return
        write(late, free[0], b"late")
        first = self._commit_to(branch, {free[1]: b"soon"})
        with pytest.raises(icechunk.ConflictError):
            late.commit("too late")
        if rebase:
            new = late.commit("late", rebase_with=icechunk.ConflictDetector())
            self._learn(new, first, self._changed(first, {free[0]: b"late"}))
            self.model.branches[branch] = new
            self.model.ops.append("NewCommit")

    @precondition(lambda self: self.model.online and self.is_v2)
    @rule(data=st.data())
    def amend(self, data: st.DataObject) -> None:
        branch = self._branch(data)
        tip = self.model.branches[branch]
        session = self.repo.writable_session(branch)
        changes = self._changes(data, tip)
        for key, value in changes.items():
            write(session, key, value)
        if self.model.commits[tip].parent is None:
            with pytest.raises(icechunk.SessionStateError):
                session.amend("the first", allow_empty=True)
            return
        new = session.amend("amended", allow_empty=True)
        self._learn(new, self.model.commits[tip].parent, self._changed(tip, changes))
        self.model.branches[branch] = new
        self.model.ops.append("CommitAmended")

    @precondition(lambda self: self.model.online)
    @rule(data=st.data())
    def flush(self, data: st.DataObject) -> None:
        branch = self._branch(data)
        tip = self.model.branches[branch]
        session = self.repo.writable_session(branch)
        changes = self._changes(data, tip)
        for key, value in changes.items():
            write(session, key, value)
        new = session.flush("beside the branch")
        self._learn(new, tip, self._changed(tip, changes))
        self.model.ops.append("NewDetachedSnapshot")

    @precondition(lambda self: self.model.online)
    @rule(data=st.data())
    def rewrite(self, data: st.DataObject) -> None:
        branch = self._branch(data)
        tip = self.model.branches[branch]
        new = self.repo.rewrite_manifests("rewritten", branch=branch)
        self._learn(new, tip, dict(self.model.commits[tip].content))
        self.model.branches[branch] = new
        self.model.ops.append("NewCommit")

    # -- refs ------------------------------------------------------------------------------------

    @rule(data=st.data(), name=NAMES)
    def create_branch(self, data: st.DataObject, name: str) -> None:
        if not self.is_v2 and name not in V1_NAMES:
            return
        target = self._snapshot(data)
        if name in self.model.branches or not self.model.online:
            with self._refused():
                self.repo.create_branch(name, target)
            return
        self.repo.create_branch(name, target)
        self.model.branches[name] = target
        self.model.ops.append("BranchCreated")

    @rule(name=NAMES)
    def delete_branch(self, name: str) -> None:
        if name not in self.model.branches or not self.model.online:
            with self._refused():
                self.repo.delete_branch(name)
            return
        self.repo.delete_branch(name)
        del self.model.branches[name]
        self.model.ops.append("BranchDeleted")

    @rule()
    def main_stays(self) -> None:
        with self._refused():
            self.repo.delete_branch("main")

    @rule(data=st.data(), guard=st.sampled_from([None, "right", "wrong"]))
    def reset_branch(self, data: st.DataObject, guard: str | None) -> None:
        branch, target = self._branch(data), self._snapshot(data)
        tip = self.model.branches[branch]
        expected = {None: None, "right": tip, "wrong": "0" * 20}[guard]
        if guard == "wrong" or not self.model.online:
            with self._refused(icechunk.ConflictError):
                self.repo.reset_branch(branch, target, from_snapshot_id=expected)
            return
        self.repo.reset_branch(branch, target, from_snapshot_id=expected)
        self.model.branches[branch] = target
        self.model.ops.append("BranchReset")

    @rule(data=st.data(), name=NAMES)
    def create_tag(self, data: st.DataObject, name: str) -> None:
        if not self.is_v2 and name not in V1_NAMES:
            return
        target = self._snapshot(data)
        taken = name in self.model.tags or name in self.model.burnt
        if taken or not self.model.online or not self.model.flags.get("create_tag", True):
            with self._refused():
                self.repo.create_tag(name, target)
            return
        self.repo.create_tag(name, target)
        self.model.tags[name] = target
        self.model.ops.append("TagCreated")

    @rule(name=NAMES)
    def delete_tag(self, name: str) -> None:
        if name not in self.model.tags or not self.model.online:
            with self._refused():
                self.repo.delete_tag(name)
            return
        self.repo.delete_tag(name)
        del self.model.tags[name]
        self.model.burnt.add(name)
        self.model.ops.append("TagDeleted")

    @rule(data=st.data())
    def unknown_snapshots_are_refused(self, data: st.DataObject) -> None:
        for make in (self.repo.create_branch, self.repo.create_tag, self.repo.reset_branch):
            with self._refused():
                make("main", "0" * 20)

    # -- upkeep ----------------------------------------------------------------------------------

    @precondition(lambda self: self.model.online)
    @rule(data=st.data(), branches=st.booleans(), tags=st.booleans())
    def expire(self, data: st.DataObject, branches: bool, tags: bool) -> None:
        cutoff = draw_older_than(data, self.storage, self.repo)
        model, v2 = self.model, self.is_v2
        before = {name: model.line(tip) for name, tip in model.branches.items()}
        expired = self.repo.expire_snapshots(
            cutoff, delete_expired_branches=branches, delete_expired_tags=tags
        )
        old = {
            snapshot_id
            for snapshot_id, commit in model.commits.items()
            if commit.parent is not None and commit.written_at < cutoff
        }
        doomed = {n for n, tip in model.branches.items() if branches and n != "main" and tip in old}
        doomed_tags = {n for n, tip in model.tags.items() if tags and tip in old}
        if not v2:  # there, what is rewritten for one ref decides about the next
            doomed |= model.branches.keys() - self.repo.list_branches()
            doomed_tags |= model.tags.keys() - self.repo.list_tags()
            for tip in [model.branches[n] for n in doomed] + [model.tags[n] for n in doomed_tags]:
                assert model.commits[tip].written_at < cutoff
            assert branches or not doomed
            assert tags or not doomed_tags
        for name in doomed:
            del model.branches[name]
        for name in doomed_tags:
            del model.tags[name]
            model.burnt.add(name)
        tips = {*model.branches.values(), *model.tags.values()}
        if v2:
            released = old - tips
            assert expired == released
            self._release(released)
            model.ops.append("ExpirationRan")
        else:
            assert expired <= old
            self._relearn()
        for name in model.branches:
            line = model.line(model.branches[name])
            assert (line[0], line[-1]) == (before[name][0], before[name][-1])
            assert set(line) <= set(before[name])

    def _release(self, released: set[str]) -> None:
        """Snapshots leave; those whose parent left hang on the root of their history."""
        for snapshot_id, commit in self.model.commits.items():
            if snapshot_id not in released and commit.parent in released:
                commit.parent = self.model.line(snapshot_id)[-1]
        for snapshot_id in released:
            del self.model.commits[snapshot_id]

    def _relearn(self) -> None:
        """Take over parents as they are now (version 1 rewrites them ref by ref)."""
        for snapshot_id, commit in self.model.commits.items():
            commit.parent = self.repo.lookup_snapshot(snapshot_id).parent_id

    @precondition(lambda self: self.model.online)
    @rule(data=st.data(), dry=st.booleans())
    def collect(self, data: st.DataObject, dry: bool) -> None:
        cutoff = draw_older_than(data, self.storage, self.repo)
        summary = self.repo.garbage_collect(cutoff, dry_run=dry)
        if dry:
            return
        needed = self.model.reachable()
        for snapshot_id in list(self.model.commits):
            if snapshot_id in needed or snapshot_id not in self.model.commits:
                continue
            try:
                self.repo.lookup_snapshot(snapshot_id)
            except icechunk.SnapshotNotFoundError:
                assert self.model.commits[snapshot_id].written_at < cutoff
                assert summary.snapshots_deleted > 0 or self.is_v2
                self._forget(snapshot_id)
        if self.is_v2:
            self.model.ops.append("GCRan")

    def _forget(self, gone: str) -> None:
        """Remove a snapshot; in version 1 its children go with it: they get no new parent."""
        above = self.model.commits.pop(gone).parent
        children = [one for one, commit in self.model.commits.items() if commit.parent == gone]
        for child in children:
            if self.is_v2:
                self.model.commits[child].parent = above
            else:
                self._forget(child)

    # -- settings --------------------------------------------------------------------------------

    @rule(fresh=st.booleans())
    def another_handle(self, fresh: bool) -> None:
        self.repo = icechunk.Repository.open(self.storage) if fresh else self.repo.reopen()

    @precondition(lambda self: self.model.online)
    @rule(inline=st.sampled_from([0, 4, 100]), updates=st.integers(1, 5))
    def save_config(self, inline: int, updates: int) -> None:
        self.repo = self.repo.reopen(config(inline, updates))
        self.repo.save_config()
        stored = icechunk.Repository.fetch_config(self.storage)
        assert stored is not None
        assert stored.inline_chunk_threshold_bytes == inline
        self.model.ops.append("ConfigChanged")

    @precondition(lambda self: self.is_v2)
    @rule(
        update=st.booleans(),
        metadata=st.dictionaries(st.sampled_from("xyz"), st.integers(0, 3), max_size=2),
    )
    def set_metadata(self, update: bool, metadata: dict[str, int]) -> None:
        change = self.repo.update_metadata if update else self.repo.set_metadata
        if not self.model.online:
            with self._refused():
                change(metadata)
            return
        change(metadata)
        self.model.metadata = {**(self.model.metadata if update else {}), **metadata}
        self.model.ops.append("MetadataChanged")

    @precondition(lambda self: self.is_v2)
    @rule(online=st.booleans())
    def set_status(self, online: bool) -> None:
        kind = icechunk.RepoAvailability
        self.repo.set_status(icechunk.RepoStatus(kind.online if online else kind.read_only))
        self.model.online = online
        self.model.ops.append("RepoStatusChanged")

    @precondition(lambda self: not self.model.online)
    @rule(data=st.data())
    def no_sessions_while_read_only(self, data: st.DataObject) -> None:
        with pytest.raises(icechunk.ReadOnlyError):
            self.repo.writable_session(self._branch(data))
        tip = self.model.branches["main"]
        for change in (
            lambda: self.repo.rewrite_manifests("no", branch="main"),
            lambda: self.repo.create_branch("quite new", tip),
            lambda: self.repo.create_tag("quite new", tip),
            lambda: self.repo.reset_branch("main", tip),
            self.repo.save_config,
        ):
            with pytest.raises(icechunk.ReadOnlyError):
                change()

    @precondition(lambda self: self.is_v2 and self.model.online)
    @rule(setting=st.sampled_from([True, False, None]))
    def set_flag(self, setting: bool | None) -> None:
        self.repo.set_feature_flag("create_tag", setting)
        self.model.flags["create_tag"] = setting is not False
        self.model.ops.append("FeatureFlagChanged")

    # -- checks ----------------------------------------------------------------------------------

    @rule(data=st.data())
    def read_a_snapshot(self, data: st.DataObject) -> None:
        snapshot_id = self._snapshot(data)
        session = self.repo.readonly_session(snapshot_id=snapshot_id)
        assert content(session) == self.model.commits[snapshot_id].content

    @rule(data=st.data())
    def read_as_of(self, data: st.DataObject) -> None:
        branch = self._branch(data)
        at = data.draw(st.sampled_from(self.model.line(self.model.branches[branch])))
        session = self.repo.readonly_session(branch, as_of=self.model.commits[at].written_at)
        assert session.snapshot_id == at

    @rule(data=st.data())
    def compare(self, data: st.DataObject) -> None:
        """A difference by content names the keys that differ, and nodes that were made again."""
        one, two = self._snapshot(data), self._snapshot(data)
        diff = self.repo.diff(from_snapshot_id=one, to_snapshot_id=two, any_states=True)
        before, after = self.model.commits[one].content, self.model.commits[two].content
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        told = {f"{path[1:]}/zarr.json" for path in diff.new_arrays | diff.deleted_arrays}
        told |= {f"{path[1:]}/zarr.json" for path in diff.updated_arrays}
        told |= {"zarr.json" for _ in diff.new_groups | diff.deleted_groups}
        chunks = {
            f"{path[1:]}/c/{index[0]}"
            for path, rows in diff.updated_chunks.items()
            for index in rows
        }
        gone = {path[1:] for path in diff.deleted_arrays}
        again = diff.new_arrays & diff.deleted_arrays  # made twice, with the same content
        documents = {key for key in changed if key.endswith("zarr.json")}
        assert documents <= told
        assert told - documents <= {f"{path[1:]}/zarr.json" for path in again} | {"zarr.json"}
        assert {key for key in changed if "/c/" in key and key.split("/")[0] not in gone} <= chunks

    @invariant()
    def refs_agree(self) -> None:
        held = self.repo.history()
        assert held["branches"] == self.model.branches
        assert held["tags"] == self.model.tags
        assert self.repo.list_branches() == set(self.model.branches)
        assert self.repo.list_tags() == set(self.model.tags)
        assert {info.id for info in held["commits"]} <= set(self.model.commits)

    @invariant()
    def histories_agree(self) -> None:
        for branch, tip in self.model.branches.items():
            infos = list(self.repo.ancestry(branch=branch))
            assert_ancestry_invariants(infos, set(self.model.commits))
            assert [info.id for info in infos] == self.model.line(tip)
            assert infos[0].message == self.model.commits[tip].message

    @invariant()
    def settings_agree(self) -> None:
        if self.is_v2:
            assert self.repo.metadata == self.model.metadata
            online = self.repo.status.availability == icechunk.RepoAvailability.online
            assert online == self.model.online

    @invariant()
    def operations_agree(self) -> None:
        if not self.is_v2:
            return
        kinds = [type(update.kind).__name__ for update in self.repo.ops_log()]
        note(f"operations {kinds}")
        since = list(takewhile(lambda kind: kind != "RepoMigrated", kinds))
        assert since[::-1] == self.model.ops[len(self.model.ops) - len(since) :]
        assert len(since) == len(self.model.ops) or "RepoMigrated" in kinds


class OldRepositoryMachine(RepositoryMachine):
    """Begins in format version 1, and may be upgraded on the way."""

    version = 1

    @precondition(lambda self: not self.is_v2)
    @rule()
    def upgrade(self) -> None:
        old = self.repo
        self.repo = icechunk.upgrade_icechunk_repository(old, dry_run=False)
        with pytest.raises(RuntimeError):
            old.list_branches()
        self.model.ops.clear()
        needed = self.model.reachable()
        for snapshot_id in self.model.commits.keys() - needed:
            del self.model.commits[snapshot_id]  # those that no ref reaches are not taken along


TestRepository = searched(RepositoryMachine, runs=25, steps=30)
TestOldRepository = searched(OldRepositoryMachine, runs=20, steps=30)
