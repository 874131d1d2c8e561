"""Sessions side by side on one branch, their forks, rebases and merges, against a model.

The model knows a session as a base and a dictionary of writes. A rebase walks the commits made
meanwhile one by one; a merge takes in a fork's writes or refuses those that would be lost.
"""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import dataclass, field

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import icechunk
from icechunk import BasicConflictSolver, ConflictDetector, ConflictType, VersionSelection
from tests.stateful.effort import searched
from tests.stateful.plain_store import (
    Content,
    array_document,
    chunk_key,
    config,
    content,
    starting_content,
    write,
)

Writes = dict[str, bytes | None]

SOLVERS = {
    "detect": ConflictDetector(),
    "ours": BasicConflictSolver(on_chunk_conflict=VersionSelection.UseOurs),
    "theirs": BasicConflictSolver(on_chunk_conflict=VersionSelection.UseTheirs),
    "fail": BasicConflictSolver(on_chunk_conflict=VersionSelection.Fail),
}
CHUNK_KEYS = [chunk_key(array, chunk) for array in range(2) for chunk in range(2)]
VALUES = st.one_of(st.none(), st.sampled_from([b"aaaa", b"bbbb", b"cccc"]))


def is_document(key: str) -> bool:
    """Whether a key is the metadata of a node."""
    return key.endswith("zarr.json")


def document_of(key: str) -> str:
    """Key of the metadata of a chunk's array."""
    return key.split("/")[0] + "/zarr.json"


@dataclass
class Child:
    """A fork: what it saw when it was made, and what it wrote."""

    session: icechunk.Session
    inherited: Writes
    origin: int
    writes: Writes = field(default_factory=dict)


@dataclass
class Worker:
    """A session of the model."""

    session: icechunk.Session
    base: int
    """Number of commits below it."""
    writes: Writes = field(default_factory=dict)
    children: list[Child] = field(default_factory=list)


class SessionsMachine(RuleBasedStateMachine):
    """Up to four sessions on main."""

    @initialize(
        local=st.booleans(), version=st.sampled_from([1, 2]), inline=st.sampled_from([0, 100])
    )
    def create(self, local: bool, version: int, inline: int) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="icechunk-sessions-") if local else None
        self.storage = (
            icechunk.in_memory_storage()
            if self.folder is None
            else icechunk.local_filesystem_storage(f"{self.folder.name}/repo", durable=False)
        )
        self.repo = icechunk.Repository.create(self.storage, config(inline), spec_version=version)
        session = self.repo.writable_session("main")
        self.log: list[tuple[str, Writes]] = []
        for key, document in starting_content().items():
            write(session, key, document)
        self.log.append((session.commit("start"), dict(starting_content())))
        self.workers: list[Worker] = []

    def teardown(self) -> None:
        if getattr(self, "folder", None) is not None:
            self.folder.cleanup()

    # -- the model -------------------------------------------------------------------------------

    def _at(self, count: int) -> Content:
        """Content after so many commits."""
        held: Writes = {}
        for _, writes in self.log[:count]:
            held.update(writes)
        return {key: value for key, value in held.items() if value is not None}

    def _seen(self, base: int, *writes: Writes) -> Content:
        held: Writes = dict(self._at(base))
        for more in writes:
            held.update(more)
        return {key: value for key, value in held.items() if value is not None}

    def _worker(self, data: st.DataObject) -> Worker:
        return self.workers[data.draw(st.integers(0, len(self.workers) - 1), label="worker")]

    @staticmethod
    def _conflicts(mine: Writes, theirs: Writes) -> dict[str, ConflictType]:
        """What the rules say about writes that meet those of one commit."""
        found = {}
        for key in mine:
            if key in theirs:
                kind = (
                    ConflictType.ZarrMetadataDoubleUpdate
                    if is_document(key)
                    else ConflictType.ChunkDoubleUpdate
                )
                found[key] = kind
            elif not is_document(key) and document_of(key) in theirs:
                found[key] = ConflictType.ChunksUpdatedInUpdatedArray
            if not is_document(key) and document_of(key) in theirs:
                found[document_of(key) + " under " + key] = ConflictType.ChunksUpdatedInUpdatedArray
        return found

    def _replay(self, worker: Worker, solver: str) -> bool:
        """Rebase in the model; whether it succeeds. Stops where the library must stop."""
        for number in range(worker.base, len(self.log)):
            found = self._conflicts(worker.writes, self.log[number][1])
            chunks_only = set(found.values()) <= {ConflictType.ChunkDoubleUpdate}
            if found and not (chunks_only and solver in ("ours", "theirs")):
                return False
            if solver == "theirs":
                for key in found:
                    del worker.writes[key]
            worker.base = number + 1
        return True

    # -- rules -----------------------------------------------------------------------------------

    @precondition(lambda self: len(self.workers) < 4)
    @rule()
    def begin(self) -> None:
        self.workers.append(Worker(self.repo.writable_session("main"), len(self.log)))

    @precondition(lambda self: bool(self.workers))
    @rule(data=st.data(), key=st.sampled_from(CHUNK_KEYS), value=VALUES)
    def write_chunk(self, data: st.DataObject, key: str, value: bytes | None) -> None:
        worker = self._worker(data)
        write(worker.session, key, value)
        worker.writes[key] = value

    @precondition(lambda self: bool(self.workers))
    @rule(data=st.data(), array=st.integers(0, 1), revision=st.integers(1, 1000))
    def change_metadata(self, data: st.DataObject, array: int, revision: int) -> None:
        worker = self._worker(data)
        key, document = f"a{array}/zarr.json", array_document(revision)
        if self._seen(worker.base, worker.writes)[key] == document:
            return  # no change
        write(worker.session, key, document)
        worker.writes[key] = document

    @precondition(lambda self: bool(self.workers))
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        worker = self._worker(data)
        worker.session.discard_changes()
        worker.writes.clear()

    @precondition(lambda self: bool(self.workers))
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        worker = self._worker(data)
        if worker.base < len(self.log):
            with pytest.raises(icechunk.ConflictError) as caught:
                worker.session.commit("late", allow_empty=True)
            assert caught.value.actual_parent == self.log[-1][0]
            return
        self.log.append((worker.session.commit("in time", allow_empty=True), dict(worker.writes)))
        self.workers.remove(worker)

    @precondition(lambda self: bool(self.workers))
    @rule(data=st.data(), solver=st.sampled_from(sorted(SOLVERS)))
    def rebase(self, data: st.DataObject, solver: str) -> None:
        worker = self._worker(data)
        planned = bool(worker.session.conflicts().conflicts)
        if self._replay(worker, solver):
            worker.session.rebase(SOLVERS[solver])
        else:
            with pytest.raises(icechunk.RebaseFailedError) as caught:
                worker.session.rebase(SOLVERS[solver])
            assert caught.value.snapshot == self.log[worker.base][0]
            assert planned
        assert worker.session.snapshot_id == self.log[worker.base - 1][0]

    @precondition(lambda self: bool(self.workers))
    @rule(data=st.data(), solver=st.sampled_from(sorted(SOLVERS)))
    def commit_with_rebase(self, data: st.DataObject, solver: str) -> None:
        worker = self._worker(data)
        late = worker.base < len(self.log)
        if not late or self._replay(worker, solver):
            new = worker.session.commit("rebased", rebase_with=SOLVERS[solver], allow_empty=True)
            self.log.append((new, dict(worker.writes)))
            self.workers.remove(worker)
            return
        with pytest.raises(icechunk.RebaseFailedError):
            worker.session.commit("rebased", rebase_with=SOLVERS[solver], allow_empty=True)
        assert worker.session.has_uncommitted_changes

    # -- forks -----------------------------------------------------------------------------------

    @precondition(lambda self: any(len(worker.children) < 3 for worker in self.workers))
    @rule(data=st.data(), travels=st.booleans())
    def fork(self, data: st.DataObject, travels: bool) -> None:
        worker = self._worker(data)
        session: icechunk.Session = worker.session.fork()
        if travels and self.folder is not None:  # memory does not travel
            session = pickle.loads(pickle.dumps(session))
        worker.children.append(Child(session, dict(worker.writes), worker.base))

    def _child(self, data: st.DataObject) -> tuple[Worker, Child]:
        pairs = [(worker, child) for worker in self.workers for child in worker.children]
        return pairs[data.draw(st.integers(0, len(pairs) - 1), label="fork")]

    @precondition(lambda self: any(worker.children for worker in self.workers))
    @rule(data=st.data(), key=st.sampled_from(CHUNK_KEYS), value=VALUES)
    def write_in_a_fork(self, data: st.DataObject, key: str, value: bytes | None) -> None:
        _, child = self._child(data)
        write(child.session, key, value)
        child.writes[key] = value

    @precondition(lambda self: any(worker.children for worker in self.workers))
    @rule(data=st.data())
    def read_in_a_fork(self, data: st.DataObject) -> None:
        _, child = self._child(data)
        assert content(child.session) == self._seen(child.origin, child.inherited, child.writes)

    @precondition(lambda self: any(worker.children for worker in self.workers))
    @rule(data=st.data())
    def forks_do_not_commit(self, data: st.DataObject) -> None:
        _, child = self._child(data)
        with pytest.raises(icechunk.SessionStateError):
            child.session.commit("no", allow_empty=True)

    @precondition(lambda self: any(worker.children for worker in self.workers))
    @rule(data=st.data(), returns=st.booleans())
    def merge(self, data: st.DataObject, returns: bool) -> None:
        worker, child = self._child(data)
        fork = child.session
        if returns and self.folder is not None:
            fork = pickle.loads(pickle.dumps(fork))
        lost = [
            key
            for key, value in child.writes.items()
            if key in worker.writes
            and worker.writes[key] != value
            and worker.writes[key] != child.inherited.get(key, b"never written")
        ]
        before = dict(worker.writes)
        if child.origin != worker.base or lost:
            with pytest.raises(icechunk.ConflictError) as caught:
                worker.session.merge(fork)
            assert caught.value.kind == icechunk.ErrorKind.MERGE_FAILED
            assert worker.writes == before
            return
        worker.session.merge(fork)
        worker.writes.update(child.writes)
        worker.children.remove(child)

    # -- checks ----------------------------------------------------------------------------------

    @invariant()
    def sessions_see_their_own_writes(self) -> None:
        for worker in self.workers:
            assert content(worker.session) == self._seen(worker.base, worker.writes)

    @invariant()
    def the_branch_holds_what_was_committed(self) -> None:
        tip = self.repo.readonly_session("main")
        assert tip.snapshot_id == self.log[-1][0]
        assert content(tip) == self._at(len(self.log))

    @rule(data=st.data())
    def older_commits_stay_as_they_were(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.log) - 1))
        session = self.repo.readonly_session(snapshot_id=self.log[number][0])
        assert content(session) == self._at(number + 1)


TestSessions = searched(SessionsMachine, runs=25, steps=30)
