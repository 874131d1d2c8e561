"""The picture of the result shows what the commit will hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icechunk_widgets.resolver.conflict_entry import BASE, MERGE_OURS, OURS, THEIRS, UNDECIDED
from icechunk_widgets.resolver.outcome import side_of
from icechunk_widgets.resolver.widget import ConflictResolver
from tests.widgets.scenes import GRID, array, climate, commit_value, values

CHOICES = ["ours", "theirs", "base", "merge-ours", "merge-theirs"]


def overlap() -> tuple[Any, ConflictResolver]:
    """Both sides changed cells of the chunks (0, *, *); some are changed by one side only."""
    repo = climate()
    mine = repo.writable_session("main")
    array(mine)[:2, ::2] = -2
    array(mine)[3, :3, :4] = -3
    commit_value(repo, np.s_[:2, :, ::3], -1, "theirs")
    return repo, ConflictResolver(mine)


def shown(resolver: ConflictResolver, chunk: tuple[int, ...]) -> np.ndarray | None:
    """Both planes of the result's picture of a chunk."""
    planes = []
    for at in (0, 1):
        told, images = resolver.preview("/SST", list(chunk), ["ours", "result"], [at, 0, 0])
        if [side["side"] for side in told["sides"]] != ["ours", "result"]:
            return None
        planes.append(images[1])
    return np.stack(planes)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(CHOICES), min_size=4, max_size=4))
def test_the_picture_is_what_is_committed(choices: list[str]) -> None:
    repo, resolver = overlap()
    for (y, x), choice in zip(np.ndindex(2, 2), choices, strict=True):
        resolver.decide("/SST", choice, chunks=[(0, y, x)])
    pictures = {chunk: shown(resolver, chunk) for chunk in np.ndindex(GRID)}
    resolver.complete("merged")
    held = values(repo)
    for (t, y, x), picture in pictures.items():
        part = held[2 * t : 2 * t + 2, 3 * y : 3 * y + 3, 4 * x : 4 * x + 4]
        np.testing.assert_array_equal(picture, part, err_msg=str((t, y, x)))


def test_what_is_undecided_has_no_picture() -> None:
    _, resolver = overlap()
    assert shown(resolver, (0, 1, 0)) is None
    resolver.decide("/SST", "base", chunks=[(0, 1, 0)])
    assert shown(resolver, (0, 1, 0)) is not None
    assert shown(resolver, (0, 1, 1)) is None


@pytest.mark.parametrize(
    ("state", "side"),
    [(OURS, "ours"), (THEIRS, "theirs"), (BASE, "base"), (MERGE_OURS, None), (UNDECIDED, None)],
)
def test_sides(state: int, side: str | None) -> None:
    assert side_of(state) == side
