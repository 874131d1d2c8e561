"""Logs requests: operation, object, bytes, milliseconds, outcome.

`Storage`, `Pack` and `VirtualObject` call `watch` for every subclass, also one that a user wrote,
and `watch` wraps the methods that send requests. A request is timed only if the logger
``icechunk.storage.requests`` is at level INFO or lower when it is sent: the level can be changed at
any time, and a request that is not logged costs one check.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from time import perf_counter
from types import TracebackType
from typing import Any

from icechunk.core.timing import outcome_of, pairs

REQUESTS = logging.getLogger(__name__)

SLOW_SECONDS = 1.0
"""A request that takes longer is logged at level INFO, others at level DEBUG."""

Subject = Callable[[Any, tuple[Any, ...]], dict[str, Any]]
"""Returns the fields of a log line that are known before the request: (object, arguments)."""

_INFO = logging.INFO
_enabled = REQUESTS.isEnabledFor
_running: ContextVar[tuple[int, str] | None] = ContextVar("icechunk_request", default=None)


def watch(cls: type, verbs: tuple[str, ...], subject: Subject) -> None:
    """Make the methods that a class itself defines log their requests.

    Parameters
    ----------
    cls : type
        Changed in place. Methods that it inherits were wrapped in their own class.
    verbs : tuple of str
        Names of the methods.
    subject : callable
        Returns the fields of a log line from the object and the arguments.
    """
    for verb in verbs:
        plain: Any = vars(cls).get(verb)
        if plain is not None and not getattr(plain, "__isabstractmethod__", False):
            wrap: Callable[..., Any] = _KINDS.get(verb, _call)
            setattr(cls, verb, functools.update_wrapper(wrap(verb, plain, subject), plain))


class _Request:
    """One request that is being timed."""

    __slots__ = ("_began", "_fields", "_mark", "_outer", "_token", "_verb")

    def __init__(self, owner: Any, verb: str, fields: dict[str, Any]) -> None:
        self._verb = verb
        self._fields = fields
        self._mark = (id(owner), "read" if verb.startswith("read") else verb)

    def __enter__(self) -> dict[str, Any]:
        # One request, also where the method calls that of its parent class, or another that reads.
        self._outer = _running.get() != self._mark
        self._token = _running.set(self._mark)
        self._began = perf_counter()
        return self._fields

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        seconds = perf_counter() - self._began
        _running.reset(self._token)
        if self._outer:
            _report(self._verb, self._fields, seconds, error)


def _report(
    verb: str, fields: dict[str, Any], seconds: float, error: BaseException | None = None
) -> None:
    slow = seconds >= SLOW_SECONDS
    level = logging.INFO if slow else logging.DEBUG
    if _enabled(level):
        outcome = fields.pop("outcome", "ok") if error is None else outcome_of(error)
        where = fields.pop("storage", None)
        fields |= {"ms": f"{seconds * 1000:.3f}", "outcome": outcome}
        if where is not None:
            fields["storage"] = where
        REQUESTS.log(level, "%s%s %s", "slow " if slow else "", verb, pairs(fields))


def _ended(verb: str, fields: dict[str, Any], result: Any) -> None:
    """Add the fields that the result determines."""
    data = getattr(result, "data", result)  # of `Fetched`
    if isinstance(data, bytes | memoryview):
        fields["bytes"] = memoryview(data).nbytes
    elif result is None and verb in ("create", "replace", "head"):
        fields["outcome"] = "not-found" if verb == "head" else "refused"


def _call(verb: str, plain: Callable[..., Any], subject: Subject) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not _enabled(_INFO):
            return plain(self, *args, **kwargs)
        with _Request(self, verb, subject(self, (*args, *kwargs.values()))) as fields:
            result = plain(self, *args, **kwargs)
            _ended(verb, fields, result)
        return result

    return call


def _range_call(verb: str, plain: Callable[..., Any], subject: Subject) -> Callable[..., Any]:
    """Like `_call`, at half its cost: chunks are read by these methods."""

    def call(self: Any, key: Any, offset: int, length: Any) -> Any:
        if not _enabled(_INFO):
            return plain(self, key, offset, length)
        with _Request(self, verb, subject(self, (key, offset, length))) as fields:
            result = plain(self, key, offset, length)
            _ended(verb, fields, result)
        return result

    return call


def _many_call(verb: str, plain: Callable[..., Any], subject: Subject) -> Callable[..., Any]:
    """Like `_call`, for keys that may come from an iterator."""

    def call(self: Any, keys: Iterable[str]) -> Any:
        if not _enabled(_INFO):
            return plain(self, keys)
        given = tuple(keys)
        with _Request(self, verb, subject(self, (given,))):
            return plain(self, given)

    return call


def _awaited_call(
    verb: str, plain: Callable[..., Awaitable[Any]], subject: Subject
) -> Callable[..., Any]:
    name = verb.removesuffix("_async")

    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not _enabled(_INFO):
            return await plain(self, *args, **kwargs)
        with _Request(self, name, subject(self, (*args, *kwargs.values()))) as fields:
            result = await plain(self, *args, **kwargs)
            _ended(name, fields, result)
        return result

    return call


def _listing(
    verb: str, plain: Callable[..., Iterator[Any]], subject: Subject
) -> Callable[..., Iterator[Any]]:
    """Log a listing at its end, without the time that the caller takes between objects."""

    def counted(fields: dict[str, Any], found: Iterator[Any]) -> Iterator[Any]:
        count, spent = 0, 0.0
        error: BaseException | None = None
        try:
            while True:
                began = perf_counter()
                one = next(found, None)
                spent += perf_counter() - began
                if one is None:
                    return
                count += 1
                yield one
        except BaseException as raised:
            error = raised
            raise
        finally:
            _report(verb, {**fields, "objects": count}, spent, error)

    def call(self: Any, prefix: str) -> Iterator[Any]:
        found = plain(self, prefix)
        return counted(subject(self, (prefix,)), found) if _enabled(_INFO) else found

    return call


_KINDS: dict[str, Callable[..., Callable[..., Any]]] = {
    "read": _range_call,
    "read_range": _range_call,
    "read_async": _awaited_call,
    "read_range_async": _awaited_call,
    "put_async": _awaited_call,
    "list": _listing,
    "delete": _many_call,
    "sync": _many_call,
}
