"""Conditions on arrays and dimensions: what they match, how they combine, what they accept."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
import warnings
from typing import Any

import pytest
import regex
from hypothesis import assume, given
from hypothesis import strategies as st

from icechunk.config import conditions, from_dict, to_dict
from icechunk.config.manifests import ManifestSplittingConfig, default_preload_condition
from icechunk.config.preload import ManifestPreloadCondition as P
from icechunk.config.splitting import ManifestSplitCondition as S
from icechunk.config.splitting import ManifestSplitDimCondition as D
from icechunk.core.errors import InvalidInputError
from tests.config.configs import dim_conditions, preload_conditions, split_conditions


@pytest.mark.parametrize(
    ("condition", "path", "refs", "holds"),
    [
        (P.true(), "/a", 0, True),
        (P.false(), "/a", 0, False),
        (P.name_matches("lat"), "/group/flat", 0, True),
        (P.name_matches("^lat"), "/group/flat", 0, False),
        (P.name_matches("group"), "/group/flat", 0, False),
        (P.path_matches("group"), "/group/flat", 0, True),
        (P.path_matches("^/flat"), "/group/flat", 0, False),
        (P.name_matches("^$"), "/", 0, True),
        (P.num_refs(1, 10), "/a", 0, False),
        (P.num_refs(1, 10), "/a", 1, True),
        (P.num_refs(1, 10), "/a", 10, False),
        (P.num_refs(None, 10), "/a", 0, True),
        (P.num_refs(5, None), "/a", 10**9, True),
        (P.or_conditions([]), "/a", 0, False),
        (P.and_conditions([]), "/a", 0, True),
        (P.true() & P.false(), "/a", 0, False),
        (P.true() | P.false(), "/a", 0, True),
    ],
)
def test_preload_conditions(condition: P, path: str, refs: int, holds: bool) -> None:
    assert condition.matches(path, refs) is holds


def test_by_default_small_manifests_of_coordinates_are_preloaded() -> None:
    condition = default_preload_condition()
    for name in ("time", "lat", "latitude", "lon", "x", "y", "level", "t"):
        assert condition.matches(f"/group/{name}", 1000), name
        assert not condition.matches(f"/group/{name}", 1001), name
    assert not condition.matches("/temperature", 10)
    assert not condition.matches("/time/values", 10)


def test_an_invalid_regular_expression_warns_and_matches_nothing() -> None:
    condition = S.path_matches("(unclosed")
    with pytest.warns(RuntimeWarning, match=r"'\(unclosed'.*is invalid"):
        assert not condition.matches("/(unclosed")
    assert not condition.matches("/(unclosed"), "warned once"


@given(preload_conditions | split_conditions | dim_conditions)
def test_conditions_are_values(condition: Any) -> None:
    twin = pickle.loads(pickle.dumps(condition))
    assert twin == condition
    assert hash(twin) == hash(condition)
    assert str(condition) == repr(condition)


def test_different_conditions_are_unequal() -> None:
    different = [
        S.AnyArray(),
        S.path_matches("a"),
        S.name_matches("a"),
        S.name_matches("b"),
        S.AnyArray() & S.AnyArray(),
        S.AnyArray() | S.AnyArray(),
        P.path_matches("a"),
        D.Axis(1),
        D.Axis(2),
        D.DimensionName("a"),
        D.Any(),
    ]
    assert len(set(different)) == len(different)
    assert S.path_matches("a") == S.PathMatches("a") == S.PathMatches(regex="a")


def test_variants_are_reachable_and_matchable() -> None:
    both = S.path_matches("a") & S.AnyArray()
    assert isinstance(both, S.And)
    assert isinstance(both, S)
    assert both._0 == [S.PathMatches("a"), S.AnyArray()]
    assert P.NumRefs.__match_args__ == ("from", "to")  # type: ignore[attr-defined]
    assert (getattr(P.num_refs(1, None), "from"), P.num_refs(1, 2).to) == (1, 2)  # type: ignore[attr-defined]
    assert isinstance(P.true(), getattr(P, "True"))
    match S.path_matches("x"):
        case S.PathMatches(regex):
            assert regex == "x"
        case _:
            pytest.fail("not matched")


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: P.name_matches(3), TypeError),
        (lambda: P.and_conditions([3]), TypeError),
        (lambda: P.or_conditions([S.AnyArray()]), TypeError),
        (lambda: P.or_conditions(3), TypeError),
        (lambda: P.true() & 3, TypeError),
        (lambda: P.true() | S.AnyArray(), TypeError),
        (lambda: P.num_refs(-1, 2), OverflowError),
        (lambda: P.num_refs(0, 2**32), OverflowError),
        (lambda: P(), TypeError),
        (lambda: D.Axis(-1), OverflowError),
        (lambda: D.Axis("a"), TypeError),
        (lambda: D.Axis(), TypeError),
        (lambda: D.DimensionName(1), TypeError),
        (lambda: D.Any(3), TypeError),
    ],
)
def test_wrong_arguments_are_refused(make: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


SIZES = [(S.AnyArray(), [(D.Axis(0), 3), (D.Any(), 5)])]


def test_split_sizes_are_returned_as_new_lists() -> None:
    config = ManifestSplittingConfig(((S.AnyArray(), ((D.Axis(0), 3), (D.Any(), 5))),))  # type: ignore[arg-type]
    assert config.split_sizes == SIZES
    config.split_sizes.clear()
    assert config.split_sizes == SIZES
    config.split_sizes = None
    assert config.split_sizes is None


def test_split_sizes_from_and_to_dicts() -> None:
    nested = {S.AnyArray(): {D.Axis(0): 3, D.Any(): 5}}
    config = ManifestSplittingConfig.from_dict(nested)
    assert config == from_dict(nested) == ManifestSplittingConfig(SIZES)  # type: ignore[arg-type]
    assert config.to_dict() == to_dict(config) == nested
    assert to_dict(ManifestSplittingConfig()) == {}
    assert ManifestSplittingConfig.from_dict({}).split_sizes == []


@pytest.mark.parametrize(
    ("sizes", "error", "says"),
    [
        (3, TypeError, "not an instance of 'Sequence'"),
        ({S.AnyArray(): {D.Any(): 1}}, TypeError, "from_dict takes nested dicts"),
        ([(S.AnyArray(), 3)], TypeError, "not an instance of 'Sequence'"),
        ([S.AnyArray()], TypeError, "not an instance of 'tuple'"),
        ([(D.Any(), [])], TypeError, "not an instance of 'ManifestSplitCondition'"),
        ([(S.AnyArray(), [(S.AnyArray(), 1)])], TypeError, "'ManifestSplitDimCondition'"),
        ([(S.AnyArray(), [(D.Any(), 0)])], ValueError, "at least 1 chunk"),
        ([(S.AnyArray(), [(D.Any(), -1)])], OverflowError, "too small"),
        ([(S.AnyArray(), [(D.Any(), 2**32)])], OverflowError, "too large"),
    ],
)
def test_wrong_split_sizes_are_refused(sizes: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        ManifestSplittingConfig(sizes)


def test_a_search_that_takes_too_long_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icechunk.config.conditions.LONGEST_MATCH", 0.05)
    condition = S.path_matches(r"(a|aa)+$")
    begun = time.monotonic()
    with pytest.raises(InvalidInputError, match="nested repeats"):
        condition.matches("/" + "a" * 5_000 + "b")
    assert time.monotonic() - begun < 20


def test_the_default_conditions_do_not_load_the_regex_package() -> None:
    code = (
        "import sys, icechunk; from icechunk.config.manifests import default_preload_condition\n"
        "condition = default_preload_condition()\n"
        "print(condition.matches('/group/latitude_2', 5), condition.matches('/latitudes.x', 5))\n"
        "print('regex' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]


@pytest.mark.parametrize(
    ("pattern", "plain"),
    [
        ("^lat(itude)?$", False),
        ("^y_?lat[a-z0-9_]*$", True),
        ("(a|b)+", False),
        ("a*b*", False),
        (r"\d", False),
        ("a{3}", False),
        ("(?i)a", False),
        ("[[:alpha:]]", False),
        ("[a--b]", False),
        ("a.b", True),
    ],
)
def test_only_plain_patterns_are_searched_without_a_time_limit(pattern: str, plain: bool) -> None:
    assert conditions._is_plain(pattern) is plain


@given(st.text("ab|.^$[-]()*+?", max_size=8), st.text("ab-^]", max_size=6))
def test_plain_patterns_match_the_same_with_both_modules(pattern: str, text: str) -> None:
    assume(conditions._is_plain(pattern))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            expected = regex.compile(pattern).search(text)
    except (regex.error, Warning):
        assume(False)
    assert conditions.found(pattern, text) is (expected is not None)
