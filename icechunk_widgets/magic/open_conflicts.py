"""Conflicts that wait for decisions, and the verbs that must wait with them.

A commit that conflicts opens the resolver.  From then on until it is completed or given up, a verb
that writes would lose the decisions, act on the state before the commit (a tag), or conflict again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from icechunk import ConflictError, ErrorKind, Session
from icechunk_widgets.kernel.failures import refusal
from icechunk_widgets.kernel.plain import plural
from icechunk_widgets.resolver import opened
from icechunk_widgets.workspace import Workspace

if TYPE_CHECKING:
    from icechunk_widgets.provenance import Cell
    from icechunk_widgets.resolver.widget import ConflictResolver

_WRITES = (
    "commit", "amend", "rebase", "checkout", "init", "open", "reset", "discard", "gc", "expire",
)  # fmt: skip
_WAYS_OUT = ("ours", "theirs", "solve", "discard", "dry_run")
"""Words that decide the conflicts otherwise, give them up, or change nothing."""
_OPENS = ("commit", "rebase")
"""Verbs that show the resolver; when they run again the resolver is shown again."""


@dataclass
class _Open:
    """A resolver with decisions to take, and the cell that shows it, where the magic opened it."""

    session: Session
    resolver: ConflictResolver
    cell: Cell | None = None
    followed: bool = False

    @property
    def over(self) -> bool:
        """Whether there is nothing to decide any more, however that came about."""
        if self.resolver.status == "working":
            return False
        done = self.resolver.status in ("committed", "rebased", "cancelled")
        return done or self.session.read_only or not self.session.has_uncommitted_changes

    def is_of(self, cell: Cell | None) -> bool:
        """Whether it is in the output of a cell, which goes when the cell runs again."""
        if self.cell is None or cell is None:
            return False
        return self.cell.id is not None and self.cell.id == cell.id

    @property
    def place(self) -> str:
        """Where the resolver is."""
        number = None if self.cell is None else self.cell.number
        return "above" if number is None else f"below In [{number}]"


_open: list[_Open] = []  # sessions are compared, not hashed


def _held(session: Session | None) -> _Open | None:
    newest = None if session is None else opened.newest(session)
    if newest is not None and all(one.resolver is not newest for one in _open):
        # Made in Python.  Of several resolvers of a session the newest counts.
        _open[:] = [one for one in _open if one.session != session]
        _open.append(_Open(newest.session, newest))
    _open[:] = [one for one in _open if not one.over]
    return next((one for one in _open if one.session == session), None)


def open_resolver(
    space: Workspace, session: Session, message: str, metadata: dict[str, Any] | None
) -> ConflictResolver:
    """The resolver of a session, with the decisions that were taken in it already.

    Parameters
    ----------
    space : Workspace
        Where the next session is bound once the resolver is completed.
    session : Session
        With changes.
    message, metadata
        Of the commit, for a resolver that is not open yet.
    """
    name = session.branch
    assert name is not None
    held = _held(session)
    if held is None or not held.resolver.total:
        give_up(session)
        from icechunk_widgets.resolver.widget import ConflictResolver

        held = _Open(session, ConflictResolver(session, message, metadata=metadata))
        _open.append(held)
    held.cell = space.cell
    if not held.followed:
        held.followed = True
        held.resolver.when_done(lambda _: space.follow(session, name))
    return held.resolver


def give_up(session: Session | None) -> None:
    """Cancel the resolver of a session, if one is open."""
    for one in [one for one in _open if one.session == session]:
        if one.resolver.status in ("pending", "failed"):
            one.resolver.cancel()
        _open.remove(one)


def settled(shown: Any) -> bool:
    """Whether something is a resolver that is not open any more."""
    from icechunk_widgets.resolver.widget import ConflictResolver

    _held(None)
    return isinstance(shown, ConflictResolver) and all(one.resolver is not shown for one in _open)


def check(space: Workspace, verb: str, words: dict[str, Any]) -> None:
    """Refuse a verb that writes while decisions are pending.

    Raises
    ------
    ConflictError
        Says where the resolver is, and how to go on.
    IcechunkError
        While the resolver is completing.
    """
    held = _held(space.names.get("session")) if _writes(verb, words) else None
    if held is None:
        return
    resolver = held.resolver
    if resolver.status == "working":
        raise refusal(f"the resolver {held.place} is completing", "wait until it has finished")
    if verb == "discard" or any(words.get(word) for word in _WAYS_OUT):
        return
    resolver.renew()  # the branch, or the session, may have moved so that nothing conflicts now
    if not resolver.total:
        return
    place = held.place
    if verb in _OPENS or held.is_of(space.cell):
        held.cell = space.cell
        space.show_below(resolver)
        place = "here"
    left = resolver.undecided
    state = (
        f"{left} of {plural(resolver.total, 'decision')} left" if left else "decided, not completed"
    )
    raise ConflictError(
        message=f"a conflict is pending ({state}), its resolver is {place}; complete it, or "
        "`%icechunk commit MESSAGE` with --ours or --theirs, or `%icechunk discard` your changes",
        kind=ErrorKind.COMMIT_CONFLICT,
    )


def _writes(verb: str, words: dict[str, Any]) -> bool:
    """Whether a line changes the repository or the session."""
    if verb in ("branch", "tag"):
        return any(words.get(word) for word in ("name", "delete", "force_delete"))
    return verb in _WRITES and not words.get("dry_run")
