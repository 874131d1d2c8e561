from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.config.containers import VirtualChunkContainer, local_filesystem_store, s3_store
from icechunk.core.errors import InvalidInputError
from icechunk.spec.columns.text_column import TextColumn
from icechunk.spec.columns.text_lists import text_column
from icechunk.spec.manifest.virtual_urls import Containers, normalise, resolved, resolved_column

CONTAINERS = Containers(
    [
        VirtualChunkContainer("s3://bucket/long/", s3_store(region="x"), name="name"),
        VirtualChunkContainer("s3://bucket/", s3_store(region="x")),
        VirtualChunkContainer("file:///data/", local_filesystem_store("/data")),
    ]
)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("S3://Bucket/ok/../x", "s3://Bucket/ok/../x"),
        ("s3://bucket//a/./x ?#y", "s3://bucket//a/./x ?#y"),
        ("HTTPS://Host/a/../b", "https://Host/a/../b"),
        ("gs://b/é", "gs://b/é"),
        ("file:///tmp/x/data/a b/../c%20d", "file:///tmp/x/data/c%20d"),
        ("file:///tmp/é/%2e%2E/b", "file:///tmp/b"),
        ("file:///é", "file:///%C3%A9"),
        ("file:///a/b?x=1 #y", "file:///a/b?x=1%20#y"),
        ("file://localhost/a//b/", "file:///a//b/"),
        ("file://Host/a", "file://host/a"),
        ("file:///a/\\b", "file:///a//b"),
        ('FILE:///a/{b}`c"<>|^[]', "file:///a/%7Bb%7D%60c%22%3C%3E|^[]"),
        ("file:///a/.", "file:///a/"),
        ("file:///a/..", "file:///"),
        ("file:///../..", "file:///"),
        ("file:/a/b", "file:///a/b"),
        ("file:a", "file:///a"),
        ("file:///a/%41%zz", "file:///a/%41%zz"),
        ("file:///a/b ", "file:///a/b"),
        ("file:///a/b\tc", "file:///a/bc"),
    ],
)
def test_stored_forms(given: str, stored: str) -> None:
    assert normalise(given) == stored
    assert normalise(stored) == stored


@pytest.mark.parametrize("given", ["", "a/b", "/a", "1s://a/b", "s3:a", "s3://", "s3:///a", "://"])
def test_what_is_no_absolute_url_is_refused(given: str) -> None:
    with pytest.raises(InvalidInputError, match="error parsing virtual ref URL"):
        normalise(given)


pieces = st.lists(
    st.sampled_from(
        [
            "s3://bucket/",
            "file:///data/",
            "FILE:",
            "vcc://name/",
            "vcc://x/",
            "a",
            "/",
            "..",
            ".",
            "%2e",
            " ",
            "é",
            "?",
            "#",
            "long/",
            "\\",
            "\t",
            "~",
            "%",
        ]
    ),
    min_size=1,
    max_size=6,
).map("".join)


@given(st.lists(pieces, min_size=1, max_size=8))
def test_columns_are_judged_like_single_locations(locations: list[str]) -> None:
    sure = CONTAINERS.known(text_column(locations))
    for location, is_sure in zip(locations, sure.tolist(), strict=True):
        if is_sure:
            assert normalise(location) == location
            assert CONTAINERS.hold(location)


def test_ordinary_locations_need_no_closer_look() -> None:
    good = ["s3://bucket/x y", "s3://bucket/long/z", "file:///data/a-b_c.nc", "vcc://name/q"]
    assert CONTAINERS.known(text_column(good)).all()
    assert not CONTAINERS.known(text_column(["s3://bucket/", "s3://buckets/x", "file:///x"])).any()


def test_a_column_is_resolved_like_each_location() -> None:
    named = {"nm": "s3://bucket/data", "here": "file:///d/ä"}
    locations = ["vcc://nm/x", "s3://b/y", "vcc://unknown/z", "vcc://here/a b", "", "vcc://nm/x"]
    column = TextColumn.from_strings(locations)
    assert resolved_column(column, named) == [resolved(each, named) for each in locations]
    assert resolved_column(column, {}) == locations
