"""What each command of ``%icechunk`` does."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from icechunk import (
    BasicConflictSolver,
    ConflictDetector,
    ConflictError,
    ConflictSolver,
    ErrorKind,
    RebaseFailedError,
    Repository,
    Session,
    VersionSelection,
)
from icechunk_widgets.faults import refusal
from icechunk_widgets.magic.parser import UsageError, help_text, metadata_of
from icechunk_widgets.magic.results import Listing, Note, Status
from icechunk_widgets.magic.workspace import Workspace
from icechunk_widgets.plain import plural, short
from icechunk_widgets.states import place_of, snapshot_named

Options = argparse.Namespace


def init(space: Workspace, options: Options) -> Note:
    """Make a repository."""
    space.check_clean(options.discard)
    return _opened(space, Repository.create(space.storage(options.path)), "made")


def open_(space: Workspace, options: Options) -> Note:
    """Open a repository."""
    space.check_clean(options.discard)
    held = space.names.get(options.path) if options.path.isidentifier() else None
    if isinstance(held, Repository):
        return _opened(space, held, "opened")
    return _opened(space, Repository.open(space.storage(options.path)), "opened")


def _opened(space: Workspace, repo: Repository, how: str) -> Note:
    session = repo.writable_session("main")
    space.bind(repo, session)
    return Note(
        f"{how} {place_of(repo)}; `repo`, `session` (on main) and `store` are set",
        repo=repo,
        session=session,
    )


def status(space: Workspace, _: Options) -> Status:
    """What the session changed."""
    return Status(space.session)


def log(space: Workspace, options: Options) -> Any:
    """The history."""
    from icechunk_widgets.history import History

    return History(space.repo, space.held_session, options.ref)


def branch(space: Workspace, options: Options) -> Any:
    """List, make or delete branches."""
    repo = space.repo
    if options.delete is not None:
        _no_more(options.name)
        repo.delete_branch(options.delete)
        return Note(f"deleted branch {options.delete}")
    if options.name is None:
        session = space.held_session
        current = None if session is None else session.branch
        return _refs(repo, "branches", current)
    target = _start(space, options.start)
    repo.create_branch(options.name, target)
    return Note(f"made branch {options.name} at {short(target)}", snapshot_id=target)


def tag(space: Workspace, options: Options) -> Any:
    """List, make or delete tags."""
    repo = space.repo
    if options.delete is not None:
        _no_more(options.name)
        repo.delete_tag(options.delete)
        return Note(f"deleted tag {options.delete}; its name cannot be used again")
    if options.name is None:
        return _refs(repo, "tags", None)
    target = _start(space, options.ref)
    repo.create_tag(options.name, target)
    return Note(f"tagged {short(target)} as {options.name}", snapshot_id=target)


def _no_more(name: str | None) -> None:
    if name is not None:
        raise UsageError(f"`{name}` is one name too many; -d takes exactly one")


def _refs(repo: Repository, kind: str, current: str | None) -> Listing:
    held = repo.history()
    messages = {info.id: info.message.split("\n")[0] for info in held["commits"]}
    rows = [
        ("*" if name == current else "", name, short(target), messages.get(target, ""))
        for name, target in sorted(held[kind].items(), key=lambda item: (item[0] != "main", item))
    ]
    return Listing(kind, ("", "name", "snapshot", "message"), rows)


def _start(space: Workspace, ref: str | None) -> str:
    """A named snapshot, else the session's base, else the tip of main."""
    if ref is not None:
        return snapshot_named(space.repo, ref)
    session = space.held_session
    return space.repo.lookup_branch("main") if session is None else session.snapshot_id


def checkout(space: Workspace, options: Options) -> Note:
    """Open a session on a branch, or a read-only one elsewhere."""
    repo = space.repo
    if options.start is not None and not options.new:
        raise UsageError("a start goes with -b only; usage: %icechunk checkout -b NAME START")
    space.check_clean(options.discard)
    if options.new:
        repo.create_branch(options.name, _start(space, options.start))
    if options.name in repo.list_branches():
        session = repo.writable_session(options.name)
        text = f"on branch {options.name} at {short(session.snapshot_id)}"
    else:
        session = repo.readonly_session(snapshot_id=snapshot_named(repo, options.name))
        text = f"looking at {options.name}, read-only"
    space.bind(repo, session)
    return Note(text, session=session, snapshot_id=session.snapshot_id)


def diff(space: Workspace, options: Options) -> Any:
    """Compare two states."""
    from icechunk_widgets.diff import Diff

    states = [part for word in options.states for part in _ends(word)]
    if not states:
        return Diff(space.repo, None, space.session)
    if len(states) == 1:
        return Diff(space.repo, states[0], space.session)
    if len(states) > 2:
        raise UsageError("there are more than two states; usage: %icechunk diff A..B")
    return Diff(space.repo, states[0], states[1])


def _ends(word: str) -> list[str]:
    first, mark, second = word.partition("..")
    if not mark:
        return [word]
    return [first or "main", second or "main"]


def commit(space: Workspace, options: Options) -> Any:
    """Commit; when the branch moved, offer the resolver."""
    metadata = metadata_of(options.metadata)
    session = space.writable
    name = session.branch
    assert name is not None
    solver = _solver(options)
    try:
        snapshot_id = session.commit(options.message, metadata, rebase_with=solver)
    except RebaseFailedError:
        return _moved(space, session, options.message, metadata, "and the rest conflicts")
    except ConflictError as error:
        if error.kind != ErrorKind.COMMIT_CONFLICT:
            raise
        return _moved(space, session, options.message, metadata, "")
    space.follow(session, name)
    text = f"committed {short(snapshot_id)} to {name}: {options.message}"
    return Note(text, snapshot_id=snapshot_id, branch=name)


def _moved(
    space: Workspace, session: Session, message: str, metadata: dict[str, Any] | None, why: str
) -> Any:
    resolver = _resolver(space, session, message, metadata)
    left = resolver.undecided
    what = f"{plural(left, 'decision')} to take" if left else "nothing conflicts"
    extra = f" {why}" if why else ""
    print(
        f"icechunk: {session.branch} moved on since this session was opened{extra}, {what}: "
        "decide below and complete, or run `%icechunk commit` with --ours or --theirs"
    )
    return resolver


def _resolver(
    space: Workspace, session: Session, message: str, metadata: dict[str, Any] | None = None
) -> Any:
    from icechunk_widgets.resolver import ConflictResolver

    name = session.branch
    assert name is not None
    resolver = ConflictResolver(session, message, metadata=metadata)
    resolver.when_done(lambda _: space.follow(session, name))
    return resolver


def _solver(options: Options) -> ConflictSolver | None:
    if options.ours:
        return BasicConflictSolver(on_chunk_conflict=VersionSelection.UseOurs)
    if options.theirs:
        return BasicConflictSolver(on_chunk_conflict=VersionSelection.UseTheirs)
    return None


def rebase(space: Workspace, options: Options) -> Note:
    """Bring the session up to its branch."""
    session = space.writable
    before = session.snapshot_id
    try:
        session.rebase(_solver(options) or ConflictDetector())
    except RebaseFailedError as error:
        raise refusal(
            f"{plural(len(error.conflicts), 'conflict')} with {short(error.snapshot)}",
            "`%icechunk solve` decides them chunk by chunk, --ours or --theirs all at once",
            ErrorKind.REBASE_FAILED,
        ) from None
    if session.snapshot_id == before:
        return Note(f"{session.branch} has not moved: nothing to do", snapshot_id=before)
    text = f"rebased onto {session.branch} at {short(session.snapshot_id)}"
    return Note(text, snapshot_id=session.snapshot_id)


def solve(space: Workspace, options: Options) -> Any:
    """The resolver for the session."""
    return _resolver(space, space.writable, options.message)


def discard(space: Workspace, _: Options) -> Note:
    """Give up uncommitted changes."""
    session = space.writable
    if not session.has_uncommitted_changes:
        return Note("there is nothing to discard")
    session.discard_changes()
    return Note(f"discarded; {session.branch} is at {short(session.snapshot_id)}")


def reset(space: Workspace, options: Options) -> Note:
    """Point the session's branch elsewhere."""
    space.check_clean(options.discard)
    name = space.writable.branch
    assert name is not None
    repo = space.repo
    target, former = snapshot_named(repo, options.ref), repo.lookup_branch(name)
    repo.reset_branch(name, target, from_snapshot_id=former)
    space.bind(repo, repo.writable_session(name))
    text = f"{name} points to {short(target)}; before, to {former}"
    return Note(text, snapshot_id=target, former=former)


def help_(_: Workspace, options: Options) -> Note:
    """The commands."""
    return Note(help_text(options.verb))


VERB: dict[str, Callable[[Workspace, Options], Any]] = {
    "init": init,
    "open": open_,
    "status": status,
    "log": log,
    "branch": branch,
    "checkout": checkout,
    "tag": tag,
    "diff": diff,
    "commit": commit,
    "rebase": rebase,
    "solve": solve,
    "discard": discard,
    "reset": reset,
    "help": help_,
}
