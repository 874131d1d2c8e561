"""Virtual chunks on web servers: ranges over pooled connections, redirects without secrets.

A redirect to another host is followed without the headers of the container and without the name
and password of the URL: they were given for the first host only. urllib3 pools connections and
uses proxies. Retries and redirects are handled here, because every answer must be checked against
the reference before its body is used.
"""

from __future__ import annotations

import base64
import email.utils
import random
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urljoin, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import urllib3
from urllib3.exceptions import (
    HTTPError,
    NewConnectionError,
    ProtocolError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as RequestTimeoutError

from icechunk._version import API_VERSION
from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.resolve import StorageTuning
from icechunk.core.errors import StorageError
from icechunk.core.runtime import PerProcess
from icechunk.spec.manifest.chunk_table import Location
from icechunk.spec.manifest.virtual_urls import escaped
from icechunk.storage.requests import REQUESTS
from icechunk.virtual_chunks.source import (
    Read,
    VirtualObject,
    check,
    fetch_failed,
    not_found,
    refuse_climbing,
    shown,
    too_short,
)

Origin = tuple[str, str, int]
"""Scheme, host and port: the server of a connection, to which secrets belong."""

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = 10
_MOVED = {301, 302, 303, 307, 308}
_AGAIN = {408, 425, 429, 499, 500, 502, 503, 504}
_POOL = 64  # connections kept per origin
_SKIPPED = 1024 * 1024  # bytes read at a time where a server ignores ranges
_PART = 4 * 1024 * 1024  # bytes of a body copied at a time
_LARGE = 64 * 1024 * 1024
"""Reads of more bytes first check that the object is that long."""
_REST = 64 * 1024  # bytes up to which reading the rest costs less than a new connection
_CONNECT, _STALL = 5.0, 60.0  # seconds, as for object stores (`icechunk.storage.clients`)
_BROKEN = (HTTPError, OSError)


def origin_of(parts: SplitResult) -> Origin:
    """Return the server that a URL names."""
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS[parts.scheme]


class _Again(Exception):
    """A request that may succeed when it is repeated."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


class WebServer:
    """The web servers that one container may be read from.

    Parameters
    ----------
    prefix : str
        URL prefix of the container: its headers go to this host only.
    store : ObjectStoreConfig.Http
        Options and headers.
    credential : Credentials.HttpAccess or None
        Further headers, which are not stored.
    tuning : StorageTuning
        Retries and time limits.
    """

    def __init__(
        self, prefix: str, store: ObjectStoreConfig, credential: Any, tuning: StorageTuning
    ) -> None:
        options: Mapping[str, str] = {k.lower(): v for k, v in (store[0] or {}).items()}
        parts = urlsplit(prefix)
        self.home = origin_of(parts) if parts.hostname else None
        given = None if credential is None else credential.headers
        self.headers: dict[str, str] = {**(store[1] or {}), **(given or {})}
        self.agent = options.get("user_agent", f"icechunk/{API_VERSION}")
        self.tuning = tuning
        self._unchecked = options.get("allow_invalid_certificates", "").lower() in ("true", "1")
        self._proxy = options.get("proxy_url")
        self._pools: PerProcess[dict[str | None, urllib3.PoolManager]] = PerProcess(dict)
        read, connect = tuning.read_timeout_ms, tuning.connect_timeout_ms
        self._timeout = urllib3.Timeout(
            connect=_CONNECT if connect is None else max(connect, 1) / 1000,
            read=_STALL if read is None else max(read, 1) / 1000,
        )

    def object(self, url: str) -> WebObject:
        """Return the object of a URL; no request is sent yet."""
        refuse_climbing(url)
        return WebObject(url, self)

    # -- connections -----------------------------------------------------------------------------

    def _pool(self, parts: SplitResult) -> urllib3.PoolManager:
        """Return the connections to a server, through its proxy if one is set."""
        proxy = self._proxy_of(*origin_of(parts))
        pools = self._pools.get()
        pool = pools.get(proxy)
        if pool is None:
            common: dict[str, Any] = {
                "maxsize": _POOL,
                "timeout": self._timeout,
                "cert_reqs": "CERT_NONE" if self._unchecked else "CERT_REQUIRED",
                "assert_hostname": False if self._unchecked else None,
            }
            if proxy is None:
                pool = urllib3.PoolManager(**common)
            else:
                secret = _authorization(urlsplit(proxy), "Proxy-Authorization")
                pool = urllib3.ProxyManager(proxy, proxy_headers=secret, **common)
            pool = pools.setdefault(proxy, pool)
        return pool

    def _proxy_of(self, scheme: str, host: str, port: int) -> str | None:
        known = getproxies_environment()
        found = self._proxy or known.get(scheme) or known.get("all")
        if not found or (not self._proxy and proxy_bypass(f"{host}:{port}")):
            return None
        return found if "://" in found else f"http://{found}"

    def _ask(self, parts: SplitResult, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """Send one request; the body is not read yet."""
        pool, (scheme, host, port) = self._pool(parts), origin_of(parts)
        how: dict[str, Any] = {"redirect": False, "retries": False, "preload_content": False}
        if isinstance(pool, urllib3.ProxyManager) and scheme == "http":
            address = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
            return pool.urlopen("GET", address, headers=headers, decode_content=False, **how)
        # The pool of one host sends the target unchanged; `PoolManager.urlopen` resolves `/./`.
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        one_host = pool.connection_from_host(host, port, scheme)
        return one_host.urlopen("GET", target, headers=headers, decode_content=False, **how)

    # -- requests --------------------------------------------------------------------------------

    def fetch(self, url: str, offset: int, size: int) -> urllib3.BaseHTTPResponse:
        """Request a range and follow redirects, with secrets for the first host only."""
        here, first = _address(url, url)
        wanted = {
            "Range": f"bytes={offset}-{offset + size - 1}",
            "Accept-Encoding": "identity",
            "User-Agent": self.agent,
        }
        secret = _authorization(here, "Authorization")
        for _ in range(_REDIRECTS):
            headers = dict(wanted)
            at = origin_of(here)
            if at == (self.home or first):
                headers.update(self.headers)
            if at == first:
                headers = {**secret, **headers}
            answer = self._ask(here, headers)
            goal = answer.headers.get("Location")
            if answer.status not in _MOVED or goal is None:
                return answer
            _release(answer)
            there, _ = _address(goal, url, here.geturl())
            if (here.scheme, there.scheme) == ("https", "http"):
                raise _not_followed(url, there.geturl())
            here = there
        raise fetch_failed(url, "too many redirects", "Give the location of the object itself")


def _not_followed(url: str, goal: str) -> StorageError:
    return fetch_failed(
        url,
        f"the server redirects to {shown(goal)}",
        "Only http and https are followed, and never from https to http: give the location of "
        "the object itself",
    )


def _address(goal: str, url: str, base: str = "") -> tuple[SplitResult, Origin]:
    """Return the parts of a URL and its server; an error names the location of the chunk."""
    try:
        parts = urlsplit(escaped(urljoin(base, goal)))
        if not parts.hostname:
            raise ValueError("no host")
        return parts, origin_of(parts)
    except (ValueError, KeyError):  # an invalid port or host, or another scheme
        raise _not_followed(url, goal) from None


def _authorization(parts: SplitResult, name: str) -> dict[str, str]:
    """Return the header for the user name and password of a URL."""
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {name: "Basic " + base64.b64encode(pair.encode()).decode()}


class WebObject(VirtualObject):
    """One object on a web server."""

    joins = True

    def __init__(self, url: str, server: WebServer) -> None:
        super().__init__(url)
        self._server = server

    def read(self, place: Location, offset: int, size: int) -> Read:
        """Read a range; a damaged reference to too many bytes fails before memory is reserved."""
        if size > _LARGE:
            self.read_into(place, offset + size - 1, memoryview(bytearray(1)))
        data = bytearray(size)
        self.read_into(place, offset, memoryview(data))
        return memoryview(data)

    def read_into(self, place: Location, offset: int, target: memoryview) -> None:
        """Fill memory; repeat requests whose failure may be temporary."""
        retries = self._server.tuning.retries
        wait = retries.initial_backoff_ms / 1000
        for left in reversed(range(retries.max_tries)):
            try:
                return self._try(place, offset, target)
            except _Again as error:
                why, pause = str(error), error.wait
            except SSLError as error:
                raise fetch_failed(
                    self.url,
                    f"the server's certificate is not valid ({_reason(error)})",
                    "Check the address, or the certificates of this machine",
                ) from None
            except _BROKEN as error:
                why, pause = _said(error), 0.0
            if not left:
                raise fetch_failed(
                    self.url, why, "Check the address and the network, or try again later"
                )
            pause = min(max(pause, wait * random.uniform(0.5, 1.0)), 60.0)
            tries = retries.max_tries - left
            REQUESTS.info("retry key=%s tries=%d wait_ms=%d", shown(self.url), tries, pause * 1000)
            time.sleep(pause)
            wait = min(wait * 2, retries.max_backoff_ms / 1000)
        raise AssertionError("unreachable")

    def _try(self, place: Location, offset: int, target: memoryview) -> None:
        size = len(target)
        answer = self._server.fetch(self.url, offset, size)
        try:
            skip = self._begins(answer, place, offset, size)
            while skip and (passed := answer.read(min(skip, _SKIPPED))):
                skip -= len(passed)
            got = 0
            while got < size and (part := answer.read(min(size - got, _PART))):
                target[got : got + len(part)] = part
                got += len(part)
            if got < size:
                raise too_short(self.url, offset, size, got)
        except ProtocolError:
            raise _Again("the response ended early") from None
        finally:
            _release(answer)

    def _begins(
        self, answer: urllib3.BaseHTTPResponse, place: Location, offset: int, size: int
    ) -> int:
        """Check the head of an answer; return the number of bytes before the range."""
        status, headers = answer.status, answer.headers
        if status in _AGAIN:
            later = headers.get("Retry-After", "")
            raise _Again(_status(answer), float(later) if later.isdigit() else 0.0)
        if status in (404, 410):
            raise not_found(self.url)
        if status in (401, 403, 407):
            raise fetch_failed(
                self.url,
                f"the server refuses access ({_status(answer)})",
                "Give what it asks for when you open the repository: `authorize_virtual_chunk_"
                "access={url_prefix: icechunk.http_credentials(headers=...)}`",
            )
        if status in (200, 206):
            stamp = email.utils.parsedate_tz(headers.get("Last-Modified", ""))
            modified = None if stamp is None else float(email.utils.mktime_tz(stamp))
            check(self.url, place, headers.get("ETag"), modified)
        coding = headers.get("Content-Encoding", "identity")
        if status == 416:
            raise too_short(self.url, offset, size, 0)
        if status not in (200, 206) or coding != "identity":
            what = _status(answer) if coding == "identity" else f"{coding}-encoded bytes"
            raise fetch_failed(self.url, f"the server answers with {what}", "Check the location")
        if status == 200:
            return offset  # the server ignores ranges and sends everything
        begin = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
        if begin != str(offset):
            raise fetch_failed(
                self.url, "the server answers with another range", "Report it to its operator"
            )
        return 0


def _release(answer: urllib3.BaseHTTPResponse) -> None:
    """Return a connection to the pool if little of its answer is left unread; else close it."""
    left = answer.length_remaining
    if left is not None and left <= _REST:
        answer.drain_conn()
        answer.release_conn()
    else:
        answer.close()


def _status(answer: urllib3.BaseHTTPResponse) -> str:
    return f"{answer.status} {answer.reason or ''}".strip()


def _reason(error: BaseException) -> str:
    """Return what OpenSSL says about a certificate."""
    cause = error.args[0] if error.args else error
    return str(getattr(cause, "verify_message", "") or type(cause).__name__)


def _said(error: Exception) -> str:
    """Describe the failure of a connection, without addresses."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f"the connection failed ({cause.strerror})"
        if isinstance(cause, TimeoutError | RequestTimeoutError) and not isinstance(
            cause, NewConnectionError
        ):
            return "no answer within the time limit"
        cause = cause.__cause__ or cause.__context__
    return f"the connection failed ({type(error).__name__})"
