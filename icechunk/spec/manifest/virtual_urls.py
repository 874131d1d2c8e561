"""Locations of virtual chunks: their stored form, and which container they belong to.

A location is a URL.  Its scheme is stored in lower case; ``file:`` URLs are stored as the WHATWG
URL standard serialises them (dot segments resolved, spaces and the like percent-encoded), all
others verbatim.  ``vcc://name/rest`` is relative to a named container.  A million locations are
checked by their prefixes in a few numpy operations; only those that prefixes do not decide become
Python strings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import as_strided

from icechunk.config.containers import VirtualChunkContainer
from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.spec.columns.text_column import TextColumn, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

RELATIVE = "vcc"
"""Scheme of locations relative to a named container."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_FILE = re.compile(r"([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_PATH_SET = frozenset(' "#<>?`{}')
_QUERY_SET = frozenset(" \"#<>'")
_FRAGMENT_SET = frozenset(' "<>`')
_CONTROLS = "".join(map(chr, range(0x21)))
_NO_CHANGE = re.compile(rb"[A-Za-z0-9_~!$&'()*+,;=:@%^|\[\].-]")


def _bad(location: str, why: str) -> InvalidInputError:
    return InvalidInputError(
        f'error parsing virtual ref URL: "{location}": {why}. Give an absolute URL such as '
        "s3://bucket/key or file:///folder/file",
        ErrorKind.INVALID_VIRTUAL_REF,
    )


def normalise(location: str) -> str:
    """Stored form of a location.

    Raises
    ------
    InvalidInputError
        Kind ``invalid-virtual-ref`` for anything that is not an absolute URL.
    """
    parts = _SCHEME.fullmatch(location)
    if parts is None:
        raise _bad(location, "relative URL without a base")
    if any("\ud800" <= char <= "\udfff" for char in location):
        raise _bad(location.encode("ascii", "backslashreplace").decode(), "it is not Unicode")
    scheme, rest = parts[1].lower(), parts[2]
    if scheme == "file":
        return _file_url(location, rest)
    if not rest.startswith("//") or not rest[2:].partition("/")[0]:
        raise _bad(location, "it names no host or bucket")
    return f"{scheme}:{rest}"


def _file_url(location: str, rest: str) -> str:
    """Serialise a file URL (WHATWG URL standard, path and file states)."""
    rest = re.sub("[\t\n\r]", "", rest).rstrip(_CONTROLS)
    parts = _FILE.fullmatch(rest)
    assert parts is not None
    path, query, fragment = parts[1].replace("\\", "/"), parts[2] or "", parts[3] or ""
    host = ""
    if path.startswith("//"):
        host, slash, path = path[2:].partition("/")
        path = slash + path
    if host.lower() == "localhost":
        host = ""
    kept: list[str] = []
    segments = path.removeprefix("/").split("/")
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        dots = segment.replace("%2e", ".").replace("%2E", ".")
        if dots == "..":
            kept = kept[:-1]
        elif dots != ".":
            kept.append(_escape(segment, _PATH_SET))
            continue
        if last:
            kept.append("")
    return (
        f"file://{host.lower()}/{'/'.join(kept)}"
        f"{_escape(query[1:], _QUERY_SET).join(['?', '']) if query else ''}"
        f"{_escape(fragment[1:], _FRAGMENT_SET).join(['#', '']) if fragment else ''}"
    )


def _escape(text: str, reserved: frozenset[str]) -> str:
    """Percent-encode the characters of a set, controls and everything beyond ASCII."""
    return "".join(
        char
        if " " <= char <= "~" and char not in reserved
        else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in text
    )


def escaped(url: str) -> str:
    """A URL with everything percent-encoded that cannot be sent; what is encoded stays as it is."""
    return _escape(url, _QUERY_SET - {"'", "#"})


def resolved(location: str, named: Mapping[str, str]) -> str:
    """Absolute URL of a location.

    Parameters
    ----------
    location : str
        As it is stored, possibly ``vcc://name/rest``.
    named : mapping of str to str
        URL prefix of every named container; locations of others stay as they are.
    """
    mark = f"{RELATIVE}://"
    if not location.startswith(mark):
        return location
    name, _, rest = location.removeprefix(mark).partition("/")
    if name not in named:
        return location
    url = canonical(named[name]) + rest
    return normalise(url) if url.startswith("file:") else url


def resolved_column(locations: TextColumn, named: Mapping[str, str]) -> list[str]:
    """Absolute URL of every row, as `resolved` gives them."""
    codes, values = locations.distinct(content=False)
    urls = values.texts()
    if named:
        urls = [resolved(url, named) for url in urls]
    return urls if len(urls) == len(codes) else spread(urls, codes)


def canonical(prefix: str) -> str:
    """A container's URL prefix as it is compared: in the stored form of locations, with a slash."""
    slashed = prefix if prefix.endswith("/") else prefix + "/"
    try:
        return normalise(slashed)
    except InvalidInputError:  # a bare scheme
        return slashed


def fits(container: VirtualChunkContainer) -> bool:
    """Whether a container can be used: stored ones that no store can serve are ignored."""
    return container.store._serves(container.url_prefix.partition(":")[0].lower())


class Containers:
    """The places that virtual chunks may be in.

    Parameters
    ----------
    containers : sequence of VirtualChunkContainer
        Longest URL prefix first; see `icechunk.config.resolve.Settings`.
    """

    def __init__(self, containers: Sequence[VirtualChunkContainer]) -> None:
        self._prefixes = tuple(canonical(container.url_prefix) for container in containers)
        names = [container.name for container in containers if container.name]
        self._prefixes += tuple(f"{RELATIVE}://{name}/" for name in names)

    def hold(self, location: str) -> bool:
        """Whether a location, in its stored form, lies in one of them."""
        return location.startswith(self._prefixes)

    def check(self, location: str) -> None:
        """Refuse a location, in its stored form, that lies in none.

        Raises
        ------
        InvalidInputError
            Kind ``no-container-for-virtual-chunk``.
        """
        if not self.hold(location):
            raise InvalidInputError(
                "invalid chunk location, no matching virtual chunk container: "
                f"`{location}`. Declare its URL prefix in the repository's configuration, see "
                "`RepositoryConfig.set_virtual_chunk_container`",
                ErrorKind.NO_CONTAINER_FOR_VIRTUAL_CHUNK,
            )

    def known(self, texts: TextColumn) -> NDArray[np.bool_]:
        """Which locations certainly lie in one of them and are in their stored form already.

        Parameters
        ----------
        texts : TextColumn
            Locations as given.

        Returns
        -------
        ndarray of bool, shape (n,)
            False asks for a closer look.
        """
        sure = np.zeros(len(texts), np.bool_)
        for prefix in self._prefixes:
            if sure.all():
                break
            sure |= _start_with(texts, prefix.encode())
        files = _start_with(texts, b"file:")
        if files.any():
            sure[files] &= _plain_paths(texts.take(files))
        return sure


def _start_with(texts: TextColumn, prefix: bytes) -> NDArray[np.bool_]:
    """Which texts are longer than a prefix and start with it."""
    found = texts.length > len(prefix)
    rows = np.flatnonzero(found)
    if not len(rows):
        return found
    pool = texts.pool_array
    shape = (len(pool) - len(prefix) + 1, len(prefix))
    windows = as_strided(pool, shape, (1, 1), writeable=False)
    found[rows] = (windows[texts.start[rows]] == np.frombuffer(prefix, np.uint8)).all(axis=1)
    return found


_PLAIN = np.zeros(256, np.bool_)
_PLAIN[np.frombuffer(b"/" + b"".join(_NO_CHANGE.findall(bytes(range(256)))), np.uint8)] = True


def _plain_paths(texts: TextColumn) -> NDArray[np.bool_]:
    """Which ``file:`` URLs serialise as themselves, as far as their bytes show."""
    pool = texts.pool_array
    odd = ~_PLAIN[pool]
    odd[1:] |= (pool[1:] == ord(".")) & (pool[:-1] == ord("/"))
    odd[2:] |= (pool[2:] == ord("2")) & (pool[1:-1] == ord("%")) & (pool[:-2] == ord("/"))
    before = np.zeros(len(pool) + 1, np.int64)
    np.cumsum(odd, out=before[1:])
    plain: NDArray[np.bool_] = before[texts.start + texts.length] == before[texts.start]
    return plain & _start_with(texts, b"file:///")
