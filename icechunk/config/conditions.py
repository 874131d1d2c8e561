"""Base class and common variants of the conditions on arrays.

Conditions combine with ``&`` and ``|``. Regular expressions match anywhere in the text unless they
are anchored with ``^`` and ``$``.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from icechunk.config.fields import converted, expect, instance_of
from icechunk.config.values import Variant
from icechunk.core.errors import ErrorKind, InvalidInputError

if TYPE_CHECKING:
    from regex import Pattern


class Condition(Variant):
    """Base of the two families of conditions on arrays; ``&`` and ``|`` combine them."""

    _one_line_ = True

    @classmethod
    def or_conditions(cls, conditions: Iterable[Self]) -> Self:
        """Match arrays that meet any of the conditions; an empty list matches none."""
        return cls._variant("Or", conditions)

    @classmethod
    def and_conditions(cls, conditions: Iterable[Self]) -> Self:
        """Match arrays that meet all of the conditions; an empty list matches every array."""
        return cls._variant("And", conditions)

    @classmethod
    def path_matches(cls, regex: str) -> Self:
        """Match arrays whose absolute path contains a match of the regular expression."""
        return cls._variant("PathMatches", regex)

    @classmethod
    def name_matches(cls, regex: str) -> Self:
        """Match arrays whose name contains a match of the regular expression."""
        return cls._variant("NameMatches", regex)

    @classmethod
    def _variant(cls, name: str, *args: Any) -> Self:
        made: Self = getattr(cls, name)(*args)
        return made

    def matches(self, path: str, num_refs: int = 0) -> bool:
        """Return whether the condition holds.

        Parameters
        ----------
        path : str
            Absolute path of an array.
        num_refs : int
            Number of chunk references in the manifest.
        """
        raise NotImplementedError

    def __and__(self, other: Self) -> Self:
        return self._variant("And", [self, other]) if self._same_family(other) else NotImplemented

    def __or__(self, other: Self) -> Self:
        return self._variant("Or", [self, other]) if self._same_family(other) else NotImplemented

    def _same_family(self, other: object) -> bool:
        return self._family_ is not None and isinstance(other, self._family_)

    def __hash__(self) -> int:
        return hash((self._path_, self._values))


def _immutable(name: str, given: Any) -> tuple[Any, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"'{type(given).__qualname__}' object is not a list; give `{name}` a list")
    return tuple(given)


class _Combination(Variant):
    """A list of conditions of one family."""

    conditions: list[Any] = converted(_immutable, expose=list)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for condition in self.conditions:
            expect("conditions", condition, self._family_ or Condition)


class AnyOf(_Combination):
    """Matching of the `Or` variants."""

    def matches(self, path: str, num_refs: int = 0) -> bool:
        """Return whether any of the conditions holds."""
        return any(condition.matches(path, num_refs) for condition in self.conditions)


class AllOf(_Combination):
    """Matching of the `And` variants."""

    def matches(self, path: str, num_refs: int = 0) -> bool:
        """Return whether all of the conditions hold."""
        return all(condition.matches(path, num_refs) for condition in self.conditions)


class OnPath(Variant):
    """Matching of the `PathMatches` variants."""

    regex: str = instance_of(str)

    def matches(self, path: str, num_refs: int = 0) -> bool:
        """Return whether the path contains a match of the regular expression."""
        return found(self.regex, path)


class OnName(Variant):
    """Matching of the `NameMatches` variants."""

    regex: str = instance_of(str)

    def matches(self, path: str, num_refs: int = 0) -> bool:
        """Return whether the last component of the path contains a match."""
        return found(self.regex, path.rsplit("/", 1)[-1])


LONGEST_MATCH = 1.0
"""Seconds that one search may take: nested repeats can take exponential time, and the expression
comes from the stored configuration, which may be untrusted."""


_NOT_PLAIN = re.compile(r"\\|\{|\(\?|\)[*+?]|\[\[|--|&&|~~|\|\|")
"""Escapes, repeats of groups, and syntax in which `re` and `regex` differ."""


def _is_plain(pattern: str) -> bool:
    """Return whether `re` finds the same matches as `regex`, in at most quadratic time."""
    repeats, options = pattern.count("*") + pattern.count("+"), pattern.count("?")
    return repeats <= 1 and options <= 2 and _NOT_PLAIN.search(pattern) is None


@functools.lru_cache(maxsize=512)
def _compiled(pattern: str) -> Pattern[str] | re.Pattern[str] | None:
    if _is_plain(pattern):  # as the default conditions are, so that `regex` is not loaded for them
        with suppress(re.error, RecursionError):
            return re.compile(pattern)
    import regex

    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError) as error:
        warnings.warn(
            f"the regular expression {pattern!r} of a manifest condition is invalid ({error}); "
            "it matches nothing, correct it in the repository's configuration",
            RuntimeWarning,
            stacklevel=4,
        )
        return None


def found(pattern: str, text: str) -> bool:
    """Return whether a text contains a match of a pattern; invalid patterns warn and never match.

    Raises
    ------
    InvalidInputError
        Kind ``not-allowed`` when the search takes longer than `LONGEST_MATCH`.
    """
    compiled = _compiled(pattern)
    if compiled is None:
        return False
    if isinstance(compiled, re.Pattern):
        return compiled.search(text) is not None
    try:
        return compiled.search(text, timeout=LONGEST_MATCH) is not None
    except TimeoutError as error:
        raise InvalidInputError(
            f"the regular expression {pattern[:200]!r} of a manifest condition takes too long on "
            f"the path {text[:200]!r}; write it without nested repeats, in the repository's "
            "configuration",
            ErrorKind.NOT_ALLOWED,
        ) from error
