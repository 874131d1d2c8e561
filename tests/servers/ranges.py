"""A small web server for one folder: ranges, tags and conditions, nothing else.

python ranges.py PORT FOLDER
"""

from __future__ import annotations

import re
import sys
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(sys.argv[2]).resolve()
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer with a file, or with a part of it."""
        file = (ROOT / unquote(self.path.partition("?")[0]).lstrip("/")).resolve()
        if not file.is_relative_to(ROOT) or not file.is_file():
            self._answer(404, b"nothing here")
            return
        data = file.read_bytes()
        stat = file.stat()
        tag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
        headers = {
            "ETag": tag,
            "Last-Modified": formatdate(stat.st_mtime, usegmt=True),
            "Accept-Ranges": "bytes",
        }
        asked = _RANGE.match(self.headers.get("Range", ""))
        if self.headers.get("If-None-Match") == tag:
            self._answer(304, b"", headers)
        elif self.headers.get("If-Match", tag) not in (tag, "*"):
            self._answer(412, b"", headers)
        elif asked is None:
            self._answer(200, data, headers)
        else:
            self._part(data, asked, headers)

    do_HEAD = do_GET

    def _part(self, data: bytes, asked: re.Match[str], headers: dict[str, str]) -> None:
        first, last = asked[1], asked[2]
        start = int(first) if first else max(len(data) - int(last), 0)
        stop = int(last) + 1 if first and last else len(data)
        stop = min(stop, len(data))
        if start >= stop:
            self._answer(416, b"", {**headers, "Content-Range": f"bytes */{len(data)}"})
            return
        span = {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
        self._answer(206, data[start:stop], {**headers, **span})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET" and status != 304:
            self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
