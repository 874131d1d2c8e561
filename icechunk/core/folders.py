"""Paths of the local file system as people write them: ``~``, ``file:`` URLs, relative ones."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit
from urllib.request import url2pathname

from icechunk.core.errors import ErrorKind, InvalidInputError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?=/)|(file):", re.IGNORECASE)
"""Two letters at least: one is a drive of Windows.  `pathlib.Path` leaves one slash of two."""

_BUCKETS = "icechunk.{}_storage(bucket={!r}, prefix={!r}, from_env=True)"
_AZURE = "icechunk.azure_storage(account=..., container={!r}, prefix={!r}, from_env=True)"
_INSTEAD = {
    "s3": _BUCKETS.format("s3", "{0}", "{1}"),
    "s3a": _BUCKETS.format("s3", "{0}", "{1}"),
    "gs": _BUCKETS.format("gcs", "{0}", "{1}"),
    "gcs": _BUCKETS.format("gcs", "{0}", "{1}"),
    "r2": _BUCKETS.format("r2", "{0}", "{1}"),
    "tigris": _BUCKETS.format("tigris", "{0}", "{1}"),
    "az": _AZURE.format("{0}", "{1}"),
    "azure": _AZURE.format("{0}", "{1}"),
    "abfs": _AZURE.format("{0}", "{1}"),
    "http": "icechunk.http_storage({2!r})",
    "https": "icechunk.http_storage({2!r})",
    "memory": "icechunk.in_memory_storage()",
}
"""By scheme, what a URL of another kind is given to."""


def local_path(given: str | os.PathLike[str]) -> str:
    """Absolute path of a folder or file of this machine.

    Parameters
    ----------
    given : str or path-like
        A path, relative ones from the present working directory, with ``~`` or ``~user`` in front
        for a home folder; or a ``file:`` URL, whose percent-encoded characters are decoded.

    Raises
    ------
    InvalidInputError
        Kind ``cannot-parse-url`` for URLs of other kinds, naming what takes them, for file URLs of
        another machine, for the home folder of an unknown user, and for an empty text.
    """
    text = os.fsdecode(given)
    scheme = _URL.match(text)
    if scheme is not None:
        text = _of_url((scheme[1] or scheme[2]).lower(), text)
    elif not text:
        raise _unreadable("a path is empty; give `.` for the present working directory")
    if text.startswith("~"):
        home = os.path.expanduser(text)
        if home.startswith("~"):
            raise _unreadable(
                f"`{text}` begins with the home folder of a user that this machine does not know; "
                f"give `./{text}` for a folder of that name"
            )
        text = home
    return os.path.abspath(text)


def _of_url(scheme: str, url: str) -> str:
    """Path that a URL names, perhaps with a home folder in front."""
    rest = url.partition(":")[2]
    if scheme != "file":
        bucket, _, prefix = rest.lstrip("/").partition("?")[0].partition("/")
        whole = f"{scheme}://{rest.lstrip('/')}"
        instead = _INSTEAD.get(scheme, "icechunk.fsspec_storage({2!r})")
        raise _unreadable(
            f"`{url.partition('?')[0]}` is no path of the local file system; use "
            f"{instead.format(bucket, prefix.strip('/'), whole)}"
        )
    parts = urlsplit(f"file:{rest}")
    if parts.query or parts.fragment:
        raise _unreadable(
            f"`{url}` has a query or a fragment, which file URLs have not; write `?` as %3F and "
            "`#` as %23, or give the path without `file://`"
        )
    if not rest.startswith("/"):
        raise _unreadable(
            f"`{url}` is a file URL without a slash; write file:///folder, or `{rest}` alone for a "
            "relative path"
        )
    if parts.netloc.startswith(("~", ".")):
        return url2pathname(parts.netloc + parts.path)
    if parts.netloc.lower() not in ("", "localhost") and os.name != "nt":
        raise _unreadable(
            f"`{url}` names the machine `{parts.netloc}`; a path follows three slashes, as in "
            "file:///folder, and a folder of another machine has to be mounted"
        )
    host = "" if parts.netloc.lower() in ("", "localhost") else f"//{parts.netloc}"
    return url2pathname(host + parts.path)


def _unreadable(what: str) -> InvalidInputError:
    return InvalidInputError(what, ErrorKind.CANNOT_PARSE_URL)
