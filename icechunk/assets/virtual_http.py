"""Virtual chunks on web servers: ranges over kept connections, redirects that carry no secrets.

A redirect to another host is followed without the headers of the container and without the name
and password of the URL: they were meant for the host that they were given for.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import http.client
import random
import ssl
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urljoin, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from icechunk._version import API_VERSION
from icechunk.assets.virtual_object import (
    Read,
    VirtualObject,
    check,
    fetch_failed,
    not_found,
    refuse_climbing,
    shown,
    too_short,
)
from icechunk.config.containers import ObjectStoreConfig
from icechunk.config.resolve import StorageTuning
from icechunk.ground.errors import StorageError
from icechunk.ground.runtime import PerProcess
from icechunk.model.chunk_table import Location
from icechunk.model.virtual_urls import escaped

Origin = tuple[str, str, int]
"""Scheme, host and port: whom a connection talks to, and whom secrets were given for."""

_Kept = dict[Origin, list[http.client.HTTPConnection]]

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = 10
_MOVED = {301, 302, 303, 307, 308}
_AGAIN = {408, 425, 429, 499, 500, 502, 503, 504}
_IDLE = 64  # connections kept per origin
_SKIPPED = 1024 * 1024  # bytes read at a time where a server ignores ranges
_LARGE = 64 * 1024 * 1024
"""Reads of more bytes look first whether the object is that long."""
_REST = 64 * 1024  # bytes that are cheaper to read than a connection is to make
_CONNECT, _STALL = 5.0, 60.0  # seconds
_BROKEN = (http.client.HTTPException, OSError)


def origin_of(parts: SplitResult) -> Origin:
    """Whom a URL talks to."""
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS[parts.scheme]


class _Idle:
    """Connections that wait for the next request; closed when nobody wants them any more."""

    def __init__(self) -> None:
        self._kept: _Kept = {}
        # Not __del__: in a cycle the sockets might be finalised first, and complain.
        weakref.finalize(self, _close, self._kept)

    def take(self, origin: Origin) -> http.client.HTTPConnection | None:
        """A kept connection, None where there is none."""
        try:
            return self._kept.setdefault(origin, []).pop()
        except IndexError:
            return None

    def keep(self, origin: Origin, connection: http.client.HTTPConnection) -> None:
        """Take a connection back."""
        kept = self._kept.setdefault(origin, [])
        if len(kept) < _IDLE:
            kept.append(connection)
        else:
            connection.close()


def _close(kept: _Kept) -> None:
    for connections in kept.values():
        for connection in connections:
            connection.close()


class _Answer(NamedTuple):
    """What came back, with its body still to be read."""

    status: int
    headers: http.client.HTTPMessage
    body: http.client.HTTPResponse
    done: Callable[[], None]


class _Again(Exception):
    """A request that may succeed when it is made once more."""

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
        self._idle = PerProcess(_Idle)
        self._context: ssl.SSLContext | None = None
        read, connect = tuning.read_timeout_ms, tuning.connect_timeout_ms
        self._stall = _STALL if read is None else max(read, 1) / 1000
        self._connect = _CONNECT if connect is None else max(connect, 1) / 1000

    def object(self, url: str) -> WebObject:
        """What a URL leads to; nothing is opened yet."""
        refuse_climbing(url)
        return WebObject(url, self)

    # -- connections -----------------------------------------------------------------------------

    def _new(self, origin: Origin) -> http.client.HTTPConnection:
        scheme, host, port = origin
        proxy = self._proxy_of(scheme, host, port)
        target = (proxy.hostname or "", proxy.port or 80) if proxy else (host, port)
        made: http.client.HTTPConnection
        if scheme == "https":
            if self._context is None:
                self._context = ssl.create_default_context()
                if self._unchecked:
                    self._context.check_hostname = False
                    self._context.verify_mode = ssl.CERT_NONE
            made = http.client.HTTPSConnection(
                *target, timeout=self._connect, context=self._context
            )
            if proxy:
                made.set_tunnel(host, port, _authorization(proxy, "Proxy-Authorization"))
        else:
            made = http.client.HTTPConnection(*target, timeout=self._connect)
        made.connect()
        if made.sock is not None:
            made.sock.settimeout(self._stall)
        return made

    def _proxy_of(self, scheme: str, host: str, port: int) -> SplitResult | None:
        known = getproxies_environment()
        found = self._proxy or known.get(scheme) or known.get("all")
        if not found or (not self._proxy and proxy_bypass(f"{host}:{port}")):
            return None
        return urlsplit(found if "://" in found else f"http://{found}")

    def _ask(self, parts: SplitResult, headers: dict[str, str]) -> _Answer:
        """Send one request; a kept connection that has died meanwhile is replaced."""
        origin = origin_of(parts)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        proxy = self._proxy_of(*origin) if parts.scheme == "http" else None
        if proxy:
            host = parts.netloc.rpartition("@")[2]
            target = f"http://{host}{target}"
            headers = {**headers, **_authorization(proxy, "Proxy-Authorization")}
        idle = self._idle.get()
        while True:
            kept = idle.take(origin)
            connection = kept or self._new(origin)
            try:
                connection.request("GET", target, headers=headers)
                body = connection.getresponse()
            except _BROKEN:
                connection.close()
                if kept is None:
                    raise
                continue

            def done(
                body: http.client.HTTPResponse = body,
                connection: http.client.HTTPConnection = connection,
            ) -> None:
                """Keep the connection if its answer was read to the end, or nearly."""
                if body.length is not None and body.length <= _REST:
                    with contextlib.suppress(*_BROKEN):
                        body.read()
                if body.isclosed() and not body.will_close:
                    idle.keep(origin, connection)
                else:
                    body.close()
                    connection.close()

            return _Answer(body.status, body.headers, body, done)

    # -- requests --------------------------------------------------------------------------------

    def fetch(self, url: str, offset: int, size: int) -> _Answer:
        """Ask for a range and follow redirects, with secrets for the first host only."""
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
            answer.done()
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
    """An address to ask, taken apart, and whom it talks to; the error names the location."""
    try:
        parts = urlsplit(escaped(urljoin(base, goal)))
        if not parts.hostname:
            raise ValueError("no host")
        return parts, origin_of(parts)
    except (ValueError, KeyError):  # a port or host that is none, another scheme
        raise _not_followed(url, goal) from None


def _authorization(parts: SplitResult, name: str) -> dict[str, str]:
    """Header for the user name and password of a URL."""
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
        """Read a range; no memory is reserved for a damaged reference that asks for too much."""
        if size > _LARGE:
            self.read_into(place, offset + size - 1, memoryview(bytearray(1)))
        data = bytearray(size)
        self.read_into(place, offset, memoryview(data))
        return memoryview(data)

    def read_into(self, place: Location, offset: int, target: memoryview) -> None:
        """Fill memory, again as long as the failure may pass."""
        retries = self._server.tuning.retries
        wait = retries.initial_backoff_ms / 1000
        for left in reversed(range(retries.max_tries)):
            try:
                return self._try(place, offset, target)
            except _Again as error:
                why, pause = str(error), error.wait
            except ssl.SSLCertVerificationError as error:
                raise fetch_failed(
                    self.url,
                    f"the server's certificate is not valid ({error.verify_message})",
                    "Check the address, or the certificates of this machine",
                ) from None
            except _BROKEN as error:
                why, pause = _said(error), 0.0
            if not left:
                raise fetch_failed(
                    self.url, why, "Check the address and the network, or try again later"
                )
            time.sleep(min(max(pause, wait * random.uniform(0.5, 1.0)), 60.0))
            wait = min(wait * 2, retries.max_backoff_ms / 1000)
        raise AssertionError("unreachable")

    def _try(self, place: Location, offset: int, target: memoryview) -> None:
        size = len(target)
        answer = self._server.fetch(self.url, offset, size)
        try:
            skip = self._begins(answer, place, offset, size)
            while skip:
                skip -= len(answer.body.read(min(skip, _SKIPPED)) or b"") or skip
            got = 0
            while got < size and (more := answer.body.readinto(target[got:])):
                got += more
            if got < size:
                if answer.body.length:
                    raise _Again("the answer broke off")
                raise too_short(self.url, offset, size, got)
        finally:
            answer.done()

    def _begins(self, answer: _Answer, place: Location, offset: int, size: int) -> int:
        """Check the head of an answer; returns how many bytes come before the range."""
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
            return offset  # it knows no ranges and sends everything
        begin = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
        if begin != str(offset):
            raise fetch_failed(
                self.url, "the server answers with another range", "Report it to its operator"
            )
        return 0


def _status(answer: _Answer) -> str:
    return f"{answer.status} {answer.body.reason}".strip()


def _said(error: Exception) -> str:
    """What went wrong with a connection, without addresses."""
    if isinstance(error, TimeoutError):
        return "no answer within the time limit"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"the connection failed ({text or type(error).__name__})"
