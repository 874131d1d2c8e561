"""Model stores and trees agree with Zarr and with themselves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import PurePosixPath

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from zarr.storage import MemoryStore

import icechunk
from icechunk.testing.models import ArrayNode, GroupNode, ModelStore
from icechunk.testing.trees import trees

LEAF = ArrayNode((1,), np.dtype("i4"))
TREE = GroupNode.from_dict({"g": {"x": LEAF, "h": {}}, "b": LEAF})


def test_a_tree_lists_its_paths() -> None:
    assert list(TREE.walk())[1] == (PurePosixPath("g/x"), LEAF)
    assert TREE.nodes() == ["g", "g/x", "g/h", "b"]
    assert TREE.groups("/", include_root=True) == ["/", "/g", "/g/h"]
    assert TREE.arrays("p") == ["p/g/x", "p/b"]


def test_a_tree_from_paths_fills_in_parents() -> None:
    tree = GroupNode.from_paths(arrays={"/g/x", "/b"}, groups={"/", "/g/h"})
    assert tree == TREE
    with pytest.raises(ValueError, match="below an array"):
        GroupNode.from_paths(arrays={"/a", "/a/b"}, groups=set())


@given(tree=trees())
@settings(max_examples=20)
def test_a_tree_comes_back_from_any_store(tree: GroupNode) -> None:
    memory = MemoryStore()
    tree.materialize(memory)
    session = icechunk.Repository.create(icechunk.in_memory_storage()).writable_session("main")
    tree.materialize(session.store)
    assert GroupNode.from_store(memory) == GroupNode.from_store(session.store) == tree


def test_a_model_store_moves_whole_nodes_only() -> None:
    model = ModelStore()
    GroupNode.from_dict({"g": {"x": LEAF}, "g-2": {}, "k": {}}).materialize(model)
    before = asyncio.run(model.copy())
    asyncio.run(model.move("/g", "/k/n"))
    assert GroupNode.from_store(model).nodes() == ["g-2", "k", "k/n", "k/n/x"]
    assert "g/x/zarr.json" in before._store_dict


@pytest.mark.parametrize("offset", [(1, 0), (-1, 2), (0, 5), (0, 0)])
def test_a_model_store_shifts_chunks(offset: tuple[int, int]) -> None:
    model = ModelStore()
    array = zarr.create_array(
        model, name="a", shape=(3, 4), chunks=(1, 1), dtype="i4", fill_value=0
    )
    array[...] = cells = np.arange(1, 13).reshape(3, 4)
    asyncio.run(model.shift_array("/a", offset, (3, 4)))
    expected = np.zeros_like(cells)
    for (row, column), value in np.ndenumerate(cells):
        there = row + offset[0], column + offset[1]
        if 0 <= there[0] < 3 and 0 <= there[1] < 4:
            expected[there] = value
    np.testing.assert_array_equal(zarr.open_array(model, path="a")[...], expected)


def test_importing_the_storages_needs_no_hypothesis() -> None:
    code = "import sys, icechunk.testing; print('hypothesis' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
