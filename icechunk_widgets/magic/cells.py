"""``%%icechunk commit``: a cell whose changes are committed, or discarded when it fails.

The line ``%%icechunk ...`` is replaced by a call that begins the transaction, and an event of the
shell at the end of the cell ends it.  The rest of the cell runs as usual, so ``await``, displays,
line numbers of errors and interrupts work as without the magic.
"""

from __future__ import annotations

import re
import sys
import threading
from dataclasses import dataclass
from typing import Any

from icechunk import ConflictError, ErrorKind, IcechunkError, Session
from icechunk_widgets.commits.details import count_changes
from icechunk_widgets.kernel.failures import refusal
from icechunk_widgets.kernel.plain import plural, short
from icechunk_widgets.magic import committing, open_conflicts
from icechunk_widgets.magic.lines import ShowEach, on_one_line
from icechunk_widgets.magic.parser import UsageError, message_and_metadata, parse
from icechunk_widgets.magic.run import error_line
from icechunk_widgets.provenance import Cell
from icechunk_widgets.workspace import Workspace

_HEAD = re.compile(r"%%icechunk(?:[ \t]+(.*?))?[ \t]*$")
BODY_FOLLOWS = "\n"
"""Body passed to the cell magic by a transformed cell."""


def transform(lines: list[str]) -> list[str]:
    """Replace a first line ``%%icechunk ...`` by a call, and keep the other lines.

    Parameters
    ----------
    lines : list of str
        A cell, as IPython passes it to input transformers.
    """
    match = _HEAD.match(lines[0].rstrip("\n")) if lines else None
    body = lines[1:]
    if match is None or not "".join(body).strip():
        return lines
    line = match[1] or ""
    call = f"get_ipython().run_cell_magic('icechunk', {line!r}, {BODY_FOLLOWS!r})\n"
    blank = next(n for n, text in enumerate(body) if text.strip())
    return [call, *body[:blank], *_magic_below(body[blank:])]


def _magic_below(lines: list[str]) -> list[str]:
    """The rest of a cell, which may begin with another cell magic."""
    from IPython.core import inputtransformer2

    below: list[str] = inputtransformer2.cell_magic(lines)  # type: ignore[no-untyped-call]
    return below


@dataclass
class _Pending:
    """The commit at the end of the running cell."""

    space: Workspace
    session: Session
    amend: bool
    message: str | None
    given: dict[str, Any]
    solver: Any
    solve: bool


class Cells:
    """The running cells of a shell, and the commits at their end.

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell
        The shell.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._local = threading.local()
        self._pending: dict[int, _Pending] = {}
        self._below: dict[int, list[Any]] = {}
        self._show_each = ShowEach(self._interactivity)

    @property
    def _running(self) -> list[Any]:
        """The cells running on this thread, the innermost last."""
        if not hasattr(self._local, "running"):
            self._local.running = []
        held: list[Any] = self._local.running
        return held

    def watch(self) -> None:
        """Register with the events of the shell."""
        self._shell.events.register("pre_run_cell", self.started)
        self._shell.events.register("post_run_cell", self.ended)
        transforms = self._shell.input_transformers_cleanup
        names = [getattr(one, "__name__", "") for one in transforms]
        place = names.index("cell_magic") if "cell_magic" in names else len(names)
        transforms.insert(place, transform)
        self._shell.ast_transformers.append(self._show_each)
        self._show_each.visit_running()

    def leave(self) -> None:
        """Remove the registrations."""
        self._shell.events.unregister("pre_run_cell", self.started)
        self._shell.events.unregister("post_run_cell", self.ended)
        self._shell.input_transformers_cleanup.remove(transform)
        self._shell.ast_transformers.remove(self._show_each)

    def _interactivity(self) -> str:
        """Which statements of the code about to run the shell displays."""
        fresh, self._local.fresh = getattr(self._local, "fresh", False), False
        return str(self._shell.ast_node_interactivity) if fresh else "none"

    def run_nested(self, source: str) -> None:
        """Run a cell inside the one that runs; its error is raised, and shown once, by that one."""
        shell, thread = self._shell, threading.get_ident()
        show = shell._showtraceback  # IPython's hook for where tracebacks go

        def elsewhere(*parts: Any) -> None:
            if threading.get_ident() != thread:
                show(*parts)

        shell._showtraceback = elsewhere
        try:
            result = shell.run_cell(source)
        finally:
            shell._showtraceback = show
        result.raise_error()

    def show_result(self, result: Any) -> None:
        """Display the result of a line that the shell does not display itself."""
        from IPython import display

        if result is not None:
            display.display(result)  # type: ignore[no-untyped-call]

    def show_below(self, shown: Any) -> None:
        """Display an object at the end of the running cell, below its error; else at once."""
        if not self._running:
            self.show_result(shown)
            return
        held = self._below.setdefault(id(self._running[-1]), [])
        if not any(one is shown for one in held):
            held.append(shown)

    def current(self) -> Cell | None:
        """The cell being run, for the provenance of a commit."""
        if not self._running:
            return None
        info = self._running[0]
        # IPython stores inputs before they run; when its counter increases depends on its version.
        inputs = self._shell.user_ns.get("In") if info.store_history else None
        number = len(inputs) - 1 if isinstance(inputs, list) and len(inputs) > 1 else None
        return Cell(_cell_id(self._shell, info), number, info.raw_cell)

    def begin(self, line: str) -> None:
        """Begin a cell that ends with a commit.

        Raises
        ------
        UsageError
            For a verb other than commit and amend.
        IcechunkError
            When the session already has changes, or cannot commit.
        """
        verb, words = parse(line)
        if verb not in ("commit", "amend"):
            raise UsageError(
                "a cell under %%icechunk ends with a commit: write %%icechunk commit MESSAGE, or "
                f"`%icechunk {verb}` (one %) as a line of its own"
            )
        if not self._running:
            raise refusal(
                "this cell runs silently, without the events that commit it",
                "run it as an ordinary cell",
            )
        as_amend = verb == "amend" or words["amend"]
        message, given = message_and_metadata(words["words"], words["message"], optional=as_amend)
        asked = {name: words.get(name, False) for name in ("ours", "theirs", "rebase")}
        solver = committing.solver_of(**asked)
        space = Workspace(self._shell.user_ns, self.current, self.show_below)
        open_conflicts.check(space, verb, {})
        session = space.writable
        if session.has_uncommitted_changes:
            raise refusal(
                "the session already has uncommitted changes, which would be discarded with those "
                "of the cell if it failed",
                "`%icechunk commit` or `%icechunk discard` them first",
                ErrorKind.UNCOMMITTED_CHANGES,
            )
        key = id(self._running[-1])
        if key in self._pending:
            raise UsageError("a cell ends with one commit; write %%icechunk once")
        self._pending[key] = _Pending(
            space, session, as_amend, message, given, solver, words.get("solve", False)
        )

    def started(self, info: Any) -> None:
        """Handle the start of a cell (an event of the shell)."""
        self._running.append(info)
        self._local.fresh = True  # the next module that IPython transforms is this cell

    def ended(self, result: Any) -> None:
        """Handle the end of a cell (an event); `result` is None if it was cancelled."""
        running = self._running
        info = getattr(result, "info", None) or (running[-1] if running else None)
        if not any(one is info for one in running):
            return
        failed = result is None or not result.success
        try:
            pending = self._pending.pop(id(info), None)
            if pending is None:
                return
            if failed:
                _undo(pending)
                return
            try:
                self.show_result(_finish(pending))
            except Exception as error:
                self._fail(result, error, pending.session)
        finally:
            shown = self._below.pop(id(info), ())
            while running and running.pop() is not info:
                continue
            for one in shown:
                if not open_conflicts.settled(
                    one
                ):  # unless the cell caught the error and resolved it
                    self.show_result(one)

    def _fail(self, result: Any, error: Exception, session: Session) -> None:
        """Report the failure of the commit as if the last line of the cell had raised it."""
        text = None
        if session.has_uncommitted_changes and not isinstance(error, ConflictError):
            line = error_line(error)
            text = f"the cell ran, its commit failed: {line}; its changes are kept in `session`"
        on_one_line(error, self._shell, text)
        result.error_in_exec = error
        self._shell.last_execution_succeeded = False
        self._shell.showtraceback((type(error), error, error.__traceback__))


def _finish(pending: _Pending) -> Any:
    """Commit what a cell changed."""
    space, session, given = pending.space, pending.session, pending.given
    if session.read_only:
        now = space.held_session
        if now is not None and now.has_uncommitted_changes:
            raise refusal(
                "the cell itself committed, and made further changes after that",
                "`%icechunk commit MESSAGE` commits them",
                ErrorKind.UNCOMMITTED_CHANGES,
            )
        _say("the cell itself committed; there was nothing more to commit")
        return None
    if pending.amend:
        return committing.replace(space, session, pending.message, given)
    assert pending.message is not None
    return committing.store(space, session, pending.message, given, pending.solver, pending.solve)


def _undo(pending: _Pending) -> None:
    """Discard what the cell changed."""
    session = pending.session
    if session.read_only:
        _say(f"the cell failed after it had committed {short(session.snapshot_id)}, which is kept")
        return
    if not session.has_uncommitted_changes:
        return
    try:
        count = count_changes(session.status())
        session.discard_changes()
    except IcechunkError as error:
        _say(f"the cell failed, and its changes could not be discarded: {error_line(error)}")
        return
    what = plural(count, "change")
    _say(f"the cell failed: discarded its {what}, {session.branch} is unchanged")


def _say(text: str) -> None:
    print(f"icechunk: {text}", file=sys.stderr)


def _cell_id(shell: Any, info: Any) -> str | None:
    """The id of a cell in the notebook document, if the front end sends it."""
    cell_id = getattr(info, "cell_id", None)
    if cell_id is None:
        try:
            cell_id = shell.get_parent().get("metadata", {}).get("cellId")
        except Exception:  # consoles have no messages
            return None
    return cell_id if isinstance(cell_id, str) else None
