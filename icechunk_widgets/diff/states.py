"""A state of a repository: branch, tag, snapshot id, or session."""

from __future__ import annotations

from dataclasses import dataclass

from icechunk import (
    ErrorKind,
    IcechunkError,
    InvalidInputError,
    RefNotFoundError,
    Repository,
    Session,
)
from icechunk_widgets.kernel.plain import short


@dataclass(frozen=True)
class State:
    """A state that can be read.

    Attributes
    ----------
    label : str
        Name in the view.
    snapshot_id : str
        The snapshot, or the base of a session.
    session : Session
        To read from.
    live : bool
        Whether it is a session with its uncommitted changes.
    """

    label: str
    snapshot_id: str
    session: Session
    live: bool = False

    @property
    def token(self) -> str:
        """A text that changes when the content does."""
        return f"{self.snapshot_id}.{self.session.revision}" if self.live else self.snapshot_id


def state_of(repo: Repository, name: str | Session) -> State:
    """Resolve a branch, else a tag, else a snapshot id, or a session.

    Parameters
    ----------
    repo : Repository
        The repository.
    name : str or Session
        A session means its current state.

    Raises
    ------
    RefNotFoundError
        When there is no such branch, tag or snapshot.
    """
    if isinstance(name, Session):
        where = f"session on {name.branch}" if name.branch else "session"
        return State(where, name.snapshot_id, name, live=not name.read_only)
    snapshot_id = snapshot_named(repo, name)
    label = short(snapshot_id) if name == snapshot_id else f"{name} ({short(snapshot_id)})"
    return State(label, snapshot_id, repo.readonly_session(snapshot_id=snapshot_id))


def snapshot_named(repo: Repository, name: str) -> str:
    """Snapshot id of a branch, a tag, or a snapshot id.

    Raises
    ------
    RefNotFoundError
        When there is no such branch, tag or snapshot.
    """
    if not isinstance(name, str):
        raise InvalidInputError(
            f"a state is named by a string, not {type(name).__name__}; give a branch, a tag, a "
            "snapshot id or a session",
            ErrorKind.INVALID_REF_TYPE,
        )
    for lookup in (repo.lookup_branch, repo.lookup_tag):
        try:
            return lookup(name)
        except RefNotFoundError:
            continue
    try:
        return repo.lookup_snapshot(name).id
    except IcechunkError as error:
        if error.kind not in (ErrorKind.INVALID_SNAPSHOT_ID, ErrorKind.SNAPSHOT_NOT_FOUND):
            raise
        raise RefNotFoundError(
            f"there is no branch, tag or snapshot `{name}`; `%icechunk branch`, `%icechunk tag` "
            "and `%icechunk log` list them",
            ErrorKind.REF_NOT_FOUND,
        ) from None


def place_of(repo: Repository) -> str:
    """Location of a repository as text, without secrets."""
    place = str(repo.storage.identity)
    return "memory" if place.startswith("memory:") else place
