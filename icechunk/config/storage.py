"""Tuning of a storage back end, and the connection options of S3-like services."""

from __future__ import annotations

from enum import IntEnum

from icechunk.config.fields import instance_of, unsigned
from icechunk.config.values import Value, value_class


class ChecksumAlgorithm(IntEnum):
    """Checksum that S3 uploads carry."""

    Crc32 = 0
    Crc32c = 1
    Crc64Nvme = 2
    Sha1 = 3
    Sha256 = 4

    def __repr__(self) -> str:
        return f"ChecksumAlgorithm.{self.name}"

    __str__ = __repr__


@value_class("icechunk.storage.StorageConcurrencySettings")
class StorageConcurrencySettings(Value):
    """How a large object is downloaded in parts.

    Parameters
    ----------
    max_concurrent_requests_for_object : int, optional
        Most concurrent requests for one object (u16, at least 1; 18 when unset).
    ideal_concurrent_request_size : int, optional
        Bytes per request (u64, at least 1; 12 MiB when unset).
    """

    max_concurrent_requests_for_object: int | None = unsigned(
        16, default=None, in_force=18, nonzero=True
    )
    ideal_concurrent_request_size: int | None = unsigned(
        64, default=None, in_force=12 * 1024 * 1024, nonzero=True
    )


@value_class("icechunk.storage.StorageRetriesSettings")
class StorageRetriesSettings(Value):
    """How failed requests are retried.

    Parameters
    ----------
    max_tries : int, optional
        Attempts in total, including the first (u16, at least 1; 10 when unset).
    initial_backoff_ms : int, optional
        Wait before the first retry, in milliseconds (u32; 100 when unset).
    max_backoff_ms : int, optional
        Longest wait, in milliseconds (u32; 3 minutes when unset).
    """

    max_tries: int | None = unsigned(16, default=None, in_force=10, nonzero=True)
    initial_backoff_ms: int | None = unsigned(32, default=None, in_force=100)
    max_backoff_ms: int | None = unsigned(32, default=None, in_force=180_000)


@value_class("icechunk.storage.StorageTimeoutSettings")
class StorageTimeoutSettings(Value):
    """Time limits of the storage client, in milliseconds (u32); None leaves them to the client.

    Parameters
    ----------
    connect_timeout_ms : int, optional
        Until the connection is established.
    read_timeout_ms : int, optional
        Until the first byte of a response.
    operation_timeout_ms : int, optional
        For an operation including its retries.
    operation_attempt_timeout_ms : int, optional
        For one attempt.
    """

    connect_timeout_ms: int | None = unsigned(32, default=None)
    read_timeout_ms: int | None = unsigned(32, default=None)
    operation_timeout_ms: int | None = unsigned(32, default=None)
    operation_attempt_timeout_ms: int | None = unsigned(32, default=None)


@value_class("icechunk.storage.StorageSettings")
class StorageSettings(Value):
    """Tuning of a storage back end.

    Parameters
    ----------
    concurrency : StorageConcurrencySettings, optional
        How large objects are downloaded.
    retries : StorageRetriesSettings, optional
        How failed requests are retried.
    unsafe_use_conditional_create, unsafe_use_conditional_update : bool, optional
        False switches conditional writes off, for object stores without support for them.
        Concurrent commits can then be lost.
    unsafe_use_metadata : bool, optional
        False writes objects without metadata.
    storage_class : str, optional
        S3 storage class of all objects.
    metadata_storage_class, chunks_storage_class : str, optional
        S3 storage class of metadata files and of chunks, instead of `storage_class`.
    minimum_size_for_multipart_upload : int, optional
        Bytes from which an upload is sent in parts (u64; 100 MiB when unset).
    timeouts : StorageTimeoutSettings, optional
        Time limits; those of the client when unset.
    """

    _shown_ = (
        "unsafe_use_conditional_create",
        "unsafe_use_conditional_update",
        "unsafe_use_metadata",
        "storage_class",
        "metadata_storage_class",
        "chunks_storage_class",
        "minimum_size_for_multipart_upload",
        "concurrency",
        "retries",
        "timeouts",
    )

    concurrency: StorageConcurrencySettings | None = instance_of(
        StorageConcurrencySettings, default=None, in_force=StorageConcurrencySettings
    )
    retries: StorageRetriesSettings | None = instance_of(
        StorageRetriesSettings, default=None, in_force=StorageRetriesSettings
    )
    unsafe_use_conditional_create: bool | None = instance_of(bool, default=None, in_force=True)
    unsafe_use_conditional_update: bool | None = instance_of(bool, default=None, in_force=True)
    unsafe_use_metadata: bool | None = instance_of(bool, default=None, in_force=True)
    storage_class: str | None = instance_of(str, default=None)
    metadata_storage_class: str | None = instance_of(str, default=None)
    chunks_storage_class: str | None = instance_of(str, default=None)
    minimum_size_for_multipart_upload: int | None = unsigned(
        64, default=None, in_force=100 * 1024 * 1024
    )
    timeouts: StorageTimeoutSettings | None = instance_of(StorageTimeoutSettings, default=None)


@value_class("icechunk.storage.S3Options")
class S3Options(Value):
    """Connection options of an S3-like service.

    Parameters
    ----------
    region : str, optional
        Region of the bucket.
    endpoint_url : str, optional
        Address of a service other than AWS.
    allow_http : bool
        Permit unencrypted connections.
    anonymous : bool
        Send unsigned requests.
    force_path_style : bool
        Put the bucket in the path of the URL instead of the host name.
    network_stream_timeout_seconds : int, optional
        Seconds without data after which a transfer is aborted (u32; 0 waits forever).
    requester_pays : bool
        Agree to pay for the transfer.
    checksum_algorithm : ChecksumAlgorithm, optional
        Checksum that uploads carry.
    """

    region: str | None = instance_of(str, default=None)
    endpoint_url: str | None = instance_of(str, default=None)
    allow_http: bool = instance_of(bool, default=False)
    anonymous: bool = instance_of(bool, default=False)
    force_path_style: bool = instance_of(bool, default=False)
    network_stream_timeout_seconds: int | None = unsigned(32, default=None)
    requester_pays: bool = instance_of(bool, default=False)
    checksum_algorithm: ChecksumAlgorithm | None = instance_of(ChecksumAlgorithm, default=None)
