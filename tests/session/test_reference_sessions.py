"""Moves, shifts and amended commits exchanged with the reference library."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from tests.oracle import run_reference
from tests.repositories import edit, grid_array, read

pytestmark = pytest.mark.oracle

SCRIPT = """
import icechunk as ic, zarr
repo = ic.Repository.open(ic.local_filesystem_storage(args[0]))
infos = list(repo.ancestry(branch="main"))
result = {"messages": [i.message for i in infos], "diffs": [], "nodes": [], "cells": {}}
for newer, older in zip(infos, infos[1:]):
    d = repo.diff(from_snapshot_id=older.id, to_snapshot_id=newer.id)
    result["diffs"].append({
        "moved": [list(m) for m in d.moved_nodes],
        "new": sorted(d.new_arrays | d.new_groups),
        "chunks": {p: sorted(c) for p, c in d.updated_chunks.items()},
    })
store = repo.readonly_session("main").store
root = zarr.open_group(store, mode="r")
for name, node in sorted(root.members(max_depth=None)):
    result["nodes"].append(name)
    if isinstance(node, zarr.Array):
        result["cells"][name] = node[...].tolist()
"""


def told_by_us(path: Path) -> dict[str, Any]:
    """The result of the script, computed by this library."""
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(path, durable=False))
    infos = list(repo.ancestry(branch="main"))
    diffs = []
    for newer, older in pairwise(infos):
        d = repo.diff(from_snapshot_id=older.id, to_snapshot_id=newer.id)
        diffs.append(
            {
                "moved": [list(move) for move in d.moved_nodes],
                "new": sorted(d.new_arrays | d.new_groups),
                "chunks": {path: sorted(chunks) for path, chunks in d.updated_chunks.items()},
            }
        )
    root = zarr.open_group(repo.readonly_session("main").store, mode="r")
    members = sorted(root.members(max_depth=None))
    return {
        "messages": [info.message for info in infos],
        "diffs": diffs,
        "nodes": [name for name, _ in members],
        "cells": {name: node[...].tolist() for name, node in members if hasattr(node, "shape")},
    }


def story(ic: Any, path: Path) -> None:
    """Commit, shift, amend, move and amend the move."""
    repo = ic.Repository.create(ic.local_filesystem_storage(path))
    session = repo.writable_session("main")
    for name in ("/", "g", "g/k", "h"):
        zarr.create_group(session.store, path=name)
    grid_array(session.store, "g/a")
    session.commit("made")
    session = repo.writable_session("main")
    session.shift_array("/g/a", (1, -1))
    session.commit("shifted")
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 9, "g/a")
    grid_array(session.store, "b")
    session.amend("shifted and edited")
    mover = repo.rearrange_session("main")
    mover.move("/g", "/h/g")
    mover.commit("moved")
    mover = repo.rearrange_session("main")
    mover.move("/h/g/a", "/a")
    mover.move("/b", "/h/b")
    mover.amend("moved on")


def test_the_reference_reads_what_we_rearranged(tmp_path):
    story(icechunk, tmp_path / "r")
    assert run_reference(SCRIPT, tmp_path / "r") == told_by_us(tmp_path / "r")


def test_we_tell_the_same_story_as_the_reference(tmp_path):
    source = Path(__file__).read_text()
    begin, end = source.index("def story("), source.index("def test_the_reference_reads")
    helper = Path(__file__).parents[1].joinpath("repositories.py").read_text()
    grid = helper[helper.index("def grid_array(") : helper.index("def with_grid(")]
    change = helper[helper.index("def edit(") :]
    code = "\n".join(
        [
            "from __future__ import annotations",
            "from pathlib import Path",
            "from typing import Any",
            "import numpy as np",
            "import zarr, icechunk, icechunk as ic",
            grid,
            change,
            source[begin:end],
            "story(ic, args[0])",
        ]
    )
    run_reference(code.replace("from __future__ import annotations", ""), tmp_path / "theirs")
    story(icechunk, tmp_path / "ours")
    assert told_by_us(tmp_path / "theirs") == told_by_us(tmp_path / "ours")


def test_cells_read_alike(tmp_path):
    story(icechunk, tmp_path / "r")
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(tmp_path / "r"))
    assert read(repo.readonly_session("main"), "a")[0, 0] == 9
