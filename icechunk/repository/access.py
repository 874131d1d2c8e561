"""Which virtual chunks a handle may read: containers checked, credentials matched to them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from icechunk.config.containers import (
    ObjectStoreConfig,
    VirtualChunkContainer,
    validate_container,
)
from icechunk.config.credentials import (
    AzureCredentials,
    Credentials,
    GcsCredentials,
    S3Credentials,
)
from icechunk.config.repository import RepositoryConfig
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.spec.manifest.virtual_urls import canonical

_Family = tuple[tuple[type[Any], ...], type[Any], str]

_FAMILIES: tuple[_Family, ...] = (
    (
        (ObjectStoreConfig.S3, ObjectStoreConfig.S3Compatible, ObjectStoreConfig.Tigris),
        Credentials.S3,
        "icechunk.Credentials.S3(icechunk.S3Credentials.FromEnv())",
    ),
    (
        (ObjectStoreConfig.Gcs,),
        Credentials.Gcs,
        "icechunk.Credentials.Gcs(icechunk.GcsCredentials.Anonymous())",
    ),
    (
        (ObjectStoreConfig.Azure,),
        Credentials.Azure,
        "icechunk.Credentials.Azure(icechunk.AzureCredentials.FromEnv())",
    ),
    (
        (ObjectStoreConfig.LocalFileSystem,),
        Credentials.LocalFileSystemAccess,
        "icechunk.credentials.LocalFileSystemAccess",
    ),
    (
        (ObjectStoreConfig.Http,),
        Credentials.HttpAccess,
        "icechunk.credentials.HttpAccess",
    ),
    (
        (ObjectStoreConfig.Fsspec,),
        Credentials.Fsspec,
        "icechunk.fsspec_credentials()",
    ),
)
"""Kinds of stores, the credentials that fit them, and what to write instead of None."""


def check_containers(config: RepositoryConfig) -> None:
    """Refuse a configuration with a virtual chunk container that cannot work.

    Raises
    ------
    ValueError
        See `icechunk.config.containers.validate_container`.
    """
    for container in (config.virtual_chunk_containers or {}).values():
        validate_container(container)


def authorisation(
    config: RepositoryConfig,
    access: Mapping[str, Any] | None,
    by_name: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Credentials of the containers that may be read, by URL prefix.

    Parameters
    ----------
    config : RepositoryConfig
        The configuration in force, with the containers.
    access : mapping, optional
        Credentials by URL prefix, or by the name of a container; others are kept.
    by_name : mapping, optional
        The same by the container's name, as early versions had it; also unwrapped credentials.

    Raises
    ------
    TypeError
        For a value that is no `Credentials`.
    StorageError
        Kind ``storage-other`` for credentials of another kind of store.
    """
    containers = config.virtual_chunk_containers or {}
    named = {one.name: one.url_prefix for one in containers.values() if one.name is not None}
    found: dict[str, Any] = {}
    if by_name is not None:
        _warn_of_older_form()
        found = {named.get(key, key): _wrapped(value) for key, value in by_name.items()}
    for prefix, credential in (access or {}).items():
        if not isinstance(prefix, str):
            raise TypeError(f"'{type(prefix).__name__}' object is not an instance of 'str'")
        if credential is not None and not isinstance(credential, Credentials):
            raise TypeError(
                f"'{type(credential).__qualname__}' object is not an instance of 'Credentials'; "
                "`icechunk.containers_credentials` wraps plain credentials"
            )
        found[prefix if prefix in containers else named.get(prefix, prefix)] = credential
    by_place = {canonical(prefix): one for prefix, one in containers.items()}
    for prefix, credential in found.items():
        container = by_place.get(canonical(prefix))
        if credential is None:
            _warn_of_none(prefix, container)
        elif container is not None:
            _check_family(container, credential)
    return found


def _warn_of_older_form() -> None:
    warnings.warn(
        "`virtual_chunk_credentials` is deprecated: pass "
        "`authorize_virtual_chunk_access=icechunk.containers_credentials({url_prefix: ...})`",
        DeprecationWarning,
        stacklevel=5,
    )


def _wrapped(credential: Any) -> Any:
    for family, wrapper in (
        (S3Credentials, Credentials.S3),
        (GcsCredentials, Credentials.Gcs),
        (AzureCredentials, Credentials.Azure),
    ):
        if isinstance(credential, family):
            return wrapper(credential)
    return credential


def _family_of(container: VirtualChunkContainer) -> _Family | None:
    return next((one for one in _FAMILIES if isinstance(container.store, one[0])), None)


def _check_family(container: VirtualChunkContainer, credential: Any) -> None:
    family = _family_of(container)
    if family is None or isinstance(credential, family[1]):
        return
    if family[1] is Credentials.LocalFileSystemAccess:
        what = "local file storage does not accept credentials"
    elif family[1] is Credentials.HttpAccess:
        what = "http storage does not support credentials yet"
    else:
        what = (
            "Virtual chunk container credentials do not match store type "
            f"{type(container.store).__qualname__}"
        )
    raise StorageError(
        f"storage error: {what}, got `{type(credential).__qualname__}` for "
        f"`{container.url_prefix}`; pass `{family[2]}`",
        ErrorKind.STORAGE_OTHER,
    )


def _warn_of_none(prefix: str, container: VirtualChunkContainer | None) -> None:
    family = None if container is None else _family_of(container)
    instead = "..." if family is None else family[2]
    danger = ""
    if family is not None and family[1] is Credentials.S3:
        danger = (
            " Note that `None` reads credentials from your environment, or none where there are "
            "none, which can expose private credentials."
        )
    warnings.warn(
        f"Passing `None` in `authorize_virtual_chunk_access` for container `{prefix}` is "
        "deprecated and will be unsupported in a future release; pass an explicit credential or "
        "no-auth sentinel instead. For example:\n"
        f'    authorize_virtual_chunk_access={{"{prefix}": {instead}}}{danger}',
        DeprecationWarning,
        stacklevel=5,
    )
