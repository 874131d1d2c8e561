"""Take back the newest change of a repository's refs, from its operations log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from icechunk.core.clock import to_datetime
from icechunk.core.errors import ErrorKind, SessionStateError
from icechunk.core.ids import ObjectId, id_text
from icechunk.engine.context import RepoContext
from icechunk.refs.capabilities import Capability
from icechunk.refs.stash_names import is_stash
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.update_log import Stamp

_SKIPPED = (u.GCRan, u.ExpirationRan, u.NewDetachedSnapshot)
"""Kinds of operations that are no changes of refs; `undo` looks behind them."""


@dataclass(frozen=True, slots=True)
class Undo:
    """What `undo` takes back.

    Attributes
    ----------
    operation : str
        The operation, in words.
    action : str
        What undoing it does, in words.
    updated_at : datetime
        When the operation was made, UTC.
    done : bool
        Whether it was taken back; False for a dry run.
    """

    operation: str
    action: str
    updated_at: datetime
    done: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "operation": self.operation,
            "action": self.action,
            "updated_at": self.updated_at.isoformat(),
            "done": self.done,
        }


@dataclass(frozen=True, slots=True)
class _Inverse:
    """How one entry of the log is taken back."""

    operation: str
    action: str
    apply: Callable[[RepoState, Stamp], RepoState]


def undo(ctx: RepoContext, *, dry_run: bool = False) -> Undo:
    """Take back the newest commit, amend, merge, reset, or change of a branch or tag.

    The undoing is an operation itself: undoing again takes it back.

    Raises
    ------
    FormatError
        Kind ``unsupported-spec-version`` in spec 1, which keeps no operations log.
    SessionStateError
        Kind ``not-allowed`` when the newest operation is of another kind, or what it left is
        not there any more.
    """
    ref_store = ctx.ref_store
    ref_store.require(Capability.REPO_OBJECT)
    state = ref_store.state()
    entry, inverse = _newest(state)
    found = Undo(inverse.operation, inverse.action, to_datetime(entry.updated_at))
    if dry_run:
        inverse.apply(state, Stamp(entry.updated_at, "", len(state.updates) + 1))
        return found

    def change(now: RepoState, stamp: Stamp) -> RepoState:
        newest, _ = _newest(now)
        if newest.kind != entry.kind or newest.updated_at != entry.updated_at:
            raise SessionStateError(
                f"another operation was made after `{inverse.operation}`; look at the operations "
                "log, and call undo again",
                ErrorKind.NOT_ALLOWED,
            )
        return inverse.apply(now, stamp)

    ref_store.update(change)
    return replace(found, done=True)


def _newest(state: RepoState) -> tuple[u.Update, _Inverse]:
    """The newest entry that is a change of refs, and its inverse."""
    for entry in state.updates:
        if isinstance(entry.kind, _SKIPPED):
            continue
        inverse = _inverse(state, entry.kind)
        if inverse is None:
            raise SessionStateError(
                f"the newest operation ({type(entry.kind).__name__}) cannot be undone: only "
                "commits, amends, merges, resets, and changes of branches and tags can",
                ErrorKind.NOT_ALLOWED,
            )
        return entry, inverse
    raise SessionStateError("the operations log holds nothing to undo", ErrorKind.NOT_ALLOWED)


def _inverse(state: RepoState, kind: u.UpdateKind) -> _Inverse | None:
    match kind:
        case u.NewCommit(branch, new):
            message = _message(state, new)
            parent = state.snapshots.record(state.snapshots.row_of(new)).parent_id
            if parent is None:
                return None
            return _reset(f"commit {id_text(new)} `{message}` on {branch}", branch, parent, new)
        case u.CommitAmended(branch, previous, new):
            return _reset(f"amend of {id_text(previous)} on {branch}", branch, previous, new)
        case u.BranchReset(name, previous):
            return _reset(f"move of branch {name}", name, previous, None)
        case u.BranchCreated(name):
            words = "stash" if is_stash(name) else f"creation of branch {name}"
            return _Inverse(words, f"delete {name}", lambda s, stamp: s.without_branch(name, stamp))
        case u.BranchDeleted(name, previous):
            words = "drop of a stash" if is_stash(name) else f"deletion of branch {name}"
            return _Inverse(
                words,
                f"create {name} at {id_text(previous)}",
                lambda s, stamp: s.with_branch(name, previous, stamp),
            )
        case u.TagCreated(name):
            return _Inverse(
                f"creation of tag {name}",
                f"delete {name}; its name can be used again",
                lambda s, stamp: _without_trace(s.without_tag(name, stamp), name),
            )
        case u.TagDeleted(name, previous):
            return _Inverse(
                f"deletion of tag {name}",
                f"create {name} at {id_text(previous)}",
                lambda s, stamp: _without_trace(s, name).with_tag(name, previous, stamp),
            )
    return None


def _message(state: RepoState, snapshot_id: ObjectId) -> str:
    row = state.snapshots.find(snapshot_id)
    return "" if row < 0 else state.snapshots.record(row).message.partition("\n")[0]


def _without_trace(state: RepoState, tag: str) -> RepoState:
    """The state with a tag's name free; the Rust library reads and continues from it."""
    return replace(state, deleted_tags=state.deleted_tags - {tag})


def _reset(operation: str, branch: str, to: ObjectId, expected: ObjectId | None) -> _Inverse:
    def apply(state: RepoState, stamp: Stamp) -> RepoState:
        if branch not in state.branches or (
            expected is not None and state.branches[branch] != expected
        ):
            raise SessionStateError(
                f"branch {branch} is not where `{operation}` left it; use reset_branch",
                ErrorKind.NOT_ALLOWED,
            )
        if to not in state.snapshots:
            raise SessionStateError(
                f"snapshot {id_text(to)}, where {branch} was before, expired or was collected",
                ErrorKind.NOT_ALLOWED,
            )
        return state.with_branch_reset(branch, to, stamp)

    return _Inverse(operation, f"move {branch} back to {id_text(to)}", apply)
