"""Azure Blob Storage."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.credential_choice import azure_credentials
from icechunk.config.credentials import (
    AzureCredentials,
    AzureRefreshableCredential,
    AzureStaticCredentials,
    Credentials,
)
from icechunk.storage.base import Storage, Version
from icechunk.storage.clients import Requests, split_options
from icechunk.storage.fsspec_conditional import ConditionalWriter, Got, run_coroutine
from icechunk.storage.kinds.kind import (
    Address,
    BucketKind,
    bucket_name,
    displayed,
    joined,
    taken,
    texts,
)
from icechunk.storage.objects import ObjectStorage
from icechunk.storage.readback import WRITE_ID, Seen
from icechunk.storage.refreshing import Refresher

if TYPE_CHECKING:
    from obstore.store import ObjectStore


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
        Path in the container; a repository cannot be created at its root.
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
    given = dict(locals())
    credentials = azure_credentials(**taken(given, azure_credentials))
    given["account"] = environment_account() if account is None else account
    return new_azure_blob(credentials=credentials, **given)


def new_azure_blob(
    account: str,
    container: str,
    prefix: str | None,
    credentials: Any = None,
    *,
    config: Mapping[str, str] | None = None,
) -> Storage:
    """Use an Azure Blob container; see `icechunk.azure_storage`."""
    KIND.expect(credentials)
    return ObjectStorage(
        ObjectStoreConfig.Azure({**(config or {}), "account": account}),
        container,
        prefix,
        credentials,
        identity=f"az://{account}/{joined(container, prefix)}",
        shown=tuple(displayed("Azure", prefix, account=account, container=bucket_name(container))),
    )


def environment_account() -> str:
    """Return the account that the environment names.

    Raises
    ------
    ValueError
        When it names none.
    """
    account = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME")
    if not account:
        raise ValueError("azure_storage needs `account`, or AZURE_STORAGE_ACCOUNT_NAME set")
    return account


_REFRESHED = {
    AzureRefreshableCredential.AccessKey: ("access_key", "key"),
    AzureRefreshableCredential.SasToken: ("sas_token", "token"),
    AzureRefreshableCredential.BearerToken: ("token", "bearer"),
}
"""By form: the client's name of a refreshed secret, and the field that holds it."""

_STATIC = {
    AzureStaticCredentials.AccessKey: "account_key",
    AzureStaticCredentials.SasToken: "sas_key",
    AzureStaticCredentials.BearerToken: "token",
}
"""Names that the client has for the forms of fixed credentials."""

_ACCOUNTS = {"account", "account_name", "azure_storage_account_name"}
"""Options that name the account."""


class AzureRefresher(Refresher):
    """Keys, signatures or tokens from the function of refreshable credentials."""

    def _answer(self, value: Any) -> dict[str, Any]:
        name, field = _REFRESHED[type(value)]
        return {name: getattr(value, field), "expires_at": value.expires_after}


class AzureConditionalWriter(ConditionalWriter):
    """adlfs: calls of its client of the service."""

    @staticmethod
    def fits(fs: Any) -> bool:
        return hasattr(fs, "service_client")

    def _blob(self, path: str) -> Any:
        container, blob, _ = self.fs.split_path(path)
        return self.fs.service_client.get_blob_client(container=container, blob=blob)

    def get(self, path: str, span: tuple[int, int] | None = None) -> Got:
        async def fetch() -> Got:
            part = {} if span is None else {"offset": span[0], "length": span[1] - span[0]}
            async with self._blob(path) as blob:
                stream = await blob.download_blob(**part)
                return Got(await stream.readall(), str(stream.properties.etag))

        got: Got = run_coroutine(self.fs, fetch)
        return got

    def look(self, path: str) -> Seen:
        async def ask() -> Seen:
            async with self._blob(path) as blob:
                found = await blob.get_blob_properties()
                return Seen(str(found.etag), (found.metadata or {}).get(WRITE_ID))

        seen: Seen = run_coroutine(self.fs, ask)
        return seen

    def send(self, path: str, data: bytes, expected: Version | None, write_id: str) -> Version:
        from azure.core import MatchConditions

        condition: dict[str, Any] = {"overwrite": expected is not None}
        if expected is not None:
            condition |= {"etag": expected, "match_condition": MatchConditions.IfNotModified}

        async def write() -> Version:
            async with self._blob(path) as blob:
                metadata = {"is_directory": "false", WRITE_ID: write_id}
                answer = await blob.upload_blob(data=data, metadata=metadata, **condition)
                return str(answer["etag"])

        version: Version = run_coroutine(self.fs, write)
        self.fs.invalidate_cache(self.fs._parent(path))
        return version


class AzureKind(BucketKind):
    """Azure Blob Storage."""

    name = "Azure"
    schemes = ("az", "azure")
    synonyms = ("abfs", "abfss")
    configs = (ObjectStoreConfig.Azure,)
    service = "an Azure container"
    credentials = AzureCredentials
    authorisation = Credentials.Azure
    example = "icechunk.Credentials.Azure(icechunk.AzureCredentials.FromEnv())"
    storage = staticmethod(azure_storage)
    fsspec_writer = AzureConditionalWriter
    options = ("account", "endpoint", "anonymous", "allow_http")
    location = ("account", "container", "prefix")
    alias = "az"

    def located(self, address: Address) -> tuple[dict[str, Any], dict[str, Any]]:
        options = dict(address.options)
        account = options.pop("account", None) or environment_account()
        where = {"account": account, "container": address.bucket, "prefix": address.prefix or ""}
        return where, options

    def stored(self, options: dict[str, Any]) -> dict[str, Any]:
        return texts(options)

    def completed(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"config": texts(options) or None}

    def advice(self, url: str) -> str:
        return super().advice(url).replace("(bucket=", "(account=..., container=")

    def client(
        self, store: Any, bucket: str, credentials: Any, prefix: str | None, requests: Requests
    ) -> ObjectStore:
        from obstore.store import AzureStore

        self.expect(credentials)
        config, http = split_options(store[0])
        if "account" in config:
            config["account_name"] = config.pop("account")
        provider = None
        if isinstance(credentials, AzureCredentials.Anonymous):
            config["skip_signature"] = True
        elif isinstance(credentials, AzureCredentials.Refreshable):
            provider = AzureRefresher(credentials)
        elif isinstance(credentials, AzureCredentials.Static):
            form = credentials.credentials
            config[_STATIC[type(form)]] = form[0]
        client: ObjectStore = requests.bucket_client(
            "Azure",
            AzureStore,
            bucket,
            prefix,
            provider,
            config=config,
            client_options=requests.client_options(allow_http=False, over=http),
        )
        return client

    def virtual(
        self, bucket: str, store: ObjectStoreConfig, credentials: Any
    ) -> tuple[str, ObjectStoreConfig, Any]:
        # Locations may have the form abfs://container@account.dfs.core.windows.net/path.
        name, mark, host = bucket.partition("@")
        options = dict(store[0] or {})
        if mark and not options.keys() & _ACCOUNTS:
            options["account"] = host.partition(".")[0]
        return name, ObjectStoreConfig.Azure(options) if mark else store, credentials


KIND = AzureKind()
