"""How far is the storage's clock from this machine's?"""

from __future__ import annotations

import http.client
import ssl
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from icechunk._version import API_VERSION
from icechunk.core.clock import from_datetime, now_us
from icechunk.diagnostics.report import Check, failed, not_applicable, passed
from icechunk.diagnostics.scratch import WITHOUT_ACCESS, ScratchArea

_SECOND = 1_000_000
_FAR_S = 60.0
_WAIT_S = 5.0


def clock(bench: ScratchArea) -> Check:
    """Compare with the time of a fresh object, else with the date of a web server's answer."""
    skew, resolution = _of_an_object(bench) or _of_an_answer(bench) or (None, 0.0)
    if skew is None:
        return not_applicable("clock", bench.bounds.why_not or "the storage tells no time")
    bench.clock_skew_s = round(skew, 3)
    side = "ahead of" if skew > 0 else "behind"
    said = f"the storage's clock is {abs(skew):.1f} s {side} this machine's"
    if abs(skew) <= resolution:
        return passed("clock", f"the same, to {resolution:.1f} s")
    if abs(skew) <= _FAR_S:
        return passed("clock", f"{said} (± {resolution:.1f} s)")
    return failed("clock", said, "set this machine's clock (NTP), or the server's")


def _of_an_object(bench: ScratchArea) -> tuple[float, float] | None:
    """Return the skew and what it may be off by, in seconds, from a fresh object."""
    if bench.why_not_written:
        return None
    key = bench.key("clock")

    def write() -> tuple[int, int, int]:
        before = now_us()
        bench.place.put(key, b"tick")
        after = now_us()
        info = bench.place.head(key)
        return before, after, 0 if info is None else info.modified

    times = bench.tried(write).value
    return None if times is None or not times[2] else _skew(*times)


def _skew(before: int, after: int, told: int) -> tuple[float, float]:
    """Compare a time that was told with when it may have been taken."""
    coarse = _SECOND if told % _SECOND == 0 else 0  # cut to the second
    middle = (before + after) / 2
    return (told + coarse / 2 - middle) / _SECOND, (after - before + coarse) / 2 / _SECOND + 0.1


def _of_an_answer(bench: ScratchArea) -> tuple[float, float] | None:
    """Return the same from the date of a web server's answer, asked without credentials."""
    url = _address(bench)
    if url is None or bench.bounds.stopped not in ("", WITHOUT_ACCESS):
        return None

    def ask() -> tuple[int, int, int]:
        before = now_us()
        date = _date(url)
        return before, now_us(), date

    times = bench.bounds.tried(ask, last=True).value
    return None if times is None or not times[2] else _skew(*times)


def _address(bench: ScratchArea) -> str | None:
    """Return an address that the storage's display shows, of a service that speaks HTTP."""
    for entry in bench.storage._entries():
        text = str(entry.value)
        if entry.name in ("url", "endpoint_url") and text.startswith(("http://", "https://")):
            return text
    return None


def _date(url: str) -> int:
    """Return the date of an answer in µs; 0 without one."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, parts.port, timeout=_WAIT_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=_WAIT_S)
    try:
        connection.request("HEAD", "/", headers={"User-Agent": f"icechunk/{API_VERSION}"})
        date = connection.getresponse().getheader("Date")
    finally:
        connection.close()
    return 0 if date is None else from_datetime(parsedate_to_datetime(date))
