"""Keyword-facing constructors of storages; those of services that speak S3 are next door."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from icechunk.config.credential_choice import azure_credentials, gcs_credentials
from icechunk.core.folders import local_path
from icechunk.storage import buckets, web
from icechunk.storage.base import Storage
from icechunk.storage.constructors import register
from icechunk.storage.local import LocalStorage
from icechunk.storage.memory import MemoryStorage
from icechunk.storage.redirect import RedirectStorage

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
        working directory, ``~`` is a home folder, and ``file:///folder`` is a path too.
    durable : bool
        True: a commit returns once it would survive a power cut. False: never wait for the disk,
        for scratch data; a crash of the program is still harmless, a crash of the machine is not.

    Raises
    ------
    InvalidInputError
        Kind ``cannot-parse-url`` for a URL of another kind; the message names what takes it.
    """
    return LocalStorage(local_path(path), durable=durable)


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
    """Keep a repository in a Google Cloud Storage bucket.

    Parameters
    ----------
    bucket : str
        Name of the bucket.
    prefix : str or None
        Where in the bucket; a repository cannot be created at its top.
    service_account_file, service_account_key, application_credentials, bearer_token
        See `icechunk.gcs_static_credentials`.
    anonymous, from_env
        See `icechunk.gcs_credentials`.
    config : mapping, optional
        Further options of the client, such as ``base_url`` or ``timeout``.
    get_credentials, scatter_initial_credentials
        See `icechunk.gcs_refreshable_credentials`.
    read_headers, write_headers, headers : mapping, optional
        Headers of reading, of writing and of all requests.

    Raises
    ------
    ValueError
        For credentials that contradict each other.
    """
    credentials = gcs_credentials(
        service_account_file=service_account_file,
        service_account_key=service_account_key,
        application_credentials=application_credentials,
        bearer_token=bearer_token,
        from_env=from_env,
        anonymous=anonymous,
        get_credentials=get_credentials,
        scatter_initial_credentials=scatter_initial_credentials,
    )
    return buckets.gcs(
        bucket,
        prefix,
        credentials,
        config=config,
        read_headers=read_headers,
        write_headers=write_headers,
        headers=headers,
    )


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
    """Keep a repository in an Azure Blob container.

    Parameters
    ----------
    account : str, optional
        Storage account; the environment's ``AZURE_STORAGE_ACCOUNT_NAME`` when absent.
    container : str
        Name of the container.
    prefix : str
        Where in the container; a repository cannot be created at its top.
    access_key, sas_token, bearer_token
        See `icechunk.azure_static_credentials`.
    from_env, anonymous
        See `icechunk.azure_credentials`.
    config : mapping, optional
        Further options of the client, such as ``endpoint`` or ``allow_http``.

    Raises
    ------
    ValueError
        For credentials that contradict each other, or without an account.
    """
    credentials = azure_credentials(
        access_key=access_key,
        sas_token=sas_token,
        bearer_token=bearer_token,
        from_env=from_env,
        anonymous=anonymous,
    )
    named = buckets.azure_account() if account is None else account
    return buckets.azure_blob(named, container, prefix, credentials, config=config)


def http_storage(
    base_url: str, opts: Mapping[str, str] | None = None, headers: Headers = None
) -> Storage:
    """Read a repository that a web server publishes.

    Parameters
    ----------
    base_url : str
        Address of the repository's folder.
    opts : mapping, optional
        Options of the client, such as ``timeout`` or ``proxy_url``.
    headers : mapping, optional
        Headers of every request. When the server redirects to another host, ``Authorization`` and
        ``Cookie`` stay behind; others travel along, so they are no place for secrets.

    Raises
    ------
    StorageError
        Kind ``cannot-parse-url`` for anything but an http or https address.
    """
    return web.http(base_url, opts, headers)


def redirect_storage(base_url: str) -> Storage:
    """Read a repository whose place a web server tells by a redirect.

    Parameters
    ----------
    base_url : str
        Address that answers with a redirect to ``s3://``, ``gs://``, ``r2://``, ``tigris://`` or
        ``https+icechunk://``. The target is opened without credentials.
    """
    return RedirectStorage(base_url)


register("in_memory", in_memory_storage)
register("local_filesystem", local_filesystem_storage)
register("s3", buckets.s3)
register("s3_object_store", buckets.s3_object_store)
register("tigris", buckets.tigris)
register("r2", buckets.r2)
register("hf", buckets.hugging_face)
register("gcs", buckets.gcs)
register("azure_blob", buckets.azure_blob)
register("http", web.http)
register("redirect", RedirectStorage)
