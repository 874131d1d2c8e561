"""Declare and check the fields of configuration values.

Every function that returns a field can be used in dataclasses made by
`icechunk.config.values.value_class` and in variants (`icechunk.config.values.Variant`).
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

MISSING: Any = dataclasses.MISSING
"""Default of a field that must be given."""

Convert: TypeAlias = Callable[[str, Any], Any]
"""Takes the name of a field and what was given; returns what to keep, or raises."""


def described(value: Any) -> str:
    """Return the type of a value in the words of error messages."""
    return "'None'" if value is None else f"'{type(value).__qualname__}' object"


def expect(name: str, value: Any, kind: type[Any]) -> None:
    """Check that a value is an instance of a class.

    Raises
    ------
    TypeError
        Naming the field, the type given and the type wanted.
    """
    if not isinstance(value, kind):
        raise TypeError(
            f"{described(value)} is not an instance of '{kind.__qualname__}'; "
            f"give `{name}` a `{kind.__qualname__}`"
        )


class Rule(NamedTuple):
    """What a field accepts, and how it is read, merged and shown.

    Attributes
    ----------
    convert : callable
        Checks and converts what was given.
    default : Any
        Value when nothing is given; `MISSING` when the field is required.
    effective_default : Any
        What takes effect when the field holds None; a callable makes it.
    kind : type, optional
        Class of the values, for nested configurations and enums.
    expose : callable, optional
        Applied on every read, for containers that are kept immutable.
    replace : bool
        A merge replaces the whole value instead of merging field by field.
    secret : int, optional
        Number of leading characters that displays may show; None shows all.
    """

    convert: Convert
    default: Any
    effective_default: Any
    kind: type[Any] | None
    expose: Callable[[Any], Any] | None
    replace: bool
    secret: int | None

    def in_force(self) -> Any:
        """Return what takes effect when the field holds None; shared, not to be changed."""
        made = self.effective_default
        return _made_once(made) if callable(made) else made


@functools.cache
def _made_once(factory: Callable[[], Any]) -> Any:
    return factory()


def converted(
    convert: Convert,
    *,
    default: Any = MISSING,
    in_force: Any = None,
    kind: type[Any] | None = None,
    expose: Callable[[Any], Any] | None = None,
    kw_only: bool = False,
    replace: bool = True,
    secret: int | None = None,
) -> Any:
    """Declare a field with its own conversion; None passes where it is the default.

    The parameters are those of `Rule`.
    """
    if default is None:
        check = convert

        def convert(name: str, value: Any) -> Any:
            return None if value is None else check(name, value)

    rule = Rule(convert, default, in_force, kind, expose, replace, secret)
    return dataclasses.field(default=default, kw_only=kw_only, metadata={"rule": rule})


def bounded(name: str, value: Any, low: int, high: int) -> int:
    """Check that a value is an integer from `low` to `high`, both included.

    Raises
    ------
    TypeError
        For anything that is not an integer.
    OverflowError
        For integers out of range.
    """
    try:
        number = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{error}; `{name}` takes an integer") from None
    if not low <= number <= high:
        size = "small" if number < low else "large"
        raise OverflowError(
            f"number too {size} to fit in target type; `{name}` takes {low} to {high}, got {number}"
        )
    return number


def unsigned(
    bits: int,
    *,
    default: int | None,
    in_force: Any = None,
    nonzero: bool = False,
    kw_only: bool = False,
) -> Any:
    """Declare an unsigned integer of 8, 16, 32 or 64 bits."""

    def convert(name: str, value: Any) -> int:
        number = bounded(name, value, 0, 2**bits - 1)
        if nonzero and number == 0:
            raise ValueError(f"invalid zero value; `{name}` must be at least 1")
        return number

    return converted(convert, default=default, in_force=in_force, kw_only=kw_only)


def signed(
    bits: int, *, default: int | None, in_force: int | None = None, kw_only: bool = False
) -> Any:
    """Declare a signed integer."""
    low = -(2 ** (bits - 1))
    return converted(
        lambda name, value: bounded(name, value, low, -low - 1),
        default=default,
        in_force=in_force,
        kw_only=kw_only,
    )


def instance_of(
    kind: type[Any],
    *,
    default: Any = MISSING,
    in_force: Any = None,
    kw_only: bool = False,
    replace: bool = False,
    secret: int | None = None,
) -> Any:
    """Declare a field of one class; nested configurations are shared, not copied."""

    def convert(name: str, value: Any) -> Any:
        expect(name, value, kind)
        return value

    return converted(
        convert,
        default=default,
        in_force=in_force,
        kind=kind,
        kw_only=kw_only,
        replace=replace,
        secret=secret,
    )


def moment(*, default: datetime | None = MISSING, kw_only: bool = False) -> Any:
    """Declare an instant: a `datetime.datetime` with a time zone."""
    return converted(aware, default=default, kw_only=kw_only)


def aware(name: str, value: Any) -> datetime:
    """Check that a value is a `datetime.datetime` with a time zone.

    Raises
    ------
    TypeError
        For other types and for naive datetimes.
    """
    expect(name, value, datetime)
    if value.tzinfo is None:
        raise TypeError(
            f"expected a datetime with non-None tzinfo; give `{name}` a time zone, "
            "e.g. datetime.now(timezone.utc)"
        )
    moment_given: datetime = value
    return moment_given
