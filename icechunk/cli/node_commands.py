"""Commands about groups and arrays."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from icechunk.cli.addresses import At
from icechunk.cli.grammar import VERBS
from icechunk.cli.output import Answer, Cell, joined, plural, size, styled, table
from icechunk.cli.shell import offer
from icechunk.core.paths import ROOT, check_path, is_below, parent_and_name
from icechunk.session import NodeInfo, Session
from icechunk.spec.manifest.chunk_type import ChunkType

if TYPE_CHECKING:
    import click
    from rich.text import Text

_BRANCHES, _LAST = ("├── ", "└── "), ("│   ", "    ")


def register(app: click.Group) -> None:
    """Add the commands."""
    for name, body in (("ls", ls), ("tree", tree), ("du", du)):
        offer(app, VERBS[name], body)


@dataclass(frozen=True)
class Item:
    """A node as the commands show it."""

    path: str
    kind: str
    document: dict[str, Any]
    grid: tuple[int, ...] = ()

    @classmethod
    def of(cls, node: NodeInfo) -> Item:
        """A node of a session."""
        return cls(node.path, node.kind, node.metadata, node.num_chunks or ())

    @property
    def dtype(self) -> str:
        """Zarr's name of the data type."""
        held = self.document.get("data_type")
        return str(held.get("name", "?") if isinstance(held, dict) else held)

    @property
    def chunks(self) -> list[Any] | None:
        """Shape of a chunk in elements; None for an irregular grid."""
        grid = self.document.get("chunk_grid")
        inner = grid.get("configuration") if isinstance(grid, dict) else None
        return inner.get("chunk_shape") if isinstance(inner, dict) else None

    def plain(self) -> dict[str, Any]:
        """The node as JSON."""
        data: dict[str, Any] = {"path": self.path, "type": self.kind}
        if self.kind == "array":
            data.update(
                shape=self.document["shape"],
                chunks=self.chunks,
                data_type=self.dtype,
                dimension_names=self.document.get("dimension_names"),
            )
        return data

    def summary(self) -> str:
        """Type, shape and chunks of an array."""
        if self.kind == "group":
            return ""
        chunks = f" in chunks of {_product(self.chunks)}" if self.chunks else ""
        names = self.document.get("dimension_names")
        dims = f" ({', '.join(str(name) for name in names)})" if names else ""
        return f"{self.dtype} {_product(self.document['shape'])}{dims}{chunks}"


def _product(sizes: list[Any]) -> str:
    return "×".join(map(str, sizes)) or "scalar"


def _below(session: Session, path: str) -> tuple[Item, list[Item]]:
    """The node at a path and everything below it."""
    start = check_path(path if path == ROOT else ROOT + path.strip("/"))
    nodes = list(session.nodes())
    top = next((Item.of(node) for node in nodes if node.path == start), None)
    if top is None:
        if start != ROOT:
            session.get_node_id(start)  # raises: there is no such node
        top = Item(ROOT, "group", {})
    return top, [Item.of(node) for node in nodes if is_below(node.path, start)]


def ls(at: At, path: str, ref: str | None) -> Answer:
    """List a group, or show an array."""
    top, below = _below(at.reading(ref), path)
    children = [item for item in below if parent_and_name(item.path)[0] == top.path]
    shown = [top] if top.kind == "array" else children
    rows: list[tuple[Cell, ...]] = [
        (item.kind, _name(item, parent_and_name(item.path)[1]), item.summary()) for item in shown
    ]
    return Answer([item.plain() for item in shown], table(rows))


def _name(item: Item, text: str) -> Text:
    return styled(text, "blue bold" if item.kind == "group" else "")


def tree(at: At, path: str, ref: str | None, depth: int | None) -> Answer:
    """Draw the hierarchy below a group."""
    top, below = _below(at.reading(ref), path)
    start = 0 if top.path == ROOT else top.path.count("/")
    if depth is not None:
        below = [item for item in below if item.path.count("/") - start <= depth]
    children = defaultdict(list)
    known = {top.path, *(item.path for item in below)}
    for item in below:
        parent = parent_and_name(item.path)[0]
        while parent not in known:  # a group that was never created
            parent = parent_and_name(parent)[0]
        children[parent].append(item)
    lines: list[str | Text] = [joined(_name(top, top.path), f"  {top.summary()}".rstrip())]
    stack = [(item, top.path, "", number == 0) for number, item in
             enumerate(reversed(children[top.path]))]  # fmt: skip
    while stack:
        item, parent, indent, last = stack.pop()
        text = item.path[len(parent) :].lstrip("/")
        summary = item.summary()
        lines.append(
            joined(indent + _BRANCHES[last], _name(item, text), f"  {summary}" if summary else "")
        )
        deeper = indent + _LAST[last]
        stack += [(child, item.path, deeper, number == 0) for number, child in
                  enumerate(reversed(children[item.path]))]  # fmt: skip
    return Answer([top.plain(), *(item.plain() for item in below)], lines)


def du(at: At, path: str, ref: str | None) -> Answer:
    """Show the stored size of each array, from the manifests; no chunk is read."""
    session = at.reading(ref)
    top, below = _below(session, path)
    data = [
        _stored(session, item)
        for item in (top, *(item for item in below if item.path != top.path))
        if item.kind == "array"
    ]
    data.sort(key=lambda row: (-row["bytes"], row["path"]))
    total = sum(row["bytes"] for row in data)
    virtual = sum(row["virtual_bytes"] for row in data)
    rows: list[tuple[Cell, ...]] = [
        (
            styled(size(row["bytes"]), "bold"),
            row["path"],
            f"{plural(row['chunks'], 'chunk')} of {row['grid']:,}",
            f"{size(row['virtual_bytes'])} virtual" if row["virtual_bytes"] else "",
        )
        for row in data
    ]
    rows.append((styled(size(total), "bold"), f"{top.path} in all", "", ""))
    result = {"path": top.path, "bytes": total, "virtual_bytes": virtual, "arrays": data}
    return Answer(result, table(rows))


def _stored(session: Session, item: Item) -> dict[str, Any]:
    """Chunks and bytes of one array; virtual chunks are counted apart."""
    held = session.chunk_references(item.path)
    virtual = held.kind == ChunkType.virtual
    return {
        "path": item.path,
        "chunks": len(held),
        "grid": math.prod(item.grid),
        "bytes": int(held.length[~virtual].sum()),
        "virtual_bytes": int(held.length[virtual].sum()),
    }
