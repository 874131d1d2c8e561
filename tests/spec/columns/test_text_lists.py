from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.spec.columns.text_lists import text_column

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@given(st.lists(texts, max_size=30))
def test_lists_come_back(values: list[str]) -> None:
    column = text_column(values)
    assert [column.text_at(row) for row in range(len(column))] == values


@given(st.lists(st.text("abcé", max_size=5), min_size=1, max_size=30))
def test_arrays_of_any_kind_come_back(values: list[str]) -> None:
    newer = [np.dtypes.StringDType()] if hasattr(np.dtypes, "StringDType") else []
    for dtype in ("U5", object, *newer):
        assert text_column(np.array(values, dtype)).texts() == values


def test_texts_that_repeat_share_their_bytes() -> None:
    column = text_column([f"file-{k % 3}" for k in range(3000)])
    assert len(column.pool) < 30
    assert column.text_at(2999) == "file-2"


def test_other_items_are_refused() -> None:
    with pytest.raises(TypeError, match="'int' object"):
        text_column(["a", 1])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="'list' object"):
        text_column(["a"] * 100 + [[]])  # type: ignore[list-item]
