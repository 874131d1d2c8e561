"""Virtual chunk containers: URL prefixes of virtual chunks, and the object stores behind them."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, overload

from icechunk.config.fields import converted, expect, instance_of
from icechunk.config.headers import checked_headers, checked_or_none
from icechunk.config.storage import ChecksumAlgorithm, S3Options
from icechunk.config.values import Value, Variant, copied, older_name, value_class
from icechunk.core.folders import local_path


class ObjectStoreConfig(Variant, path="icechunk.config.ObjectStoreConfig"):
    """Kind and connection options of the store that holds virtual chunks.

    One of the variants `InMemory`, `LocalFileSystem`, `S3`, `S3Compatible`, `Tigris`, `Gcs`,
    `Azure`, `Http` and, of this library only, `Fsspec`. They are tuple-like:
    ``store._0``, ``store[0]`` and `match` patterns work. Options are copied in and out.
    """

    InMemory: TypeAlias = "_InMemory"
    LocalFileSystem: TypeAlias = "_LocalFileSystem"
    S3Compatible: TypeAlias = "_S3Compatible"
    S3: TypeAlias = "_S3"
    Tigris: TypeAlias = "_Tigris"
    Gcs: TypeAlias = "_Gcs"
    Azure: TypeAlias = "_Azure"
    Http: TypeAlias = "_Http"
    Fsspec: TypeAlias = "_Fsspec"

    _schemes_: ClassVar[frozenset[str]] = frozenset()
    """Schemes of the URLs of virtual chunks in such a store."""

    _tag_: ClassVar[str] = ""
    """Name of the variant in stored configurations."""

    @classmethod
    def _by_tag(cls) -> dict[str, type[ObjectStoreConfig]]:
        """Return the variants that have a tag of their own."""
        return {kind._tag_: kind for kind in cls.__subclasses__() if kind._tag_}

    def _serves(self, scheme: str) -> bool:
        """Whether URLs of a scheme, in lower case, can be read from such a store."""
        return scheme in self._schemes_


def _path(name: str, value: Any) -> Path:
    return Path(os.fsdecode(os.fspath(value)))


def _options(name: str, value: Any) -> S3Options:
    expect(name, value, S3Options)
    return copied(value)  # type: ignore[no-any-return]


def _options_or_default(name: str, value: Any) -> S3Options:
    return S3Options() if value is None else _options(name, value)


def _texts(name: str, value: Any) -> dict[str, str]:
    expect(name, value, Mapping)
    for key, text in value.items():
        expect(name, key, str)
        expect(name, text, str)
    return dict(value)


def _texts_field() -> Any:
    return converted(_texts, default=None, expose=copied)


class _InMemory(ObjectStoreConfig, variant="InMemory"):
    _tag_ = "in_memory"


class _LocalFileSystem(ObjectStoreConfig, variant="LocalFileSystem"):
    _tag_ = "local_file_system"
    _schemes_ = frozenset({"file"})
    path: Path = converted(_path)


class _S3Compatible(ObjectStoreConfig, variant="S3Compatible"):
    _tag_ = "s3_compatible"
    _schemes_ = frozenset({"s3"})
    options: S3Options = converted(_options, expose=copied)


class _S3(ObjectStoreConfig, variant="S3"):
    _tag_ = "s3"
    _schemes_ = frozenset({"s3"})
    options: S3Options = converted(_options, expose=copied)


class _Tigris(ObjectStoreConfig, variant="Tigris"):
    _tag_ = "tigris"
    _schemes_ = frozenset({"s3", "tigris"})
    opts: S3Options = converted(_options_or_default, default=S3Options(), expose=copied)
    options = older_name("opts")

    def __init__(self, opts: S3Options | None = None, *, options: S3Options | None = None) -> None:
        super().__init__(opts if options is None else options)


class _Gcs(ObjectStoreConfig, variant="Gcs"):
    _tag_ = "gcs"
    _schemes_ = frozenset({"gs", "gcs"})
    opts: dict[str, str] | None = _texts_field()


class _Azure(ObjectStoreConfig, variant="Azure"):
    _tag_ = "azure"
    _schemes_ = frozenset({"az", "azure", "abfs"})
    opts: dict[str, str] | None = _texts_field()


class _Http(ObjectStoreConfig, variant="Http"):
    _tag_ = "http"
    _schemes_ = frozenset({"http", "https"})
    opts: dict[str, str] | None = _texts_field()
    headers: dict[str, str] | None = _texts_field()


class _Fsspec(ObjectStoreConfig, variant="Fsspec"):
    def _serves(self, scheme: str) -> bool:
        # Local files have rules of their own, which fsspec does not keep.
        return scheme not in ("file", "local", "vcc")


AnyObjectStoreConfig: TypeAlias = (
    ObjectStoreConfig.InMemory
    | ObjectStoreConfig.LocalFileSystem
    | ObjectStoreConfig.S3
    | ObjectStoreConfig.S3Compatible
    | ObjectStoreConfig.Gcs
    | ObjectStoreConfig.Azure
    | ObjectStoreConfig.Tigris
    | ObjectStoreConfig.Http
)


def s3_store(
    region: str | None = None,
    endpoint_url: str | None = None,
    allow_http: bool = False,
    anonymous: bool = False,
    s3_compatible: bool = False,
    force_path_style: bool = False,
    network_stream_timeout_seconds: int | None = 60,
    requester_pays: bool = False,
    checksum_algorithm: ChecksumAlgorithm | None = None,
) -> ObjectStoreConfig.S3Compatible | ObjectStoreConfig.S3:
    """Configure S3, or a compatible service, as the store of virtual chunks.

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
    s3_compatible : bool
        The service is not AWS: use `ObjectStoreConfig.S3Compatible`.
    force_path_style : bool
        Put the bucket into the path instead of the host name.
    network_stream_timeout_seconds : int, optional
        Seconds without data after which a transfer is given up.
    requester_pays : bool
        Agree to pay for the transfer.
    checksum_algorithm : ChecksumAlgorithm, optional
        Checksum that uploads carry.

    Returns
    -------
    ObjectStoreConfig
        `ObjectStoreConfig.S3Compatible` or `ObjectStoreConfig.S3`.
    """
    options = S3Options(
        region=region,
        endpoint_url=endpoint_url,
        allow_http=allow_http,
        anonymous=anonymous,
        force_path_style=force_path_style,
        network_stream_timeout_seconds=network_stream_timeout_seconds,
        requester_pays=requester_pays,
        checksum_algorithm=checksum_algorithm,
    )
    kind = ObjectStoreConfig.S3Compatible if s3_compatible else ObjectStoreConfig.S3
    return kind(options)


def gcs_store(opts: dict[str, str] | None = None) -> ObjectStoreConfig.Gcs:
    """Configure Google Cloud Storage as the store of virtual chunks.

    Parameters
    ----------
    opts : dict, optional
        Options of the client.
    """
    return _Gcs(opts)


def azure_store(*, account: str, config: dict[str, str] | None = None) -> ObjectStoreConfig.Azure:
    """Configure Azure Blob Storage as the store of virtual chunks.

    Parameters
    ----------
    account : str
        Storage account.
    config : dict, optional
        Further options of the client; an ``account`` in them takes precedence.
    """
    return _Azure({"account": account, **(config or {})})


def http_store(
    opts: dict[str, str] | None = None, headers: dict[str, str] | None = None
) -> ObjectStoreConfig.Http:
    """Configure a web server as the store of virtual chunks.

    Parameters
    ----------
    opts : dict, optional
        Options of the client.
    headers : dict, optional
        Headers of every request.
    """
    return _Http(opts, checked_or_none(headers))


def fsspec_store() -> ObjectStoreConfig.Fsspec:
    """Let fsspec read the virtual chunks of a URL prefix of any scheme except ``file``.

    Options of the file system, secret or not, are never stored: pass them with
    `icechunk.fsspec_credentials` when you open the repository. The Rust library ignores containers
    of this kind.
    """
    return _Fsspec()


def local_filesystem_store(path: str) -> ObjectStoreConfig.LocalFileSystem:
    """Configure a local directory as the store of virtual chunks.

    Parameters
    ----------
    path : str
        Directory below which all files lie; ``~`` and ``file:`` URLs are turned into paths.
    """
    return _LocalFileSystem(local_path(path, _store_of))


def _store_of(scheme: str, url: str) -> str:
    """Name the functions that describe the stores of other URLs."""
    return (
        f"the function of its kind for {scheme}:// URLs: icechunk.s3_store, gcs_store, "
        "storage.azure_store, http_store or fsspec_store"
    )


@value_class("icechunk.virtual.VirtualChunkContainer")
class VirtualChunkContainer(Value):
    """A URL prefix of virtual chunks, and the store that holds them.

    Parameters
    ----------
    url_prefix : str
        Prefix of the locations, e.g. ``s3://bucket/path/``. It ends in ``/`` and names a host;
        this is checked when a repository is created or opened with it.
    store : ObjectStoreConfig
        How to reach the store.
    name : str, optional
        Name for locations of the form ``vcc://name/rest``.

    Notes
    -----
    The older order ``VirtualChunkContainer(name, url_prefix, store)`` still works; in that form a
    bare scheme such as ``s3://`` is accepted, with a warning.
    """

    url_prefix: str = instance_of(str)
    store: ObjectStoreConfig = instance_of(ObjectStoreConfig)
    name: str | None = instance_of(str, default=None)
    _bare_scheme_ok: bool = field(default=False, init=False)
    _stored: bool = field(default=False, init=False)

    _shown_ = ("name", "url_prefix", "store")

    @overload
    def __init__(
        self, url_prefix: str, store: ObjectStoreConfig, name: str | None = None
    ) -> None: ...

    @overload
    def __init__(self, name: str, url_prefix: str, store: ObjectStoreConfig) -> None: ...

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        old_order = len(args) >= 2 and isinstance(args[1], str)
        order = ("name", "url_prefix", "store") if old_order else ("url_prefix", "store", "name")
        given = dict(zip(order, args, strict=False))
        repeated = sorted(given.keys() & kwargs.keys())
        if len(args) > 3 or repeated:
            what = f"multiple values for {repeated}" if repeated else f"{len(args)} arguments"
            raise TypeError(f"VirtualChunkContainer() takes url_prefix, store and name, got {what}")
        self._fill(**given, **kwargs)
        self._bare_scheme_ok = old_order

    def __setattr__(self, name: str, value: Any) -> None:
        Value.__setattr__(self, name, value)
        if name in self._rules_:
            self._stored = False  # changed values are validated again


_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(/.*)?", re.DOTALL)


def validate_container(container: VirtualChunkContainer) -> None:
    """Check a container as repositories do when they are created or opened with it.

    The constructor of a configuration accepts any container; `set_virtual_chunk_container` checks.

    Parameters
    ----------
    container : VirtualChunkContainer
        What to check. Unchanged containers from a stored configuration pass: early versions
        stored some that are refused today.

    Raises
    ------
    ValueError
        When the prefix does not end in ``/``, names no host (for files: no path), does not fit the
        store, or when the name is empty or contains ``/``.
    """
    if container._stored:
        return
    name, prefix = container.name, container.url_prefix
    if name is not None and (not name or "/" in name):
        raise ValueError(
            f"VirtualChunkContainer name must be non-empty and not contain '/'; got {name!r}"
        )
    if not prefix.endswith("/"):
        raise ValueError(
            "VirtualChunkContainer url_prefix must end in a / character; "
            f"{prefix!r} would also match longer names, give {prefix + '/'!r}"
        )
    parts = _URL.fullmatch(prefix)
    if parts is None or (parts[1].lower() == "file" and parts[2].startswith(("~", "."))):
        what = "relative URL without a base; "
        if isinstance(container.store, ObjectStoreConfig.LocalFileSystem):
            url = Path(local_path(prefix)).as_uri()
            raise ValueError(f"{what}{prefix!r} is not an absolute URL, give {url + '/'!r}")
        raise ValueError(f"{what}{prefix!r} needs a scheme such as s3://")
    if isinstance(container.store, ObjectStoreConfig.Http):
        checked_headers(container.store._1)
    scheme, host, path = parts[1].lower(), parts[2], parts[3]
    if not container.store._serves(scheme):
        fitting = ", ".join(sorted(container.store._schemes_)) or "none"
        raise ValueError(
            f"Invalid url prefix scheme ({scheme}) for this object store config: "
            f"({type(container.store).__qualname__}); schemes that fit it: {fitting}"
        )
    if scheme == "file":
        if not host and path in (None, "/"):
            raise ValueError(
                "Url prefix for file:// containers must include a path; "
                "give the directory that holds the files"
            )
    elif not host:
        _check_bare_scheme(container, scheme)


def _check_bare_scheme(container: VirtualChunkContainer, scheme: str) -> None:
    """Refuse a prefix without a host, except a bare scheme given in the older argument order."""
    if not container._bare_scheme_ok or container.url_prefix != f"{scheme}://":
        raise ValueError(
            f"Url prefix for {scheme}:// containers must include a host; give {scheme}://bucket/"
        )
    warnings.warn(
        f"a virtual chunk container for all of {scheme}:// is deprecated; "
        f"declare one container per bucket, e.g. {scheme}://bucket/",
        DeprecationWarning,
        stacklevel=4,
    )
