"""Google Cloud Storage."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from os.path import expanduser
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.credential_choice import gcs_credentials
from icechunk.config.credentials import (
    Credentials,
    GcsBearerCredential,
    GcsCredentials,
    GcsStaticCredentials,
)
from icechunk.storage.base import Storage, Version
from icechunk.storage.clients import Requests, split_options
from icechunk.storage.fsspec_conditional import ConditionalWriter, Got
from icechunk.storage.kinds.kind import (
    BucketKind,
    bucket_name,
    displayed,
    joined,
    merged_headers,
    taken,
    texts,
)
from icechunk.storage.objects import ObjectStorage
from icechunk.storage.readback import WRITE_ID, Seen
from icechunk.storage.refreshing import Refresher

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Headers = Mapping[str, str] | None
Refresh = Callable[[], Any] | None


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
        Path in the bucket; a repository cannot be created at the root of a bucket.
    service_account_file, service_account_key, application_credentials, bearer_token
        See `icechunk.gcs_static_credentials`.
    anonymous, from_env
        See `icechunk.gcs_credentials`.
    config : mapping, optional
        Further options of the client, such as ``base_url`` or ``timeout``.
    get_credentials, scatter_initial_credentials
        See `icechunk.gcs_refreshable_credentials`.
    read_headers, write_headers, headers : mapping, optional
        Headers of read requests, of write requests, and of all requests.

    Raises
    ------
    ValueError
        For credentials that contradict each other.
    """
    given = dict(locals())
    credentials = gcs_credentials(**taken(given, gcs_credentials))
    return new_gcs(credentials=credentials, **given)


def new_gcs(
    bucket: str,
    prefix: str | None,
    credentials: Any = None,
    *,
    config: Mapping[str, str] | None = None,
    read_headers: Headers = None,
    write_headers: Headers = None,
    headers: Headers = None,
) -> Storage:
    """Use a Google Cloud Storage bucket; see `icechunk.gcs_storage`."""
    KIND.expect(credentials)
    reading, writing = merged_headers(read_headers, write_headers, headers)
    return ObjectStorage(
        ObjectStoreConfig.Gcs(None if config is None else dict(config)),
        bucket,
        prefix,
        credentials,
        identity=f"gs://{joined(bucket, prefix)}",
        shown=tuple(displayed("GCS", prefix, bucket=bucket_name(bucket))),
        read_headers=reading,
        write_headers=writing,
    )


class GcsRefresher(Refresher):
    """Tokens from the function of refreshable credentials."""

    def _answer(self, value: GcsBearerCredential) -> dict[str, Any]:
        return {"token": value.bearer, "expires_at": value.expires_after}


_STATIC = {
    GcsStaticCredentials.ServiceAccount: "service_account",
    GcsStaticCredentials.ServiceAccountKey: "service_account_key",
    GcsStaticCredentials.ApplicationCredentials: "application_credentials",
    GcsStaticCredentials.BearerToken: "bearer_token",
}
"""Names that the client has for the forms of fixed credentials."""

_FILES = (GcsStaticCredentials.ServiceAccount, GcsStaticCredentials.ApplicationCredentials)


class GcsConditionalWriter(ConditionalWriter):
    """gcsfs: requests of the JSON interface, since its own writes drop conditions."""

    @staticmethod
    def fits(fs: Any) -> bool:
        return hasattr(fs, "call") and hasattr(fs, "_location")

    def get(self, path: str, span: tuple[int, int] | None = None) -> Got:
        part = {} if span is None else {"Range": f"bytes={span[0]}-{span[1] - 1}"}
        headers, data = self.fs.call("GET", self.fs.url(path), headers=part)
        return Got(data, str(headers["X-Goog-Generation"]))

    def look(self, path: str) -> Seen:
        bucket, key, _ = self.fs.split_path(path)
        answer = self.fs.call("GET", "b/{}/o/{}", bucket, key, json_out=True)
        return Seen(str(answer["generation"]), answer.get("metadata", {}).get(WRITE_ID))

    def send(self, path: str, data: bytes, expected: Version | None, write_id: str) -> Version:
        bucket, key, _ = self.fs.split_path(path)
        about = json.dumps({"name": key, "metadata": {WRITE_ID: write_id}}).encode()
        line = f"icechunk{write_id}"
        body = b"".join(
            (
                f"--{line}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n".encode(),
                about,
                f"\r\n--{line}\r\nContent-Type: application/octet-stream\r\n\r\n".encode(),
                data,
                f"\r\n--{line}--".encode(),
            )
        )
        answer = self.fs.call(
            "POST",
            f"{self.fs._location}/upload/storage/v1/b/{quote(bucket)}/o",
            uploadType="multipart",
            ifGenerationMatch=expected or "0",
            headers={"Content-Type": f'multipart/related; boundary="{line}"'},
            data=body,
            json_out=True,
        )
        self.fs.invalidate_cache(self.fs._parent(path))
        return str(answer["generation"])


class GcsKind(BucketKind):
    """Google Cloud Storage."""

    name = "GCS"
    schemes = ("gs", "gcs")
    redirects = ("gs", "gcs")
    configs = (ObjectStoreConfig.Gcs,)
    service = "a Google Cloud Storage bucket"
    credentials = GcsCredentials
    authorisation = Credentials.Gcs
    example = "icechunk.Credentials.Gcs(icechunk.GcsCredentials.Anonymous())"
    storage = staticmethod(gcs_storage)
    fsspec_writer = GcsConditionalWriter
    options = ("base_url", "anonymous", "allow_http")
    alias = "gcs"

    def stored(self, options: dict[str, Any]) -> dict[str, Any]:
        return texts(options)

    def completed(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"config": texts(options) or None}

    def client(
        self, store: Any, bucket: str, credentials: Any, prefix: str | None, requests: Requests
    ) -> ObjectStore:
        from obstore.store import GCSStore

        self.expect(credentials)
        config, http = split_options(store[0])
        provider = None
        if isinstance(credentials, GcsCredentials.Anonymous):
            config["skip_signature"] = True
        elif isinstance(credentials, GcsCredentials.Refreshable):
            provider = GcsRefresher(credentials)
        elif isinstance(credentials, GcsCredentials.Static):
            form = credentials.credentials
            secret = expanduser(form[0]) if isinstance(form, _FILES) else form[0]
            config[_STATIC[type(form)]] = secret
        client: ObjectStore = requests.bucket_client(
            "Google Cloud Storage",
            GCSStore,
            bucket,
            prefix,
            provider,
            config=config,
            client_options=requests.client_options(allow_http=False, over=http),
        )
        return client

    def version(self, answer: Any) -> Version:
        # Conditions of Google are on generations (obstore: "version"), not on ETags.
        return str(answer["version"] or answer["e_tag"])

    def virtual(
        self, bucket: str, store: ObjectStoreConfig, credentials: Any
    ) -> tuple[str, ObjectStoreConfig, Any]:
        # Without credentials the client would ask Google's metadata server for some.
        return bucket, store, GcsCredentials.Anonymous() if credentials is None else credentials


KIND = GcsKind()
