"""Compare the storage's clock with this machine's."""

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


def clock(area: ScratchArea) -> Check:
    """Compare with the time of a fresh object, else with the date of a web server's answer."""
    skew, resolution = _of_an_object(area) or _of_an_answer(area) or (None, 0.0)
    if skew is None:
        return not_applicable("clock", area.bounds.why_not or "the storage reports no time")
    area.clock_skew_s = round(skew, 3)
    side = "ahead of" if skew > 0 else "behind"
    said = f"the storage's clock is {abs(skew):.1f} s {side} this machine's"
    if abs(skew) <= resolution:
        return passed("clock", f"the same, to {resolution:.1f} s")
    if abs(skew) <= _FAR_S:
        return passed("clock", f"{said} (± {resolution:.1f} s)")
    return failed("clock", said, "set this machine's clock (NTP), or the server's")


def _of_an_object(area: ScratchArea) -> tuple[float, float] | None:
    """Return the skew and its uncertainty in seconds, from the time of a new object."""
    if area.why_not_written:
        return None
    key = area.key("clock")

    def write() -> tuple[int, int, int]:
        before = now_us()
        area.place.put(key, b"tick")
        after = now_us()
        info = area.place.head(key)
        return before, after, 0 if info is None else info.modified

    times = area.tried(write).value
    return None if times is None or not times[2] else _skew(*times)


def _skew(before: int, after: int, reported: int) -> tuple[float, float]:
    """Skew and uncertainty of a reported time, taken between two times of this machine."""
    coarse = _SECOND if reported % _SECOND == 0 else 0  # truncated to the second
    middle = (before + after) / 2
    return (reported + coarse / 2 - middle) / _SECOND, (after - before + coarse) / 2 / _SECOND + 0.1


def _of_an_answer(area: ScratchArea) -> tuple[float, float] | None:
    """Return the same from the date of a web server's answer, asked without credentials."""
    url = _address(area)
    if url is None or area.bounds.stopped not in ("", WITHOUT_ACCESS):
        return None

    def ask() -> tuple[int, int, int]:
        before = now_us()
        date = _date(url)
        return before, now_us(), date

    times = area.bounds.tried(ask, last=True).value
    return None if times is None or not times[2] else _skew(*times)


def _address(area: ScratchArea) -> str | None:
    """Return an address that the storage's display shows, of a service that speaks HTTP."""
    for entry in area.storage._entries():
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
