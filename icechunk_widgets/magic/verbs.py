"""What each command of ``%icechunk`` does where a session matters; the others are the shell's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from icechunk import ErrorKind, Repository, Session, StorageReport
from icechunk import doctor as examine
from icechunk.cli import (
    config_commands,
    history_commands,
    node_commands,
    ref_commands,
    upkeep_commands,
)
from icechunk.cli.addresses import At
from icechunk.cli.output import Answer
from icechunk_widgets.diff.states import place_of
from icechunk_widgets.kernel.failures import refusal
from icechunk_widgets.kernel.plain import short
from icechunk_widgets.magic import committing
from icechunk_widgets.magic.parser import UsageError, help_text
from icechunk_widgets.magic.results import Log, Note, Report, Shown, Status
from icechunk_widgets.workspace import Workspace


def init(space: Workspace, place: str, spec_version: int | None, discard: bool) -> Note:
    """Make a repository."""
    space.check_clean(discard)
    storage, config = space.locate(place)
    return _opened(space, Repository.create(storage, config, spec_version=spec_version), "made")


def open_(space: Workspace, place: str, discard: bool) -> Note:
    """Open a repository."""
    space.check_clean(discard)
    held = space.names.get(place) if place.isidentifier() else None
    if isinstance(held, Repository):
        return _opened(space, held, "opened")
    return _opened(space, Repository.open(*space.locate(place)), "opened")


def _opened(space: Workspace, repo: Repository, how: str) -> Note:
    session = repo.writable_session("main")
    space.bind(repo, session)
    return Note(
        f"{how} {place_of(repo)}; `repo`, `session` (on main) and `store` are set",
        repo=repo,
        session=session,
    )


def status(space: Workspace) -> Status:
    """What the session changed."""
    session = space.session
    branch = session.branch
    gone = branch is None or session.read_only or branch not in space.repo.list_branches()
    return Status(session, None if gone or branch is None else space.repo.lookup_branch(branch))


def log(space: Workspace, ref: str | None, graph: bool, count: int | None) -> Any:
    """The history."""
    at = space.at
    if graph:
        start = None if ref is None else at.named(ref)
        return at.repo.ancestry_graph(snapshot_id=start)
    return Log(at, ref, count)


def show(space: Workspace, ref: str | None) -> Shown:
    """One commit."""
    at = space.at
    return Shown(at.repo, at.named(ref), history_commands.show(at, ref))


def checkout(space: Workspace, name: str, start: str | None, new: bool, discard: bool) -> Note:
    """Open a session on a branch, or a read-only one elsewhere."""
    repo = space.repo
    if start is not None and not new:
        raise UsageError("a start goes with -b only; usage: %icechunk checkout -b NAME START")
    held = space.held_session
    if new and start is None and held is not None and held.branch is not None and not discard:
        return _take_along(space, held, name)
    space.check_clean(discard)
    if new:
        repo.create_branch(name, space.at.named(start))
    if name in repo.list_branches():
        session = repo.writable_session(name)
        text = f"on branch {name} at {short(session.snapshot_id)}"
    else:
        session = repo.readonly_session(snapshot_id=space.at.named(name))
        text = f"looking at {name}, read-only; `%icechunk checkout -b NAME` starts a branch here"
    space.bind(repo, session)
    return Note(text, session=session, snapshot_id=session.snapshot_id)


def _take_along(space: Workspace, session: Session, name: str) -> Note:
    """Go on with the same session, its store and its changes, on a new branch at its base."""
    space.repo.create_branch(name, session.snapshot_id)
    session.switch_branch(name)
    space.bind(space.repo, session)
    changed = session.has_uncommitted_changes
    along = ", uncommitted changes come along" if changed else ""
    text = f"on new branch {name} at {short(session.snapshot_id)}{along}"
    return Note(text, session=session, snapshot_id=session.snapshot_id)


def diff(space: Workspace, states: tuple[str, ...], chunks: bool) -> Any:
    """Compare two states."""
    at = space.at
    words = [end for word in states for end in _ends(word)]
    if len(words) > 2:
        raise UsageError("there are more than two states; usage: %icechunk diff A..B")
    if chunks:
        if len(words) != 2:
            raise UsageError("--chunks lists the chunks between two states; give A..B")
        return Report(history_commands.diff(at, tuple(words), True))
    from icechunk_widgets.diff.widget import Diff

    names = [_label(at, word) for word in words]
    if len(names) == 2:
        return Diff(at.repo, names[0], names[1])
    return Diff(at.repo, names[0] if names else None, space.session)


def _ends(word: str) -> list[str]:
    first, mark, second = word.partition("..")
    return [first or "HEAD", second or "HEAD"] if mark else [word]


def _label(at: At, name: str) -> str:
    """The name itself where views know it, else the id of the snapshot that it means."""
    known = name in at.repo.list_branches() or name in at.repo.list_tags()
    return name if known else at.named(name)


def reset(
    space: Workspace, ref: str, expected: str | None, yes: bool, dry_run: bool, discard: bool
) -> Report:
    """Point the session's branch elsewhere."""
    if not dry_run:
        space.check_clean(discard)
    branch = space.writable.branch
    assert branch is not None
    repo = space.repo
    answer = ref_commands.reset(At(repo, space.session, branch), ref, expected, yes, dry_run)
    report = _done(space, answer)
    if not dry_run:
        space.bind(repo, repo.writable_session(branch))
    return report


def gc(space: Workspace, yes: bool, **words: Any) -> Report:
    """Collect garbage; the open session's chunks belong to nobody yet, so it must have none."""
    held = space.held_session
    if yes and held is not None and held.has_uncommitted_changes:
        raise refusal(
            "the session has uncommitted changes, whose chunks might be collected",
            "`%icechunk commit` or `%icechunk discard` them first",
            ErrorKind.UNCOMMITTED_CHANGES,
        )
    return _done(space, upkeep_commands.gc(space.at, yes=yes, **words))


def discard(space: Workspace) -> Note:
    """Give up uncommitted changes."""
    session = space.writable
    if not session.has_uncommitted_changes:
        return Note("there is nothing to discard")
    session.discard_changes()
    return Note(f"discarded; {session.branch} is at {short(session.snapshot_id)}")


def help_(_: Workspace, words: tuple[str, ...]) -> Note:
    """The commands."""
    return Note(help_text(words))


def _config(_: Workspace, **words: Any) -> Report:
    return Report(config_commands.config(**words))


def _of_the_shell(body: Callable[..., Answer]) -> Callable[..., Report]:
    """A verb that is the same in the shell."""

    def run(space: Workspace, **words: Any) -> Report:
        return _done(space, body(space.at, **words))

    return run


def _done(space: Workspace, answer: Answer) -> Report:
    """The report of what was done.

    Raises
    ------
    IcechunkError
        For what waits for a yes, or went wrong: it did not happen.  The report is shown below.
    """
    report = Report(answer)
    if answer.pending or answer.bad:
        space.show_below(report)
    if answer.pending:
        raise refusal("nothing was done", f"add --yes to {answer.pending}")
    if answer.bad:
        raise refusal(
            "not all of it was done", "mend the errors that the report lists, and run it again"
        )
    return report


def doctor(space: Workspace, place: str | None, read_only: bool, timeout: float) -> StorageReport:
    """What a storage can do: the open repository's, or that of a place."""
    if place is None:
        storage, settings = space.repo.storage, space.repo.config.storage
    else:
        storage, config = space.locate(place)
        settings = None if config is None else config.storage
    return examine(storage, read_only=read_only, settings=settings, timeout=timeout)


VERB: dict[str, Callable[..., Any]] = {
    "init": init,
    "open": open_,
    "status": status,
    "log": log,
    "show": show,
    "diff": diff,
    "branch": _of_the_shell(ref_commands.branch),
    "checkout": checkout,
    "tag": _of_the_shell(ref_commands.tag),
    "commit": committing.commit,
    "amend": committing.amend,
    "rebase": committing.rebase,
    "solve": committing.solve,
    "reset": reset,
    "discard": discard,
    "gc": gc,
    "expire": _of_the_shell(upkeep_commands.expire),
    "du": _of_the_shell(node_commands.du),
    "stats": _of_the_shell(upkeep_commands.stats),
    "ls": _of_the_shell(node_commands.ls),
    "tree": _of_the_shell(node_commands.tree),
    "doctor": doctor,
    "ops": _of_the_shell(history_commands.ops),
    "inspect": _of_the_shell(upkeep_commands.inspect),
    "config": _config,
    "help": help_,
}
