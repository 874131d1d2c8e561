"""A web server on loopback: ranges, validators, redirects, and faults on demand."""

from __future__ import annotations

import email.utils
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


@dataclass
class Served:
    """One object."""

    data: bytes
    etag: str | None = '"v1"'
    modified: float | None = 1_600_000_000.0


@dataclass
class Asked:
    """One request as it arrived."""

    target: str
    headers: dict[str, str]


@dataclass
class WebServer:
    """What is served, what was asked, and how to misbehave.

    Attributes
    ----------
    objects
        By raw request target.
    decoded
        By request target without percent-encoding: clients differ in what they encode.
    redirects
        Request target to the URL it redirects to.
    faults
        Called with the number of the request; may return a status to answer with, ``"reset"`` to
        close the connection, ``"half"`` to stop in the middle of the body; None to behave.
    ranges
        Whether ranges are understood.
    connections
        How many were made.
    """

    port: int = 0
    objects: dict[str, Served] = field(default_factory=dict)
    decoded: dict[str, Served] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    faults: Callable[[int], int | str | None] = lambda number: None
    ranges: bool = True
    connections: int = 0

    @property
    def url(self) -> str:
        """Base URL with a slash at its end."""
        return f"http://127.0.0.1:{self.port}/"


def _handler(server: WebServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            server.connections += 1
            super().setup()

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            server.asked.append(Asked(self.path, {k.lower(): v for k, v in self.headers.items()}))
            fault = server.faults(len(server.asked))
            if fault == "reset":
                self.close_connection = True
                return
            if isinstance(fault, int):
                self._send(fault, b"trouble", {})
                return
            if self.path in server.redirects:
                self._send(302, b"", {"Location": server.redirects[self.path]})
                return
            found = server.objects.get(self.path) or server.decoded.get(unquote(self.path))
            if found is None:
                self._send(404, b"nothing here", {})
            else:
                self._serve(found, half=fault == "half")

        def _serve(self, found: Served, *, half: bool) -> None:
            heads = {} if found.etag is None else {"ETag": found.etag}
            if found.modified is not None:
                heads["Last-Modified"] = email.utils.formatdate(found.modified, usegmt=True)
            wanted = self.headers.get("Range")
            if wanted is None or not server.ranges:
                self._send(200, found.data, heads, half=half)
                return
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(int(last) + 1, len(found.data))
            if begin >= len(found.data):
                self._send(416, b"", {"Content-Range": f"bytes */{len(found.data)}"})
                return
            heads["Content-Range"] = f"bytes {begin}-{end - 1}/{len(found.data)}"
            self._send(206, found.data[begin:end], heads, half=half)

        def _send(
            self, status: int, body: bytes, heads: dict[str, str], *, half: bool = False
        ) -> None:
            self.send_response(status)
            for name, value in heads.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if half:
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            else:
                self.wfile.write(body)

    return Handler


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients may hang up


@contextmanager
def serving() -> Iterator[WebServer]:
    """Serve on a free port of loopback until the block ends."""
    server = WebServer()
    listening = _Quiet(("127.0.0.1", 0), _handler(server))
    listening.daemon_threads = True
    listening.block_on_close = False
    server.port = listening.server_address[1]
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
