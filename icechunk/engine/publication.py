"""Publish a snapshot so that an interrupt cannot separate the session from the repository.

Publishing is one compare-and-swap, and an interrupt can arrive after it was carried out but before
the session knows.  A transaction therefore notes the snapshot before the swap.  The next operation
looks for the snapshot in the repository; if it is there, the session becomes read-only at it, and
the same call made again returns its id instead of committing twice.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from icechunk.core.answers import Answer
from icechunk.core.errors import ErrorKind, SessionStateError
from icechunk.core.ids import ObjectId, id_text
from icechunk.core.locks import ProcessLock, held
from icechunk.engine.context import RepoContext
from icechunk.spec.repo.snapshot_table import SnapshotRecord

_log = logging.getLogger(__name__)


class Request(NamedTuple):
    """The arguments of a commit; a repeated call has an equal request.

    Attributes
    ----------
    verb : str
        ``commit``, ``amend`` or ``flush``.
    message, metadata
        As the caller gave them, defaults included.
    """

    verb: str
    message: str
    metadata: dict[str, Any]


class Publication:
    """One attempt to bring a snapshot into the repository.

    Parameters
    ----------
    branch : str or None
        Branch that it moves; None for a snapshot without a branch.
    record : SnapshotRecord
        The snapshot, whose files are written.
    request : Request
        The call that made it.
    """

    def __init__(self, branch: str | None, record: SnapshotRecord, request: Request) -> None:
        self.branch = branch
        self.record = record
        self.request = request
        self.answer = Answer()

    @property
    def id(self) -> ObjectId:
        """Id of the snapshot."""
        return self.record.id

    def __str__(self) -> str:
        return f"snapshot {id_text(self.id)}, `{self.record.message}`"


class Publishing(ABC):
    """The publications of a transaction, finished and uncertain.

    Parameters
    ----------
    ctx : RepoContext
        The repository handle.

    Attributes
    ----------
    published : Publication or None
        The one that made this transaction read-only.
    """

    def __init__(self, ctx: RepoContext) -> None:
        self.ctx = ctx
        self.published: Publication | None = None
        self._attempts: dict[ObjectId, Publication] = {}  # may be in the repository: see `learn`
        self._unclear = False  # not looked for since the last of them
        self._turn = ProcessLock()  # of the thread that commits or rebases
        self._committing = False

    @abstractmethod
    def _adopt(self, publication: Publication) -> None:
        """Become read-only at a snapshot that was published."""

    def attempt(self, publication: Publication) -> None:
        """Note that a snapshot is about to be published."""
        vars(self).update(_attempts={**self._attempts, publication.id: publication}, _unclear=True)

    def withdraw(self, publication: Publication) -> None:
        """Note that a snapshot was certainly not published."""
        self._attempts.pop(publication.id, None)

    def finish(self, publication: Publication) -> ObjectId:
        """Become read-only at a snapshot that was published, and return its id to the caller."""
        self._adopt(publication)
        publication.answer.returned = True
        return publication.id

    def learn(self) -> bool:
        """Look whether the repository has a snapshot of an interrupted attempt, and adopt it.

        The storage may carry out an interrupted request later, so an attempt that was not found is
        looked for again before the next one.
        """
        for publication in list(self._attempts.values()):
            if self.ctx.ref_store.has_published(publication.branch, publication.record):
                self._adopt(publication)
                _log.warning(
                    "the interrupted %s was carried out: %s; this session is read-only on it",
                    publication.request.verb,
                    publication,
                )
                return True
        self._unclear = False
        return False

    def settle(self) -> None:
        """Find out whether an interrupted publication was carried out, if there was one."""
        if self._unclear and not self._committing:
            held(self._turn, self.learn)

    def answer(self, request: Request) -> ObjectId | None:
        """Snapshot of an equal call that was carried out and whose result was not returned."""
        done = self.published
        if done is None or done.answer.reached or done.request != request:
            return None
        return done.id

    def check_not_published(self, refusal: str) -> None:
        """Raise, naming the snapshot, when this transaction was published.

        Raises
        ------
        SessionStateError
            Kind ``commit-not-allowed``.
        """
        if self.published is not None:
            raise SessionStateError(
                f"{refusal}: this session is over, what it changed is in {self.published}. Open a "
                "new one with `Repository.writable_session`",
                ErrorKind.COMMIT_NOT_ALLOWED,
            )
