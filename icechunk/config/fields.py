"""Fields of configuration values: what they accept, what they hold, what is in force unset."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any

from icechunk.config.rendering import mask

MISSING: Any = object()
"""Default of a field that must be given."""


def described(value: Any) -> str:
    """Name a value's type as error messages do."""
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


class Field:
    """Data descriptor of one validated field; the value lives in the instance's ``__dict__``.

    Parameters
    ----------
    convert : callable
        Takes the field's name and what was given; returns what to keep, or raises.
    default : Any
        Value when nothing is given; `MISSING` when it must be.
    in_force : Any
        What takes effect when the field holds None; a callable makes it.
    kind : type, optional
        Class of the values, for nested configurations and enums.
    expose : callable, optional
        Applied on every read, for containers that are kept immutable.
    kw_only : bool
        Not accepted by position.
    replace : bool
        In a merge the other value replaces this one whole, instead of field by field.
    secret : int, optional
        Number of leading characters that displays may show; None shows all.
    """

    name: str
    frozen: bool

    def __init__(
        self,
        convert: Callable[[str, Any], Any],
        *,
        default: Any = MISSING,
        in_force: Any = None,
        kind: type[Any] | None = None,
        expose: Callable[[Any], Any] | None = None,
        kw_only: bool = False,
        replace: bool = False,
        secret: int | None = None,
    ) -> None:
        self.convert = convert
        self.default = default
        self.kind = kind
        self.kw_only = kw_only
        self.replace = replace
        self._in_force = in_force
        self._expose = expose
        self._secret = secret
        self.frozen = False

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self.name]
        return value if self._expose is None else self._expose(value)

    def __set__(self, instance: Any, value: Any) -> None:
        if self.frozen:
            raise AttributeError(
                f"attribute '{self.name}' of '{type(instance).__qualname__}' objects is not "
                "writable; make a new object instead"
            )
        self.keep(instance, value)

    def keep(self, instance: Any, value: Any) -> None:
        """Validate a value and keep it, also in a frozen object."""
        instance.__dict__[self.name] = self.convert(self.name, value)

    def in_force(self) -> Any:
        """Return what takes effect when the field holds None, or None."""
        return self._in_force() if callable(self._in_force) else self._in_force

    def shown(self, instance: Any) -> Any:
        """Return the value for displays: a secret comes masked."""
        value = self.__get__(instance)
        if self._secret is None or value is None:
            return value
        return mask(value if isinstance(value, str) else "", self._secret)


def _optional(convert: Callable[[str, Any], Any], default: Any) -> Callable[[str, Any], Any]:
    """Let None through exactly where None is the default."""
    if default is not None:
        return convert
    return lambda name, value: None if value is None else convert(name, value)


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
    """Field of an unsigned integer of 8, 16, 32 or 64 bits."""

    def convert(name: str, value: Any) -> int:
        number = bounded(name, value, 0, 2**bits - 1)
        if nonzero and number == 0:
            raise ValueError(f"invalid zero value; `{name}` must be at least 1")
        return number

    return Field(_optional(convert, default), default=default, in_force=in_force, kw_only=kw_only)


def signed(
    bits: int, *, default: int | None, in_force: int | None = None, kw_only: bool = False
) -> Any:
    """Field of a signed integer."""

    def convert(name: str, value: Any) -> int:
        return bounded(name, value, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    return Field(_optional(convert, default), default=default, in_force=in_force, kw_only=kw_only)


def instance_of(
    kind: type[Any],
    *,
    default: Any = MISSING,
    in_force: Any = None,
    expose: Callable[[Any], Any] | None = None,
    kw_only: bool = False,
    replace: bool = False,
    secret: int | None = None,
) -> Any:
    """Field of one class, kept as it is given: nested configurations are shared, not copied."""

    def convert(name: str, value: Any) -> Any:
        expect(name, value, kind)
        return value

    return Field(
        _optional(convert, default),
        default=default,
        in_force=in_force,
        kind=kind,
        expose=expose,
        kw_only=kw_only,
        replace=replace,
        secret=secret,
    )


def converted(
    convert: Callable[[str, Any], Any],
    *,
    default: Any = MISSING,
    in_force: Any = None,
    expose: Callable[[Any], Any] | None = None,
    replace: bool = True,
) -> Any:
    """Field with a rule of its own."""
    return Field(
        _optional(convert, default),
        default=default,
        in_force=in_force,
        expose=expose,
        replace=replace,
    )


def moment(*, default: datetime | None = MISSING, kw_only: bool = False) -> Any:
    """Field of an instant: a `datetime.datetime` that knows its time zone."""
    return Field(_optional(aware, default), default=default, kw_only=kw_only)


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
