"""Check virtual chunk containers, and match credentials to them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from icechunk.config.containers import VirtualChunkContainer, validate_container
from icechunk.config.credentials import Credentials
from icechunk.config.repository import RepositoryConfig
from icechunk.core.errors import ErrorKind, StorageError
from icechunk.spec.manifest.virtual_urls import canonical
from icechunk.storage.kinds import kind_of, wrapped


def check_containers(config: RepositoryConfig) -> None:
    """Refuse a configuration with an invalid virtual chunk container.

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
    """Credentials of the virtual chunk containers that may be read, by URL prefix.

    Parameters
    ----------
    config : RepositoryConfig
        Effective configuration, with the containers.
    access : mapping, optional
        Credentials by URL prefix or by the name of a container; unknown keys are kept.
    by_name : mapping, optional
        Credentials by the name of a container, as in early versions; also unwrapped credentials.

    Raises
    ------
    TypeError
        For a value that is not a `Credentials`.
    StorageError
        Kind ``storage-other`` for credentials of another kind of store.
    """
    containers = config.virtual_chunk_containers or {}
    named = {one.name: one.url_prefix for one in containers.values() if one.name is not None}
    found: dict[str, Any] = {}
    if by_name is not None:
        _warn_of_older_form()
        found = {named.get(key, key): wrapped(value) for key, value in by_name.items()}
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
            _check_kind(container, credential)
    return found


def _warn_of_older_form() -> None:
    warnings.warn(
        "`virtual_chunk_credentials` is deprecated: pass "
        "`authorize_virtual_chunk_access=icechunk.containers_credentials({url_prefix: ...})`",
        DeprecationWarning,
        stacklevel=5,
    )


def _check_kind(container: VirtualChunkContainer, credential: Any) -> None:
    kind = kind_of(container.store)
    if kind.authorisation is None or isinstance(credential, kind.authorisation):
        return
    raise StorageError(
        f"storage error: {kind.mismatch(container.store)}, got `{type(credential).__qualname__}` "
        f"for `{container.url_prefix}`; pass `{kind.example}`",
        ErrorKind.STORAGE_OTHER,
    )


def _warn_of_none(prefix: str, container: VirtualChunkContainer | None) -> None:
    kind = None if container is None else kind_of(container.store)
    instead = "..." if kind is None else kind.example
    danger = ""
    if kind is not None and kind.authorisation is Credentials.S3:
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
