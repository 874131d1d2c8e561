"""Keyword-facing constructors of storages."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NoReturn

from icechunk.config.storage import ChecksumAlgorithm
from icechunk.ground.errors import ErrorKind, StorageError
from icechunk.storage.base import Storage
from icechunk.storage.constructors import register
from icechunk.storage.local import LocalStorage
from icechunk.storage.memory import MemoryStorage

Headers = Mapping[str, str] | None
Refresh = Callable[[], Any] | None


def in_memory_storage() -> Storage:
    """Keep a repository in this process's memory.

    Every call makes a new, empty store. It does not survive pickling: the copy is empty.
    """
    return MemoryStorage()


def local_filesystem_storage(path: str | os.PathLike[str], *, durable: bool = True) -> Storage:
    """Keep a repository in a folder of a local or mounted file system.

    Safe for concurrent commits by any number of threads and processes of this library, also on
    several hosts where the file system has locks.

    Parameters
    ----------
    path : str or path-like
        The folder; made when the repository is created. A relative path counts from the present
        working directory. ``~`` is not expanded, and URLs are not understood.
    durable : bool
        True: a commit returns once it would survive a power cut. False: never wait for the disk,
        for scratch data; a crash of the program is still harmless, a crash of the machine is not.
    """
    return LocalStorage(path, durable=durable)


def _unavailable(what: str) -> NoReturn:
    """Refuse a storage that does not exist yet."""
    raise StorageError(
        f"storage configuration error: {what} is not available in this version, "
        "use local_filesystem_storage",
        ErrorKind.STORAGE_CONFIG,
    )


def s3_storage(
    *,
    bucket: str,
    prefix: str | None,
    region: str | None = None,
    endpoint_url: str | None = None,
    allow_http: bool = False,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
    expires_after: datetime | None = None,
    anonymous: bool | None = None,
    from_env: bool | None = None,
    get_credentials: Refresh = None,
    scatter_initial_credentials: bool = False,
    force_path_style: bool = False,
    network_stream_timeout_seconds: int = 60,
    requester_pays: bool = False,
    checksum_algorithm: ChecksumAlgorithm | None = None,
    legacy_rooted_keys: bool | None = None,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Keep a repository in an S3 bucket, or in a compatible service."""
    _unavailable("s3_storage")


def s3_object_store_storage(
    *,
    bucket: str,
    prefix: str | None,
    region: str | None = None,
    endpoint_url: str | None = None,
    allow_http: bool = False,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
    expires_after: datetime | None = None,
    anonymous: bool | None = None,
    from_env: bool | None = None,
    force_path_style: bool = False,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Keep a repository in an S3 bucket through the alternative client."""
    _unavailable("s3_object_store_storage")


def tigris_storage(
    *,
    bucket: str,
    prefix: str | None,
    region: str | None = None,
    endpoint_url: str | None = None,
    use_weak_consistency: bool = False,
    allow_http: bool = False,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
    expires_after: datetime | None = None,
    anonymous: bool | None = None,
    from_env: bool | None = None,
    get_credentials: Refresh = None,
    scatter_initial_credentials: bool = False,
    network_stream_timeout_seconds: int = 60,
    checksum_algorithm: ChecksumAlgorithm | None = None,
    legacy_rooted_keys: bool | None = None,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Keep a repository in a Tigris bucket."""
    _unavailable("tigris_storage")


def r2_storage(
    *,
    bucket: str | None = None,
    prefix: str | None = None,
    account_id: str | None = None,
    endpoint_url: str | None = None,
    region: str | None = None,
    allow_http: bool = False,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
    expires_after: datetime | None = None,
    anonymous: bool | None = None,
    from_env: bool | None = None,
    get_credentials: Refresh = None,
    scatter_initial_credentials: bool = False,
    network_stream_timeout_seconds: int = 60,
    checksum_algorithm: ChecksumAlgorithm | None = None,
    legacy_rooted_keys: bool | None = None,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Keep a repository in a Cloudflare R2 bucket."""
    _unavailable("r2_storage")


def hf_storage(
    *,
    bucket: str,
    prefix: str | None,
    namespace: str,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
    expires_after: datetime | None = None,
    from_env: bool | None = None,
    get_credentials: Refresh = None,
    scatter_initial_credentials: bool = False,
    network_stream_timeout_seconds: int = 60,
    legacy_rooted_keys: bool | None = None,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Keep a repository in a Hugging Face bucket."""
    _unavailable("hf_storage")


def gcs_storage(
    *,
    bucket: str,
    prefix: str | None,
    service_account_file: str | None = None,
    service_account_key: str | None = None,
    application_credentials: str | None = None,
    bearer_token: str | None = None,
    anonymous: bool | None = None,
    from_env: bool | None = None,
    config: Mapping[str, str] | None = None,
    get_credentials: Refresh = None,
    scatter_initial_credentials: bool = False,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Keep a repository in a Google Cloud Storage bucket."""
    _unavailable("gcs_storage")


def azure_storage(
    *,
    account: str | None = None,
    container: str,
    prefix: str,
    access_key: str | None = None,
    sas_token: str | None = None,
    bearer_token: str | None = None,
    from_env: bool | None = None,
    anonymous: bool | None = None,
    config: Mapping[str, str] | None = None,
) -> Storage:
    """Keep a repository in an Azure Blob container."""
    _unavailable("azure_storage")


def http_storage(
    base_url: str, opts: Mapping[str, str] | None = None, headers: Headers = None
) -> Storage:
    """Read a repository that a web server publishes."""
    _unavailable("http_storage")


def redirect_storage(base_url: str) -> Storage:
    """Read a repository whose place a web server tells by a redirect."""
    _unavailable("redirect_storage")


def _refusing(what: str) -> Callable[..., NoReturn]:
    """Return a low-level constructor that refuses."""

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        _unavailable(what)

    return refuse


register("in_memory", in_memory_storage)
register("local_filesystem", local_filesystem_storage)
for _name in (
    "s3",
    "s3_object_store",
    "tigris",
    "r2",
    "hf",
    "gcs",
    "azure_blob",
    "http",
    "redirect",
):
    register(_name, _refusing(f"Storage.new_{_name}"))
