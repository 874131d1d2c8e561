"""Label the errors that methods of sessions raise."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from icechunk.core.errors import ConflictError, ErrorKind, IcechunkError

LABEL = "session error: "

P = ParamSpec("P")
R = TypeVar("R")


def labelled(method: Callable[P, R]) -> Callable[P, R]:
    """Prefix the errors of a method with `LABEL` and add a note that names the method.

    The reference library labels its errors so, except conflicts and malformed paths.
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
