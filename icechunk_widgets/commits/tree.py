"""The hierarchy at one commit, and the Python code that opens it."""

from __future__ import annotations

from typing import Any

from icechunk import FormatError, Repository
from icechunk.session import NodeInfo

MOST_NODES = 500


def tree_at(repo: Repository, snapshot_id: str) -> dict[str, Any]:
    """The nodes of a repository at a commit.

    Returns
    -------
    dict
        ``nodes`` (path, type, for arrays shape and dims; at most 500 in path order), ``count`` of
        all, and ``python``: lines that open the commit as zarr and, for every group with
        dimensions among its arrays, as xarray (``group`` and ``lines``).
    """
    session = repo.readonly_session(snapshot_id=snapshot_id)
    nodes: list[dict[str, Any]] = []
    count = 0
    groups: set[str] = set()
    for node in session.nodes():
        count += 1
        names = node.dimension_names or ()
        if names and all(names):
            groups.add(node.path.rpartition("/")[0])
        if len(nodes) >= MOST_NODES:
            continue
        shown: dict[str, Any] = {"path": node.path, "type": node.kind}
        if node.shape is not None:
            shown |= {"shape": list(node.shape), "dims": list(names), "dtype": _dtype(node)}
        nodes.append(shown)
    opened = f"session = repo.readonly_session(\n    snapshot_id={snapshot_id!r}\n)"
    whole = 'root = zarr.open_group(session.store, mode="r")'
    python = [{"group": "", "lines": [opened, whole]}]
    for group in sorted(groups)[:MOST_NODES]:
        chosen = f"    group={group.strip('/')!r},\n" if group else ""
        line = f"ds = xarray.open_zarr(\n    session.store,\n{chosen}    consolidated=False,\n)"
        python.append({"group": group or "/", "lines": [opened, line]})
    return {"nodes": nodes, "count": count, "python": python}


def _dtype(node: NodeInfo) -> str:
    """Zarr's name of an array's data type."""
    try:
        declared = node.metadata.get("data_type")
    except FormatError:
        return "?"
    return str(declared.get("name")) if isinstance(declared, dict) else str(declared)
