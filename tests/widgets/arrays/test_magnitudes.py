from __future__ import annotations

import numpy as np
import pytest
import zarr

from icechunk_widgets import Diff
from icechunk_widgets.arrays.magnitudes import same_values
from tests.widgets.scenes import array, climate


def test_largest_difference_of_a_chunk() -> None:
    repo = climate()
    session = repo.writable_session("main")
    array(session)[0, 0, 0] += 2.5
    array(session)[:2, :3, 4:] = array(session)[:2, :3, 4:]  # written again, the same
    result = Diff(repo, None, session).magnitudes("/SST", [[0, 0, 0], [0, 0, 1], [1, 1, 1]])
    assert result["chunks"] == [
        {"equal": False, "largest": pytest.approx(2.5)},
        {"equal": True, "largest": 0.0},
        {"equal": True, "largest": 0.0},
    ]


def test_missing_values_are_alike() -> None:
    assert same_values(np.array([np.nan, 1]), np.array([np.nan, 1]))
    assert not same_values(np.array([np.nan, 1]), np.array([0, 1.0]))
    assert same_values(np.array(["a"]), np.array(["a"]))
    assert not same_values(np.zeros(2), np.zeros(3))


def test_chunks_without_a_counterpart() -> None:
    repo = climate()
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="new", data=np.ones(4))
    result = Diff(repo, None, session).magnitudes("/new", [[0]])
    assert result["chunks"] == [{"equal": None, "largest": None}]


def test_metadata_of_the_diff() -> None:
    repo = climate()
    session = repo.writable_session("main")
    array(session).attrs["units"] = "K"
    assert Diff(repo, None, session).metadata("/SST")["rows"] == [
        {"key": "attributes.units", "change": "added", "after": "K"}
    ]
