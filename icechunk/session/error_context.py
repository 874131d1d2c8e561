"""Errors of sessions say so."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from icechunk.core.errors import ConflictError, ErrorKind, IcechunkError

LABEL = "session error: "

P = ParamSpec("P")
R = TypeVar("R")


def labelled(method: Callable[P, R]) -> Callable[P, R]:
    """Let a method's errors start with `LABEL`, and a note name the method.

    Conflicts have neither, malformed paths no label.
    """

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except ConflictError:
            raise
        except IcechunkError as error:
            if error.kind != ErrorKind.INVALID_PATH:
                error.label(LABEL)
            error.during(f"calling {method.__qualname__}")
            raise

    return call
