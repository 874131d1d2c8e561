"""Bases of configuration values: mutable ones with named fields, and tuple-like variants.

A class declares its fields as data; construction, validation, equality, pickling, merging and the
three displays follow from the declaration.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, dataclass_transform

from icechunk.config.fields import MISSING, Field, converted, instance_of, moment, signed, unsigned
from icechunk.config.rendering import Entry, Shown, scalar_text

_AnyValue = TypeVar("_AnyValue", bound="Value")


class Fielded(Shown):
    """What mutable values and variants have in common: declared fields and a public path."""

    _path_: ClassVar[str] = ""
    _fields_: ClassVar[dict[str, Field]] = {}
    _aliases_: ClassVar[dict[str, str]] = {}
    _signature_: ClassVar[inspect.Signature]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._fields_ = {
            name: field
            for base in reversed(cls.__mro__)
            for name, field in vars(base).items()
            if isinstance(field, Field)
        }
        cls._signature_ = _signature(cls._fields_.values())
        for alias, name in cls._aliases_.items():
            setattr(cls, alias, _alias(name))
        if "__init__" not in vars(cls):
            setattr(cls, "__init__", _initialiser(cls))  # noqa: B010 - mypy forbids the plain form

    def _fill(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Take constructor arguments, older names included."""
        given = {self._aliases_.get(name, name): value for name, value in kwargs.items()}
        try:
            bound = self._signature_.bind(*args, **given)
        except TypeError as error:
            raise TypeError(f"{type(self).__qualname__}() {error}") from None
        for name, field in self._fields_.items():
            field.keep(self, bound.arguments.get(name, field.default))

    def __setattr__(self, name: str, value: Any) -> None:
        if not hasattr(type(self), name):
            raise AttributeError(
                f"'{type(self).__qualname__}' object has no attribute '{name}'; "
                f"its fields are {', '.join(self._fields_) or 'none'}"
            )
        object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(vars(self)[name] == vars(other)[name] for name in self._fields_)

    if not TYPE_CHECKING:  # some subclasses are hashable
        __hash__ = None

    def _path(self) -> str:
        return self._path_

    def _entries(self) -> Iterable[Entry]:
        return [Entry(n, f.shown(self), f.in_force()) for n, f in self._fields_.items()]


def _signature(fields: Iterable[Field]) -> inspect.Signature:
    parameter = inspect.Parameter
    return inspect.Signature(
        [
            parameter(
                field.name,
                parameter.KEYWORD_ONLY if field.kw_only else parameter.POSITIONAL_OR_KEYWORD,
                default=parameter.empty if field.default is MISSING else field.default,
            )
            for field in fields
        ]
    )


def _alias(name: str) -> property:
    """Return a property under which older code finds a field."""

    def read(self: Fielded) -> Any:
        return getattr(self, name)

    def write(self: Fielded, value: Any) -> None:
        setattr(self, name, value)

    return property(read, write, doc=f"Older name of `{name}`.")


def _initialiser(cls: type[Fielded]) -> Any:
    """Return an ``__init__`` whose signature names the fields of its class."""

    def __init__(self: Fielded, *args: Any, **kwargs: Any) -> None:
        self._fill(args, kwargs)

    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.Signature([me, *cls._signature_.parameters.values()])
    setattr(__init__, "__signature__", signature)  # noqa: B010 - functions declare no such attribute
    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    return __init__


@dataclass_transform(field_specifiers=(converted, instance_of, moment, signed, unsigned))
class Value(Fielded):
    """Base of mutable configuration values.

    Subclasses annotate class attributes with field specifiers of `icechunk.config.fields` and name
    their public `path`; `shown` reorders the display, `fixed` forbids assignment.
    """

    _shown_: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(
        cls, *, path: str, shown: tuple[str, ...] = (), fixed: bool = False
    ) -> None:
        super().__init_subclass__()
        cls._path_ = path
        cls._shown_ = shown or tuple(cls._fields_)
        for field in cls._fields_.values():
            field.frozen = fixed

    def _entries(self) -> Iterable[Entry]:
        fields = self._fields_
        return [Entry(n, fields[n].shown(self), fields[n].in_force()) for n in self._shown_]


def merged(base: _AnyValue, over: _AnyValue) -> _AnyValue:
    """Lay one value over another: set fields of `over` win, nested values are merged in turn.

    Parameters
    ----------
    base, over : Value
        Two values of one class; neither is changed.

    Returns
    -------
    Value
        A new value that shares nothing with the arguments.
    """
    result = copy.deepcopy(base)
    for name, field in base._fields_.items():
        mine, theirs = vars(base)[name], vars(over)[name]
        if theirs is None:
            continue
        if isinstance(theirs, Value) and mine is not None and not field.replace:
            theirs = merged(mine, theirs)
        vars(result)[name] = copy.deepcopy(theirs)
    return result


class Variant(Fielded):
    """Base of families of alternatives: frozen, tuple-like, matchable by position.

    A family is a direct subclass with a `path`; it cannot be instantiated. Its variants subclass
    the family under a `variant` name and are reached as attributes of it; `call` is the name of
    the function that displays show, `by_name` lets `match` patterns use the field names.
    """

    _family_: ClassVar[type[Variant] | None] = None
    _call_: ClassVar[str] = ""

    def __init_subclass__(
        cls,
        *,
        path: str = "",
        variant: str = "",
        call: str = "",
        by_name: bool = False,
        **options: Any,
    ) -> None:
        super().__init_subclass__(**options)
        if path:
            cls._path_ = path
        if not variant:
            return
        family = next(base for base in cls.__bases__ if issubclass(base, Variant) and base._path_)
        cls.__name__, cls.__qualname__ = variant, f"{family.__qualname__}.{variant}"
        cls._path_ = f"{family._path_}.{variant}"
        cls._call_ = f"{family._path_}.{call or variant}"
        cls._family_ = family
        names = tuple(cls._fields_)
        cls._name_positions(names if by_name else [f"_{i}" for i in range(len(names))])
        for field in cls._fields_.values():
            field.frozen = True
        setattr(family, variant, cls)

    @classmethod
    def _name_positions(cls, names: Iterable[str]) -> None:
        setattr(cls, "__match_args__", tuple(names))  # noqa: B010 - mypy keeps it for literals

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: D102 - a constructor
        if cls._family_ is None:
            variants = sorted(n for n, v in vars(cls).items() if isinstance(v, type))
            raise TypeError(
                f"cannot create '{cls.__qualname__}' instances; "
                f"use one of its variants: {', '.join(variants)}"
            )
        return super().__new__(cls)

    def _items(self) -> list[Any]:
        return [field.__get__(self) for field in self._fields_.values()]

    def _at(self, position: int) -> Any:
        try:
            return self._items()[position]
        except IndexError:
            raise AttributeError(
                f"'{type(self).__qualname__}' object has no attribute '_{position}'"
            ) from None

    @property
    def _0(self) -> Any:
        """The first value."""
        return self._at(0)

    @property
    def _1(self) -> Any:
        """The second value."""
        return self._at(1)

    def __len__(self) -> int:
        return len(self._fields_)

    def __getitem__(self, position: int) -> Any:
        return self._items()[position]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items())

    def __bool__(self) -> bool:
        return True  # a variant without data is still something

    def __repr__(self) -> str:
        inside = ", ".join(scalar_text(field.shown(self)) for field in self._fields_.values())
        return f"{self._call_}({inside})"

    def __str__(self) -> str:
        return repr(self) if self._one_line_ else super().__str__()

    def _entries(self) -> Iterable[Entry]:
        """Show the fields of a single nested value in place of that value."""
        items = self._items()
        if len(items) == 1 and isinstance(items[0], Shown):
            return items[0]._entries()
        return super()._entries()
