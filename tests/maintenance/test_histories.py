"""Random histories, expirations and collections against a model that is easy to believe.

Whatever a ref reaches stays readable, nothing reachable is deleted, nothing else is left by a
collection whose cut-off lies after everything, and a second collection finds nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

import icechunk
from tests.maintenance.histories import FAR, ROOT, amend, at, commit, flush, moment, names, start

CELLS = 4
cells = st.integers(0, CELLS - 1)


class Histories(RuleBasedStateMachine):
    """What spec 2 promises; `parents` is its list of snapshots."""

    spec_version = 2
    tips = Bundle("tips")  # names of branches beside main
    labels = Bundle("labels")  # names of tags
    marks = Bundle("marks")  # moments to cut at

    def __init__(self) -> None:
        super().__init__()
        self.repo = start(spec_version=self.spec_version)
        first = self.repo.lookup_branch("main")
        self.parents: dict[str, str | None] = {ROOT: None, first: ROOT}
        self.content: dict[str, list[int]] = {first: [1] * CELLS}
        self.written: dict[str, datetime] = {ROOT: datetime(2020, 1, 1, tzinfo=UTC)}
        self.logs: dict[str, list[str]] = {}  # pruned ancestors that are remembered
        self.branches = {"main": first}
        self.tags: dict[str, str] = {}
        self.values = 1
        self.serial = 0
        self.note(first)

    def note(self, snapshot_id: str) -> None:
        self.written[snapshot_id] = self.repo.lookup_snapshot(snapshot_id).written_at

    def fresh(self, base: str, where: int) -> tuple[int, list[int]]:
        self.values += 1
        content = list(self.content[base])
        content[where] = self.values
        return self.values, content

    def is_first(self, snapshot_id: str) -> bool:
        return snapshot_id not in self.content

    def up(self, snapshot_id: str) -> list[str]:
        """A snapshot and its ancestors."""
        found = [snapshot_id]
        while (parent := self.parents[found[-1]]) is not None:
            found.append(parent)
        return found

    # -- writing ----------------------------------------------------------------------------------

    @initialize(target=marks)
    def beginning(self) -> datetime:
        return moment()

    @rule(target=marks)
    def look_at_the_clock(self) -> datetime:
        return moment()

    @rule(branch=st.just("main") | tips, where=cells)
    def commits(self, branch: str, where: int) -> None:
        base = self.branches.get(branch)
        if base is None or self.is_first(base):
            return
        value, content = self.fresh(base, where)
        new = commit(self.repo, value, branch, where)
        self.parents[new], self.content[new], self.branches[branch] = base, content, new
        self.note(new)

    @rule(branch=st.just("main") | tips, where=cells)
    def flushes(self, branch: str, where: int) -> None:
        base = self.branches.get(branch)
        if base is None or self.is_first(base):
            return
        value, content = self.fresh(base, where)
        new = flush(self.repo, value, branch, where)
        self.parents[new], self.content[new] = base, content
        self.note(new)

    @precondition(lambda self: self.spec_version == 2)
    @rule(branch=st.just("main") | tips, where=cells)
    def amends(self, branch: str, where: int) -> None:
        base = self.branches.get(branch)
        if base is None or self.is_first(base):
            return
        value, content = self.fresh(base, where)
        new = amend(self.repo, value, branch, where)
        self.parents[new], self.content[new] = self.parents[base], content
        self.branches[branch] = new
        if base in self.logs:
            self.logs[new] = list(self.logs[base])
        self.note(new)

    # -- refs -------------------------------------------------------------------------------------

    def pick(self, data: Any) -> str:
        return str(data.draw(st.sampled_from(list(self.parents)), "snapshot"))

    @rule(target=tips, data=st.data())
    def creates_branch(self, data: Any) -> str:
        self.serial += 1
        name, where = f"b{self.serial}", self.pick(data)
        self.repo.create_branch(name, where)
        self.branches[name] = where
        return name

    @rule(target=labels, data=st.data())
    def creates_tag(self, data: Any) -> str:
        self.serial += 1
        name, where = f"t{self.serial}", self.pick(data)
        self.repo.create_tag(name, where)
        self.tags[name] = where
        return name

    @rule(name=consumes(tips))
    def deletes_branch(self, name: str) -> None:
        if self.branches.pop(name, None) is not None:
            self.repo.delete_branch(name)

    @rule(name=consumes(labels))
    def deletes_tag(self, name: str) -> None:
        if self.tags.pop(name, None) is not None:
            self.repo.delete_tag(name)

    @rule(branch=st.just("main") | tips, data=st.data())
    def resets(self, branch: str, data: Any) -> None:
        if branch in self.branches:
            self.branches[branch] = self.pick(data)
            self.repo.reset_branch(branch, self.branches[branch])

    # -- upkeep -----------------------------------------------------------------------------------

    @rule(when=marks | st.just(FAR), branches=st.booleans(), tags=st.booleans())
    def expires(self, when: datetime, branches: bool, tags: bool) -> None:
        found = self.repo.expire_snapshots(
            when, delete_expired_branches=branches, delete_expired_tags=tags
        )
        assert found == self.model_expire(when, branches, tags)

    def model_expire(self, when: datetime, branches: bool, tags: bool) -> set[str]:
        old = {s for s, p in self.parents.items() if p is not None and self.written[s] < when}
        if branches:
            self.branches = {n: s for n, s in self.branches.items() if n == "main" or s not in old}
        if tags:
            self.tags = {n: s for n, s in self.tags.items() if s not in old}
        gone = old - set(self.branches.values()) - set(self.tags.values())
        moved: dict[str, tuple[str, list[str]]] = {}
        for snapshot in self.parents.keys() - gone:
            if self.parents[snapshot] in gone:
                *between, root = self.up(snapshot)[1:]
                moved[snapshot] = root, between
        self.cut(gone, moved)
        return gone

    def cut(self, gone: set[str], moved: dict[str, tuple[str, list[str]]]) -> None:
        remembered = {s: list(ids) for s, ids in self.logs.items()}
        for snapshot, (parent, between) in moved.items():
            logs: list[str] = []
            for each in reversed(between):
                logs += [*remembered.get(each, []), each]
            self.logs[snapshot] = list(dict.fromkeys([*logs, *remembered.get(snapshot, [])]))
            self.parents[snapshot] = parent
        for snapshot in gone:
            del self.parents[snapshot]
            self.logs.pop(snapshot, None)

    @rule(when=marks | st.just(FAR))
    def collects(self, when: datetime) -> None:
        planned = self.repo.garbage_collect(when, dry_run=True)
        assert self.repo.garbage_collect(when) == planned
        assert self.repo.garbage_collect(when).bytes_deleted == 0
        self.model_collect(when)
        if when == FAR:
            self.nothing_else_is_left()

    def model_collect(self, when: datetime) -> None:
        kept = {s for tip in (*self.branches.values(), *self.tags.values()) for s in self.up(tip)}
        kept |= {s for s in self.parents if self.written[s] >= when or s == ROOT}
        moved: dict[str, tuple[str, list[str]]] = {}
        for snapshot in kept:
            above = self.up(snapshot)[1:]
            if above and above[0] not in kept:
                stays = next(n for n, each in enumerate(above) if each in kept)
                moved[snapshot] = above[stays], above[:stays]
        self.cut(self.parents.keys() - kept, moved)

    def nothing_else_is_left(self) -> None:
        assert names(self.repo, "snapshots") == self.parents.keys()
        logs = {each for ids in self.logs.values() for each in ids} | self.parents.keys()
        assert names(self.repo, "transactions") == logs
        manifests = {m.id for s in self.parents for m in self.repo.list_manifest_files(s)}
        assert names(self.repo, "manifests") == manifests
        values = {value for s in self.parents if s in self.content for value in self.content[s]}
        # every value was written once, as a chunk of its own, but for the first four ones
        chunks = len(values - {1}) + len(
            {n for s in self.parents for n, v in enumerate(self.content.get(s, [])) if v == 1}
        )
        assert len(names(self.repo, "chunks")) == chunks

    # -- what holds at all times ------------------------------------------------------------------

    @invariant()
    def refs_are_where_they_should_be(self) -> None:
        refs = self.repo._ctx.ref_store
        assert {n: icechunk.core.ids.id_text(t) for n, t in refs.branches().items()} == (
            self.branches
        )
        assert {n: icechunk.core.ids.id_text(t) for n, t in refs.tags().items()} == self.tags

    @invariant()
    def histories_are_whole_and_can_be_read(self) -> None:
        for tip in {*self.branches.values(), *self.tags.values()}:
            history = [info.id for info in self.repo.ancestry(snapshot_id=tip)]
            assert history == self.up(tip)
            if not self.is_first(tip):
                assert at(self.repo, tip) == self.content[tip]

    def teardown(self) -> None:
        self.collects(FAR)
        for snapshot in self.parents:
            if not self.is_first(snapshot):
                assert at(self.repo, snapshot) == self.content[snapshot]
            for each in self.logs.get(snapshot, []):
                self.repo.inspect_transaction_log(each)


class HistoriesOfSpec1(Histories):
    """What spec 1 promises: snapshots are files, so expired ones can be reached until collected."""

    spec_version = 1

    def model_expire(self, when: datetime, branches: bool, tags: bool) -> set[str]:
        gone: set[str] = set()
        old: set[str] = set()
        for _, tip in (*sorted(self.tags.items()), *sorted(self.branches.items())):
            *line, root = self.up(tip)
            young = [s for s in line if self.written[s] >= when]
            if self.written[tip] < when:
                old.add(tip)
            if not line:
                continue
            edited = young[-1] if young else tip
            if self.parents[edited] == root:
                continue
            gone |= set(line[line.index(edited) + (1 if young else 0) :])
            self.parents[edited] = root
        if branches:
            self.branches = {n: s for n, s in self.branches.items() if n == "main" or s not in old}
        if tags:
            self.tags = {n: s for n, s in self.tags.items() if s not in old}
        return gone

    def model_collect(self, when: datetime) -> None:
        reached = {
            s for tip in (*self.branches.values(), *self.tags.values()) for s in self.up(tip)
        }
        files = names(self.repo, "snapshots")
        assert reached <= files
        assert when != FAR or reached == files
        # Files whose ancestors are gone cannot be built on.
        self.parents = {s: p for s, p in self.parents.items() if s in files}
        self.parents = {s: p for s, p in self.parents.items() if self.is_whole(s)}

    def is_whole(self, snapshot: str) -> bool:
        while snapshot in self.parents:
            parent = self.parents[snapshot]
            if parent is None:
                return True
            snapshot = parent
        return False

    def nothing_else_is_left(self) -> None:
        assert names(self.repo, "snapshots") == self.parents.keys()
        assert names(self.repo, "transactions") <= self.parents.keys()
        manifests = {m.id for s in self.parents for m in self.repo.list_manifest_files(s)}
        assert names(self.repo, "manifests") == manifests


HISTORIES = settings(max_examples=25, stateful_step_count=25)
TestHistories = Histories.TestCase
TestHistories.settings = HISTORIES
TestHistoriesOfSpec1 = HistoriesOfSpec1.TestCase
TestHistoriesOfSpec1.settings = HISTORIES
