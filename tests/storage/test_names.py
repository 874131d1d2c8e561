"""Keys as file names."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk import InvalidInputError
from icechunk.storage import names

SEGMENTS = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=20
).filter(lambda text: text not in (".", ".."))


@given(SEGMENTS)
def test_segments_come_back(segment: str) -> None:
    name = names.encode_segment(segment)
    assert name.isascii()
    assert name.isprintable()
    assert names.decode_segment(name) == segment
    assert not names.is_hidden(name)


@given(SEGMENTS, SEGMENTS)
def test_different_segments_have_different_names(one: str, other: str) -> None:
    assert (names.encode_segment(one) == names.encode_segment(other)) == (one == other)


@given(st.lists(SEGMENTS, min_size=1, max_size=4))
def test_keys_keep_their_segments(parts: list[str]) -> None:
    path = names.encode_key("/".join(parts))
    assert [names.decode_segment(part) for part in path.split(os.sep)] == parts
    assert os.path.normpath(path) == path
    assert not os.path.isabs(path)


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ("1CECHNKREP0F1RSTCMT0", "1CECHNKREP0F1RSTCMT0"),
        ("branch.main", "branch.main"),
        ("ref.json.deleted", "ref.json.deleted"),
        ("we ird%ü~#?*", "we ird%25%C3%BC%7E%23%3F%2A"),
        ('{^}]"><[|`', "%7B%5E%7D%5D%22%3E%3C%5B%7C%60"),
        ("a\tb\x7f", "a%09b%7F"),
    ],
)
def test_known_names(segment: str, name: str) -> None:
    assert names.encode_segment(segment) == name


@pytest.mark.parametrize("key", ["", "/", "a//b", "..", "a/..", "./a", "a\\b", "a\0", "/a", "a/"])
def test_keys_that_leave_the_root_are_refused(key: str) -> None:
    with pytest.raises(InvalidInputError, match="invalid object key") as caught:
        names.encode_key(key)
    assert caught.value.kind == "bad-prefix"


def test_hidden_names() -> None:
    assert names.is_hidden(names.LOCK_NAME)
    assert names.is_hidden("repo#1")
    assert not names.is_our_temporary("repo#1")
    assert not names.is_our_temporary(names.LOCK_NAME)
    temporary = names.temporary_beside("/some/where/repo")
    assert temporary.startswith("/some/where/repo#")
    assert names.is_hidden(temporary)
    assert names.is_our_temporary(temporary)
    assert names.temporary_beside("a") != names.temporary_beside("a")
    for name in ("repo", "a#b", "a#1b", "#", "1"):
        assert not names.is_hidden(name)
