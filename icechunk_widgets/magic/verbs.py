"""The commands of ``%icechunk``; those without a session are shared with the shell command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from icechunk import ErrorKind, Repository, Session, StorageReport
from icechunk import doctor as examine
from icechunk.cli import (
    config_commands,
    history_commands,
    merge_commands,
    node_commands,
    ref_commands,
    upkeep_commands,
)
from icechunk.cli.addresses import At
from icechunk.cli.output import Answer
from icechunk_widgets.diff.states import place_of
from icechunk_widgets.kernel.failures import refusal
from icechunk_widgets.kernel.plain import short
from icechunk_widgets.magic import committing, merging
from icechunk_widgets.magic.parser import UsageError, help_text
from icechunk_widgets.magic.reports import reported
from icechunk_widgets.magic.results import Log, Note, Report, Shown, Status
from icechunk_widgets.workspace import Workspace


def init(space: Workspace, address: str, spec_version: int | None, discard: bool) -> Note:
    """Create a repository."""
    space.check_clean(discard)
    storage, config = space.locate(address)
    return _opened(space, Repository.create(storage, config, spec_version=spec_version), "created")


def open_(space: Workspace, address: str, discard: bool) -> Note:
    """Open a repository."""
    space.check_clean(discard)
    held = space.names.get(address) if address.isidentifier() else None
    if isinstance(held, Repository):
        return _opened(space, held, "opened")
    return _opened(space, Repository.open(*space.locate(address)), "opened")


def _opened(space: Workspace, repo: Repository, how: str) -> Note:
    session = repo.writable_session("main")
    space.bind(repo, session)
    return Note(
        f"{how} {place_of(repo)}; `repo`, `session` (on main) and `store` are set",
        repo=repo,
        session=session,
    )


def status(space: Workspace) -> Status:
    """The uncommitted changes of the session."""
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
        raise UsageError("START needs -b; usage: %icechunk checkout -b NAME START")
    held = space.held_session
    if new and start is None and held is not None and held.branch is not None and not discard:
        return _to_new_branch(space, held, name)
    space.check_clean(discard)
    if new:
        repo.create_branch(name, space.at.named(start))
    if name in repo.list_branches():
        session = repo.writable_session(name)
        text = f"on branch {name} at {short(session.snapshot_id)}"
    else:
        session = repo.readonly_session(snapshot_id=space.at.named(name))
        text = f"at {name}, read-only; `%icechunk checkout -b NAME` creates a branch here"
    space.bind(repo, session)
    return Note(text, session=session, snapshot_id=session.snapshot_id)


def _to_new_branch(space: Workspace, session: Session, name: str) -> Note:
    """Continue the session, with its store and changes, on a new branch at its base."""
    space.repo.create_branch(name, session.snapshot_id)
    session.switch_branch(name)
    space.bind(space.repo, session)
    changed = session.has_uncommitted_changes
    along = ", with the uncommitted changes" if changed else ""
    text = f"on new branch {name} at {short(session.snapshot_id)}{along}"
    return Note(text, session=session, snapshot_id=session.snapshot_id)


def diff(space: Workspace, states: tuple[str, ...], chunks: bool) -> Any:
    """Compare two states."""
    at = space.at
    words = [end for word in states for end in _ends(word)]
    if len(words) > 2:
        raise UsageError("more than two states are given; usage: %icechunk diff A..B")
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
    """The name of a branch or tag unchanged; anything else as a snapshot id."""
    known = name in at.repo.list_branches() or name in at.repo.list_tags()
    return name if known else at.named(name)


def reset(
    space: Workspace, ref: str, expected: str | None, yes: bool, dry_run: bool, discard: bool
) -> Report:
    """Point the session's branch to another snapshot."""
    if not dry_run:
        space.check_clean(discard)
    branch = space.writable.branch
    assert branch is not None
    repo = space.repo
    answer = ref_commands.reset(At(repo, space.session, branch), ref, expected, yes, dry_run)
    report = reported(space, answer)
    if not dry_run:
        space.bind(repo, repo.writable_session(branch))
    return report


def gc(space: Workspace, yes: bool, **words: Any) -> Report:
    """Collect garbage; refused with uncommitted changes, whose chunks no commit refers to yet."""
    held = space.held_session
    if yes and held is not None and held.has_uncommitted_changes:
        raise refusal(
            "the session has uncommitted changes, whose chunks might be collected",
            "`%icechunk commit` or `%icechunk discard` them first",
            ErrorKind.UNCOMMITTED_CHANGES,
        )
    return reported(space, upkeep_commands.gc(space.at, yes=yes, **words))


def discard(space: Workspace) -> Note:
    """Discard uncommitted changes."""
    session = space.writable
    if not session.has_uncommitted_changes and session.merging is None:
        return Note("there is nothing to discard")
    session.discard_changes()
    return Note(f"discarded; {session.branch} is at {short(session.snapshot_id)}")


def help_(_: Workspace, words: tuple[str, ...]) -> Note:
    """The commands."""
    return Note(help_text(words))


def _config(_: Workspace, **words: Any) -> Report:
    return Report(config_commands.config(**words))


def _shared(body: Callable[..., Answer]) -> Callable[..., Report]:
    """A verb that is the same in the shell."""

    def run(space: Workspace, **words: Any) -> Report:
        return reported(space, body(space.at, **words))

    return run


def doctor(space: Workspace, address: str | None, read_only: bool, timeout: float) -> StorageReport:
    """Test the storage of the open repository, or of an address."""
    if address is None:
        storage, settings = space.repo.storage, space.repo.config.storage
    else:
        storage, config = space.locate(address)
        settings = None if config is None else config.storage
    return examine(storage, read_only=read_only, settings=settings, timeout=timeout)


VERB: dict[str, Callable[..., Any]] = {
    "init": init,
    "open": open_,
    "status": status,
    "log": log,
    "show": show,
    "diff": diff,
    "branch": _shared(ref_commands.branch),
    "checkout": checkout,
    "tag": _shared(ref_commands.tag),
    "commit": committing.commit,
    "amend": committing.amend,
    "rebase": committing.rebase,
    "solve": committing.solve,
    "reset": reset,
    "discard": discard,
    "merge": merging.merge,
    "merge-base": _shared(merge_commands.merge_base),
    "cherry-pick": merging.moving(merge_commands.cherry_pick),
    "revert": merging.moving(merge_commands.revert),
    "squash": merging.moving(merge_commands.squash),
    "restore": merging.restore,
    "stash": merging.stash,
    "undo": merging.undo,
    "blame": _shared(merge_commands.blame),
    "bisect": merging.bisect,
    "gc": gc,
    "expire": _shared(upkeep_commands.expire),
    "du": _shared(node_commands.du),
    "stats": _shared(upkeep_commands.stats),
    "ls": _shared(node_commands.ls),
    "tree": _shared(node_commands.tree),
    "doctor": doctor,
    "ops": _shared(history_commands.ops),
    "inspect": _shared(upkeep_commands.inspect),
    "config": _config,
    "help": help_,
}
