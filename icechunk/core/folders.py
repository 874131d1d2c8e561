"""Conversion of user input to local paths: ``~``, ``file:`` URLs and relative paths."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from icechunk.core.errors import ErrorKind, InvalidInputError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?=/)|(file):", re.IGNORECASE)
"""A scheme has two letters or more: one letter is a drive of Windows.  One slash is enough, since
`pathlib.Path` turns two slashes into one."""


def local_path(
    given: str | os.PathLike[str], advice: Callable[[str, str], str] | None = None
) -> str:
    """Return the absolute path of a local folder or file.

    Parameters
    ----------
    given : str or path-like
        A path, which may be relative to the working directory or begin with ``~`` or ``~user``; or
        a ``file:`` URL, whose percent-encoded characters are decoded.
    advice : callable, optional
        Returns what to use instead of a path, from the scheme of a URL and the URL.

    Raises
    ------
    InvalidInputError
        Kind ``cannot-parse-url`` for URLs of other schemes, for file URLs of another machine, for
        the home folder of an unknown user, and for an empty text.
    """
    text = os.fsdecode(given)
    scheme = _URL.match(text)
    if scheme is not None:
        text = _of_url((scheme[1] or scheme[2]).lower(), text, advice)
    elif not text:
        raise _bad_path("a path is empty; give `.` for the present working directory")
    if text.startswith("~"):
        home = os.path.expanduser(text)
        if home.startswith("~"):
            raise _bad_path(
                f"`{text}` begins with the home folder of a user that this machine does not have; "
                f"give `./{text}` for a folder of that name"
            )
        text = home
    return os.path.abspath(text)


def _of_url(scheme: str, url: str, advice: Callable[[str, str], str] | None) -> str:
    """Return the path of a ``file:`` URL, which may begin with ``~``."""
    rest = url.partition(":")[2]
    if scheme != "file":
        # `pathlib.Path` leaves one slash of two.
        whole = f"{scheme}://{rest.lstrip('/')}"
        instead = "a path or a file: URL" if advice is None else advice(scheme, whole)
        raise _bad_path(
            f"`{url.partition('?')[0]}` is not a path of the local file system; use {instead}"
        )
    parts = urlsplit(f"file:{rest}")
    if parts.query or parts.fragment:
        raise _bad_path(
            f"`{url}` has a query or a fragment, which file URLs cannot have; write `?` as %3F and "
            "`#` as %23, or give the path without `file://`"
        )
    if not rest.startswith("/"):
        raise _bad_path(
            f"`{url}` is a file URL without a slash; write file:///folder, or `{rest}` alone for a "
            "relative path"
        )
    from urllib.request import url2pathname  # loads HTTP and mail modules

    if parts.netloc.startswith(("~", ".")):
        return url2pathname(parts.netloc + parts.path)
    if parts.netloc.lower() not in ("", "localhost") and os.name != "nt":
        raise _bad_path(
            f"`{url}` names the machine `{parts.netloc}`; a path follows three slashes, as in "
            "file:///folder, and a folder of another machine has to be mounted"
        )
    host = "" if parts.netloc.lower() in ("", "localhost") else f"//{parts.netloc}"
    return url2pathname(host + parts.path)


def _bad_path(what: str) -> InvalidInputError:
    return InvalidInputError(what, ErrorKind.CANNOT_PARSE_URL)
