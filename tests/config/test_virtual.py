"""Single virtual references."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from icechunk.config.virtual import VirtualChunkSpec

MOMENT = datetime(2020, 1, 1, 1, 1, 1, 5, tzinfo=UTC)


def test_fields_come_back() -> None:
    spec = VirtualChunkSpec((1, 2), "s3://a/b", 3, 4, "etag", MOMENT)
    assert spec.index == [1, 2]
    assert (spec.location, spec.offset, spec.length) == ("s3://a/b", 3, 4)
    assert (spec.etag_checksum, spec.last_updated_at_checksum) == ("etag", MOMENT)
    spec.index.append(3)
    assert spec.index == [1, 2]
    with pytest.raises(AttributeError):
        spec.offset = 5  # type: ignore[misc]


def test_specs_are_values() -> None:
    spec = VirtualChunkSpec([1], "s3://a/b", 3, 4, None, MOMENT)
    assert pickle.loads(pickle.dumps(spec)) == copy.deepcopy(spec) == spec
    assert hash(spec) == hash(copy.copy(spec))
    assert spec != VirtualChunkSpec([1], "s3://a/b", 3, 5, None, MOMENT)
    assert spec != 3


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((3, "s3://a", 0, 1), TypeError),
        (([1.5], "s3://a", 0, 1), TypeError),
        (([-1], "s3://a", 0, 1), OverflowError),
        (([2**32], "s3://a", 0, 1), OverflowError),
        (([0], 3, 0, 1), TypeError),
        (([0], "s3://a", -1, 1), OverflowError),
        (([0], "s3://a", 0, 2**64), OverflowError),
        (([0], "s3://a", 0, 1, 3), TypeError),
        (([0], "s3://a", 0, 1, None, datetime(2020, 1, 1)), TypeError),
        (([0], "s3://a", 0, 1, None, "2020"), TypeError),
    ],
)
def test_wrong_arguments_are_refused(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        VirtualChunkSpec(*arguments)
