"""Functions that make credentials, and choose their kind from the arguments given."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from icechunk.config.credentials import (
    AzureCredentials,
    AzureRefreshableCredential,
    AzureStaticCredentials,
    Credentials,
    GcsBearerCredential,
    GcsCredentials,
    GcsStaticCredentials,
    S3Credentials,
    S3StaticCredentials,
    checked_refresh,
)

AnyS3Credential: TypeAlias = (
    S3Credentials.Static
    | S3Credentials.Anonymous
    | S3Credentials.FromEnv
    | S3Credentials.Refreshable
)
AnyGcsStaticCredential: TypeAlias = (
    GcsStaticCredentials.ServiceAccount
    | GcsStaticCredentials.ServiceAccountKey
    | GcsStaticCredentials.ApplicationCredentials
    | GcsStaticCredentials.BearerToken
)
AnyGcsCredential: TypeAlias = (
    GcsCredentials.Anonymous
    | GcsCredentials.FromEnv
    | GcsCredentials.Static
    | GcsCredentials.Refreshable
)
AnyAzureStaticCredential: TypeAlias = (
    AzureStaticCredentials.AccessKey
    | AzureStaticCredentials.SasToken
    | AzureStaticCredentials.BearerToken
)
AnyAzureCredential: TypeAlias = (
    AzureCredentials.FromEnv
    | AzureCredentials.Anonymous
    | AzureCredentials.Static
    | AzureCredentials.Refreshable
)
AnyCredential: TypeAlias = (
    Credentials.S3
    | Credentials.Gcs
    | Credentials.Azure
    | Credentials.LocalFileSystemAccess
    | Credentials.HttpAccess
    | Credentials.Fsspec
)

LocalFileSystemAccess: Final = Credentials.LocalFileSystemAccess()
"""Authorises a container of local files."""

HttpAccess: Final = Credentials.HttpAccess()
"""Authorises a container of an http(s) server."""


_ONE_KIND = "give one of fixed credentials, anonymous=True, from_env=True or get_credentials"


def _conflict(function: str, advice: str = _ONE_KIND) -> ValueError:
    return ValueError(f"Conflicting arguments to {function} function; {advice}")


def _refreshable(
    family: Any, get_credentials: Callable[[], Any], scatter_initial_credentials: bool
) -> Any:
    """Pickle the function now, so that one that cannot be pickled fails here."""
    current = None
    if scatter_initial_credentials:
        current = checked_refresh(family, get_credentials())
    return family.Refreshable(pickle.dumps(get_credentials), current)


def _fixed(*kinds: tuple[Any, str | None]) -> list[Any]:
    """Make the fixed credentials whose values are given, in the order of the arguments."""
    return [kind(value) for kind, value in kinds if value is not None]


# --------------------------------------------------------------------------- S3


def s3_refreshable_credentials(
    get_credentials: Callable[[], S3StaticCredentials],
    scatter_initial_credentials: bool = False,
) -> S3Credentials.Refreshable:
    """Get S3 credentials from a function, again whenever they expire.

    Parameters
    ----------
    get_credentials : callable
        Function without arguments; it is pickled at once.
    scatter_initial_credentials : bool
        Call it now, and pickle the result together with the credentials.
    """
    return _refreshable(S3Credentials, get_credentials, scatter_initial_credentials)  # type: ignore[no-any-return]


def s3_static_credentials(
    *,
    access_key_id: str,
    secret_access_key: str,
    session_token: str | None = None,
    expires_after: datetime | None = None,
) -> S3Credentials.Static:
    """Use a key pair for S3.

    Parameters
    ----------
    access_key_id, secret_access_key : str
        The key pair.
    session_token : str, optional
        Token of temporary credentials.
    expires_after : datetime.datetime, optional
        Instant after which they no longer work; it needs a time zone.
    """
    pair = S3StaticCredentials(access_key_id, secret_access_key, session_token, expires_after)
    return S3Credentials.Static(pair)


def s3_anonymous_credentials() -> S3Credentials.Anonymous:
    """Send unsigned requests to S3."""
    return S3Credentials.Anonymous()


def s3_from_env_credentials() -> S3Credentials.FromEnv:
    """Find S3 credentials in the environment, as AWS tools do."""
    return S3Credentials.FromEnv()


def s3_credentials(
    *,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
    expires_after: datetime | None = None,
    anonymous: bool | None = None,
    from_env: bool | None = None,
    get_credentials: Callable[[], S3StaticCredentials] | None = None,
    scatter_initial_credentials: bool = False,
) -> AnyS3Credential:
    """Choose the kind of S3 credentials from the arguments; by default, the environment.

    Parameters
    ----------
    access_key_id, secret_access_key, session_token, expires_after
        See `s3_static_credentials`.
    anonymous : bool, optional
        Send unsigned requests.
    from_env : bool, optional
        Find credentials in the environment.
    get_credentials, scatter_initial_credentials
        See `s3_refreshable_credentials`.

    Raises
    ------
    ValueError
        When the arguments contradict each other.
    """
    static = (access_key_id, secret_access_key, session_token, expires_after)
    no_static = all(part is None for part in static)
    chosen = [bool(anonymous), get_credentials is not None, not no_static]
    if from_env and not any(chosen):
        return s3_from_env_credentials()
    if not from_env and sum(chosen) == 1:
        if anonymous:
            return s3_anonymous_credentials()
        if get_credentials is not None:
            return s3_refreshable_credentials(get_credentials, scatter_initial_credentials)
        if access_key_id is not None and secret_access_key is not None:
            return s3_static_credentials(
                access_key_id=access_key_id,
                secret_access_key=secret_access_key,
                session_token=session_token,
                expires_after=expires_after,
            )
    if from_env is None and not any(chosen):
        return s3_from_env_credentials()
    raise _conflict(
        "s3_credentials",
        "give one of a complete key pair, anonymous=True, from_env=True or get_credentials",
    )


# --------------------------------------------------------------------------- Google


def gcs_refreshable_credentials(
    get_credentials: Callable[[], GcsBearerCredential],
    scatter_initial_credentials: bool = False,
) -> GcsCredentials.Refreshable:
    """Get Google tokens from a function, again whenever they expire.

    Parameters
    ----------
    get_credentials : callable
        Function without arguments; it is pickled at once.
    scatter_initial_credentials : bool
        Call it now, and pickle the result together with the credentials.
    """
    return _refreshable(GcsCredentials, get_credentials, scatter_initial_credentials)  # type: ignore[no-any-return]


def gcs_static_credentials(
    *,
    service_account_file: str | None = None,
    service_account_key: str | None = None,
    application_credentials: str | None = None,
    bearer_token: str | None = None,
) -> AnyGcsStaticCredential:
    """Use fixed credentials for Google Cloud Storage; the first argument given is used.

    Parameters
    ----------
    service_account_file, service_account_key : str, optional
        Path of a service account's key file, or its content.
    application_credentials : str, optional
        Path of a credentials file.
    bearer_token : str, optional
        A token.

    Raises
    ------
    ValueError
        When nothing is given.
    """
    given = _fixed(
        (GcsStaticCredentials.ServiceAccount, service_account_file),
        (GcsStaticCredentials.ServiceAccountKey, service_account_key),
        (GcsStaticCredentials.ApplicationCredentials, application_credentials),
        (GcsStaticCredentials.BearerToken, bearer_token),
    )
    if not given:
        raise _conflict("gcs_static_credentials", "give a key file, a key, credentials or a token")
    return given[0]  # type: ignore[no-any-return]


def gcs_anonymous_credentials() -> GcsCredentials.Anonymous:
    """Send unsigned requests to Google Cloud Storage."""
    return GcsCredentials.Anonymous()


def gcs_from_env_credentials() -> GcsCredentials.FromEnv:
    """Find Google credentials in the environment, as Google's tools do."""
    return GcsCredentials.FromEnv()


def gcs_credentials(
    *,
    service_account_file: str | None = None,
    service_account_key: str | None = None,
    application_credentials: str | None = None,
    bearer_token: str | None = None,
    from_env: bool | None = None,
    anonymous: bool | None = None,
    get_credentials: Callable[[], GcsBearerCredential] | None = None,
    scatter_initial_credentials: bool = False,
) -> AnyGcsCredential:
    """Choose the kind of Google credentials from the arguments; by default, the environment.

    Parameters
    ----------
    service_account_file, service_account_key, application_credentials, bearer_token
        See `gcs_static_credentials`.
    from_env : bool, optional
        Find credentials in the environment.
    anonymous : bool, optional
        Send unsigned requests, whatever else is given.
    get_credentials, scatter_initial_credentials
        See `gcs_refreshable_credentials`.

    Raises
    ------
    ValueError
        When the arguments contradict each other.
    """
    static = {
        "service_account_file": service_account_file,
        "service_account_key": service_account_key,
        "application_credentials": application_credentials,
        "bearer_token": bearer_token,
    }
    has_static = any(value is not None for value in static.values())
    if anonymous:
        return gcs_anonymous_credentials()
    if has_static and not from_env:
        return GcsCredentials.Static(gcs_static_credentials(**static))
    if get_credentials is not None and not from_env:
        return gcs_refreshable_credentials(get_credentials, scatter_initial_credentials)
    if from_env is not False and not has_static and get_credentials is None:
        return gcs_from_env_credentials()
    raise _conflict("gcs_credentials")


# --------------------------------------------------------------------------- Azure


def azure_refreshable_credentials(
    get_credentials: Callable[[], AzureRefreshableCredential],
    scatter_initial_credentials: bool = False,
) -> AzureCredentials.Refreshable:
    """Get Azure credentials from a function, again whenever they expire.

    Parameters
    ----------
    get_credentials : callable
        Function without arguments; it is pickled at once.
    scatter_initial_credentials : bool
        Call it now, and pickle the result together with the credentials.
    """
    return _refreshable(AzureCredentials, get_credentials, scatter_initial_credentials)  # type: ignore[no-any-return]


def azure_static_credentials(
    *,
    access_key: str | None = None,
    sas_token: str | None = None,
    bearer_token: str | None = None,
) -> AnyAzureStaticCredential:
    """Use fixed credentials for Azure Blob Storage.

    Parameters
    ----------
    access_key, sas_token, bearer_token : str, optional
        Exactly one of them.

    Raises
    ------
    ValueError
        When none or several are given.
    """
    given = _fixed(
        (AzureStaticCredentials.AccessKey, access_key),
        (AzureStaticCredentials.SasToken, sas_token),
        (AzureStaticCredentials.BearerToken, bearer_token),
    )
    if len(given) != 1:
        raise _conflict(
            "azure_static_credentials", "give exactly one of access_key, sas_token, bearer_token"
        )
    return given[0]  # type: ignore[no-any-return]


def azure_from_env_credentials() -> AzureCredentials.FromEnv:
    """Find Azure credentials in the environment, as Azure's tools do."""
    return AzureCredentials.FromEnv()


def azure_anonymous_credentials() -> AzureCredentials.Anonymous:
    """Send unsigned requests to Azure Blob Storage."""
    return AzureCredentials.Anonymous()


def azure_credentials(
    *,
    access_key: str | None = None,
    sas_token: str | None = None,
    bearer_token: str | None = None,
    from_env: bool | None = None,
    anonymous: bool | None = None,
    get_credentials: Callable[[], AzureRefreshableCredential] | None = None,
    scatter_initial_credentials: bool = False,
) -> AnyAzureCredential:
    """Choose the kind of Azure credentials from the arguments; by default, the environment.

    Parameters
    ----------
    access_key, sas_token, bearer_token
        See `azure_static_credentials`.
    from_env : bool, optional
        Find credentials in the environment.
    anonymous : bool, optional
        Send unsigned requests, whatever else is given.
    get_credentials, scatter_initial_credentials
        See `azure_refreshable_credentials`; takes precedence over all but `anonymous`.

    Raises
    ------
    ValueError
        When the arguments contradict each other.
    """
    static = {"access_key": access_key, "sas_token": sas_token, "bearer_token": bearer_token}
    has_static = any(value is not None for value in static.values())
    if anonymous:
        return azure_anonymous_credentials()
    if get_credentials is not None:
        return azure_refreshable_credentials(get_credentials, scatter_initial_credentials)
    if has_static and not from_env:
        return AzureCredentials.Static(azure_static_credentials(**static))
    if from_env is not False and not has_static:
        return azure_from_env_credentials()
    raise _conflict("azure_credentials")


# --------------------------------------------------------------------------- authorisation

_WRAPPERS: dict[type[Any], Any] = {
    S3Credentials: Credentials.S3,
    GcsCredentials: Credentials.Gcs,
    AzureCredentials: Credentials.Azure,
}


def http_credentials(*, headers: Mapping[str, str]) -> Credentials.HttpAccess:
    """Authorise a container of a web server that requires authentication.

    Parameters
    ----------
    headers : mapping of str to str
        Sent to the container's host only, e.g. ``{"Authorization": "Bearer ..."}``. They are never
        stored, unlike those of `icechunk.http_store`.
    """
    return Credentials.HttpAccess(dict(headers))


def fsspec_credentials(**options: Any) -> Credentials.Fsspec:
    """Authorise a container that fsspec reads.

    Parameters
    ----------
    **options
        Options of the file system, as in ``fsspec.filesystem(scheme, **options)``. They are never
        stored, but are part of pickled handles, since workers need them.
    """
    return Credentials.Fsspec(options)


def _authorisation(credential: Any) -> Any:
    if credential is None or isinstance(credential, Credentials):
        return credential
    for family, wrapper in _WRAPPERS.items():
        if isinstance(credential, family):
            return wrapper(credential)
    raise ValueError(
        f"Unknown credential type {type(credential)}; "
        "give S3, Gcs or Azure credentials, LocalFileSystemAccess or HttpAccess"
    )


def containers_credentials(
    m: Mapping[str, Any] | None = None, **kwargs: Any
) -> dict[str, AnyCredential | None]:
    """Prepare credentials for `authorize_virtual_chunk_access`.

    Parameters
    ----------
    m : mapping, optional
        URL prefix of a container to its credentials: those of S3, Gcs or Azure,
        `LocalFileSystemAccess`, `HttpAccess`, or None.
    **kwargs
        More of them, with the names as keys.

    Returns
    -------
    dict
        The same keys with values of `Credentials`.

    Raises
    ------
    ValueError
        For anything else.
    """
    return {key: _authorisation(value) for key, value in {**(m or {}), **kwargs}.items()}
