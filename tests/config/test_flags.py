"""Feature flags, and the rules of attribution labels."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from icechunk.config.flags import Attribution, FeatureFlag, feature_flags
from tests.oracle import run_reference


def test_flags_follow_their_setting_or_the_default() -> None:
    flags = feature_flags(enabled={4}, disabled={3})
    assert [(f.id, f.name, f.setting, f.enabled) for f in flags] == [
        (3, "move_node", False, False),
        (4, "create_tag", True, True),
        (5, "delete_tag", None, True),
    ]
    assert flags[2] == FeatureFlag(5, "delete_tag", True, None)
    with pytest.raises(AttributeError, match="not writable"):
        flags[0].setting = True


LABELS: list[tuple[str, str]] = [
    *(("client", text) for text in ["a", "a/1", "a~!#$%&'*+-.^_`|/1", "x" * 128]),
    *(("client", text) for text in ["", "a b", "a/", "/1", "a/b/c", "x" * 129, "é", "a\n", "a(b"]),
    *(("workload", text) for text in ["", "a b", "a,b", " a ", "x" * 128, "a/b[c]{d}"]),
    *(
        ("workload", text)
        for text in ["a;b", "é", "a\n", "\x7f", "x" * 129, "a(b", "a=b", 'a"', "\\"]
    ),
    *(("principal", text) for text in ["me@x", "a)b", "\t"]),
]


def _accepted(label: dict[str, Any]) -> bool:
    try:
        Attribution(**label)
    except ValueError:
        return False
    return True


@pytest.mark.oracle
def test_the_reference_accepts_the_same_labels() -> None:
    theirs = run_reference(
        """
        import icechunk as ic
        def accepted(label):
            try:
                ic.Attribution(**label)
            except ValueError:
                return False
            return True
        result = [accepted({name: text}) for name, text in args[0]]
        """,
        LABELS,
    )
    assert [_accepted({name: text}) for name, text in LABELS] == theirs


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ({"client": "a b"}, "`client` must be `name` or `name/version` in token characters"),
        ({"workload": "a;b"}, "`workload` contains the forbidden character ';'"),
        ({"principal": "x" * 129}, "`principal` is longer than 128 bytes"),
    ],
)
def test_labels_that_headers_cannot_carry(label: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Attribution(**label)


def test_attribution_is_a_fixed_value() -> None:
    label = Attribution(client="a/1", workload="w")
    assert label == pickle.loads(pickle.dumps(label)) == Attribution(workload="w", client="a/1")
    assert label != Attribution(client="a/1")
    with pytest.raises(AttributeError, match="not writable"):
        label.client = "b"
    with pytest.raises(TypeError, match="positional"):
        Attribution("a")  # type: ignore[misc]
    with pytest.raises(TypeError, match="'int' object is not an instance of 'str'"):
        Attribution(client=3)  # type: ignore[arg-type]
