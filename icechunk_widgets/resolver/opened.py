"""The conflict resolvers of this process, so that commands find those made in Python.

It imports no widget: a command looks here before any resolver exists.
"""

from __future__ import annotations

import weakref
from typing import Any

from icechunk import Session

_resolvers: list[weakref.ref[Any]] = []


def register(resolver: Any) -> None:
    """Remember a `ConflictResolver` while it exists."""
    _resolvers.append(weakref.ref(resolver, _resolvers.remove))


def newest(session: Session) -> Any:
    """The `ConflictResolver` of a session that was made last, or None."""
    resolvers = (reference() for reference in reversed(_resolvers))
    return next((one for one in resolvers if one is not None and one.session == session), None)
