"""As much of Google Cloud Storage's XML interface as clients of it use here.

    python gcs_xml.py PORT

No emulator speaks it. Written after Google's description of the XML API: objects have generations,
a write carries ``x-goog-if-generation-match`` (0: there must be none), 412 says that it does not
hold. Buckets need not be made. Every request must be unsigned or carry a bearer token.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import sys
import threading
import time
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")
_PAGE = 1000


class Stored(NamedTuple):
    """One object."""

    data: bytes
    generation: str
    modified: float
    metadata: dict[str, str]


_objects: dict[str, Stored] = {}
_lock = threading.Lock()
_generations = itertools.count(1_700_000_000_000_000)


class Handler(BaseHTTPRequestHandler):
    """Answers GET, HEAD, PUT and DELETE."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def _name(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/")

    def do_PUT(self) -> None:
        """Write an object, if its generation is the one named."""
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        metadata = {
            name.lower(): value
            for name, value in self.headers.items()
            if name.lower().startswith("x-goog-meta-")
        }
        wanted = self.headers.get("x-goog-if-generation-match")
        with _lock:
            present = _objects.get(self._name())
            if wanted is not None and wanted != (present.generation if present else "0"):
                self._complain(412, "PreconditionFailed")
                return
            stored = Stored(data, str(next(_generations)), time.time(), metadata)
            _objects[self._name()] = stored
        self._answer(200, b"", self._told(stored))

    def do_GET(self) -> None:
        """Answer with an object, a part of it, or a listing."""
        name = self._name()
        if "/" not in name:
            self._list(name, parse_qs(urlsplit(self.path).query))
            return
        stored = _objects.get(name)
        if stored is None:
            self._complain(404, "NoSuchKey")
            return
        headers = self._told(stored)
        asked = _RANGE.match(self.headers.get("Range", ""))
        if asked is None:
            self._answer(200, stored.data, headers)
            return
        size, start = len(stored.data), int(asked[1])
        stop = min(int(asked[2]) + 1 if asked[2] else size, size)
        if start >= size:
            self._complain(416, "InvalidRange")
            return
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        self._answer(206, stored.data[start:stop], headers)

    do_HEAD = do_GET

    def do_DELETE(self) -> None:
        """Forget an object."""
        with _lock:
            found = _objects.pop(self._name(), None)
        if found is None:
            self._complain(404, "NoSuchKey")
        else:
            self._answer(204, b"", {})

    def _list(self, bucket: str, query: dict[str, list[str]]) -> None:
        prefix = f"{bucket}/{query.get('prefix', [''])[0]}"
        after = query.get("continuation-token", query.get("start-after", [""]))[-1]
        found = sorted(name for name in list(_objects) if name.startswith(prefix))
        keys = [name.partition("/")[2] for name in found]
        keys = [key for key in keys if key > after]
        page, rest = keys[:_PAGE], keys[_PAGE:]
        body = "".join(self._entry(bucket, key) for key in page)
        if rest:
            body += f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>"
        self._answer(200, f"<ListBucketResult>{body}</ListBucketResult>".encode(), {})

    def _entry(self, bucket: str, key: str) -> str:
        stored = _objects[f"{bucket}/{key}"]
        when = datetime.fromtimestamp(stored.modified, UTC).isoformat().replace("+00:00", "Z")
        return (
            f"<Contents><Key>{escape(key)}</Key><Size>{len(stored.data)}</Size>"
            f"<LastModified>{when}</LastModified><ETag>{self._tag(stored)}</ETag></Contents>"
        )

    @staticmethod
    def _tag(stored: Stored) -> str:
        return f'"{hashlib.md5(stored.data).hexdigest()}"'

    def _told(self, stored: Stored) -> dict[str, str]:
        return {
            "ETag": self._tag(stored),
            "Last-Modified": formatdate(stored.modified, usegmt=True),
            "x-goog-generation": stored.generation,
            **stored.metadata,
        }

    def _complain(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>said here</Message></Error>".encode()
        self._answer(status, body, {"Content-Type": "application/xml"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
