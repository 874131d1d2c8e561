"""The verbs commit, amend, rebase and solve."""

from __future__ import annotations

from typing import Any

from icechunk import (
    BasicConflictSolver,
    ConflictDetector,
    ConflictError,
    ConflictSolver,
    ConflictType,
    ErrorKind,
    MergeConflictError,
    RebaseFailedError,
    Session,
    SessionStateError,
    VersionSelection,
)
from icechunk.cli.merge_commands import conflict_answer
from icechunk.cli.output import Answer, Cell, table
from icechunk.cli.settings import Settings
from icechunk_widgets.kernel.plain import plural, short
from icechunk_widgets.magic import open_conflicts
from icechunk_widgets.magic.merging import lay_again, no_sides
from icechunk_widgets.magic.parser import UsageError, message_and_metadata
from icechunk_widgets.magic.results import Note, Report
from icechunk_widgets.magic.sided_solver import Sided, below
from icechunk_widgets.workspace import Workspace

_SETTLED = {
    ConflictType.ChunkDoubleUpdate,
    ConflictType.DeleteOfUpdatedArray,
    ConflictType.DeleteOfUpdatedGroup,
}


def commit(
    space: Workspace,
    words: tuple[str, ...],
    message: str | None,
    everything: bool,
    amend: bool,
    rebase: bool,
    ours: bool,
    theirs: bool,
    solve: bool,
) -> Any:
    """Commit; a conflict raises, with the resolver displayed below."""
    solver = solver_of(ours, theirs, rebase=rebase)
    if amend:
        return _amend(space, space.writable, words, message)
    session = space.writable
    merging, branch = session.merging, session.branch
    if merging is not None and (ours or theirs):
        raise no_sides()
    text, given = message_and_metadata(words, message, optional=merging is not None)
    if text is None and merging is not None and branch is not None:
        text = merging.message(branch)
    assert text is not None
    return store(space, session, text, given, solver, solve)


def store(
    space: Workspace,
    session: Session,
    message: str,
    given: dict[str, Any],
    solver: ConflictSolver | None = None,
    solve: bool = False,
) -> Any:
    """Commit a session.

    Parameters
    ----------
    space : Workspace
        Where the next session is set.
    session : Session
        A session on a branch.
    message : str
        Commit message.
    given : dict
        Metadata given by the user.
    solver : ConflictSolver, optional
        Rebase with it when the branch moved.
    solve : bool
        Return the resolver of a conflict instead of raising it.

    Returns
    -------
    Note or ConflictResolver

    Raises
    ------
    ConflictError
        When the branch moved, and conflicts remain after the solver, if any.
    SessionStateError
        When there is nothing to commit.
    """
    name = session.branch
    assert name is not None
    metadata = space.metadata(given)
    try:
        snapshot_id = session.commit(message, metadata, rebase_with=solver)
    except MergeConflictError as error:
        space.show_below(Report(conflict_answer(error)))
        raise
    except ConflictError as error:
        if error.kind not in (ErrorKind.COMMIT_CONFLICT, ErrorKind.REBASE_FAILED):
            raise
        resolver = open_conflicts.open_resolver(space, session, message, metadata)
        return _raise_or_return(space, resolver, error, _moved(session, resolver, solver), solve)
    except SessionStateError as error:
        if error.kind != ErrorKind.NO_CHANGES_TO_COMMIT:
            raise
        raise SessionStateError(
            "cannot commit, no changes made to the session; write through `store`, or if that is "
            "expected, put `if session.has_uncommitted_changes:` in front",
            error.kind,
        ) from None
    space.follow(session, name)
    text = f"committed {short(snapshot_id)} to {name}: {message}"
    return Note(text, snapshot_id=snapshot_id, branch=name)


def amend(
    space: Workspace, words: tuple[str, ...], message: str | None, everything: bool = False
) -> Note:
    """Add the session's changes to the newest commit."""
    return _amend(space, space.writable, words, message)


def _amend(space: Workspace, session: Session, words: tuple[str, ...], message: str | None) -> Note:
    text, given = message_and_metadata(words, message, optional=True)
    return replace(space, session, text, given)


def replace(space: Workspace, session: Session, message: str | None, given: dict[str, Any]) -> Note:
    """Amend with a session; message and metadata are kept unless given."""
    name = session.branch
    assert name is not None
    former = space.repo.lookup_snapshot(session.snapshot_id)
    kept = {key: value for key, value in former.metadata.items() if key != "provenance"}
    text = former.message if message is None else message
    metadata = space.metadata({**kept, **given})
    changed = text != former.message or bool(given)
    try:
        snapshot_id = session.amend(text, metadata=metadata, allow_empty=changed)
    except ConflictError as error:
        if error.kind != ErrorKind.COMMIT_CONFLICT:
            raise
        raise ConflictError(
            message=f"{name} moved on since this session was opened and has another newest commit; "
            " `%icechunk commit MESSAGE` adds a commit instead",
            kind=error.kind,
        ) from None
    space.follow(session, name)
    report = f"amended {short(former.id)}: {name} is at {short(snapshot_id)}: {text}"
    return Note(report, snapshot_id=snapshot_id, former=former.id, branch=name)


def _raise_or_return(
    space: Workspace, resolver: Any, error: ConflictError, what: str, solve: bool
) -> Any:
    """Raise a conflict and display its resolver; with `solve`, return the resolver instead."""
    if solve or Settings().get("solve"):
        print(f"icechunk: {what}")
        return resolver
    space.show_below(resolver)
    raise ConflictError(error.expected_parent, error.actual_parent, what, error.kind) from None


def _moved(session: Session, resolver: Any, solver: ConflictSolver | None) -> str:
    """Why a commit failed, and how to continue."""
    left = resolver.undecided
    moved = f"nothing is committed, {session.branch} moved on since this session was opened"
    if not resolver.total:
        return (
            f"{moved} and nothing conflicts; complete the resolver, or `%icechunk commit "
            "MESSAGE --rebase`"
        )
    moved += f"{', conflicts remain' if solver else ''}, {plural(left, 'decision')} to make"
    sides = "" if solver else ", or `%icechunk commit MESSAGE` with --ours or --theirs"
    return (
        f"{moved}; decide and complete in the resolver{sides}, or `%icechunk discard` your changes"
    )


def solver_of(
    ours: bool, theirs: bool, where: tuple[str, ...] = (), rebase: bool = False
) -> ConflictSolver | None:
    """The solver for --ours, --theirs, --where and --rebase."""
    if ours and theirs:
        raise UsageError("--ours and --theirs exclude each other; give one of them")
    if not (ours or theirs):
        if where:
            raise UsageError("--where limits --ours or --theirs to a node; add one of them")
        return ConflictDetector() if rebase else None
    if where:
        return Sided("ours" if ours else "theirs", where)
    side = VersionSelection.UseOurs if ours else VersionSelection.UseTheirs
    return BasicConflictSolver(on_chunk_conflict=side)


def rebase(
    space: Workspace, ours: bool, theirs: bool, where: tuple[str, ...], dry_run: bool
) -> Any:
    """Rebase the session onto the tip of its branch."""
    solver = solver_of(ours, theirs, where)
    session = space.writable
    if session.merging is not None:
        return lay_again(session, sided=solver is not None, dry_run=dry_run)
    if dry_run:
        return _dry_run(space, session, "ours" if ours else "theirs" if theirs else "", where)
    before = session.snapshot_id
    try:
        session.rebase(solver or ConflictDetector())
    except RebaseFailedError as error:
        paths = sorted({conflict.path for conflict in error.conflicts})
        shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        what = (
            f"{plural(len(error.conflicts), 'conflict')} with {short(error.snapshot)} in {shown}, "
            "nothing is rebased; decide and complete in the resolver, which commits (`%icechunk "
            "solve` shows it again), or `%icechunk rebase` with --ours or --theirs"
        )
        resolver = open_conflicts.open_resolver(space, session, "", space.metadata({}))
        return _raise_or_return(space, resolver, error, what, False)
    if session.snapshot_id == before:
        return Note(f"{session.branch} has not moved: nothing to do", snapshot_id=before)
    text = f"rebased onto {session.branch} at {short(session.snapshot_id)}"
    return Note(text, snapshot_id=session.snapshot_id)


def _dry_run(space: Workspace, session: Session, side: str, where: tuple[str, ...]) -> Report:
    """The conflicts that a rebase would meet."""
    report = session.conflicts()
    between: list[str] = []
    for info in space.repo.ancestry(snapshot_id=report.tip):
        if info.id == report.base:
            break
        between.append(info.id)
    rows: list[tuple[Cell, ...]] = []
    data: list[dict[str, Any]] = []
    for conflict in report.conflicts:
        only = not where or (
            conflict.conflict_type is ConflictType.ChunkDoubleUpdate and below(conflict.path, where)
        )
        settled = side if side and only and conflict.conflict_type in _SETTLED else ""
        chunks = conflict.chunk_array
        count = None if chunks is None else len(chunks)
        kind = conflict.conflict_type.name
        data.append({"path": conflict.path, "type": kind, "chunks": count, "settled": settled})
        size = "" if count is None else plural(count, "chunk")
        rows.append((conflict.path, kind, size, f"settled: {settled}" if settled else "left"))
    left = sum(not row["settled"] for row in data)
    if not between:
        head = f"{report.branch} has not moved: nothing to do"
    elif not left:
        how = f" with --{side}" if data else ""
        head = f"{report.branch} is {plural(len(between), 'commit')} ahead; would rebase{how}"
    else:
        head = (
            f"{report.branch} is {plural(len(between), 'commit')} ahead; "
            f"{plural(left, 'conflict')} would be left; `%icechunk solve` decides them"
        )
    facts = {
        "branch": report.branch, "base": report.base, "tip": report.tip, "commits": between,
        "conflicts": data, "left": left,
    }  # fmt: skip
    return Report(Answer(facts, [head, *table(rows, indent="  ")]))


def solve(space: Workspace, words: tuple[str, ...], message: str | None) -> Any:
    """The resolver for the session."""
    text, given = message_and_metadata(words, message, optional=True)
    session = space.writable
    return open_conflicts.open_resolver(space, session, text or "", space.metadata(given))
