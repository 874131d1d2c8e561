"""The resolver where no kernel runs: requests whose replies are saved, HTML, and text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from icechunk_widgets.kernel.plain import plural
from icechunk_widgets.kernel.saved_page import Request, chunks_at, in_turn
from icechunk_widgets.kernel.widget import Reply
from icechunk_widgets.resolver.conflict_plan import ConflictPlan
from icechunk_widgets.resolver.conflict_scan import ConflictScan
from icechunk_widgets.resolver.outcome import SIDES
from icechunk_widgets.static_html import pictures, tables

_SAVED_CHUNKS = 500


def requests(plan: ConflictPlan) -> Iterable[Request]:
    """Requests for the conflicts, their maps, and the values of conflicting chunks."""
    yield "conflicts", {}
    yield "script", {}
    chunked = [entry for entry in plan.entries if entry.is_chunks]
    for entry in chunked:
        yield "chunk_map", {"path": entry.path}
    for entry in plan.entries:
        if not entry.is_chunks:
            yield "node_conflict", {"path": entry.path, "type": entry.key[0].name}
    chunks = [chunks_at(entry.path, entry.grid, entry.positions) for entry in chunked]
    for path, chunk in in_turn(chunks, _SAVED_CHUNKS):
        yield "preview", {"path": path, "chunk": chunk, "sides": list(SIDES), "index": None}


def html(
    scan: ConflictScan,
    payload: dict[str, Any],
    title: str,
    preview: Callable[[str, list[int]], Reply],
) -> str:
    """The conflicts as a table, and a map of the array with most of them."""
    chunked = [item for item in payload["conflicts"] if item["kind"] == "chunks"]
    picture = ""
    if chunked:
        path = max(chunked, key=lambda item: int(item["chunks"]))["path"]
        held, cells = scan.chunk_map(path)
        picture = pictures.map_picture(
            cells, held, pictures.RESOLVER_COLOURS, pictures.RESOLVER_NAMES
        )
        first = scan.plan.find(path, "ChunkDoubleUpdate").coords[0].tolist()
        picture += pictures.chunk_pictures(*preview(path, first))
    return tables.conflicts_html(payload, title, picture)


def lines(rows: Iterable[dict[str, Any]]) -> list[str]:
    """The conflicts as text, one line each."""
    return [
        f"  {row['path'] or '(repository)'}: {row['title']}"
        + (f", {plural(row['chunks'], 'chunk')}" if row["kind"] == "chunks" else "")
        + (f", {row['undecided']} left" if row["undecided"] else ", decided")
        for row in rows
    ]
