"""A proxy in front of a test server: records every request, and makes chosen ones fail."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

LOST = "lost"
"""The server carries the request out, but the answer never arrives."""
RESET = "reset"
"""The connection breaks before the server sees the request."""
STALL = "stall"
"""The request is taken and nothing happens, until the proxy stops."""

_CODES = {409: "ConditionalRequestConflict", 429: "TooManyRequests", 503: "SlowDown"}
_OWN = ("connection", "transfer-encoding", "keep-alive")


@dataclass
class Request:
    """A recorded request."""

    method: str
    path: str
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes
    status: int = 0
    """Of the answer; 0 while there is none."""


@dataclass
class _Fault:
    kind: str | int
    matches: Callable[[Request], bool]
    left: int
    after: int


class Proxy:
    """Forwards HTTP requests to another server.

    Parameters
    ----------
    upstream
        Address of the server.

    Attributes
    ----------
    requests : list of Request
        All that came, oldest first.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.requests: list[Request] = []
        self.spoiled: list[Request] = []
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        # a short interval: stopping waits for it
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def spoil(
        self,
        kind: str | int,
        method: str,
        part: str = "",
        *,
        times: int = 1,
        after: int = 0,
        header: str | None = None,
    ) -> None:
        """Make coming requests fail.

        Parameters
        ----------
        kind
            `LOST`, `RESET`, `STALL`, or a status to answer with.
        method, part
            Which requests: their method, and a part of their path.
        times
            How many of them, one after the other.
        after
            How many of them to let pass before.
        header
            Only requests that carry this header (lower case).
        """

        def matches(request: Request) -> bool:
            return (
                request.method == method
                and part in request.path
                and (header is None or header in request.headers)
            )

        self._faults.append(_Fault(kind, matches, times, after))

    def clear(self) -> None:
        """Forget the requests and the faults still to come."""
        self.requests.clear()
        self.spoiled.clear()
        self._faults.clear()

    def methods(self) -> list[str]:
        """The methods of the requests, oldest first."""
        return [request.method for request in self.requests]

    def note(self, request: Request) -> str | int | None:
        """Record a request; return the fault for it."""
        with self._lock:
            self.requests.append(request)
            for fault in self._faults:
                if not fault.matches(request) or not fault.left:
                    continue
                if fault.after:
                    fault.after -= 1
                    continue
                fault.left -= 1
                self.spoiled.append(request)
                return fault.kind
            return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Proxy

    def log_message(self, *args: object) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        fault = self.owner.note(request)
        if fault == RESET:
            self._break()
            return
        if fault == STALL:
            self.owner.stopping.wait(60)
            self._break()
            return
        if isinstance(fault, int):
            request.status = fault
            self._answer(fault, {"Content-Type": "application/xml"}, _complaint(fault))
            return
        status, answered, content = self._ask(body)
        request.status = status
        if fault == LOST:
            self._break()
            return
        self._answer(status, answered, content)

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.owner.upstream, timeout=60)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                if name.lower() not in _OWN:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            content = answer.read()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _OWN}
            return answer.status, kept, content
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        length = next((v for n, v in headers.items() if n.lower() == "content-length"), None)
        for name, value in headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        if status not in (204, 304):
            whole = length if self.command == "HEAD" and length else str(len(content))
            self.send_header("Content-Length", whole)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _break(self) -> None:
        """Break the connection hard."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = _pass


def _complaint(status: int) -> bytes:
    code = _CODES.get(status, "InternalError")
    return f"<Error><Code>{code}</Code><Message>on purpose</Message></Error>".encode()


def settled(holds: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
