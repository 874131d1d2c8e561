"""The repository and session that the commands work on: variables of the user."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Any

import icechunk
from icechunk import ErrorKind, IcechunkError, Repository, Session, Storage
from icechunk_widgets.chunk_refs import same_repository
from icechunk_widgets.faults import refusal

_CLOUDS = {"s3": "s3_storage", "gs": "gcs_storage", "az": "azure_storage", "r2": "r2_storage"}


class Workspace:
    """``repo``, ``session`` and ``store`` among the user's variables.

    Parameters
    ----------
    namespace : mutable mapping
        The variables.
    """

    def __init__(self, namespace: MutableMapping[str, Any]) -> None:
        self.names = namespace

    @property
    def repo(self) -> Repository:
        """The repository.

        Raises
        ------
        IcechunkError
            When none is open.
        """
        held = self.names.get("repo")
        if isinstance(held, Repository):
            return held
        session = self.names.get("session")
        others = [
            value
            for name, value in list(self.names.items())
            if name[:1] != "_" and type(value) is Repository
        ]
        if isinstance(session, Session):
            others = [repo for repo in others if same_repository(session, repo)] or others
        places = {repo.storage.identity for repo in others}
        if len(places) == 1:
            return others[0]
        if others:
            raise refusal(
                "there are several repositories among the variables",
                "assign the one to work on to `repo`",
            )
        raise refusal(
            "no repository is open",
            "`%icechunk init PATH` makes one, `%icechunk open PATH` opens one",
            ErrorKind.REPOSITORY_NOT_FOUND,
        )

    @property
    def held_session(self) -> Session | None:
        """The session, if there is one of this repository."""
        held = self.names.get("session")
        if isinstance(held, Session) and same_repository(held, self.repo):
            return held
        return None

    @property
    def session(self) -> Session:
        """The session; one on ``main`` is opened when there is none."""
        held = self.held_session
        if held is None:
            self.bind(self.repo, self.repo.writable_session("main"))
            held = self.held_session
            assert held is not None
        return held

    @property
    def writable(self) -> Session:
        """The session, which must be on a branch.

        Raises
        ------
        IcechunkError
            When it is read-only.
        """
        session = self.session
        if session.read_only or session.branch is None:
            raise refusal(
                "the session is read-only",
                "`%icechunk checkout BRANCH` opens one that can be changed",
                ErrorKind.READ_ONLY_SESSION,
            )
        return session

    def bind(self, repo: Repository, session: Session) -> None:
        """Make a repository and a session the current ones."""
        self.names.update(repo=repo, session=session, store=session.store)

    def follow(self, session: Session, branch: str) -> None:
        """After a commit: go on with a fresh session on the branch, unless another is current."""
        held = self.names.get("session")
        if not isinstance(held, Session) or held == session:
            repo = self.repo
            self.bind(repo, repo.writable_session(branch))

    def check_clean(self, discard: bool) -> None:
        """Refuse to lose uncommitted changes.

        Raises
        ------
        IcechunkError
            Kind ``uncommitted-changes``.
        """
        held = self.names.get("session")
        if isinstance(held, Session) and held.has_uncommitted_changes and not discard:
            raise refusal(
                "the session has uncommitted changes",
                "commit them first, or add --discard to give them up",
                ErrorKind.UNCOMMITTED_CHANGES,
            )

    def storage(self, place: str) -> Storage:
        """The storage that a word on the command line means.

        Parameters
        ----------
        place : str
            Name of a variable holding a `Storage`, ``memory``, ``s3://bucket/prefix`` and the
            like (credentials from the environment), or a folder.

        Raises
        ------
        IcechunkError
            For a URL of an unknown kind.
        """
        held = self.names.get(place) if place.isidentifier() else None
        if isinstance(held, Storage):
            return held
        if place in ("memory", "memory:", "memory://"):
            return icechunk.in_memory_storage()
        scheme, mark, rest = place.partition("://")
        if not mark:
            return icechunk.local_filesystem_storage(os.path.expanduser(place))
        if scheme == "file":
            return icechunk.local_filesystem_storage(rest)
        make = getattr(icechunk, _CLOUDS.get(scheme, ""), None)
        if make is None:
            raise IcechunkError(
                f"`{place}` is of a kind that this command cannot open; make the storage in "
                "Python and give the name of its variable",
                ErrorKind.CANNOT_PARSE_URL,
            )
        bucket, _, prefix = rest.partition("/")
        storage: Storage = make(bucket=bucket, prefix=prefix or None, from_env=True)
        return storage
