"""Spec 1: every ref is a small file, history is in the snapshot files, configuration in YAML.

Refs change by compare-and-swap of their own file.  After an upgrade the ``repo`` object holds the
current state, and a process that opened the repository before must not write refs of spec 1, which
are no longer read: every change checks for that object first, and again afterwards on storages
without locks, where an upgrade may come between.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from icechunk.config.resolve import Settings
from icechunk.config.serde import from_plain, to_plain
from icechunk.config.yaml_text import from_yaml, to_yaml
from icechunk.core.clock import now_us
from icechunk.core.errors import (
    AlreadyExistsError,
    ConflictError,
    ErrorKind,
    FormatError,
    RefNotFoundError,
    SessionStateError,
    SnapshotNotFoundError,
    StorageError,
)
from icechunk.core.ids import ObjectId, id_text, new_object_id
from icechunk.core.locks import held
from icechunk.core.runtime import map_parallel
from icechunk.files.layout import CONFIG, OVERWRITTEN, REPO, backup_name, snapshot_key
from icechunk.files.repository_files import RepositoryFiles
from icechunk.refs.ancestry_v1 import SnapshotFileAncestry
from icechunk.refs.base import RefStore
from icechunk.spec import refs_v1
from icechunk.spec.repo.snapshot_table import SnapshotRecord
from icechunk.spec.repo.state import MAIN
from icechunk.storage.base import Fetched

_log = logging.getLogger(__name__)

_IMMEDIATE_TRIES = 5
"""Lost races that are retried without waiting."""

_UNREAD = ""
"""Version of a configuration that was not read yet; no storage gives this version."""


class FileRefStore(RefStore):
    """The ref files, snapshot files and ``config.yaml`` of one repository of spec 1.

    Parameters
    ----------
    files : RepositoryFiles
        The repository's files.
    settings : Settings
        Retry policy.
    """

    spec_version = 1

    def __init__(self, files: RepositoryFiles, settings: Settings) -> None:
        self._files = files
        self._storage = files.storage
        self._settings = settings
        self._config_version: str | None = _UNREAD

    def under(self, files: RepositoryFiles, settings: Settings) -> FileRefStore:
        again = FileRefStore(files, settings)
        again._config_version = self._config_version
        return again

    # -- files -----------------------------------------------------------------------------------

    def _get(self, key: str) -> Fetched | None:
        try:
            return self._storage.get(key)
        except StorageError as error:
            if error.kind != ErrorKind.OBJECT_NOT_FOUND:
                raise
            return None

    def _target(self, key: str) -> ObjectId | None:
        """Snapshot that a ref file points to, None when there is no such file."""
        fetched = self._get(key)
        return None if fetched is None else refs_v1.decode_ref(fetched.data, name=key)

    def _targets(self, keys: Mapping[str, str]) -> dict[str, ObjectId]:
        """Snapshots of ref files by name; those that vanish meanwhile are left out."""
        limit = 1 if self._storage.blocking_ok else None
        found = map_parallel(self._target, list(keys.values()), limit=limit)
        named = zip(keys, found, strict=True)
        return {name: target for name, target in named if target is not None}

    def _check_not_upgraded(self) -> None:
        """Refuse to continue in a repository that was upgraded: its state is in a `repo` object.

        Raises
        ------
        FormatError
            Kind ``unsupported-operation-for-version``.
        """
        if self._storage.head(REPO) is not None:
            raise FormatError(
                "the repository was upgraded to format version 2 while this handle was open with "
                "version 1; nothing reads what is written this way any more: open the repository "
                "again and repeat the change",
                ErrorKind.UNSUPPORTED_OPERATION_FOR_VERSION,
            )

    def _guarded(self, key: str, change: Callable[[], bool]) -> bool:
        """Make one change of a ref while the repository is still of spec 1; whether it was made."""

        def while_it_is() -> bool:
            self._check_not_upgraded()
            return change()

        done = held(self._storage.lock(key), while_it_is)
        if done and not self._storage.blocking_ok:
            self._check_not_upgraded()
        return done

    def _swap(self, name: str, choose: Callable[[ObjectId | None], ObjectId]) -> None:
        """Move a branch by compare-and-swap, again as long as others are faster.

        Parameters
        ----------
        name : str
            The branch.
        choose : callable
            From the present tip (None where there is none) to the next; raises to refuse.
        """
        key = refs_v1.branch_key(name)

        def attempt() -> bool:
            fetched = self._get(key)
            if fetched is None:
                data = refs_v1.encode_ref(choose(None))
                return self._storage.create(key, data) is not None
            target = choose(refs_v1.decode_ref(fetched.data, name=key))
            data = refs_v1.encode_ref(target)
            return self._storage.replace(key, data, fetched.version) is not None

        settings = self._settings
        wait = settings.update_initial_backoff_ms / 1000
        for number in range(max(settings.update_max_tries, 1)):
            if number > _IMMEDIATE_TRIES:
                time.sleep(random.uniform(0, wait))
                wait = min(wait * 2, settings.update_max_backoff_ms / 1000)
            if self._guarded(key, attempt):
                return
            _log.info("retry key=%s tries=%d cause=changed-meanwhile", key, number + 1)
        raise ConflictError(
            message=f"repository cannot be updated after {settings.update_max_tries} attempts, "
            f"too many concurrent changes of branch `{name}`; try again",
            kind=ErrorKind.UPDATE_ATTEMPTS_EXHAUSTED,
        )

    def _missing(self, name: str, lister: str) -> RefNotFoundError:
        """The error for a ref that is not there; explains an upgrade that removed it."""
        self._check_not_upgraded()
        return RefNotFoundError(
            f"ref not found `{name}`. `Repository.{lister}` lists what exists.",
            ErrorKind.REF_NOT_FOUND,
        )

    # -- refs ------------------------------------------------------------------------------------

    def branches(self) -> Mapping[str, ObjectId]:
        return self._live_refs()[0]

    def tags(self) -> Mapping[str, ObjectId]:
        return self._live_refs()[1]

    def _live_refs(self) -> tuple[dict[str, ObjectId], dict[str, ObjectId]]:
        branches, tags, _ = self.refs()
        if MAIN not in branches:
            self._check_not_upgraded()
        return branches, tags

    def refs(self) -> tuple[dict[str, ObjectId], dict[str, ObjectId], dict[str, ObjectId]]:
        """Branches, tags and deleted tags with their targets, from one listing."""
        branches: dict[str, str] = {}
        tags: dict[str, str] = {}
        deleted: set[str] = set()
        for info in self._storage.list(refs_v1.REFS):
            if (name := refs_v1.branch_of(info.key)) is not None:
                branches[name] = info.key
            elif (name := refs_v1.tag_of(info.key)) is not None:
                tags[name] = info.key
            elif (name := refs_v1.deleted_tag_of(info.key)) is not None:
                deleted.add(name)
        of_tags = self._targets(tags)
        return (
            self._targets(branches),
            {name: target for name, target in of_tags.items() if name not in deleted},
            {name: target for name, target in of_tags.items() if name in deleted},
        )

    def branch_tip(self, name: str) -> ObjectId:
        target = self._target(refs_v1.branch_key(name))
        if target is None:
            raise self._missing(name, "list_branches")
        return target

    def writable_tip(self, name: str) -> ObjectId:
        self._storage.require_writable("Cannot create writable session")
        return self.branch_tip(name)

    def tag_target(self, name: str) -> ObjectId:
        target = self._target(refs_v1.tag_key(name))
        if target is None or self._storage.head(refs_v1.tombstone_key(name)) is not None:
            raise self._missing(name, "list_tags")
        return target

    def commit(self, branch: str, expected: ObjectId, record: SnapshotRecord) -> None:
        def choose(tip: ObjectId | None) -> ObjectId:
            _require(tip, expected)
            return record.id

        self._swap(branch, choose)

    def require_tip(self, branch: str, expected: ObjectId) -> None:
        tip = self._target(refs_v1.branch_key(branch))
        if tip is None:
            self._check_not_upgraded()
        _require(tip, expected)

    def detach(self, record: SnapshotRecord) -> None:
        """Nothing: a snapshot file is all that spec 1 knows of a snapshot."""

    def has_published(self, branch: str | None, record: SnapshotRecord) -> bool:
        if branch is None:
            return self._storage.head(snapshot_key(record.id)) is not None
        tip = self._target(refs_v1.branch_key(branch))
        if tip is None:
            return False
        for found in self.ancestry(tip):
            if found.id == record.id:
                return True
            if found.id == record.parent_id:
                return False
        return False

    def create_branch(self, name: str, target: ObjectId) -> None:
        def choose(tip: ObjectId | None) -> ObjectId:
            if tip is not None:
                found = id_text(tip)
                raise ConflictError(
                    None,
                    found,
                    f"branch update conflict: `(None) != (Some({found}))`: branch `{name}` "
                    "exists; `Repository.reset_branch` moves it",
                    ErrorKind.BRANCH_UPDATE_CONFLICT,
                )
            return target

        refs_v1.check_new_name(name)
        self.snapshot(target)
        self._swap(name, choose)

    def reset_branch(self, name: str, target: ObjectId, expected: ObjectId | None) -> None:
        def choose(tip: ObjectId | None) -> ObjectId:
            if tip is None:
                raise self._missing(name, "list_branches")
            if expected is not None and tip != expected:
                wanted, found = id_text(expected), id_text(tip)
                raise ConflictError(
                    wanted,
                    found,
                    f"branch update conflict: `(Some({wanted})) != (Some({found}))`. "
                    "Look at the branch again before you move it.",
                    ErrorKind.BRANCH_UPDATE_CONFLICT,
                )
            return target

        refs_v1.check_ref_name(name)
        self.snapshot(target)
        self._swap(name, choose)

    def delete_branch(self, name: str) -> None:
        key = refs_v1.branch_key(name)
        if name == MAIN:
            raise SessionStateError(
                "main branch cannot be deleted; `Repository.reset_branch` can move it.",
                ErrorKind.CANNOT_DELETE_MAIN,
            )

        def attempt() -> bool:
            there = self._storage.head(key) is not None
            if there:
                self._storage.delete([key])
            return there

        if not self._guarded(key, attempt):
            raise self._missing(name, "list_branches")

    def create_tag(self, name: str, target: ObjectId) -> None:
        key = refs_v1.tag_key(refs_v1.check_new_name(name))
        self.snapshot(target)
        data = refs_v1.encode_ref(target)
        if not self._guarded(key, lambda: self._storage.create(key, data) is not None):
            raise AlreadyExistsError(
                f"tag already exists, tags are immutable: `{name}`. Choose another name; those of "
                "deleted tags are used up too.",
                ErrorKind.TAG_ALREADY_EXISTS,
            )

    def delete_tag(self, name: str) -> None:
        self.tag_target(name)
        key = refs_v1.tombstone_key(name)
        content = refs_v1.TOMBSTONE
        if not self._guarded(key, lambda: self._storage.create(key, content) is not None):
            raise self._missing(name, "list_tags")

    # -- history ---------------------------------------------------------------------------------

    def snapshot(self, snapshot_id: ObjectId) -> SnapshotRecord:
        try:
            return self._files.record(snapshot_id)
        except StorageError as error:
            if error.kind != ErrorKind.OBJECT_NOT_FOUND:
                raise
            raise SnapshotNotFoundError(
                f"snapshot id not found `{id_text(snapshot_id)}`; `Repository.ancestry` lists "
                "those that exist",
                ErrorKind.SNAPSHOT_NOT_FOUND,
            ) from error

    def ancestry(self, snapshot_id: ObjectId) -> Iterator[SnapshotRecord]:
        return SnapshotFileAncestry(self._files).back_from(self.snapshot(snapshot_id))

    def branch_ancestry(self, name: str) -> Iterator[SnapshotRecord]:
        return self.ancestry(self.branch_tip(name))

    def commits(
        self,
    ) -> tuple[Mapping[str, ObjectId], Mapping[str, ObjectId], list[SnapshotRecord]]:
        branches, tags = self._live_refs()
        reached = self.reached((*branches.values(), *tags.values()))
        return branches, tags, sorted(reached.values(), key=lambda record: -record.flushed_at)

    def reached(
        self, targets: Iterable[ObjectId], ahead: int | None = None
    ) -> dict[ObjectId, SnapshotRecord]:
        """Every snapshot that some snapshots descend from, themselves included, by id.

        Parameters
        ----------
        targets : iterable of ObjectId
            Where to start.
        ahead : int, optional
            Files fetched at once where the storage is slow.
        """
        lineage = SnapshotFileAncestry(self._files, ahead)
        found: dict[ObjectId, SnapshotRecord] = {}
        for target in targets:
            if target in found:
                continue
            for record in lineage.back_from(self.snapshot(target)):
                if record.id in found:
                    break
                found[record.id] = record
        return found

    # -- configuration ---------------------------------------------------------------------------

    def config(self) -> dict[str, Any] | None:
        fetched = self._get(CONFIG)
        self._config_version = None if fetched is None else fetched.version
        return None if fetched is None else to_plain(from_yaml(fetched.data))

    def save_config(self, config: dict[str, Any]) -> None:
        data = to_yaml(from_plain(config)).encode()
        self._config_version = held(self._storage.lock(CONFIG), self._save_config, data)

    def _save_config(self, data: bytes) -> str:
        self._check_not_upgraded()
        former = self._get(CONFIG)
        expected = None if former is None else former.version
        # The same text is not a conflict: an interrupted call of this handle may have written it.
        is_ours = former is not None and former.data == data
        if self._config_version not in (_UNREAD, expected) and not is_ours:
            raise _config_updated()
        written = self._put_config(data, former)
        if written is None:
            raise _config_updated()
        return written

    def _put_config(self, data: bytes, former: Fetched | None) -> str | None:
        """Write the configuration, after a copy of the former one; None for a lost race."""
        if former is None:
            return self._storage.create(CONFIG, data)
        backup = f"{OVERWRITTEN}/{backup_name(now_us(), new_object_id(), CONFIG)}"
        self._storage.put(backup, former.data)
        self._storage.sync([backup])
        written = self._storage.replace(CONFIG, data, former.version)
        if written is None:
            self._storage.delete([backup])
        return written


def _require(tip: ObjectId | None, expected: ObjectId) -> None:
    """Refuse a branch that is elsewhere, or gone (None), by now."""
    if tip != expected:
        raise ConflictError(id_text(expected), None if tip is None else id_text(tip))


def _config_updated() -> ConflictError:
    return ConflictError(
        message="config was updated by other session after this handle read it; open the "
        "repository again, make your changes there and save them",
        kind=ErrorKind.CONFIG_UPDATED,
    )
