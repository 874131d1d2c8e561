"""Static HTML of the views: tables with inline styles, with all repository content escaped.

Untrusted notebooks, code hosts and converters remove scripts, style sheets and SVG; these tables
remain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from icechunk.display.lanes import GraphCommit, arrange
from icechunk_widgets.kernel.plain import plural, short

MOST_ROWS = 50
MOST_COLUMNS = 12
"""Columns of a commit graph in characters; a wider one is cut."""

_CELL = "text-align:left;padding:2px 10px 2px 0;vertical-align:top;white-space:pre-wrap"
_SIGN = {"added": "+", "removed": "−", "changed": "~", "moved": "→"}


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], total: int | None = None) -> str:
    """Rows as an HTML table, at most 50 of them."""
    held = list(rows)
    shown = held[:MOST_ROWS]
    count = len(held) if total is None else total
    lines = [f"<tr>{''.join(_cell(name, 'th') for name in head)}</tr>"]
    lines += [f"<tr>{''.join(_cell(value, 'td') for value in row)}</tr>" for row in shown]
    more = count - len(shown)
    tail = f"<div>and {more} more</div>" if more > 0 else ""
    return f"<table>{''.join(lines)}</table>{tail}"


def _cell(value: Any, tag: str) -> str:
    return f'<{tag} style="{_CELL}">{escape(str("" if value is None else value))}</{tag}>'


def box(title: str, *parts: str) -> str:
    """A titled block of ready HTML parts."""
    return f"<div><strong>{escape(title)}</strong>{''.join(parts)}</div>"


def line(text: str) -> str:
    """A line of text."""
    return f"<div>{escape(text)}</div>"


def graph_lines(commits: Sequence[dict[str, Any]], refs: Iterable[dict[str, Any]]) -> list[str]:
    """Draw commits in characters, one line each, as `Repository.ancestry_graph` does.

    Parameters
    ----------
    commits : sequence of dict
        With ``id`` and ``parent``, newest first.
    refs : iterable of dict
        With the ``id`` they point to; the first one's ancestry is the leftmost line.
    """
    listed = [
        GraphCommit(commit["id"], commit["parent"], "", tuple(commit.get("others", ())))
        for commit in commits
    ]
    layout = arrange(listed, (ref["id"] for ref in refs))
    return [layout.text(row)[: 2 * MOST_COLUMNS] for row in range(len(listed))]


def history_html(payload: dict[str, Any], title: str) -> str:
    """The newest commits as a table, with the graph drawn in characters."""
    names: dict[str, list[str]] = {}
    for ref in payload["refs"]:
        names.setdefault(ref["id"], []).append(ref["name"])
    shown = payload["commits"][:MOST_ROWS]
    graph = graph_lines(shown, payload["refs"])
    rows = [
        (
            drawn,
            short(commit["id"]),
            ", ".join(names.get(commit["id"], [])),
            commit["message"].split("\n")[0],
            commit["author"],
            commit["time"][:19].replace("T", " "),
        )
        for drawn, commit in zip(graph, shown, strict=True)
    ]
    session = payload["session"]
    state = ""
    if session is not None and session["dirty"]:
        state = line(f"session on {session['branch']}: {plural(session['changes'], 'change')}")
    head = ("", "snapshot", "refs", "message", "author", "written (UTC)")
    return box(title, state, table(head, rows, payload["count"]))


def diff_html(payload: dict[str, Any], title: str, picture: str = "") -> str:
    """The changed nodes as a table."""
    rows = [
        (_SIGN[node["change"]], node["path"], node_detail(node))
        for node in payload["nodes"][:MOST_ROWS]
    ]
    between = line(f"{payload['a']['label']} → {payload['b']['label']}")
    if not rows:
        return box(title, between, line("No differences"))
    return box(title, between, table(("", "node", "what"), rows, len(payload["nodes"])), picture)


def node_detail(node: dict[str, Any]) -> str:
    """One changed node in words."""
    parts = [f"{node['change']} {node['type']}"]
    if node["from"]:
        parts.append(f"from {node['from']}")
    if node["metadata_changed"] and node["change"] in ("changed", "moved"):
        parts.append("metadata")
    if node["type"] == "array" and node["chunks_total"]:
        parts.append(f"{node['chunks_changed']} of {plural(node['chunks_total'], 'chunk')}")
    return ", ".join(parts)


def conflicts_html(payload: dict[str, Any], title: str, picture: str = "") -> str:
    """The conflicts and what is decided as a table."""
    rows = [
        (
            item["path"] or "(whole repository)",
            item["title"],
            plural(item["chunks"], "chunk") if item["kind"] == "chunks" else "",
            item["choice"]
            if not item["undecided"] and item["choice"]
            else f"{item['undecided']} left",
        )
        for item in payload["conflicts"]
    ]
    sides = payload["sides"]
    onto = line(f"{sides['ours']['label']} / {sides['theirs']['label']}")
    left = line(f"{payload['undecided']} of {payload['total']} decisions left")
    if not rows:
        return box(title, onto, line("No conflicts"))
    return box(title, onto, left, table(("node", "conflict", "size", "state"), rows), picture)
