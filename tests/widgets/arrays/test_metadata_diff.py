from __future__ import annotations

from icechunk_widgets.arrays.metadata_diff import metadata_rows


def test_keys_that_differ() -> None:
    before = {"shape": [4], "attributes": {"units": "K", "flags": {"a": 1}, "old": True}}
    after = {"shape": [5], "attributes": {"units": "degC", "flags": {"a": 1}, "new": None}}
    assert metadata_rows(before, after) == [
        {"key": "shape", "change": "changed", "before": [4], "after": [5]},
        {"key": "attributes.units", "change": "changed", "before": "K", "after": "degC"},
        {"key": "attributes.old", "change": "removed", "before": True},
        {"key": "attributes.new", "change": "added", "after": None},
    ]


def test_true_is_not_one_and_empty_is_not_absent() -> None:
    rows = metadata_rows({"a": [True], "b": {}}, {"a": [1]})
    assert [row["change"] for row in rows] == ["changed", "removed"]
    assert metadata_rows({"a": 1}, {"a": 1}) == []


def test_a_node_that_is_new() -> None:
    assert metadata_rows(None, {"zarr_format": 3})[0]["change"] == "added"
