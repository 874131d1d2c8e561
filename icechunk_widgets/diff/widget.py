"""`Diff`: the differences of two states of a repository."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import traitlets

from icechunk import Repository, Session
from icechunk_widgets.diff.comparison import ComparisonView
from icechunk_widgets.diff.differences import Comparison
from icechunk_widgets.diff.states import state_of
from icechunk_widgets.kernel.saved_page import Request
from icechunk_widgets.kernel.widget import STATIC, BaseWidget, Reply, answers
from icechunk_widgets.static_html import pictures, tables


class Diff(BaseWidget):
    """Changed nodes, maps of changed chunks, and values before and after.

    Parameters
    ----------
    repo : Repository
        The repository.
    a : str, Session or None
        Branch, tag or snapshot id to start from; None for the base of the session `b`.
    b : str or Session
        Branch, tag, snapshot id, or a session with its uncommitted changes.
    **traits
        ``title`` and ``selected_path``.

    Raises
    ------
    RefNotFoundError
        When a state does not exist.
    """

    _esm = STATIC / "diff.js"
    _css = STATIC / "diff.css"

    selected_path = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self, repo: Repository, a: str | Session | None, b: str | Session, **traits: Any
    ) -> None:
        if not isinstance(repo, Repository):
            raise TypeError(f"repo must be an icechunk.Repository, not {type(repo).__name__}")
        if a is None and not isinstance(b, Session):
            raise TypeError("`a` may be None only when `b` is a session, whose base it then is")
        self._repo = repo
        self._names: tuple[str | Session, str | Session] = (
            b.snapshot_id if a is None and isinstance(b, Session) else a or "main",
            b,
        )
        self._comparison = self._compare()
        traits.setdefault("title", "Differences")
        super().__init__(**traits)

    def _compare(self) -> Comparison:
        a, b = (state_of(self._repo, name) for name in self._names)
        self._seen = [a.token, b.token]
        return Comparison(self._repo, a, b)

    def refresh(self) -> None:
        """Compare again: branches may have moved, the session may have changed."""
        with self.lock:
            self._comparison = self._compare()
        super().refresh()

    @answers("diff")
    def summary(self) -> dict[str, Any]:
        """Changed nodes, as the view gets them."""
        if self._comparison.b.live:  # a session may have changed
            with self.lock:
                self._comparison = self._compare()
        return self._comparison.summary()

    @property
    def _view(self) -> ComparisonView:
        return ComparisonView(self._comparison)

    @answers("chunk_map")
    def chunk_map(self, path: str) -> Reply:
        """Geometry of an array, and the change of every chunk."""
        return self._view.chunk_map(path)

    @answers("preview")
    def preview(
        self,
        path: str,
        chunk: list[int],
        sides: list[str] | None = None,
        index: list[int] | None = None,
    ) -> Reply:
        """Pictures of one chunk before and after."""
        return self._view.preview(path, chunk, sides, index)

    @answers("metadata")
    def metadata(self, path: str) -> dict[str, Any]:
        """The metadata of a node, key by key."""
        return self._view.metadata(path)

    @answers("magnitudes")
    def magnitudes(self, path: str, chunks: list[list[int]]) -> dict[str, Any]:
        """How much chunks differ, at most 64 at once."""
        return self._view.magnitudes(path, chunks)

    @answers("sizes")
    def sizes(self, path: str) -> Reply:
        """Stored bytes of every chunk; no chunk is read."""
        return self._view.sizes(path)

    @answers("writers")
    def writers(self, path: str, chunk: list[int], after: str | None = None) -> dict[str, Any]:
        """The commits that wrote a chunk, as far as found in a moment; continue with `after`."""
        return self._view.writers(path, chunk, after)

    @answers("look")
    def look(self) -> None:
        """Refresh when a branch moved or the session changed; views request it periodically."""
        states = [state_of(self._repo, name) for name in self._names]
        if [state.token for state in states] != self._seen:
            self.refresh()

    def saved_requests(self) -> Iterable[Request]:
        """The changed nodes, the map of every array, and values of changed chunks."""
        self.summary()  # a session may have changed
        return self._view.saved_requests()

    def static_html(self) -> str:
        """The changed nodes as a table, and a map of the array that changed most."""
        summary = self.summary()
        arrays = [node for node in summary["nodes"] if node["chunks_changed"]]
        picture = ""
        if arrays:
            path = max(arrays, key=lambda node: int(node["chunks_changed"]))["path"]
            held, cells = self._comparison.chunk_map(path)
            picture = pictures.map_picture(cells, held, pictures.DIFF_COLOURS, pictures.DIFF_NAMES)
            if cells.any():
                first = np.unravel_index(int(np.flatnonzero(cells)[0]), held["grid"])
                picture += pictures.chunk_pictures(*self.preview(path, [*map(int, first)]))
        return tables.diff_html(summary, self.title, picture)

    def __repr__(self) -> str:
        summary = self.summary()
        lines = [f"{summary['a']['label']} -> {summary['b']['label']}"]
        lines += [f"  {node['path']}: {tables.node_detail(node)}" for node in summary["nodes"]]
        if not summary["nodes"]:
            lines.append("  no differences")
        return "\n".join(lines)
