"""Pending conflicts, and the verbs that are refused meanwhile.

Until a conflict resolver is completed or cancelled, a verb that writes would discard its decisions,
act on the state before the commit (such as a tag), or conflict again.
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
_ALLOWED = ("ours", "theirs", "solve", "discard", "dry_run")
"""Options that resolve the conflicts, discard the changes, or change nothing."""
_OPENS = ("commit", "rebase")
"""Verbs that display the resolver; when they run again, it is displayed again."""


@dataclass
class _Open:
    """A resolver with decisions to take, and the cell that shows it, where the magic opened it."""

    session: Session
    resolver: ConflictResolver
    cell: Cell | None = None
    followed: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing is left to decide, for whatever reason."""
        if self.resolver.status == "working":
            return False
        done = self.resolver.status in ("committed", "rebased", "cancelled")
        return done or self.session.read_only or not self.session.has_uncommitted_changes

    def is_of(self, cell: Cell | None) -> bool:
        """Whether it is in the output of a cell, which is cleared when the cell runs again."""
        if self.cell is None or cell is None:
            return False
        return self.cell.id is not None and self.cell.id == cell.id

    @property
    def place(self) -> str:
        """Where the resolver is displayed."""
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
    """The resolver of a session, if one is open with its decisions, else a new one.

    Parameters
    ----------
    space : Workspace
        Where the next session is set once the resolver is completed.
    session : Session
        A session with changes.
    message, metadata
        Message and metadata of the commit, for a new resolver.
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
    """Whether an object is a resolver that is no longer open."""
    from icechunk_widgets.resolver.widget import ConflictResolver

    _held(None)
    return isinstance(shown, ConflictResolver) and all(one.resolver is not shown for one in _open)


def check(space: Workspace, verb: str, words: dict[str, Any]) -> None:
    """Refuse a verb that writes while decisions are pending.

    Raises
    ------
    ConflictError
        With the place of the resolver, and how to continue.
    IcechunkError
        While the resolver is completing.
    """
    held = _held(space.names.get("session")) if _writes(verb, words) else None
    if held is None:
        return
    resolver = held.resolver
    if resolver.status == "working":
        raise refusal(f"the resolver {held.place} is completing", "wait until it has finished")
    if verb == "discard" or any(words.get(word) for word in _ALLOWED):
        return
    resolver.renew()  # the branch or the session may have changed so that nothing conflicts now
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
