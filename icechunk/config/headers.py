"""Validation of HTTP headers given by the user."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from icechunk.config.fields import expect
from icechunk.core.errors import ErrorKind, InvalidInputError

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


def checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return headers as a dictionary (RFC 9110: a name is a token, a value has no controls).

    Raises
    ------
    TypeError
        For anything but a mapping of texts.
    InvalidInputError
        Kind ``storage-config`` for a name or value that HTTP does not allow. The message does
        not contain values, which may be secrets.
    """
    if headers is None:
        return {}
    expect("headers", headers, Mapping)
    for name, value in headers.items():
        expect("headers", name, str)
        expect(f"headers[{name!r}]", value, str)
        if _NAME.fullmatch(name) is None:
            raise _bad(f'name "{name}"', "names have letters, digits and !#$%&'*+-.^_`|~ only")
        if _VALUE.fullmatch(value) is None:
            raise _bad(f'value for "{name}"', "values have no control characters or line breaks")
    return dict(headers)


def _bad(what: str, rule: str) -> InvalidInputError:
    return InvalidInputError(
        f"storage error: invalid HTTP header {what}: {rule}", ErrorKind.STORAGE_CONFIG
    )


def checked_or_none(headers: Any) -> dict[str, str] | None:
    """Return None for None, otherwise the same as `checked_headers`."""
    return None if headers is None else checked_headers(headers)
