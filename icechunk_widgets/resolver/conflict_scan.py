"""Find the conflicts of a rebase or merge, with the states needed to display and decide them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icechunk import Conflict, ConflictDetector, Diff, Repository, Session, SnapshotInfo
from icechunk_widgets.arrays.axis_labels import axes_of
from icechunk_widgets.arrays.chunk_refs import flat, inside, references
from icechunk_widgets.arrays.nodes import array_shape
from icechunk_widgets.arrays.pictures import Side
from icechunk_widgets.commits.columns import author_of
from icechunk_widgets.commits.details import count_changes
from icechunk_widgets.diff.differences import geometry
from icechunk_widgets.kernel.failures import refusal
from icechunk_widgets.kernel.plain import iso, plural, short
from icechunk_widgets.resolver.conflict_entry import NOT_HERE, ONLY_OURS, ONLY_THEIRS, Entry
from icechunk_widgets.resolver.conflict_plan import ConflictPlan, entry_key


@dataclass(eq=False)
class ConflictScan:
    """The conflicts of a session's rebase, or of the merge it holds, with the three states.

    In a merge, ours is the source, theirs the target (the session's branch).

    Attributes
    ----------
    session : Session
        The session.
    branch : str
        The session's branch.
    source : str
        Name of what is merged; empty for a rebase.
    base, tip : str
        Snapshot ids of the session's base and of the branch's tip; of a merge, the merge base and
        the target.
    plan : ConflictPlan
        The conflicts and the decisions.
    sessions : dict of str to Session
        ``ours``, ``theirs``, ``base``.
    info : SnapshotInfo
        The commit at the tip.
    """

    session: Session
    branch: str
    source: str
    base: str
    tip: str
    plan: ConflictPlan
    sessions: dict[str, Session]
    repo: Repository
    changes: int
    info: SnapshotInfo
    more: tuple[Conflict, ...] = ()
    _theirs: Diff | None = field(default=None, repr=False)
    _source: Diff | None = field(default=None, repr=False)

    @classmethod
    def of(cls, session: Session, more: Iterable[Conflict] = ()) -> ConflictScan:
        """Find the conflicts of a session; nothing is changed.

        Parameters
        ----------
        session : Session
            A writable session on a branch.
        more : iterable of Conflict
            Conflicts that a rebase met beyond those that the plan shows.

        Raises
        ------
        SessionStateError
            For a session that cannot be rebased.
        IcechunkError
            For a merge of several sources, or one without exactly one merge base.
        """
        more = tuple(more)
        merging = session.merging
        if merging is not None and (len(merging.names) > 1 or merging.base_id is None):
            raise refusal(
                "only a merge of one source with one merge base can be shown",
                "decide with `session.solve`",
            )
        report = session.conflicts()
        met = {entry_key(conflict): conflict for conflict in (*more, *report.conflicts)}
        sessions = {
            "ours": session if merging is None else session.at_snapshot(merging.source_ids[0]),
            "theirs": session.at_snapshot(report.tip),
            "base": session.at_snapshot(report.base),
        }
        entries = [
            _entry(sessions, number, conflict, merging=merging is not None)
            for number, conflict in enumerate(met.values())
        ]
        return cls(
            session=session,
            branch=report.branch,
            source="" if merging is None else merging.names[0],
            base=report.base,
            tip=report.tip,
            plan=ConflictPlan(entries),
            sessions=sessions,
            repo=session.repository,
            changes=count_changes(session.status()),
            more=tuple(more),
            info=session.repository.lookup_snapshot(report.tip),
        )

    def renewed(self, more: Iterable[Conflict] = ()) -> ConflictScan:
        """Find the conflicts again, and copy the decisions that are still valid.

        Returns
        -------
        ConflictScan
            This one when nothing has changed.
        """
        session = self.session
        if session.merging is not None:
            tip = self.repo.lookup_branch(self.branch)
            if tip != session.snapshot_id:
                session.rebase(ConflictDetector())
        # A rebase from the same base meets the same further conflicts again.
        kept = self.more if session.snapshot_id == self.base else ()
        fresh = ConflictScan.of(session, (*kept, *more))
        if fresh.base == self.base and fresh.tip == self.tip and fresh.plan.same_as(self.plan):
            return self
        moved = self.repo.diff(from_snapshot_id=self.tip, to_snapshot_id=fresh.tip, any_states=True)
        fresh.plan.carry_over(self.plan, moved, same_base=fresh.base == self.base)
        return fresh

    def payload(self) -> dict[str, Any]:
        """The content of the view."""
        info = self.info
        author = author_of(info)
        ours = f"{plural(self.changes, 'change')}, not committed"
        if self.source:
            ours = self.repo.lookup_snapshot(self.sessions["ours"].snapshot_id).message
        return {
            "branch": self.branch,
            "commit": {"id": info.id, "message": info.message, "time": iso(info.written_at)},
            "sides": {
                "ours": {
                    "label": self.label("ours"),
                    "detail": ours.split("\n")[0],
                },
                "theirs": {
                    "label": self.label("theirs") + (f", {author}" if author else ""),
                    "detail": info.message.split("\n")[0],
                },
                "base": {"label": self.label("base"), "detail": "before both"},
            },
            "conflicts": self.plan.rows(),
            "total": self.plan.total,
            "undecided": self.plan.undecided,
            "can_undo": self.plan.can_undo,
            "can_redo": self.plan.can_redo,
        }

    def label(self, side: str) -> str:
        """Name of a side in the view."""
        if side == "ours":
            return self.source or f"Session on {self.branch}"
        if self.source and side == "base":
            return f"merge base @ {short(self.base)}"
        return f"{self.branch} @ {short(self.tip if side == 'theirs' else self.base)}"

    def side(self, name: str, path: str) -> Side:
        """A side, for pictures of its values."""
        return Side(name, self.label(name), self.sessions[name], path)

    @property
    def ours(self) -> Diff:
        """What the session changed, or the source of a merge since the merge base."""
        if not self.source:
            return self.session.status()
        if self._source is None:
            source = self.sessions["ours"].snapshot_id
            self._source = self.repo.diff(
                from_snapshot_id=self.base, to_snapshot_id=source, any_states=True
            )
        return self._source

    @property
    def theirs(self) -> Diff:
        """What the branch changed since the session's base."""
        if self._theirs is None:
            self._theirs = self.repo.diff(
                from_snapshot_id=self.base, to_snapshot_id=self.tip, any_states=True
            )
        return self._theirs

    def chunk_map(self, path: str) -> tuple[dict[str, Any], NDArray[np.uint8]]:
        """Geometry of an array in conflict, and the state of every chunk of its grid.

        Returns
        -------
        dict, ndarray of uint8
            0 not in conflict, 1 undecided, 2 ours, 3 theirs, 4 base, 5 changed only by us,
            6 changed only by them; row-major.
        """
        entry = self.plan.find(path, "ChunkDoubleUpdate")
        session = self.sessions["ours"]
        shape = array_shape(session, path)
        if (
            shape is None or shape.grid != entry.grid
        ):  # the array was resized since: use the former grid
            session = self.sessions["base"]
            shape = array_shape(session, path)
        assert shape is not None
        held = geometry(shape, entry.grid, axes_of(session, shape))
        cells = np.full(int(np.prod(entry.grid, dtype=np.int64)), NOT_HERE, np.uint8)
        ours = self.ours.chunk_coordinates.get(path)
        for diff, code in (
            (ours, ONLY_OURS),
            (self.theirs.chunk_coordinates.get(path), ONLY_THEIRS),
        ):
            if diff is not None:
                cells[flat(diff[inside(diff, entry.grid)], entry.grid)] = code
        cells[entry.positions] = self.plan.shown(entry)
        return held, cells


def _entry(
    sessions: dict[str, Session], number: int, conflict: Conflict, *, merging: bool
) -> Entry:
    session, base = sessions["ours"], sessions["base"]
    path = conflict.path
    table = references(session, path) if path else None
    found = session.store.get_sync(f"{path.strip('/')}/zarr.json".lstrip("/")) if path else None
    shape = None
    if conflict.chunk_array is not None:
        shape = array_shape(session, path)
        if shape is None or not inside(conflict.chunk_array, shape.grid).all():
            # Our array is smaller now; the conflicting chunks are on the grid of the base.
            shape = array_shape(base, path) or shape
    return Entry(
        number,
        conflict,
        grid=() if shape is None else shape.grid,
        ours=table,
        metadata=None if found is None else found.to_bytes(),
        merging=merging,
    )
