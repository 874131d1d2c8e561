"""Credentials of object stores as values; displays never show their secrets.

Credentials compare by identity, so that comparisons reveal nothing about secrets.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from icechunk.config.fields import converted, described, expect, instance_of, moment
from icechunk.config.values import Value, Variant, copied, value_class
from icechunk.core.errors import ErrorKind, InvalidInputError


class _ByIdentity:
    """Mixin: compare and hash by identity."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


class _Credential(_ByIdentity, Variant):
    """Base of the families of credentials."""


# --------------------------------------------------------------------------- S3


@value_class("icechunk.credentials.S3StaticCredentials")
class S3StaticCredentials(_ByIdentity, Value):
    """A key pair for S3 or a compatible service.

    Parameters
    ----------
    access_key_id, secret_access_key : str
        The key pair.
    session_token : str, optional
        Token of temporary credentials.
    expires_after : datetime.datetime, optional
        Instant after which they no longer work; it needs a time zone.
    """

    access_key_id: str = instance_of(str, secret=4)
    secret_access_key: str = instance_of(str, secret=0)
    session_token: str | None = instance_of(str, default=None, secret=0)
    expires_after: datetime | None = moment(default=None)


class S3Credentials(_Credential, path="icechunk.credentials.S3Credentials"):
    """How to get credentials for S3: `FromEnv`, `Anonymous`, `Static` or `Refreshable`."""

    FromEnv: TypeAlias = "_S3FromEnv"
    Anonymous: TypeAlias = "_S3Anonymous"
    Static: TypeAlias = "_S3Static"
    Refreshable: TypeAlias = "_S3Refreshable"


class _S3FromEnv(S3Credentials, variant="FromEnv"):
    pass


class _S3Anonymous(S3Credentials, variant="Anonymous"):
    pass


class _S3Static(S3Credentials, variant="Static"):
    credentials: S3StaticCredentials = instance_of(S3StaticCredentials)


class _Refreshable(Variant):
    """A pickled function without arguments, and the credentials that it returned last."""

    pickled_function: bytes = instance_of(bytes)


class _S3Refreshable(_Refreshable, S3Credentials, variant="Refreshable", by_name=True):
    current: S3StaticCredentials | None = instance_of(S3StaticCredentials, default=None)


# --------------------------------------------------------------------------- Google


@value_class("icechunk.credentials.GcsBearerCredential", fixed=True)
class GcsBearerCredential(_ByIdentity, Value):
    """A token for Google Cloud Storage, as refresh functions return it.

    Parameters
    ----------
    bearer : str
        The token.
    expires_after : datetime.datetime, optional
        Instant after which it no longer works; it needs a time zone.
    """

    bearer: str = instance_of(str, secret=0)
    expires_after: datetime | None = moment(default=None, kw_only=True)


class GcsStaticCredentials(_Credential, path="icechunk.credentials.GcsStaticCredentials"):
    """Fixed credentials for Google Cloud Storage, in one of four forms."""

    ServiceAccount: TypeAlias = "_GcsServiceAccount"
    ServiceAccountKey: TypeAlias = "_GcsServiceAccountKey"
    ApplicationCredentials: TypeAlias = "_GcsApplicationCredentials"
    BearerToken: TypeAlias = "_GcsBearerToken"


class _GcsServiceAccount(GcsStaticCredentials, variant="ServiceAccount"):
    path: str = instance_of(str)


class _GcsServiceAccountKey(GcsStaticCredentials, variant="ServiceAccountKey"):
    key: str = instance_of(str, secret=0)


class _GcsApplicationCredentials(GcsStaticCredentials, variant="ApplicationCredentials"):
    path: str = instance_of(str)


class _GcsBearerToken(GcsStaticCredentials, variant="BearerToken"):
    token: str = instance_of(str, secret=0)


class GcsCredentials(_Credential, path="icechunk.credentials.GcsCredentials"):
    """How to get credentials for Google Cloud Storage."""

    FromEnv: TypeAlias = "_GcsFromEnv"
    Anonymous: TypeAlias = "_GcsAnonymous"
    Static: TypeAlias = "_GcsStatic"
    Refreshable: TypeAlias = "_GcsRefreshable"


class _GcsFromEnv(GcsCredentials, variant="FromEnv"):
    pass


class _GcsAnonymous(GcsCredentials, variant="Anonymous"):
    pass


class _GcsStatic(GcsCredentials, variant="Static"):
    credentials: GcsStaticCredentials = instance_of(GcsStaticCredentials)


class _GcsRefreshable(_Refreshable, GcsCredentials, variant="Refreshable", by_name=True):
    current: GcsBearerCredential | None = instance_of(GcsBearerCredential, default=None)


# --------------------------------------------------------------------------- Azure


class AzureStaticCredentials(_Credential, path="icechunk.credentials.AzureStaticCredentials"):
    """Fixed credentials for Azure Blob Storage, in one of three forms."""

    AccessKey: TypeAlias = "_AzureAccessKey"
    SasToken: TypeAlias = "_AzureSasToken"
    BearerToken: TypeAlias = "_AzureBearerToken"


class _AzureAccessKey(AzureStaticCredentials, variant="AccessKey"):
    key: str = instance_of(str, secret=0)


class _AzureSasToken(AzureStaticCredentials, variant="SasToken"):
    token: str = instance_of(str, secret=0)


class _AzureBearerToken(AzureStaticCredentials, variant="BearerToken"):
    token: str = instance_of(str, secret=0)


class AzureRefreshableCredential(
    _Credential, path="icechunk.credentials.AzureRefreshableCredential"
):
    """Result of a refresh function for Azure: a secret and the instant at which it expires."""

    AccessKey: TypeAlias = "_AzureRefreshedKey"
    SasToken: TypeAlias = "_AzureRefreshedSas"
    BearerToken: TypeAlias = "_AzureRefreshedBearer"


class _AzureRefreshedKey(AzureRefreshableCredential, variant="AccessKey", by_name=True):
    key: str = instance_of(str, secret=0)
    expires_after: datetime | None = moment(default=None)


class _AzureRefreshedSas(AzureRefreshableCredential, variant="SasToken", by_name=True):
    token: str = instance_of(str, secret=0)
    expires_after: datetime | None = moment(default=None)


class _AzureRefreshedBearer(AzureRefreshableCredential, variant="BearerToken", by_name=True):
    bearer: str = instance_of(str, secret=0)
    expires_after: datetime | None = moment(default=None)


class AzureCredentials(_Credential, path="icechunk.credentials.AzureCredentials"):
    """How to get credentials for Azure Blob Storage."""

    FromEnv: TypeAlias = "_AzureFromEnv"
    Anonymous: TypeAlias = "_AzureAnonymous"
    Static: TypeAlias = "_AzureStatic"
    Refreshable: TypeAlias = "_AzureRefreshable"


class _AzureFromEnv(AzureCredentials, variant="FromEnv"):
    pass


class _AzureAnonymous(AzureCredentials, variant="Anonymous"):
    pass


class _AzureStatic(AzureCredentials, variant="Static"):
    credentials: AzureStaticCredentials = instance_of(AzureStaticCredentials)


class _AzureRefreshable(_Refreshable, AzureCredentials, variant="Refreshable", by_name=True):
    current: AzureRefreshableCredential | None = instance_of(
        AzureRefreshableCredential, default=None
    )


# --------------------------------------------------------------------------- authorisation


class Credentials(_Credential, path="icechunk.credentials.Credentials"):
    """Authorisation to read the chunks of a virtual chunk container."""

    S3: TypeAlias = "_AuthoriseS3"
    Gcs: TypeAlias = "_AuthoriseGcs"
    Azure: TypeAlias = "_AuthoriseAzure"
    LocalFileSystemAccess: TypeAlias = "_AuthoriseLocal"
    HttpAccess: TypeAlias = "_AuthoriseHttp"
    Fsspec: TypeAlias = "_AuthoriseFsspec"


class _AuthoriseS3(Credentials, variant="S3"):
    credentials: S3Credentials = instance_of(S3Credentials)


class _AuthoriseGcs(Credentials, variant="Gcs"):
    credentials: GcsCredentials = instance_of(GcsCredentials)


class _AuthoriseAzure(Credentials, variant="Azure"):
    credentials: AzureCredentials = instance_of(AzureCredentials)


class _AuthoriseLocal(Credentials, variant="LocalFileSystemAccess"):
    pass


def _mapping(name: str, value: Any) -> dict[str, Any]:
    expect(name, value, Mapping)
    for key in value:
        expect(name, key, str)
    return dict(value)


def _secret_mapping() -> Any:
    """Declare a mapping that no display shows."""
    return converted(_mapping, default=None, expose=copied, secret=0)


class _AuthoriseHttp(Credentials, variant="HttpAccess"):
    headers: dict[str, str] | None = _secret_mapping()


class _AuthoriseFsspec(Credentials, variant="Fsspec"):
    options: dict[str, Any] | None = _secret_mapping()


# --------------------------------------------------------------------------- refreshing

_REFRESHED: dict[type[Any], type[Any]] = {
    S3Credentials: S3StaticCredentials,
    GcsCredentials: GcsBearerCredential,
    AzureCredentials: AzureRefreshableCredential,
}


def refreshed(credentials: S3Credentials | GcsCredentials | AzureCredentials) -> Any:
    """Call the function of refreshable credentials.

    Parameters
    ----------
    credentials : S3Credentials, GcsCredentials or AzureCredentials
        Their `Refreshable` variant.

    Returns
    -------
    S3StaticCredentials, GcsBearerCredential or AzureRefreshableCredential
        The result of the function, of the class that belongs to the family.

    Raises
    ------
    InvalidInputError
        Kind ``invalid-credentials`` when the function returns something else.
    """
    function: Callable[[], Any] = pickle.loads(credentials.pickled_function)  # type: ignore[union-attr]
    return checked_refresh(credentials._family_, function())


def checked_refresh(family: type[Any] | None, value: Any) -> Any:
    """Return the result of a refresh function, after checking its class.

    Raises
    ------
    InvalidInputError
        Kind ``invalid-credentials`` for anything but the family's value.
    """
    wanted = next(kind for base, kind in _REFRESHED.items() if base is family)
    if not isinstance(value, wanted):
        raise InvalidInputError(
            f"the refresh function returned a {described(value)}; "
            f"it must return {wanted.__qualname__}",
            ErrorKind.INVALID_CREDENTIALS,
        )
    return value
