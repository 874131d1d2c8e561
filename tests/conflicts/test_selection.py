from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.conflicts import ChunkBoxes, ChunkRuns, ListedChunks
from icechunk.conflicts.selection import selection_from
from icechunk.core.errors import InvalidInputError

GRID = (3, 4, 5)
ALL = np.stack(np.unravel_index(np.arange(60), GRID), axis=1).astype(np.uint32)


@given(st.lists(st.tuples(st.integers(0, 70), st.integers(0, 20)), max_size=6))
def test_runs_are_flat_ranges_of_the_grid(runs: list[tuple[int, int]]) -> None:
    expected = np.zeros(60, bool)
    for start, length in runs:
        expected[start : start + length] = True
    flat = [number for run in runs for number in run]
    assert np.array_equal(ChunkRuns(flat).mask(ALL, GRID), expected)


@given(
    st.lists(
        st.tuples(*[st.tuples(st.integers(0, 6), st.integers(0, 6)) for _ in GRID]), max_size=4
    )
)
def test_boxes_are_half_open(boxes: list[tuple[tuple[int, int], ...]]) -> None:
    expected = [
        any(all(low <= c < high for c, (low, high) in zip(row, box, strict=True)) for box in boxes)
        for row in ALL.tolist()
    ]
    assert ChunkBoxes(boxes).mask(ALL, GRID).tolist() == expected


@given(st.lists(st.tuples(*[st.integers(0, 8) for _ in GRID]), max_size=8))
def test_listed_chunks_may_lie_anywhere_in_any_order(chunks: list[tuple[int, ...]]) -> None:
    expected = [tuple(row) in set(chunks) for row in ALL.tolist()]
    assert ListedChunks(chunks).mask(ALL, GRID).tolist() == expected


def test_runs_may_carry_the_grid_they_were_counted_in() -> None:
    # the second row of a 2 x 3 grid, seen after the array grew to 2 x 5
    runs = ChunkRuns([3, 3], grid=(2, 3))
    coords = np.array([[0, 3], [0, 4], [1, 0], [1, 2], [1, 3]], np.uint32)
    assert runs.mask(coords, (2, 5)).tolist() == [False, False, True, True, False]
    assert ChunkRuns([3, 3]).mask(coords, (2, 5)).tolist() == [True, True, True, False, False]


def test_the_only_chunk_of_a_scalar_array_can_be_named() -> None:
    scalar = np.zeros((1, 0), np.uint32)
    for selection in (ListedChunks([[]]), ChunkRuns([0, 1]), ChunkBoxes([[]])):
        assert selection.mask(scalar, ()).tolist() == [True]
    assert ChunkRuns([1, 1]).mask(scalar, ()).tolist() == [False]
    assert ListedChunks([]).mask(scalar, ()).tolist() == [False]


@pytest.mark.parametrize(
    "entry",
    [
        {"chunks": [[0, 1, 2], [1, 1, 1]]},
        {"runs": [0, 4, 9, 1]},
        {"runs": [0, 4], "grid": [3, 4, 5]},
        {"boxes": [[[0, 1], [0, 4], [2, 3]]]},
    ],
)
def test_selections_come_back_from_their_json_form(entry: dict[str, Any]) -> None:
    selection = selection_from(entry)
    assert selection is not None
    assert selection.to_dict() == entry
    assert selection_from(selection.to_dict()) == selection
    assert hash(selection_from(entry)) == hash(selection)
    assert selection_from({"chunks": None, "runs": None}) is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"chunks": [[0]], "runs": [0, 1]}, "`chunks` and `runs`"),
        ({"runs": [0, 1, 2]}, "pairs of start and length"),
        ({"runs": [[0, 1]]}, "`runs` must be a flat list"),
        ({"runs": [-1, 1]}, "outside 0 to"),
        ({"chunks": [[0, 1], [2]]}, "`chunks` must be a list of chunk coordinates"),
        ({"chunks": [[0.5]]}, "`chunks` must be"),
        ({"chunks": "all"}, "`chunks` must be"),
        ({"chunks": [[2**40]]}, "outside 0 to"),
        ({"boxes": [[0, 1]]}, "`boxes` must be a list of boxes"),
        ({"boxes": [[[0, 1, 2]]]}, "`boxes` must be a list of boxes"),
        ({"grid": [3]}, "`grid` was given without `runs`"),
        ({"chunks": [[0]], "grid": [3]}, "`grid` was given without `runs`"),
    ],
)
def test_what_is_wrong_is_named(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        selection_from(entry)


@pytest.mark.parametrize(
    "entry", [{"chunks": [[0]]}, {"boxes": [[[0, 1]]]}, {"runs": [0, 1], "grid": [9]}]
)
def test_another_number_of_dimensions_is_refused(entry: dict[str, Any]) -> None:
    selection = selection_from(entry)
    assert selection is not None
    with pytest.raises(InvalidInputError, match="1 dimensions, the array has 3"):
        selection.mask(ALL, GRID)


def test_a_grid_too_large_to_count_asks_for_boxes() -> None:
    with pytest.raises(InvalidInputError, match="name them by `boxes`"):
        ChunkRuns([0, 1]).mask(ALL, (2**32 - 1, 2**32 - 1, 2))
