from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import numpy as np

from icechunk import InvalidInputError
from icechunk_widgets.kernel.failures import describe, one_line, refusal, sentences
from icechunk_widgets.kernel.plain import iso, plain, plural


def test_plain_values_are_strict_json() -> None:
    value = {
        1: np.float32("nan"),
        "inf": float("inf"),
        "array": np.arange(2),
        "set": {3},
        "scalars": (np.int64(4), np.bool_(True), np.str_("text"), 0.5),
        "time": datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        "odd": object,
    }
    text = json.dumps(plain(value), allow_nan=False)
    held = json.loads(text)
    assert held["1"] is None
    assert held["inf"] is None
    assert held["array"] == [0, 1]
    assert held["set"] == [3]
    assert held["scalars"] == [4, True, "text", 0.5]
    assert held["time"] == "2024-01-01T00:00:00Z"


def test_times_are_utc() -> None:
    assert iso(datetime(2024, 6, 1, 12, tzinfo=timezone.utc)) == "2024-06-01T12:00:00Z"  # noqa: UP017


def test_counting() -> None:
    assert (plural(1, "chunk"), plural(2, "chunk")) == ("1 chunk", "2 chunks")
    assert plural(2, "branch", "branches") == "2 branches"


def test_an_error_is_described_without_its_traceback() -> None:
    error = InvalidInputError("it is wrong; do this\n\ncontext:\n 0: trace", "bad-metadata")
    assert describe(error) == {"kind": "bad-metadata", "message": "it is wrong", "hint": "Do this"}
    assert one_line(error) == "icechunk: it is wrong; do this (bad-metadata)"


def test_errors_of_other_libraries_are_described_too() -> None:
    result = describe(ValueError("first\nsecond"))
    assert result == {"kind": "error", "message": "ValueError: first", "hint": ""}
    assert describe(RuntimeError())["message"] == "RuntimeError"


def test_sentences_without_a_hint() -> None:
    assert sentences("only this") == ("only this", "")
    assert describe(refusal("no", "try that"))["hint"] == "Try that"
