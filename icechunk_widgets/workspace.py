"""The repository and session that commands work on, among the user's variables."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import icechunk
from icechunk import ErrorKind, Repository, RepositoryConfig, Session, Storage
from icechunk_widgets.arrays.chunk_refs import same_repository
from icechunk_widgets.kernel.failures import refusal

if TYPE_CHECKING:
    from icechunk.cli.addresses import At
    from icechunk_widgets.provenance import Cell


def _show(shown: Any) -> None:
    from IPython.display import display

    display(shown)  # type: ignore[no-untyped-call]


class Workspace:
    """``repo``, ``session`` and ``store`` among the user's variables.

    Parameters
    ----------
    namespace : mutable mapping
        The variables.
    cell : callable, optional
        Returns the cell being run.
    show : callable, optional
        Displays an object below the running cell; by default at once.
    """

    def __init__(
        self,
        namespace: MutableMapping[str, Any],
        cell: Callable[[], Cell | None] = lambda: None,
        show: Callable[[Any], None] = _show,
    ) -> None:
        self.names = namespace
        self._cell = cell
        self.show_below = show

    @property
    def cell(self) -> Cell | None:
        """The cell being run."""
        return self._cell()

    @property
    def repo(self) -> Repository:
        """The repository.

        Raises
        ------
        IcechunkError
            When no repository is open.
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
            "`%icechunk init PATH` creates one, `%icechunk open PATH` opens one",
            ErrorKind.REPOSITORY_NOT_FOUND,
        )

    @property
    def held_session(self) -> Session | None:
        """The session, if it belongs to this repository."""
        held = self.names.get("session")
        if isinstance(held, Session) and same_repository(held, self.repo):
            return held
        return None

    @property
    def at(self) -> At:
        """The address on which verbs shared with the shell command work."""
        from icechunk.cli.addresses import At

        return At(self.repo, self.held_session)

    def metadata(self, given: dict[str, Any]) -> dict[str, Any]:
        """Metadata of a commit: the given entries, and its provenance."""
        from icechunk_widgets.provenance import provenance, with_provenance

        found = provenance(self.names, self.cell)
        return with_provenance(given, self.repo.default_commit_metadata(), found)

    @property
    def session(self) -> Session:
        """The session; opens one on ``main`` when there is none."""
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
        """After a commit, open a new session on the branch, unless another session is current."""
        held = self.names.get("session")
        if not isinstance(held, Session) or held == session:
            repo = self.repo
            self.bind(repo, repo.writable_session(branch))

    def check_clean(self, discard: bool) -> None:
        """Refuse to discard uncommitted changes.

        Raises
        ------
        IcechunkError
            Kind ``uncommitted-changes``.
        """
        held = self.names.get("session")
        if discard or not isinstance(held, Session):
            return
        # A merge with every conflict open has not changed anything yet.
        if held.has_uncommitted_changes or held.merging is not None:
            raise refusal(
                "the session has uncommitted changes",
                "commit them first (`%icechunk commit MESSAGE`), or add --discard to discard them",
                ErrorKind.UNCOMMITTED_CHANGES,
            )

    def locate(self, address: str) -> tuple[Storage, RepositoryConfig | None]:
        """Storage and settings for an address on the command line.

        Parameters
        ----------
        address : str
            Name of a variable holding a `Storage`, ``memory``, an alias of the shell command, a
            URL (credentials from the environment), or a folder.

        Raises
        ------
        IcechunkError
            For a URL with an unknown scheme.
        """
        from icechunk.cli.addresses import locate

        held = self.names.get(address) if address.isidentifier() else None
        if isinstance(held, Storage):
            return held, None
        if address in ("memory", "memory:", "memory://"):
            return icechunk.in_memory_storage(), None
        return locate(address)
