"""Commit, amend, rebase and solve: how a session's changes reach its branch."""

from __future__ import annotations

from typing import Any

from icechunk import (
    BasicConflictSolver,
    ConflictDetector,
    ConflictError,
    ConflictSolver,
    ConflictType,
    ErrorKind,
    RebaseFailedError,
    Session,
    SessionStateError,
    VersionSelection,
)
from icechunk.cli.output import Answer, Cell, table
from icechunk.cli.settings import Settings
from icechunk_widgets.kernel.plain import plural, short
from icechunk_widgets.magic import open_conflicts
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
    """Commit; a conflict is an error, with the resolver below it."""
    solver = solver_of(ours, theirs, rebase=rebase)
    if amend:
        return _amend(space, space.writable, words, message)
    text, given = message_and_metadata(words, message)
    assert text is not None
    return store(space, space.writable, text, given, solver, solve)


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
        Where the next session is bound.
    session : Session
        On a branch.
    message : str
        Of the commit.
    given : dict
        Metadata that a person gave.
    solver : ConflictSolver, optional
        When the branch moved.
    solve : bool
        Return the resolver of a conflict instead of raising it.

    Returns
    -------
    Note or ConflictResolver

    Raises
    ------
    ConflictError
        When the branch moved, and the solver, if there is one, left conflicts.
    SessionStateError
        When there is nothing to commit: what was to be written went elsewhere, or nowhere.
    """
    name = session.branch
    assert name is not None
    metadata = space.metadata(given)
    try:
        snapshot_id = session.commit(message, metadata, rebase_with=solver)
    except ConflictError as error:
        if error.kind not in (ErrorKind.COMMIT_CONFLICT, ErrorKind.REBASE_FAILED):
            raise
        resolver = open_conflicts.open_resolver(space, session, message, metadata)
        return _met(space, resolver, error, _moved(session, resolver, solver), solve)
    except SessionStateError as error:
        if error.kind != ErrorKind.NO_CHANGES_TO_COMMIT:
            raise
        raise SessionStateError(
            "cannot commit, no changes made to the session; write through `store`, or where that "
            "is no mistake put `if session.has_uncommitted_changes:` in front",
            error.kind,
        ) from None
    space.follow(session, name)
    text = f"committed {short(snapshot_id)} to {name}: {message}"
    return Note(text, snapshot_id=snapshot_id, branch=name)


def amend(
    space: Workspace, words: tuple[str, ...], message: str | None, everything: bool = False
) -> Note:
    """Put the session's changes into the newest commit."""
    return _amend(space, space.writable, words, message)


def _amend(space: Workspace, session: Session, words: tuple[str, ...], message: str | None) -> Note:
    text, given = message_and_metadata(words, message, optional=True)
    return replace(space, session, text, given)


def replace(space: Workspace, session: Session, message: str | None, given: dict[str, Any]) -> Note:
    """Amend with a session; message and metadata that are not given stay as they were."""
    name = session.branch
    assert name is not None
    former = space.repo.lookup_snapshot(session.snapshot_id)
    kept = {key: value for key, value in former.metadata.items() if key != "provenance"}
    said = former.message if message is None else message
    metadata = space.metadata({**kept, **given})
    changed = said != former.message or bool(given)
    try:
        snapshot_id = session.amend(said, metadata=metadata, allow_empty=changed)
    except ConflictError as error:
        if error.kind != ErrorKind.COMMIT_CONFLICT:
            raise
        raise ConflictError(
            message=f"{name} moved on since this session was opened, its newest commit is another "
            "one now; `%icechunk commit MESSAGE` adds a commit instead",
            kind=error.kind,
        ) from None
    space.follow(session, name)
    text = f"amended {short(former.id)}: {name} is at {short(snapshot_id)}: {said}"
    return Note(text, snapshot_id=snapshot_id, former=former.id, branch=name)


def _met(space: Workspace, resolver: Any, error: ConflictError, what: str, solve: bool) -> Any:
    """Raise a conflict, with its resolver below; return the resolver where that was asked for."""
    if solve or Settings().get("solve"):
        print(f"icechunk: {what}")
        return resolver
    space.show_below(resolver)
    raise ConflictError(error.expected_parent, error.actual_parent, what, error.kind) from None


def _moved(session: Session, resolver: Any, solver: ConflictSolver | None) -> str:
    """What kept a commit from its branch, and how to go on."""
    left = resolver.undecided
    moved = f"nothing is committed, {session.branch} moved on since this session was opened"
    if not resolver.total:
        return (
            f"{moved} and nothing conflicts; complete the resolver, or `%icechunk commit "
            "MESSAGE --rebase`"
        )
    moved += f"{', what is left conflicts' if solver else ''}, {plural(left, 'decision')} to take"
    sides = "" if solver else ", or `%icechunk commit MESSAGE` with --ours or --theirs"
    return (
        f"{moved}; decide and complete in the resolver{sides}, or `%icechunk discard` your changes"
    )


def solver_of(
    ours: bool, theirs: bool, where: tuple[str, ...] = (), rebase: bool = False
) -> ConflictSolver | None:
    """The solver that --ours, --theirs, --where and --rebase mean."""
    if ours and theirs:
        raise UsageError("--ours and --theirs exclude each other; give one of them")
    if not (ours or theirs):
        if where:
            raise UsageError("--where says where a side is taken; add --ours or --theirs")
        return ConflictDetector() if rebase else None
    if where:
        return Sided("ours" if ours else "theirs", where)
    side = VersionSelection.UseOurs if ours else VersionSelection.UseTheirs
    return BasicConflictSolver(on_chunk_conflict=side)


def rebase(
    space: Workspace, ours: bool, theirs: bool, where: tuple[str, ...], dry_run: bool
) -> Any:
    """Bring the session up to its branch."""
    solver = solver_of(ours, theirs, where)
    session = space.writable
    if dry_run:
        return _foreseen(space, session, "ours" if ours else "theirs" if theirs else "", where)
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
        return _met(space, resolver, error, what, False)
    if session.snapshot_id == before:
        return Note(f"{session.branch} has not moved: nothing to do", snapshot_id=before)
    text = f"rebased onto {session.branch} at {short(session.snapshot_id)}"
    return Note(text, snapshot_id=session.snapshot_id)


def _foreseen(space: Workspace, session: Session, side: str, where: tuple[str, ...]) -> Report:
    """What a rebase would meet."""
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
