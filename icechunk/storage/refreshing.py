"""Where do a client's credentials come from, and when are they fetched anew?"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Any

from icechunk.config.credentials import (
    AzureCredentials,
    AzureRefreshableCredential,
    GcsBearerCredential,
    GcsCredentials,
    S3Credentials,
    S3StaticCredentials,
    refreshed,
)

_EARLY = timedelta(minutes=5)
"""How long before their end credentials are replaced, at most half of their life."""

_ENVIRONMENT_CHECK = timedelta(minutes=2)
"""How often credentials that somebody else renews are looked up again."""


def s3_answer(pair: S3StaticCredentials) -> dict[str, Any]:
    """Return a key pair as the client wants it."""
    return {
        "access_key_id": pair.access_key_id,
        "secret_access_key": pair.secret_access_key,
        "token": pair.session_token,
        "expires_at": pair.expires_after,
    }


class _Refresher(ABC):
    """Calls a refresh function when there is no value yet, or its end is near.

    Callable without arguments, from any thread; two threads never call the function at once.
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
        """Return when a value that was just obtained must be replaced; None never."""
        end = None if value is None else value.expires_after
        if end is None:
            return None
        now = datetime.now(UTC)
        return end - min(_EARLY, max((end - now) / 2, timedelta(0)))  # type: ignore[no-any-return]

    def __call__(self) -> Any:
        with self._lock:
            due = self._renew_at is not None and datetime.now(UTC) >= self._renew_at
            if self._value is None or due:
                self._value = refreshed(self._credentials)
                self._renew_at = self._due(self._value)
            return self._answer(self._value)

    @abstractmethod
    def _answer(self, value: Any) -> dict[str, Any]:
        """Express the value as the client wants it."""


class S3Refresher(_Refresher):
    """Key pairs from a function."""

    def __init__(self, credentials: S3Credentials.Refreshable) -> None:
        super().__init__(credentials)

    def _answer(self, value: S3StaticCredentials) -> dict[str, Any]:
        return s3_answer(value)


class GcsRefresher(_Refresher):
    """Google tokens from a function."""

    def __init__(self, credentials: GcsCredentials.Refreshable) -> None:
        super().__init__(credentials)

    def _answer(self, value: GcsBearerCredential) -> dict[str, Any]:
        return {"token": value.bearer, "expires_at": value.expires_after}


class AzureRefresher(_Refresher):
    """Azure keys, signatures or tokens from a function."""

    def __init__(self, credentials: AzureCredentials.Refreshable) -> None:
        super().__init__(credentials)

    def _answer(self, value: Any) -> dict[str, Any]:
        names = {
            AzureRefreshableCredential.AccessKey: ("access_key", "key"),
            AzureRefreshableCredential.SasToken: ("sas_token", "token"),
            AzureRefreshableCredential.BearerToken: ("token", "bearer"),
        }
        name, field = names[type(value)]
        return {name: getattr(value, field), "expires_at": value.expires_after}


# --------------------------------------------------------------------------- environment


def has_environment_keys() -> bool:
    """Whether a key pair for S3 is in the environment variables."""
    return bool(os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY"))


def environment_region() -> str | None:
    """Return the region that environment or profile name; None where they do not."""
    named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if named or not _has_profile():
        return named or None
    import botocore.session

    region: str | None = botocore.session.Session().get_config_variable("region")
    return region


def _has_profile() -> bool:
    paths = (
        os.environ.get("AWS_CONFIG_FILE", "~/.aws/config"),
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    )
    return any(os.path.exists(os.path.expanduser(path)) for path in paths)


class EnvironmentProvider:
    """Credentials found as the AWS tools find them: profiles, single sign-on, roles, instances."""

    def __init__(self) -> None:
        self._found: Any = None
        self._lock = threading.Lock()

    def __call__(self) -> dict[str, Any]:
        import botocore.session

        with self._lock:
            if self._found is None:
                self._found = botocore.session.Session().get_credentials()
            if self._found is None:
                raise PermissionError(
                    "no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                    "configure a profile, or give credentials or anonymous=True"
                )
            pair = self._found.get_frozen_credentials()
        return {
            "access_key_id": pair.access_key,
            "secret_access_key": pair.secret_key,
            "token": pair.token,
            "expires_at": datetime.now(UTC) + _EARLY + _ENVIRONMENT_CHECK,
        }


def environment_provider() -> EnvironmentProvider:
    """Return a provider that looks when the first request needs it."""
    return EnvironmentProvider()
