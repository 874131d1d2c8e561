"""Base classes of configuration values: validated dataclasses, and tuple-like variants."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, dataclass_transform

from icechunk.config.fields import MISSING, Rule, converted, instance_of, moment, signed, unsigned
from icechunk.config.rendering import Entry, Shown, mask, scalar_text

_AnyValue = TypeVar("_AnyValue", bound="Value")


class Value(Shown):
    """Base of dataclasses that check and convert every value when it is set.

    Subclasses are decorated with `value_class`, and compare by value. `_fill` is the generated
    initialiser, for subclasses that write an ``__init__`` of their own.
    """

    __slots__ = ()

    _path_: ClassVar[str]
    _rules_: ClassVar[dict[str, Rule]]
    _slots_: ClassVar[dict[str, MemberDescriptorType]]
    _fixed_: ClassVar[bool]
    _shown_: ClassVar[tuple[str, ...]] = ()
    _fill: ClassVar[Callable[..., None]]

    def __setattr__(self, name: str, value: Any) -> None:
        rule = self._rules_.get(name)
        if rule is not None:
            if self._fixed_ and hasattr(self, name):
                raise _not_writable(self, name)
            value = rule.convert(name, value)
        elif not hasattr(type(self), name):
            raise AttributeError(
                f"'{type(self).__qualname__}' object has no attribute '{name}'; "
                f"its fields are {', '.join(self._rules_)}"
            )
        object.__setattr__(self, name, value)

    def _kept(self, name: str) -> Any:
        """Return what a field holds, without the copy that a read of the attribute makes."""
        return self._slots_[name].__get__(self)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(self._kept(name) == other._kept(name) for name in self._rules_)

    if not TYPE_CHECKING:  # some subclasses are hashable
        __hash__ = None

    def __getstate__(self) -> tuple[Any, ...]:
        return tuple(slot.__get__(self) for slot in self._slots_.values())

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for slot, value in zip(self._slots_.values(), state, strict=True):
            slot.__set__(self, value)

    def _path(self) -> str:
        return self._path_

    def _entries(self) -> Iterable[Entry]:
        names = self._shown_ or tuple(self._rules_)
        return [_entry(self, name, self._rules_[name]) for name in names]


@dataclass_transform(field_specifiers=(converted, instance_of, moment, signed, unsigned))
def value_class(path: str, *, fixed: bool = False) -> Callable[[type[_AnyValue]], type[_AnyValue]]:
    """Turn a subclass of `Value` into a slotted dataclass.

    Parameters
    ----------
    path : str
        Public, fully qualified name.
    fixed : bool
        Forbid assignment after construction.
    """

    def decorate(cls: type[_AnyValue]) -> type[_AnyValue]:
        own = vars(cls).get("__init__")
        if own is not None:
            del cls.__init__
        made = dataclasses.dataclass(slots=True, repr=False, eq=False)(cls)
        made._fill = made.__init__
        if own is not None:
            setattr(made, "__init__", own)  # noqa: B010 - mypy forbids the plain form
        fields = dataclasses.fields(made)  # type: ignore[arg-type]
        made._path_, made._fixed_ = path, fixed
        made._slots_ = {field.name: vars(made)[field.name] for field in fields}
        made._rules_ = {f.name: f.metadata["rule"] for f in fields if "rule" in f.metadata}
        for name, rule in made._rules_.items():
            if rule.expose is not None:
                setattr(made, name, _exposed(made._slots_[name], rule.expose))
        return made

    return decorate


def _exposed(slot: MemberDescriptorType, expose: Callable[[Any], Any]) -> property:
    return property(lambda self: expose(slot.__get__(self)), slot.__set__)


def older_name(name: str) -> property:
    """Return a property under which older code finds the attribute `name`."""
    return property(
        lambda self: getattr(self, name),
        lambda self, value: setattr(self, name, value),
        doc=f"Older name of `{name}`.",
    )


def _not_writable(holder: object, name: str) -> AttributeError:
    return AttributeError(
        f"attribute '{name}' of '{type(holder).__qualname__}' objects is not "
        "writable; make a new object instead"
    )


def _entry(holder: Any, name: str, rule: Rule) -> Entry:
    """Return the displayed line of a field; secrets are masked."""
    value = getattr(holder, name)
    if rule.secret is not None and value is not None:
        value = mask(value if isinstance(value, str) else "", rule.secret)
    return Entry(name, value, rule.in_force())


def copied(value: Any) -> Any:
    """Return a copy that shares no mutable value with the original; variants are immutable."""
    if isinstance(value, Value):
        new = object.__new__(type(value))
        new.__setstate__(tuple(map(copied, value.__getstate__())))
        return new
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    return value


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
    result: _AnyValue = copied(base)
    for name, rule in base._rules_.items():
        mine, theirs = base._kept(name), over._kept(name)
        if theirs is None:
            continue
        nested = isinstance(theirs, Value) and mine is not None and not rule.replace
        base._slots_[name].__set__(result, merged(mine, theirs) if nested else copied(theirs))
    return result


class Variant(Shown):
    """Base of families of alternatives: frozen, tuple-like, matchable by position.

    They have the interface of the enumerations with data of the Rust library. A family is a direct
    subclass with a `path`; it cannot be instantiated. Its variants subclass the family under a
    `variant` name and become its attributes; `call` is the name of the function that displays
    show, `by_name` lets `match` patterns use the field names. Variants are not dataclasses: there
    are fifty of them, and creating a dataclass takes ten times as long.
    """

    __slots__ = ("_values",)

    _values: tuple[Any, ...]
    _path_: ClassVar[str] = ""
    _call_: ClassVar[str] = ""
    _family_: ClassVar[type[Variant] | None] = None
    _rules_: ClassVar[dict[str, Rule]] = {}

    def __init_subclass__(
        cls, *, path: str = "", variant: str = "", call: str = "", by_name: bool = False
    ) -> None:
        super().__init_subclass__()
        own = {n: f for n, f in vars(cls).items() if isinstance(f, dataclasses.Field)}
        for position, (name, field) in enumerate(own.items(), len(cls._rules_)):
            rule: Rule = field.metadata["rule"]
            cls._rules_ = {**cls._rules_, name: rule}
            setattr(cls, name, _item(position, rule.expose))
        if path:
            cls._path_ = path
        if not variant:
            return
        family = next(base for base in cls.__bases__ if issubclass(base, Variant) and base._path_)
        cls.__name__, cls.__qualname__ = variant, f"{family.__qualname__}.{variant}"
        cls._path_ = f"{family._path_}.{variant}"
        cls._call_ = f"{family._path_}.{call or variant}"
        cls._family_ = family
        names = tuple(cls._rules_)
        cls._name_positions(names if by_name else [f"_{i}" for i in range(len(names))])
        setattr(family, variant, cls)

    @classmethod
    def _variants(cls) -> dict[str, type[Self]]:
        """Return the variants of a family by name."""
        return {name: kind for name, kind in vars(cls).items() if isinstance(kind, type)}

    @classmethod
    def _name_positions(cls, names: Iterable[str]) -> None:
        setattr(cls, "__match_args__", tuple(names))  # noqa: B010 - mypy keeps it for literals

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if self._family_ is None:
            raise TypeError(
                f"cannot create '{type(self).__qualname__}' instances; "
                f"use one of its variants: {', '.join(sorted(self._variants()))}"
            )
        try:
            signature = _signature(type(self))  # type: ignore[arg-type]
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{type(self).__qualname__}() {error}") from None
        values = (r.convert(n, given.get(n, r.default)) for n, r in self._rules_.items())
        object.__setattr__(self, "_values", tuple(values))

    def __setattr__(self, name: str, value: Any) -> None:
        raise _not_writable(self, name)

    def __getstate__(self) -> tuple[Any, ...]:
        return (self._values,)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        object.__setattr__(self, "_values", state[0])

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values == other._values

    if not TYPE_CHECKING:  # some subclasses are hashable
        __hash__ = None

    def _items(self) -> list[Any]:
        return [getattr(self, name) for name in self._rules_]

    def _at(self, position: int) -> Any:
        if position < len(self):
            return self[position]
        name = f"_{position}"
        raise AttributeError(f"'{type(self).__qualname__}' object has no attribute '{name}'")

    _0 = property(lambda self: self._at(0), doc="The first value.")
    _1 = property(lambda self: self._at(1), doc="The second value.")

    def __len__(self) -> int:
        return len(self._rules_)

    def __getitem__(self, position: int) -> Any:
        return self._items()[position]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items())

    def __bool__(self) -> bool:
        return True  # also without data, where the length is 0

    def _path(self) -> str:
        return self._path_

    def __repr__(self) -> str:
        inside = ", ".join(scalar_text(entry.value) for entry in self._all_entries())
        return f"{self._call_}({inside})"

    def __str__(self) -> str:
        return repr(self) if self._one_line_ else super().__str__()

    def _all_entries(self) -> list[Entry]:
        return [_entry(self, name, rule) for name, rule in self._rules_.items()]

    def _entries(self) -> Iterable[Entry]:
        """Show the fields of a single nested value in place of that value."""
        items = self._items()
        if len(items) == 1 and isinstance(items[0], Shown):
            return items[0]._entries()
        return self._all_entries()


def _item(position: int, expose: Callable[[Any], Any] | None) -> property:
    """Return the property of one of a variant's values."""
    if expose is None:
        return property(lambda self: self._values[position])
    return property(lambda self: expose(self._values[position]))


@functools.cache
def _signature(kind: type[Variant]) -> inspect.Signature:
    """Return the arguments of a variant; made on first use, since most variants are never used."""
    parameter = inspect.Parameter
    return inspect.Signature(
        [
            parameter(
                name,
                parameter.POSITIONAL_OR_KEYWORD,
                default=parameter.empty if rule.default is MISSING else rule.default,
            )
            for name, rule in kind._rules_.items()
        ]
    )
