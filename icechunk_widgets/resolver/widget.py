"""`ConflictResolver`: decide the conflicts of a rebase or merge chunk by chunk, then commit."""

from __future__ import annotations

import contextvars
import math
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import traitlets

from icechunk import ConflictType, ErrorKind, IcechunkError, Session, SessionStateError
from icechunk_widgets.arrays.pictures import preview
from icechunk_widgets.kernel.failures import describe, refusal
from icechunk_widgets.kernel.plain import plural, short
from icechunk_widgets.kernel.saved_page import Request
from icechunk_widgets.kernel.widget import STATIC, BaseWidget, Reply, answers
from icechunk_widgets.resolver import decision_file, opened, without_kernel
from icechunk_widgets.resolver.branch_news import changed
from icechunk_widgets.resolver.cell_merging import counts, listed, within
from icechunk_widgets.resolver.conflict_scan import ConflictScan
from icechunk_widgets.resolver.node_conflict import describe as describe_node
from icechunk_widgets.resolver.outcome import SIDES, result
from icechunk_widgets.resolver.rebase_job import Outcome, complete
from icechunk_widgets.resolver.resolution import Resolution
from icechunk_widgets.resolver.script import script
from icechunk_widgets.resolver.seams import seams


class ConflictResolver(BaseWidget):
    """Compare both sides of each conflict, decide, and commit.

    Nothing changes until `complete`.  The session stays usable meanwhile; if it or the branch
    changes, `complete` finds the conflicts again and requires decisions only about new ones.

    Parameters
    ----------
    session : Session
        A writable session on a branch that has moved since it was opened, or one that holds a
        merge (`Repository.merge_session`): ``ours`` is its source then, ``theirs`` the target.
    message : str
        Commit message, unless `complete` gets one.
    metadata : dict, optional
        Commit metadata.
    **traits
        ``title``.

    Attributes
    ----------
    session : Session
        The session that is rebased.
    status : str
        ``pending``, ``working``, ``rebased``, ``committed``, ``failed`` or ``cancelled``.
    undecided, total : int
        Number of decisions left, and in total.
    merging : bool
        Whether the session holds a merge.
    snapshot_id : str or None
        The new snapshot, once committed.
    result : str
        The result, as a sentence.

    Raises
    ------
    SessionStateError
        For a session that cannot be rebased.

    Examples
    --------
    >>> resolver = ConflictResolver(session)                            # doctest: +SKIP
    >>> resolver.decide("/SST", "theirs")                               # doctest: +SKIP
    >>> resolver.decide("/SST", "ours", chunks=[(0, 1, 2)])             # doctest: +SKIP
    >>> resolver.complete("Merge both corrections")                     # doctest: +SKIP
    """

    _esm = STATIC / "resolver.js"
    _css = STATIC / "resolver.css"

    status = traitlets.Unicode("pending").tag(sync=True)
    undecided = traitlets.Int(0).tag(sync=True)
    total = traitlets.Int(0).tag(sync=True)
    merging = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        session: Session,
        message: str = "",
        *,
        metadata: dict[str, Any] | None = None,
        **traits: Any,
    ) -> None:
        if not isinstance(session, Session):
            raise TypeError(f"session must be an icechunk.Session, not {type(session).__name__}")
        scan = ConflictScan.of(session)  # raises before the view is announced to the browser
        self.session = session
        self._message = message
        self._metadata = metadata
        self._worker: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._listeners: list[Callable[[ConflictResolver], None]] = []
        self._notified = ""
        self.snapshot_id: str | None = None
        self.result = ""
        traits.setdefault("title", "Resolve conflicts")
        traits["merging"] = bool(scan.source)
        super().__init__(**traits)
        self._resolution = Resolution(scan, self.lock, self._check_open, self._count)
        self._count()
        opened.register(self)

    @property
    def _scan(self) -> ConflictScan:
        return self._resolution.scan

    def _count(self) -> None:
        plan = self._scan.plan
        self.total, self.undecided = plan.total, plan.undecided

    # -- what there is ---------------------------------------------------------------------------

    @property
    def conflicts(self) -> list[dict[str, Any]]:
        """The conflicts and their decisions, as the view lists them."""
        with self.lock:
            return self._scan.plan.rows()

    @property
    def decisions(self) -> list[dict[str, Any]]:
        """The decisions in the form of `icechunk.DecisionSolver`."""
        with self.lock:
            return self._scan.plan.decisions()

    @property
    def merges(self) -> list[tuple[str, list[int], Literal["ours", "theirs"]]]:
        """Chunks to merge cell by cell (theirs in `decisions`): path, coordinates, side."""
        with self.lock:
            return self._scan.plan.merges()

    @answers("conflicts")
    def payload(self) -> dict[str, Any]:
        """The content of the view."""
        with self.lock:
            return {**self._scan.payload(), "message": self._message or self._default_message}

    @answers("chunk_map")
    def chunk_map(self, path: str) -> Reply:
        """Geometry of an array in conflict and the state of every chunk of it."""
        with self.lock:
            held, cells = self._scan.chunk_map(path)
        return held, [cells]

    @answers("preview")
    def preview(
        self,
        path: str,
        chunk: list[int],
        sides: list[str] | None = None,
        index: list[int] | None = None,
    ) -> Reply:
        """Pictures of one chunk on every side, and of the result if it is decided."""
        scan = self._scan
        names = [name for name in sides or SIDES if name in SIDES]
        held = [scan.side(name, path) for name in names if name != "result"]
        outcome = result(scan, path, chunk) if "result" in names else None
        return preview(path, chunk, [*held, *([outcome] if outcome else [])], index)

    @answers("node_conflict")
    def _node_conflict_reply(self, path: str, type: str) -> dict[str, Any]:
        with self.lock:
            scan = self._scan
            return describe_node(scan, scan.plan.find(path, type))

    @answers("script")
    def _script_reply(self) -> dict[str, str]:
        return {"text": self.script()}

    def script(self) -> str:
        """The decisions so far as a Python program."""
        with self.lock:
            plan, text = self._scan.plan, self._message or self._default_message
            merging, tip = bool(self._scan.source), self._scan.tip
            return script(plan.decisions(), text, tip, plan.merge_runs(), merging=merging)

    @property
    def _default_message(self) -> str:
        merging = self.session.merging
        if merging is not None:
            return merging.message(self._scan.branch)
        return f"Merge a session into {self._scan.branch}"

    # -- deciding --------------------------------------------------------------------------------

    def decide(
        self,
        path: str,
        choice: str | None,
        chunks: Sequence[Sequence[int]] | None = None,
        *,
        type: ConflictType | str | None = None,
        keys: dict[str, str] | None = None,
        metadata: dict[str, Any] | None = None,
        new_path: str | None = None,
    ) -> None:
        """Decide all of a conflict, or some chunks of it.

        Parameters
        ----------
        path : str
            Path of the node.
        choice : str or None
            ``"ours"``, ``"theirs"``, ``"base"``; for chunks also ``"merge-ours"`` and
            ``"merge-theirs"`` (every cell from the side that changed it, and from the named side
            if both did); for nodes also ``"merge"``, ``"custom"`` and ``"rename"``
            if `icechunk.conflicts.CHOICES` offers them; None makes it undecided.
        chunks : sequence of (sequence of int), optional
            Coordinates of conflicting chunks; all by default.
        type : ConflictType or str, optional
            Needed when a node has several conflicts.
        keys : dict of str to str, optional
            For ``"merge"``: ``"ours"``, ``"theirs"`` or ``"base"`` for every key that both sides
            changed, by JSON Pointer such as ``/attributes/units``.
        metadata : dict, optional
            The whole ``zarr.json`` for ``"custom"``.
        new_path : str, optional
            For ``"rename"``.

        Raises
        ------
        InvalidInputError
            When there is no such conflict, choice or conflicting chunk.
        """
        given = {"metadata": metadata, "new_path": new_path}
        extra = {name: value for name, value in given.items() if value is not None}
        self._resolution.decide(path, type, choice, chunks=chunks, keys=keys, extra=extra)
        self.refresh()

    @answers("decide")
    def _decide_reply(
        self,
        path: str,
        type: str,
        choice: str | None,
        runs: list[int] | None = None,
        keys: dict[str, str] | None = None,
        new_path: str | None = None,
    ) -> dict[str, Any]:
        extra = {} if new_path is None else {"new_path": new_path}
        return self._resolution.decide(path, type, choice, runs=runs, keys=keys, extra=extra)

    def undo(self) -> bool:
        """Undo the last decision; False when there is none."""
        undone = self._resolution.undo()
        self.refresh()
        return undone

    def redo(self) -> bool:
        """Redo the decision that was undone last; False when there is none."""
        redone = self._resolution.redo()
        self.refresh()
        return redone

    @answers("undo")
    def _undo_reply(self) -> dict[str, Any]:
        with self.lock:
            self._resolution.undo()
            return self._scan.plan.summary()

    @answers("redo")
    def _redo_reply(self) -> dict[str, Any]:
        with self.lock:
            self._resolution.redo()
            return self._scan.plan.summary()

    def _check_open(self) -> None:
        if self.status == "working":
            raise refusal("the rebase is running", "wait until it has finished")
        if self.status in ("committed", "rebased", "cancelled"):
            raise refusal(
                f"this resolution is over ({self.status})",
                "start another with `ConflictResolver(session)`",
            )
        self.status = "pending"

    # -- deciding many chunks ----------------------------------------------------------------------

    def merge_cells(
        self,
        path: str,
        chunks: Sequence[Sequence[int]] | None = None,
        *,
        both: str | None = None,
    ) -> int:
        """Take every cell from the side that changed it.

        Parameters
        ----------
        path : str
            The array.
        chunks : sequence of (sequence of int), optional
            Coordinates of conflicting chunks; all that are undecided by default.
        both : str, optional
            ``"ours"`` or ``"theirs"``: side of the cells that both changed to different values.
            Without it, chunks with such cells stay undecided.

        Returns
        -------
        int
            Number of chunks decided.
        """
        report = self._resolution.merge(path, lambda entry: listed(entry, chunks), both)
        self.refresh()
        return int(report["merged"])

    @answers("merge")
    def _merge_reply(
        self,
        path: str,
        runs: list[int] | None = None,
        both: str | None = None,
        seconds: float = math.inf,
    ) -> dict[str, Any]:
        """Merge, or say how many chunks were read after some seconds; ask again to go on."""
        report = self._resolution.merge(path, lambda entry: within(entry, runs), both, seconds)
        with self.lock:
            return {**self._scan.plan.summary(), **report}

    @answers("cells")
    def _cells_reply(self, path: str, chunk: list[int]) -> dict[str, int]:
        """How many cells of a chunk each side changed."""
        return counts(self._scan, path, chunk)

    @answers("rule")
    def rule(
        self,
        path: str,
        rule: str,
        limit: float = 0.0,
        apply: bool = False,
        seconds: float = math.inf,
    ) -> dict[str, Any]:
        """Find the undecided chunks that a rule selects, and decide them if `apply` is set.

        Parameters
        ----------
        path : str
            The array.
        rule : str
            One of `icechunk_widgets.resolver.rules.RULES`, or ``same-region``.
        limit : float
            For ``...-where-close``: the largest absolute difference that counts as close.
        apply : bool
            Decide the chunks; otherwise only report them.
        seconds : float
            Search for this time; the next call with the same rule continues.  `apply` decides the
            chunks found so far.

        Returns
        -------
        dict
            ``takes``, ``looked``, ``of`` and ``unreadable`` (chunks), ``parts`` by array and
            decision; when applied, also the counts of the resolution.
        """
        return self._resolution.rule(path, rule, float(limit), apply, seconds)

    @answers("seams")
    def seams(self, path: str) -> dict[str, Any]:
        """Borders between chunks of different sides with a large step; see `seams`."""
        with self.lock:
            scan, entry = self._scan, self._resolution.chunks_of(path)
        return seams(scan, entry)

    def save(self, path: str | Path) -> None:
        """Write the decisions so far to a file."""
        Path(path).write_text(self._save_reply()["text"], encoding="utf-8")

    @answers("save")
    def _save_reply(self) -> dict[str, str]:
        with self.lock:
            name = f"decisions-{self._scan.branch}-{self._scan.tip[:8]}.json"
            return {"text": decision_file.to_text(self._scan), "name": name.replace("/", "-")}

    def load(self, path: str | Path) -> int:
        """Load the decisions of a file that are still valid.

        Parameters
        ----------
        path : str or Path
            A file from `save`.  The session must have the same changes as then.

        Returns
        -------
        int
            Number of decisions loaded.
        """
        taken, _ = self._resolution.load(Path(path).read_text(encoding="utf-8"))
        self.refresh()
        return taken

    @answers("load")
    def _load_reply(self, text: str) -> dict[str, Any]:
        with self.lock:
            taken, total = self._resolution.load(text)
            what = f"{taken} of {plural(total, 'decision')} in the file are still valid."
            return {**self._scan.plan.summary(), "taken": taken, "notice": what}

    # -- completing -----------------------------------------------------------------------------

    def complete(self, message: str | None = None, wait: bool = True) -> str | None:
        """Rebase with the decisions and commit, on a worker thread.

        Parameters
        ----------
        message : str, optional
            Commit message; by default that of the constructor.
        wait : bool
            Wait until it is done; otherwise return at once, and watch `status`.

        Returns
        -------
        str or None
            The new snapshot (the tip if nothing was left to commit); None without waiting.

        Raises
        ------
        SessionStateError
            Kind ``uncommitted-changes`` when decisions are missing, also because the branch moved
            again with new conflicts.
        IcechunkError
            When the rebase or the commit fails; the session keeps its changes.
        """
        self._start(message)
        worker = self._worker
        if not wait or worker is None:
            return None
        worker.join()
        if self._failure is not None:
            raise self._failure
        if self.status == "pending":
            raise self._incomplete()
        return self.snapshot_id

    @answers("complete")
    def _complete_reply(self, message: str | None = None) -> dict[str, str]:
        return {"job": self._start(message)}

    def _start(self, message: str | None) -> str:
        job = uuid.uuid4().hex
        with self.lock:
            self._check_open()
            if self._scan.plan.undecided:
                raise self._incomplete()
            text = message or self._message or self._default_message
            self.status, self._failure, self.result = "working", None, ""
            # Messages of the worker belong to the cell or request that started it.
            context = contextvars.copy_context()
            self._worker = threading.Thread(
                target=context.run,
                args=(self._work, job, text),
                name="icechunk-rebase",
                daemon=True,
            )
            self._worker.start()
        return job

    def _incomplete(self) -> IcechunkError:
        plan = self._scan.plan
        return SessionStateError(
            f"{plan.undecided} of {plural(plan.total, 'decision')} are missing; decide the "
            "conflicts that `conflicts` lists as undecided",
            ErrorKind.UNCOMMITTED_CHANGES,
        )

    def _work(self, job: str, message: str) -> None:
        def progress(stage: str, done: int, total: int) -> None:
            self.push("progress", job=job, stage=stage, done=done, total=total)

        try:
            outcome = complete(self.session, self._resolution, message, self._metadata, progress)
        except BaseException as error:
            self._fail(job, error)
            return
        self._finish(job, outcome)

    @answers("look")
    def _look_reply(self) -> dict[str, Any]:
        """Notify the views, once, that the branch or the session changed."""
        if self.status in ("pending", "failed"):
            found = changed(self.session, self._scan)
            with self.lock:
                former, self._notified = self._notified, found[0] if found else ""
            if found and found[0] != former:
                self.push("moved", notice=found[1], closed=found[0] == "closed")
        return {}

    @answers("renew")
    def renew(self) -> dict[str, Any]:
        """Find the conflicts with new commits; decisions are kept where neither side changed."""
        with self.lock:
            self._check_open()
            scan = self._resolution.look_again([])
            left = plural(scan.plan.undecided, "decision")
        notice = f"{scan.branch} is at {short(scan.tip)}: {left} left."
        self.push("state", notice=notice)
        return {}

    def _fail(self, job: str, error: BaseException) -> None:
        described = describe(error)
        with self.lock:
            self._failure, self.status = error, "failed"
            self.result = ". ".join(filter(None, (described["message"], described["hint"])))
        self.push("done", job=job, ok=False, error=described)

    def _finish(self, job: str, outcome: Outcome) -> None:
        with self.lock:
            self.result = outcome.text
            if outcome.status != "pending":
                self.snapshot_id = outcome.snapshot_id
                self._notify()
            self.status = outcome.status
        if outcome.status == "pending":
            self.push("state", job=job, notice=outcome.text)
        else:
            self.push("done", job=job, ok=True, snapshot=outcome.snapshot_id, message=outcome.text)

    def _notify(self) -> None:
        for listener in self._listeners:
            try:
                listener(self)
            except Exception as error:
                # The commit is done; an exception of a listener does not change that.
                describe(error)

    def when_done(self, listener: Callable[[ConflictResolver], None]) -> None:
        """Call a function on the worker thread once the changes are in the branch."""
        with self.lock:
            self._listeners.append(listener)

    @answers("cancel")
    def cancel(self) -> dict[str, Any]:
        """Close the resolution; the session keeps its changes and its base."""
        with self.lock:
            self._check_open()
            self.status = "cancelled"
        return {}

    # -- without a kernel ------------------------------------------------------------------------

    def saved_requests(self) -> Iterable[Request]:
        """The conflicts, their maps, and the values of conflicting chunks."""
        with self.lock:
            return list(without_kernel.requests(self._scan.plan))

    def static_html(self) -> str:
        """The conflicts as a table, and a map of the array with most of them."""
        with self.lock:
            return without_kernel.html(self._scan, self.payload(), self.title, self.preview)

    def __repr__(self) -> str:
        with self.lock:
            rows = self._scan.plan.rows()
        head = f"ConflictResolver: {self.status}, {self.undecided} of {self.total} undecided"
        return "\n".join([head, *without_kernel.lines(rows), *filter(None, [self.result])])
