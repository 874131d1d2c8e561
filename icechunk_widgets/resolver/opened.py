"""The conflict resolvers of this process, so that commands find those made in Python.

It imports no widget: a command looks here before any resolver exists.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from icechunk import Session

if TYPE_CHECKING:
    from icechunk_widgets.resolver.widget import ConflictResolver

_resolvers: list[weakref.ref[ConflictResolver]] = []


def register(resolver: ConflictResolver) -> None:
    """Remember a resolver while it exists."""
    _resolvers.append(weakref.ref(resolver, _resolvers.remove))


def newest(session: Session) -> ConflictResolver | None:
    """The resolver of a session that was made last; earlier ones of the session do not count."""
    resolvers = (reference() for reference in reversed(_resolvers))
    return next((one for one in resolvers if one is not None and one.session == session), None)
