from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icechunk_widgets.static_html.lanes import lanes


def test_a_branch_ends_where_it_started() -> None:
    commits = [("tip", "b"), ("side", "a"), ("b", "a"), ("a", None)]
    assert lanes(commits) == ["●", "│ ●", "● │", "●─╯"]


def test_two_branches_of_one_commit() -> None:
    assert lanes([("x", "a"), ("y", "a"), ("z", "a"), ("a", None)])[-1] == "●─╯─╯"


def test_a_parent_that_is_not_shown() -> None:
    assert lanes([("x", "far"), ("y", None)]) == ["●", "│ ●"]


@given(st.lists(st.integers(0, 30), max_size=40))
def test_every_commit_has_one_dot(back: list[int]) -> None:
    n = len(back)
    commits = [
        (str(i), str(i + 1 + step % (n - i - 1)) if i + 1 < n else None)
        for i, step in enumerate(back)
    ]
    drawn = lanes(commits)
    assert len(drawn) == n
    assert all(row.count("●") <= 1 for row in drawn)
