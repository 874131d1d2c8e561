"""Groups and arrays."""

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
from icechunk.engine.transaction import missing_node
from icechunk.session import Session
from icechunk.spec.manifest.chunk_type import ChunkType
from icechunk.spec.snapshot.nodes import NodeSnapshot

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
    """What is shown of a node."""

    path: str
    kind: str
    document: dict[str, Any]

    @classmethod
    def of(cls, node: NodeSnapshot) -> Item:
        """What is shown of a node of a snapshot."""
        return cls(node.path, "array" if node.is_array else "group", node.document)

    @property
    def dtype(self) -> str:
        """Zarr's name of the data type."""
        held = self.document.get("data_type")
        return str(held.get("name", "?") if isinstance(held, dict) else held)

    @property
    def chunks(self) -> list[Any] | None:
        """Cells per chunk where all chunks are alike."""
        grid = self.document.get("chunk_grid")
        inner = grid.get("configuration") if isinstance(grid, dict) else None
        return inner.get("chunk_shape") if isinstance(inner, dict) else None

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        data: dict[str, Any] = {"path": self.path, "type": self.kind}
        if self.kind == "array":
            data.update(
                shape=self.document["shape"],
                chunks=self.chunks,
                data_type=self.dtype,
                dimension_names=self.document.get("dimension_names"),
            )
        return data

    def facts(self) -> str:
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
    wanted = check_path(path if path == ROOT else ROOT + path.strip("/"))
    nodes = session._transaction.tree
    top = nodes.get(wanted)
    if top is None and wanted != ROOT:
        raise missing_node(wanted)
    root = Item(ROOT, "group", {}) if top is None else Item.of(top)
    return root, [Item.of(node) for node in nodes if is_below(node.path, wanted)]


def ls(at: At, path: str, ref: str | None) -> Answer:
    """List a group, or show an array."""
    top, below = _below(at.reading(ref), path)
    children = [item for item in below if parent_and_name(item.path)[0] == top.path]
    shown = [top] if top.kind == "array" else children
    rows: list[tuple[Cell, ...]] = [
        (item.kind, _name(item, parent_and_name(item.path)[1]), item.facts()) for item in shown
    ]
    return Answer([item.plain() for item in shown], table(rows))


def _name(item: Item, text: str) -> Text:
    return styled(text, "blue bold" if item.kind == "group" else "")


def tree(at: At, path: str, ref: str | None, depth: int | None) -> Answer:
    """Draw what is below a group."""
    top, below = _below(at.reading(ref), path)
    start = 0 if top.path == ROOT else top.path.count("/")
    if depth is not None:
        below = [item for item in below if item.path.count("/") - start <= depth]
    children = defaultdict(list)
    known = {top.path, *(item.path for item in below)}
    for item in below:
        parent = parent_and_name(item.path)[0]
        while parent not in known:  # children of groups that nobody made
            parent = parent_and_name(parent)[0]
        children[parent].append(item)
    lines: list[str | Text] = [joined(_name(top, top.path), f"  {top.facts()}".rstrip())]
    stack = [(item, top.path, "", number == 0) for number, item in
             enumerate(reversed(children[top.path]))]  # fmt: skip
    while stack:
        item, parent, indent, last = stack.pop()
        text = item.path[len(parent) :].lstrip("/")
        facts = item.facts()
        lines.append(
            joined(indent + _BRANCHES[last], _name(item, text), f"  {facts}" if facts else "")
        )
        deeper = indent + _LAST[last]
        stack += [(child, item.path, deeper, number == 0) for number, child in
                  enumerate(reversed(children[item.path]))]  # fmt: skip
    return Answer([top.plain(), *(item.plain() for item in below)], lines)


def du(at: At, path: str, ref: str | None) -> Answer:
    """Show what the chunks of a state take, from the manifests; no chunk is read."""
    session = at.reading(ref)
    top, below = _below(session, path)
    data = [
        _taken(session, item)
        for item in (top, *(item for item in below if item.path != top.path))
        if item.kind == "array"
    ]
    data.sort(key=lambda row: (-row["bytes"], row["path"]))
    total = sum(row["bytes"] for row in data)
    elsewhere = sum(row["virtual_bytes"] for row in data)
    rows: list[tuple[Cell, ...]] = [
        (
            styled(size(row["bytes"]), "bold"),
            row["path"],
            f"{plural(row['chunks'], 'chunk')} of {row['grid']:,}",
            f"{size(row['virtual_bytes'])} elsewhere" if row["virtual_bytes"] else "",
        )
        for row in data
    ]
    rows.append((styled(size(total), "bold"), f"{top.path} in all", "", ""))
    told = {"path": top.path, "bytes": total, "virtual_bytes": elsewhere, "arrays": data}
    return Answer(told, table(rows))


def _taken(session: Session, item: Item) -> dict[str, Any]:
    """Chunks and bytes of one array; bytes of others' objects count apart."""
    reader = session._transaction.array_reader(item.path)
    held = reader.table()
    virtual = held.kind == ChunkType.virtual
    array = reader.node.array
    assert array is not None
    return {
        "path": item.path,
        "chunks": len(held),
        "grid": math.prod(array.num_chunks),
        "bytes": int(held.length[~virtual].sum()),
        "virtual_bytes": int(held.length[virtual].sum()),
    }
