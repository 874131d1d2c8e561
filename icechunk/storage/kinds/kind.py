"""What the engine knows about one kind of store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl

from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.credentials import Credentials
from icechunk.config.headers import checked_headers
from icechunk.config.rendering import Label
from icechunk.config.resolve import StorageTuning, storage_tuning
from icechunk.core.errors import ErrorKind, InvalidInputError, StorageError
from icechunk.storage.base import Storage, Version
from icechunk.storage.clients import Requests
from icechunk.storage.forks import same_process

if TYPE_CHECKING:
    from obstore.store import ObjectStore


class StoreKind:
    """One kind of store: how it is configured, addressed, authorised and reached.

    Subclasses set the attributes that apply and override the methods that differ.
    """

    name: ClassVar[str]
    """Name in messages, in displays and in the command's file of aliases."""

    schemes: ClassVar[tuple[str, ...]] = ()
    """Schemes of the URLs that `open` takes."""

    synonyms: ClassVar[tuple[str, ...]] = ()
    """Schemes that other tools use for the same places; only for advice."""

    redirects: ClassVar[tuple[str, ...]] = ()
    """Schemes of the URLs that `open_redirected` takes."""

    configs: ClassVar[tuple[type[ObjectStoreConfig], ...]] = ()
    """Configurations of such a store as the home of virtual chunks."""

    authorisation: ClassVar[type[Credentials] | None] = None
    """Variant of `Credentials` that authorises reading virtual chunks from it."""

    example: ClassVar[str] = "..."
    """Code of such an authorisation, for messages."""

    fsspec_writer: ClassVar[Any] = None
    """Subclass of `ConditionalWriter` for the file system that fsspec has for the same places."""

    def mismatch(self, store: ObjectStoreConfig) -> str:
        """Say, for messages, that credentials are not of the class `authorisation`."""
        return (
            "Virtual chunk container credentials do not match store type "
            f"{type(store).__qualname__}"
        )

    def opens(self, scheme: str) -> bool:
        """Whether `open` takes URLs of a scheme (in lower case)."""
        return scheme in self.schemes

    def open(self, url: str) -> Storage:
        """Return the storage that a URL names; credentials come from the environment.

        Raises
        ------
        InvalidInputError
            Kind ``cannot-parse-url``.
        """
        raise NotImplementedError

    def open_redirected(self, url: str) -> Storage:
        """Return the storage that the target of a redirect names, opened without credentials."""
        raise NotImplementedError

    def advice(self, url: str) -> str:
        """Return code that makes the storage of a URL, for messages."""
        raise NotImplementedError

    def connect(
        self,
        store: ObjectStoreConfig,
        bucket: str,
        credentials: Any = None,
        *,
        prefix: str | None = None,
        tuning: StorageTuning | None = None,
        headers: Mapping[str, str] | None = None,
        uploads: bool = False,
    ) -> ObjectStore:
        """Make a client. No request is sent yet.

        Parameters
        ----------
        store : ObjectStoreConfig
            Connection options.
        bucket : str
            Bucket or container; for HTTP the base URL.
        credentials : object, optional
            Of the family that the kind takes, or `Credentials` around it.
            None: anonymous where the options say so, else those of the environment.
        prefix : str, optional
            Key prefix of whole segments inside the bucket.
        tuning : StorageTuning, optional
            Retries and time limits; the defaults when absent.
        headers : mapping, optional
            Headers of every request.
        uploads : bool
            The client writes: silence while a body goes out is not a stall.

        Raises
        ------
        StorageError
            Kind ``storage-config`` for options that the client cannot take (the message never shows
            their values), and in a forked child, see `icechunk.storage.forks.same_process`.
        InvalidInputError
            Kind ``invalid-credentials`` for credentials of another kind of store.
        """
        same_process()
        limits = storage_tuning(None) if tuning is None else tuning
        requests = Requests(limits, dict(headers or {}), uploads)
        return self.client(store, bucket, _unwrapped(credentials), prefix or None, requests)

    def client(
        self,
        store: Any,
        bucket: str,
        credentials: Any,
        prefix: str | None,
        requests: Requests,
    ) -> ObjectStore:
        """Make the obstore client for `connect`."""
        raise StorageError(
            f"storage configuration error: {self.name} stores have no network client",
            ErrorKind.STORAGE_CONFIG,
        )

    def version(self, answer: Any) -> Version:
        """Return the version that an answer of obstore names, as a later condition sends it."""
        return str(answer["e_tag"])

    def virtual(
        self, bucket: str, store: ObjectStoreConfig, credentials: Any
    ) -> tuple[str, ObjectStoreConfig, Any]:
        """Complete what `connect` needs to read virtual chunks of a bucket.

        `bucket` is the host part of the chunks' URLs.
        """
        return bucket, store, credentials


class Address(NamedTuple):
    """Parts of the URL of a bucket."""

    bucket: str
    prefix: str | None
    options: dict[str, Any]


_SWITCHES = {"": True, "1": True, "true": True, "yes": True, "on": True,
             "0": False, "false": False, "no": False, "off": False}  # fmt: skip
_FLAGS = ("anonymous", "allow_http", "force_path_style", "requester_pays", "use_weak_consistency")
_ADDRESSES = ("endpoint_url", "endpoint", "base_url")


class BucketKind(StoreKind):
    """A kind of store that has buckets (or containers), reached by an obstore client."""

    service: ClassVar[str]
    """The service in messages."""

    credentials: ClassVar[type[Any]]
    """Family of the credentials."""

    storage: ClassVar[Callable[..., Storage]]
    """Public function that makes a storage, from the keywords of `location`, ``anonymous``,
    ``from_env``, options and the fields of credentials."""

    options: ClassVar[tuple[str, ...]] = ()
    """Options of URLs: what may follow the question mark."""

    redirect_options: ClassVar[tuple[str, ...]] = ()
    """Options of URLs that a redirect may name."""

    location: ClassVar[tuple[str, ...]] = ("bucket", "prefix")
    """Keywords of `storage` that say where it is."""

    alias: ClassVar[str | None] = None
    """Prefix of ``_credential_type`` in the file of aliases; None: the file has no such kind."""

    def expect(self, credentials: Any) -> None:
        """Refuse credentials of another family.

        Raises
        ------
        InvalidInputError
            Kind ``invalid-credentials``.
        """
        if credentials is not None and not isinstance(credentials, self.credentials):
            raise InvalidInputError(
                f"credentials of type {type(credentials).__qualname__} do not open {self.service}; "
                f"give {self.credentials.__name__}",
                ErrorKind.INVALID_CREDENTIALS,
            )

    def address(self, url: str) -> Address:
        """Take a URL apart.

        Raises
        ------
        InvalidInputError
            Kind ``cannot-parse-url`` for one without a bucket, or with unknown options.
        """
        scheme, _, rest = url.partition("://")
        path, _, query = rest.partition("?")
        bucket, _, prefix = path.partition("/")
        if not bucket or "@" in bucket:
            raise unreadable(f"`{scheme}://` is followed by no bucket", f"{scheme}://bucket/prefix")
        return Address(bucket, prefix.strip("/") or None, self._options(query))

    def _options(self, query: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in self.options:
                raise unreadable(
                    f"`{name}` is not an option of {self.name} URLs",
                    f"one of {', '.join(self.options)}; credentials belong into the environment "
                    "or an alias (icechunk config add)",
                )
            if name in _FLAGS and value.lower() not in _SWITCHES:
                raise unreadable(f"`{name}` is on or off", f"{name}=true or {name}=false")
            found[name] = _SWITCHES[value.lower()] if name in _FLAGS else value
        return permitting_http(found)

    def located(self, address: Address) -> tuple[dict[str, Any], dict[str, Any]]:
        """Divide an address into the keywords named by `location` and the options left."""
        return {"bucket": address.bucket, "prefix": address.prefix}, dict(address.options)

    def stored(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return options of a URL as an alias keeps them."""
        return options

    def completed(self, options: dict[str, Any]) -> dict[str, Any]:
        """Turn options of a URL, or of an alias, into keywords of `storage`."""
        return options

    def open(self, url: str) -> Storage:
        where, options = self.located(self.address(url))
        anonymous = bool(options.pop("anonymous", False))
        access = {"anonymous": True} if anonymous else {"from_env": True}
        return self.storage(**where, **self.completed(options), **access)

    def open_redirected(self, url: str) -> Storage:
        base, _, query = url.partition("?")
        address = self.address(base)
        options = {n: v for n, v in parse_qsl(query) if n in self.redirect_options}
        # Anonymous, so that the operator of the web server cannot have requests signed; and nothing
        # else is taken from the environment.
        where = {"bucket": address.bucket, "prefix": address.prefix, "anonymous": True}
        return self.storage(**where, **self.redirected(permitting_http(options)))

    def redirected(self, options: dict[str, Any]) -> dict[str, Any]:
        """Turn options of a redirect's target into keywords of `storage`."""
        return options

    def advice(self, url: str) -> str:
        bucket, _, prefix = url.partition("://")[2].partition("?")[0].partition("/")
        where = f"bucket={bucket!r}, prefix={prefix.strip('/')!r}"
        return f"icechunk.{self.storage.__name__}({where}, from_env=True)"


def permitting_http(options: dict[str, Any]) -> dict[str, Any]:
    """Add ``allow_http`` where the address of an endpoint begins with http://."""
    if any(str(options.get(name, "")).startswith("http://") for name in _ADDRESSES):
        options.setdefault("allow_http", True)
    return options


def texts(options: Mapping[str, Any]) -> dict[str, str]:
    """Return options as texts, as some clients take them."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in options.items()
    }


def merged_headers(
    read: Mapping[str, str] | None,
    write: Mapping[str, str] | None,
    both: Mapping[str, str] | None,
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers of reading and of writing: those of one direction win over the common.

    Raises
    ------
    InvalidInputError
        See `icechunk.config.headers.checked_headers`.
    """
    common = checked_headers(both)
    return {**common, **checked_headers(read)}, {**common, **checked_headers(write)}


def taken(given: dict[str, Any], choose: Callable[..., Any]) -> dict[str, Any]:
    """Remove from `given` the keyword-only arguments of a function and return them."""
    return {name: given.pop(name) for name in choose.__kwdefaults__ or () if name in given}


def bucket_name(name: str) -> str:
    """Return the name of a bucket.

    Raises
    ------
    StorageError
        Kind ``storage-config`` for an empty name, or one with a slash.
    """
    if not name or "/" in name:
        raise StorageError(
            f"storage configuration error: {name!r} is not the name of a bucket or container; "
            "put what follows it into `prefix`",
            ErrorKind.STORAGE_CONFIG,
        )
    return name


def joined(bucket: str, prefix: str | None) -> str:
    """Return bucket and prefix as one path."""
    inner = (prefix or "").strip("/")
    return f"{bucket}/{inner}" if inner else bucket


def displayed(kind: str, prefix: str | None, **where: str) -> list[tuple[str, Any]]:
    """Return the first lines of a storage's display."""
    lines = {"type": kind, **where, **({"prefix": prefix} if prefix else {})}
    return [(name, Label(value)) for name, value in lines.items()]


def unreadable(what: str, instead: str) -> InvalidInputError:
    """Return the error of a URL that cannot be understood."""
    return InvalidInputError(f"{what}; use {instead}", ErrorKind.CANNOT_PARSE_URL)


def _unwrapped(credentials: Any) -> Any:
    """Take the family's credentials out of an authorisation; None where it has none."""
    if isinstance(credentials, Credentials.LocalFileSystemAccess | Credentials.HttpAccess):
        return None
    return credentials[0] if isinstance(credentials, Credentials) else credentials
