"""Renews the credentials of a client by calling the function that the user gave."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Any

from icechunk.config.credentials import refreshed

EARLY = timedelta(minutes=5)
"""How long before they expire credentials are renewed, at most half of their lifetime."""


class Refresher(ABC):
    """Credential provider that calls a function when there is no value, or it expires soon.

    Clients call it before each request, from any thread. The lock keeps two threads from calling
    the function at the same time.
    """

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials
        self._lock = threading.Lock()
        self._value = credentials.current
        self._renew_at = self._due(self._value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._credentials,)

    @staticmethod
    def _due(value: Any) -> datetime | None:
        """Return when a value that was just obtained must be renewed; None: never."""
        end = None if value is None else value.expires_after
        if end is None:
            return None
        now = datetime.now(UTC)
        return end - min(EARLY, max((end - now) / 2, timedelta(0)))  # type: ignore[no-any-return]

    def __call__(self) -> Any:
        with self._lock:
            due = self._renew_at is not None and datetime.now(UTC) >= self._renew_at
            if self._value is None or due:
                self._value = refreshed(self._credentials)
                self._renew_at = self._due(self._value)
            return self._answer(self._value)

    @abstractmethod
    def _answer(self, value: Any) -> dict[str, Any]:
        """Return the value in the form that the client takes."""
