"""Spec 2: everything mutable is in one ``repo`` object, replaced by compare-and-swap."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

from icechunk.config.limits import max_metadata_bytes
from icechunk.config.resolve import Settings
from icechunk.core.clock import now_us
from icechunk.core.errors import (
    ConflictError,
    ErrorKind,
    RepositoryNotFoundError,
    SnapshotNotFoundError,
    StorageError,
)
from icechunk.core.ids import ObjectId, id_text, new_object_id
from icechunk.core.locks import held
from icechunk.files.layout import OVERWRITTEN, REPO, backup_name
from icechunk.files.repository_files import RepositoryFiles
from icechunk.refs.base import RefStore, Transition
from icechunk.refs.capabilities import Capability
from icechunk.spec.repo.codec import decode_repo, encode_repo
from icechunk.spec.repo.lazy_record import Walk
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.update_log import Stamp
from icechunk.storage.base import Storage

_log = logging.getLogger(__name__)

_SMALL = 2**16
"""Largest ``repo`` object, in bytes, whose state is remembered: a thousand commits or so."""

_IMMEDIATE_TRIES = 5
"""Lost races that are retried without waiting."""


def _decoded(data: bytes) -> RepoState:
    """State that an object holds.

    A process often opens one repository several times, and decoding is most of what that costs.
    States are immutable and determined by the bytes, so handles may share them.
    """
    if len(data) > _SMALL:
        return decode_repo(data, name=REPO)
    return _remembered(bytes(data), max_metadata_bytes())


@lru_cache(maxsize=4)
def _remembered(data: bytes, limit: int) -> RepoState:
    """`decode_repo` for the last few objects; the limit is a key because it can refuse them."""
    return decode_repo(data, name=REPO)


class _LandedError(Exception):
    """An earlier attempt at a change succeeded; its answer was lost."""


class RepoObjectRefStore(RefStore):
    """The ``repo`` object of one repository.

    Parameters
    ----------
    storage : Storage
        Where the object is.
    settings : Settings
        Retry policy, compression level, ops-log limit.
    """

    spec_version = 2
    capabilities = frozenset(Capability)

    def __init__(self, storage: Storage, settings: Settings) -> None:
        self._storage = storage
        self._settings = settings
        self._held: tuple[str, RepoState] | None = None

    def under(self, files: RepositoryFiles, settings: Settings) -> RepoObjectRefStore:
        again = RepoObjectRefStore(files.storage, settings)
        again._held = self._held
        return again

    def _fetch(self) -> tuple[bytes, str, RepoState]:
        try:
            fetched = self._storage.get(REPO)
        except StorageError as error:
            if error.kind != ErrorKind.OBJECT_NOT_FOUND:
                raise
            raise RepositoryNotFoundError(
                "the repository doesn't exist; it was here when this handle was opened, "
                "check whether it was removed or moved",
                ErrorKind.REPOSITORY_NOT_FOUND,
            ) from error
        held = self._held
        if held is not None and held[0] == fetched.version:
            state = held[1]
        else:
            state = _decoded(fetched.data)
            self._held = fetched.version, state
        return fetched.data, fetched.version, state

    def state(self) -> RepoState:
        """The present state."""
        return self._fetch()[2]

    def update(self, transition: Transition) -> RepoState:
        """Apply a pure change under compare-and-swap; retry when another process was faster.

        Raises
        ------
        ConflictError
            Kind ``update-attempts-exhausted`` when every attempt lost the race.
        IcechunkError
            Whatever the transition raises; nothing is written then.
        """
        self._storage.require_writable("Cannot write repo info")
        settings = self._settings
        wait = settings.update_initial_backoff_ms / 1000
        for attempt in range(max(settings.update_max_tries, 1)):
            if attempt > _IMMEDIATE_TRIES:
                time.sleep(random.uniform(0, wait))
                wait = min(wait * 2, settings.update_max_backoff_ms / 1000)
            new = held(self._storage.lock(REPO), self._try, transition)
            if new is not None:
                return new
            _log.info("retry key=%s tries=%d cause=changed-meanwhile", REPO, attempt + 1)
        raise ConflictError(
            message=f"repository cannot be updated after {settings.update_max_tries} attempts, "
            "too many concurrent changes; try again",
            kind=ErrorKind.UPDATE_ATTEMPTS_EXHAUSTED,
        )

    def _try(self, transition: Transition) -> RepoState | None:
        data, version, state = self._fetch()
        # Spec 2, repo info update: keep a copy of the object, then replace it if it is unchanged.
        # A crash between the two leaves a copy that no log refers to, which is harmless.
        at = now_us()
        backup = backup_name(at, new_object_id())
        stamp = Stamp(at, backup, self._settings.num_updates)
        new = transition(state, stamp)
        encoded = encode_repo(new, level=self._settings.compression_level)
        backup_key = f"{OVERWRITTEN}/{backup}"
        self._storage.put(backup_key, data)
        self._storage.sync([backup_key])
        written = self._storage.replace(REPO, encoded, version)
        if written is None:
            self._storage.delete([backup_key])
            return None
        self._held = written, new
        return new

    def branches(self) -> Mapping[str, ObjectId]:
        return self.state().branches

    def tags(self) -> Mapping[str, ObjectId]:
        return self.state().tags

    def branch_tip(self, name: str) -> ObjectId:
        return self.state().branch_tip(name)

    def writable_tip(self, name: str) -> ObjectId:
        self._storage.require_writable("Cannot create writable session")
        state = self.state()
        state.require_writable("Cannot create writable session")
        return state.branch_tip(name)

    def require_tip(self, branch: str, expected: ObjectId) -> None:
        self.state().require_tip(branch, expected)

    def tag_target(self, name: str) -> ObjectId:
        return self.state().tag_target(name)

    def snapshot(self, snapshot_id: ObjectId) -> SnapshotRecord:
        record = self.state().snapshot(snapshot_id)
        if record is None:
            raise SnapshotNotFoundError(
                f"snapshot id not found `{id_text(snapshot_id)}`; `Repository.ancestry` lists "
                "those that exist",
                ErrorKind.SNAPSHOT_NOT_FOUND,
            )
        return record

    def ancestry(self, snapshot_id: ObjectId) -> Walk:
        return self.state().ancestry(snapshot_id)

    def branch_ancestry(self, name: str) -> Walk:
        state = self.state()
        return state.ancestry(state.branch_tip(name))

    def commits(
        self,
    ) -> tuple[Mapping[str, ObjectId], Mapping[str, ObjectId], list[SnapshotRecord]]:
        state = self.state()
        reached: dict[ObjectId, SnapshotRecord] = {}
        for target in (*state.branches.values(), *state.tags.values()):
            for record in state.ancestry(target):
                if record.id in reached:
                    break
                reached[record.id] = record
        newest_first = sorted(reached.values(), key=lambda record: -record.flushed_at)
        return state.branches, state.tags, newest_first

    def commit(self, branch: str, expected: ObjectId, record: SnapshotRecord) -> None:
        self._publish(
            lambda state, stamp: state.with_commit(branch, expected, record, stamp),
            record,
        )

    def amend(self, branch: str, expected: ObjectId, record: SnapshotRecord) -> None:
        self._publish(
            lambda state, stamp: state.with_amend(branch, expected, record, stamp),
            record,
        )

    def _publish(self, transition: Transition, record: SnapshotRecord) -> None:
        """Apply a change that registers a new snapshot.

        When the answer to a write is lost, and another process writes before the object is read
        again, the write seems to have lost the race; but then the snapshot is in the state.
        """
        tried = False

        def once(state: RepoState, stamp: Stamp) -> RepoState:
            nonlocal tried
            if tried and state.snapshot(record.id) is not None:
                raise _LandedError
            tried = True
            return transition(state, stamp)

        with suppress(_LandedError):
            self.update(once)

    def detach(self, record: SnapshotRecord) -> None:
        self._publish(
            lambda state, stamp: state.with_detached(record, stamp),
            record,
        )

    def has_published(self, branch: str | None, record: SnapshotRecord) -> bool:
        return self.state().snapshot(record.id) is not None

    def create_branch(self, name: str, target: ObjectId) -> None:
        self.update(lambda state, stamp: state.with_branch(name, target, stamp))

    def reset_branch(self, name: str, target: ObjectId, expected: ObjectId | None) -> None:
        self.update(lambda state, stamp: state.with_branch_reset(name, target, stamp, expected))

    def delete_branch(self, name: str) -> None:
        self.update(lambda state, stamp: state.without_branch(name, stamp))

    def create_tag(self, name: str, target: ObjectId) -> None:
        self.update(lambda state, stamp: state.with_tag(name, target, stamp))

    def delete_tag(self, name: str) -> None:
        self.update(lambda state, stamp: state.without_tag(name, stamp))

    def config(self) -> dict[str, Any] | None:
        return self.state().config

    def save_config(self, config: dict[str, Any]) -> None:
        self.update(lambda state, stamp: state.with_config(config, stamp))
