"""Replies to requests about two states, for `Diff` and `History`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from icechunk import ErrorKind, IcechunkError
from icechunk_widgets.arrays.chunk_refs import sizes
from icechunk_widgets.arrays.magnitudes import magnitudes
from icechunk_widgets.arrays.metadata_diff import metadata_rows
from icechunk_widgets.arrays.nodes import document
from icechunk_widgets.arrays.pictures import Side, preview
from icechunk_widgets.diff.chunk_writers import writers
from icechunk_widgets.diff.differences import Comparison
from icechunk_widgets.kernel.failures import refusal
from icechunk_widgets.kernel.saved_page import Request, chunks_at, in_turn
from icechunk_widgets.kernel.widget import Reply

SIDES = ("before", "after")
SAVED_CHUNKS = 500


class ComparisonView:
    """Requests of the diff view, answered from one comparison.

    Parameters
    ----------
    comparison : Comparison
        The two states.
    """

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    def chunk_map(self, path: str) -> Reply:
        """Geometry of an array, and the change of every chunk."""
        held, cells = self.comparison.chunk_map(path)
        return held, [cells]

    def preview(
        self,
        path: str,
        chunk: list[int],
        sides: list[str] | None = None,
        index: list[int] | None = None,
    ) -> Reply:
        """Pictures of one chunk before and after."""
        held = [self.side(name, path) for name in sides or SIDES if name in SIDES]
        try:
            result, pictures = preview(path, chunk, held, index)
        except (IcechunkError, ImportError):
            raise
        except Exception as error:  # codecs raise exceptions of any class
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            raise refusal(
                f"chunk {list(chunk)} of `{path}` cannot be decoded ({reason[:200]})",
                "its stored bytes are damaged, or their codec is not installed. The commits that "
                "wrote the chunk are listed below; an earlier one may have readable values",
                ErrorKind.DESERIALIZATION,
            ) from error
        return result, list(pictures)

    def side(self, name: str, path: str) -> Side:
        """One of the two states of an array."""
        comparison = self.comparison
        if name == "after":
            return Side(name, comparison.b.label, comparison.b.session, path)
        before = comparison.before_path(path)
        return Side(name, comparison.a.label, comparison.a.session, before)

    def metadata(self, path: str) -> dict[str, Any]:
        """The metadata of a node, key by key."""
        comparison = self.comparison
        before = document(comparison.a.session, comparison.before_path(path))
        return {"rows": metadata_rows(before, document(comparison.b.session, path))}

    def magnitudes(self, path: str, chunks: list[list[int]]) -> dict[str, Any]:
        """How much chunks differ, at most 64 at once."""
        sides = self.side("before", path), self.side("after", path)
        return {"chunks": magnitudes(*sides, chunks)}

    def sizes(self, path: str) -> Reply:
        """Stored bytes of every chunk, from the references alone."""
        comparison = self.comparison
        before, after = comparison.shapes(path)
        shown, side = (after, "after") if after is not None else (before, "before")
        assert shown is not None
        grid = comparison.grid(before, after)
        state = comparison.b if side == "after" else comparison.a
        found = sizes(state.session, shown.path, grid)
        assert found is not None
        some = found[~np.isnan(found)]
        result = {
            "side": side,
            "label": state.label,
            "stored": len(some),
            "total": int(some.sum(dtype=np.float64)),
            "smallest": int(some.min()) if len(some) else 0,
            "largest": int(some.max()) if len(some) else 0,
        }
        return result, [found]

    def writers(self, path: str, chunk: list[int], after: str | None = None) -> dict[str, Any]:
        """The commits that wrote a chunk of the later state, or else of the earlier one."""
        comparison = self.comparison
        if comparison.shapes(path)[1] is None:
            return writers(comparison.a.session, comparison.before_path(path), chunk, after)
        return writers(comparison.b.session, path, chunk, after)

    def saved_requests(self) -> Iterable[Request]:
        """The changed nodes, the map of every array, and values of changed chunks."""
        yield "diff", {}
        nodes = self.comparison.summary()["nodes"]
        for node in nodes[:SAVED_CHUNKS]:
            if node["metadata_changed"]:
                yield "metadata", {"path": node["path"]}
        touched = []
        for path in [node["path"] for node in nodes if node["chunks_changed"]]:
            yield "chunk_map", {"path": path}
            held, cells = self.comparison.chunk_map(path)
            yield "sizes", {"path": path}
            touched.append(chunks_at(path, held["grid"], np.flatnonzero(cells)))
        for path, chunk in in_turn(touched, SAVED_CHUNKS):
            sides = list(SIDES)
            yield "preview", {"path": path, "chunk": chunk, "sides": sides, "index": None}
            yield "writers", {"path": path, "chunk": chunk, "after": None}
