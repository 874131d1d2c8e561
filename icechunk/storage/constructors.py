"""The ``Storage.new_*`` class methods: low-level constructors behind the keyword-facing functions.

The class that every storage derives from cannot import those that derive from it. So it asks a
table by name, and `icechunk.storage.factories` fills the table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

Headers = Mapping[str, str] | None

_makers: dict[str, Callable[..., Any]] = {}


def register(name: str, make: Callable[..., Any]) -> None:
    """Say what ``Storage.new_<name>`` calls."""
    _makers[name] = make


class StorageConstructors:
    """Class methods that make storages. Prefer the functions of `icechunk.storage`."""

    @classmethod
    def _make(cls, name: str, *args: Any, **kwargs: Any) -> Self:
        made: Self = _makers[name](*args, **kwargs)
        return made

    @classmethod
    def new_in_memory(cls) -> Self:
        """Make an empty store that lives in this process; see `icechunk.in_memory_storage`."""
        return cls._make("in_memory")

    @classmethod
    def new_local_filesystem(cls, path: str | os.PathLike[str]) -> Self:
        """Use a folder; see `icechunk.local_filesystem_storage`."""
        return cls._make("local_filesystem", path)

    @classmethod
    def new_s3(
        cls,
        config: Any,
        bucket: str,
        prefix: str | None,
        credentials: Any = None,
        legacy_rooted_keys: bool | None = None,
        *,
        read_headers: Headers = None,
        write_headers: Headers = None,
        headers: Headers = None,
    ) -> Self:
        """Use an S3 bucket; see `icechunk.s3_storage`."""
        return cls._make(
            "s3",
            config,
            bucket,
            prefix,
            credentials,
            legacy_rooted_keys,
            read_headers=read_headers,
            write_headers=write_headers,
            headers=headers,
        )

    @classmethod
    def new_s3_object_store(
        cls,
        config: Any,
        bucket: str,
        prefix: str | None,
        credentials: Any = None,
        *,
        read_headers: Headers = None,
        write_headers: Headers = None,
        headers: Headers = None,
    ) -> Self:
        """Use an S3 bucket; see `icechunk.storage.s3_object_store_storage`."""
        return cls._make(
            "s3_object_store",
            config,
            bucket,
            prefix,
            credentials,
            read_headers=read_headers,
            write_headers=write_headers,
            headers=headers,
        )

    @classmethod
    def new_tigris(
        cls,
        config: Any,
        bucket: str,
        prefix: str | None,
        use_weak_consistency: bool,
        credentials: Any = None,
        legacy_rooted_keys: bool | None = None,
        *,
        read_headers: Headers = None,
        write_headers: Headers = None,
        headers: Headers = None,
    ) -> Self:
        """Use a Tigris bucket; see `icechunk.tigris_storage`."""
        return cls._make(
            "tigris",
            config,
            bucket,
            prefix,
            use_weak_consistency,
            credentials,
            legacy_rooted_keys,
            read_headers=read_headers,
            write_headers=write_headers,
            headers=headers,
        )

    @classmethod
    def new_r2(
        cls,
        config: Any,
        bucket: str | None = None,
        prefix: str | None = None,
        account_id: str | None = None,
        credentials: Any = None,
        legacy_rooted_keys: bool | None = None,
        *,
        read_headers: Headers = None,
        write_headers: Headers = None,
        headers: Headers = None,
    ) -> Self:
        """Use a Cloudflare R2 bucket; see `icechunk.r2_storage`."""
        return cls._make(
            "r2",
            config,
            bucket,
            prefix,
            account_id,
            credentials,
            legacy_rooted_keys,
            read_headers=read_headers,
            write_headers=write_headers,
            headers=headers,
        )

    @classmethod
    def new_hf(
        cls,
        config: Any,
        bucket: str,
        prefix: str | None,
        namespace: str,
        credentials: Any = None,
        legacy_rooted_keys: bool | None = None,
        *,
        read_headers: Headers = None,
        write_headers: Headers = None,
        headers: Headers = None,
    ) -> Self:
        """Use a Hugging Face bucket; see `icechunk.hf_storage`."""
        return cls._make(
            "hf",
            config,
            bucket,
            prefix,
            namespace,
            credentials,
            legacy_rooted_keys,
            read_headers=read_headers,
            write_headers=write_headers,
            headers=headers,
        )

    @classmethod
    def new_gcs(
        cls,
        bucket: str,
        prefix: str | None,
        credentials: Any = None,
        *,
        config: Mapping[str, str] | None = None,
        read_headers: Headers = None,
        write_headers: Headers = None,
        headers: Headers = None,
    ) -> Self:
        """Use a Google Cloud Storage bucket; see `icechunk.gcs_storage`."""
        return cls._make(
            "gcs",
            bucket,
            prefix,
            credentials,
            config=config,
            read_headers=read_headers,
            write_headers=write_headers,
            headers=headers,
        )

    @classmethod
    def new_azure_blob(
        cls,
        account: str,
        container: str,
        prefix: str | None,
        credentials: Any = None,
        *,
        config: Mapping[str, str] | None = None,
    ) -> Self:
        """Use an Azure Blob container; see `icechunk.azure_storage`."""
        return cls._make("azure_blob", account, container, prefix, credentials, config=config)

    @classmethod
    def new_http(
        cls, base_url: str, config: Mapping[str, str] | None = None, headers: Headers = None
    ) -> Self:
        """Read a repository over HTTP; see `icechunk.http_storage`."""
        return cls._make("http", base_url, config, headers)

    @classmethod
    def new_redirect(cls, base_url: str) -> Self:
        """Follow a redirect to a storage; see `icechunk.redirect_storage`."""
        return cls._make("redirect", base_url)
