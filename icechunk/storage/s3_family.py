"""Keyword-facing constructors of storages in S3 and in services that speak its protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from icechunk.config.credential_choice import s3_credentials
from icechunk.config.storage import ChecksumAlgorithm, S3Options
from icechunk.storage import buckets
from icechunk.storage.base import Storage

Headers = Mapping[str, str] | None
Refresh = Callable[[], Any] | None


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
    """Keep a repository in an S3 bucket, or in a compatible service.

    Parameters
    ----------
    bucket : str
        Name of the bucket.
    prefix : str or None
        Where in the bucket; a repository cannot be created at its top.
    region : str, optional
        Region of the bucket; environment and profile are asked when absent.
    endpoint_url : str, optional
        Address of a service other than AWS.
    allow_http : bool
        Permit an endpoint without encryption.
    access_key_id, secret_access_key, session_token, expires_after, anonymous, from_env
        See `icechunk.s3_credentials`.
    get_credentials, scatter_initial_credentials
        See `icechunk.s3_refreshable_credentials`.
    force_path_style : bool
        Put the bucket into the path of URLs instead of the host name. That is done anyway where
        the host is an IP address or a single word, or the bucket has a dot.
    network_stream_timeout_seconds : int
        Seconds of silence after which a transfer is given up and tried again; 0 waits for ever. An
        upload may take ten times as long, as it is silent while it goes out.
    requester_pays : bool
        Agree to pay for the transfer.
    checksum_algorithm : ChecksumAlgorithm, optional
        Checksum that uploads carry: `Sha256` or `Crc64Nvme`.
    legacy_rooted_keys : bool, optional
        Accepted for compatibility; keys with a slash in front, which early versions wrote at an
        empty prefix, are not read here.
    read_headers, write_headers, headers : mapping, optional
        Headers of reading, of writing and of all requests.

    Raises
    ------
    StorageError
        Kind ``storage-config`` for settings that contradict each other.
    ValueError
        For credentials that do.
    """
    credentials = s3_credentials(
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        session_token=session_token,
        expires_after=expires_after,
        anonymous=anonymous,
        from_env=from_env,
        get_credentials=get_credentials,
        scatter_initial_credentials=scatter_initial_credentials,
    )
    options = S3Options(
        region=region,
        endpoint_url=endpoint_url,
        allow_http=allow_http,
        anonymous=bool(anonymous),
        force_path_style=force_path_style,
        network_stream_timeout_seconds=network_stream_timeout_seconds,
        requester_pays=requester_pays,
        checksum_algorithm=checksum_algorithm,
    )
    return buckets.s3(
        options,
        bucket,
        prefix,
        credentials,
        legacy_rooted_keys,
        read_headers=read_headers,
        write_headers=write_headers,
        headers=headers,
    )


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
    """Keep a repository in an S3 bucket through the alternative client.

    Here it is the same client; endpoints get the bucket in the path.

    Parameters
    ----------
    bucket : str
        Name of the bucket.
    prefix : str or None
        Where in the bucket; a repository cannot be created at its top.
    region : str, optional
        Region of the bucket; environment and profile are asked when absent.
    endpoint_url : str, optional
        Address of a service other than AWS.
    allow_http : bool
        Permit an endpoint without encryption.
    access_key_id, secret_access_key, session_token, expires_after, anonymous, from_env
        See `icechunk.s3_credentials`.
    force_path_style : bool
        Put the bucket into the path for AWS too.
    read_headers, write_headers, headers : mapping, optional
        Headers of reading, of writing and of all requests.

    Raises
    ------
    StorageError
        Kind ``storage-config`` for settings that contradict each other.
    ValueError
        For credentials that do.
    """
    credentials = s3_credentials(
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        session_token=session_token,
        expires_after=expires_after,
        anonymous=anonymous,
        from_env=from_env,
    )
    options = S3Options(
        region=region,
        endpoint_url=endpoint_url,
        allow_http=allow_http,
        anonymous=bool(anonymous),
        force_path_style=force_path_style,
    )
    return buckets.s3_object_store(
        options,
        bucket,
        prefix,
        credentials,
        read_headers=read_headers,
        write_headers=write_headers,
        headers=headers,
    )


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
    """Keep a repository in a Tigris bucket.

    Parameters
    ----------
    bucket : str
        Name of the bucket.
    prefix : str or None
        Where in the bucket; a repository cannot be created at its top.
    region : str, optional
        Region of the bucket; needed unless `use_weak_consistency`.
    endpoint_url : str, optional
        Address of a service other than AWS.
    allow_http : bool
        Permit an endpoint without encryption.
    access_key_id, secret_access_key, session_token, expires_after, anonymous, from_env
        See `icechunk.s3_credentials`.
    get_credentials, scatter_initial_credentials
        See `icechunk.s3_refreshable_credentials`.
    use_weak_consistency : bool
        Read from wherever is near, which may be behind; nothing can be written.
    network_stream_timeout_seconds : int
        Seconds of silence after which a transfer is given up and tried again; 0 waits for ever. An
        upload may take ten times as long, as it is silent while it goes out.
    checksum_algorithm : ChecksumAlgorithm, optional
        Checksum that uploads carry: `Sha256` or `Crc64Nvme`.
    legacy_rooted_keys : bool, optional
        Accepted for compatibility; keys with a slash in front, which early versions wrote at an
        empty prefix, are not read here.
    read_headers, write_headers, headers : mapping, optional
        Headers of reading, of writing and of all requests.

    Raises
    ------
    StorageError
        Kind ``storage-config`` for settings that contradict each other.
    ValueError
        For credentials that do.
    """
    credentials = s3_credentials(
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        session_token=session_token,
        expires_after=expires_after,
        anonymous=anonymous,
        from_env=from_env,
        get_credentials=get_credentials,
        scatter_initial_credentials=scatter_initial_credentials,
    )
    options = S3Options(
        region=region,
        endpoint_url=endpoint_url,
        allow_http=allow_http,
        anonymous=bool(anonymous),
        network_stream_timeout_seconds=network_stream_timeout_seconds,
        checksum_algorithm=checksum_algorithm,
    )
    return buckets.tigris(
        options,
        bucket,
        prefix,
        use_weak_consistency,
        credentials,
        legacy_rooted_keys,
        read_headers=read_headers,
        write_headers=write_headers,
        headers=headers,
    )


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
    """Keep a repository in a Cloudflare R2 bucket.

    Parameters
    ----------
    bucket : str, optional
        Name of the bucket; the first segment of `prefix` when absent.
    prefix : str, optional
        Where in the bucket.
    account_id : str, optional
        Account; needed unless `endpoint_url` is given.
    region : str, optional
        Region of the bucket; ``auto`` when absent.
    endpoint_url : str, optional
        Address of the service.
    allow_http : bool
        Permit an endpoint without encryption.
    access_key_id, secret_access_key, session_token, expires_after, anonymous, from_env
        See `icechunk.s3_credentials`.
    get_credentials, scatter_initial_credentials
        See `icechunk.s3_refreshable_credentials`.
    network_stream_timeout_seconds : int
        Seconds of silence after which a transfer is given up and tried again; 0 waits for ever. An
        upload may take ten times as long, as it is silent while it goes out.
    checksum_algorithm : ChecksumAlgorithm, optional
        Checksum that uploads carry: `Sha256` or `Crc64Nvme`.
    legacy_rooted_keys : bool, optional
        Accepted for compatibility; keys with a slash in front, which early versions wrote at an
        empty prefix, are not read here.
    read_headers, write_headers, headers : mapping, optional
        Headers of reading, of writing and of all requests.

    Raises
    ------
    StorageError
        Kind ``storage-config`` for settings that contradict each other.
    ValueError
        For credentials that do.
    """
    credentials = s3_credentials(
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        session_token=session_token,
        expires_after=expires_after,
        anonymous=anonymous,
        from_env=from_env,
        get_credentials=get_credentials,
        scatter_initial_credentials=scatter_initial_credentials,
    )
    options = S3Options(
        region=region,
        endpoint_url=endpoint_url,
        allow_http=allow_http,
        anonymous=bool(anonymous),
        network_stream_timeout_seconds=network_stream_timeout_seconds,
        checksum_algorithm=checksum_algorithm,
    )
    return buckets.r2(
        options,
        bucket,
        prefix,
        account_id,
        credentials,
        legacy_rooted_keys,
        read_headers=read_headers,
        write_headers=write_headers,
        headers=headers,
    )


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
    """Keep a repository in a Hugging Face bucket, through its S3 gateway.

    Parameters
    ----------
    bucket : str
        Name of the bucket.
    prefix : str or None
        Where in the bucket; a repository cannot be created at its top.
    namespace : str
        User or organisation.
    access_key_id, secret_access_key, session_token, expires_after, from_env
        See `icechunk.s3_credentials`.
    get_credentials, scatter_initial_credentials
        See `icechunk.s3_refreshable_credentials`.
    network_stream_timeout_seconds : int
        Seconds of silence after which a transfer is given up and tried again; 0 waits for ever. An
        upload may take ten times as long, as it is silent while it goes out.
    legacy_rooted_keys : bool, optional
        Accepted for compatibility; keys with a slash in front, which early versions wrote at an
        empty prefix, are not read here.
    read_headers, write_headers, headers : mapping, optional
        Headers of reading, of writing and of all requests.

    Raises
    ------
    StorageError
        Kind ``storage-config`` for settings that contradict each other.
    ValueError
        For credentials that do.
    """
    credentials = s3_credentials(
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        session_token=session_token,
        expires_after=expires_after,
        from_env=from_env,
        get_credentials=get_credentials,
        scatter_initial_credentials=scatter_initial_credentials,
    )
    options = S3Options(network_stream_timeout_seconds=network_stream_timeout_seconds)
    return buckets.hugging_face(
        options,
        bucket,
        prefix,
        namespace,
        credentials,
        legacy_rooted_keys,
        read_headers=read_headers,
        write_headers=write_headers,
        headers=headers,
    )
