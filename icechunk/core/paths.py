"""Absolute paths of nodes: ``/`` is the root; single slashes separate the segments."""

from __future__ import annotations

from collections.abc import Iterator

from icechunk.core.errors import ErrorKind, InvalidInputError

ROOT = "/"


def check_path(path: str) -> str:
    """Return an absolute node path unchanged.

    Raises
    ------
    TypeError
        If `path` is not a string.
    InvalidInputError
        Kind ``invalid-path`` for a relative path, an empty, ``.`` or ``..`` segment, a trailing
        slash, or text that is not valid Unicode.
    """
    if not isinstance(path, str):
        raise TypeError(f"a path must be a str, not {type(path).__name__}")
    if not path.startswith(ROOT):
        raise InvalidInputError(
            "could not create path from prefix: path must start with a `/` character, "
            f"got `{path}`; write `/{path}`",
            ErrorKind.INVALID_PATH,
        )
    if path != ROOT and any(part in ("", ".", "..") for part in path[1:].split("/")):
        raise InvalidInputError(
            f"could not create path from prefix: `{path}` has an empty, `.` or `..` segment",
            ErrorKind.INVALID_PATH,
        )
    if not is_unicode(path):
        shown = path.encode("utf-8", "backslashreplace").decode()
        raise InvalidInputError(
            f"could not create path from prefix: `{shown}` holds half of a surrogate pair, which "
            "no file can hold; use another name",
            ErrorKind.INVALID_PATH,
        )
    return path


def is_unicode(text: str) -> bool:
    """Return whether a text can be stored as UTF-8: a `str` may contain unpaired surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parent_and_name(path: str) -> tuple[str, str]:
    """Split the path of a node other than the root into the parent's path and the name."""
    parent, _, name = path.rpartition("/")
    return parent or ROOT, name


def ancestors(path: str) -> Iterator[str]:
    """Yield the proper ancestors of a path, from the parent to the root."""
    while path != ROOT:
        path, _ = parent_and_name(path)
        yield path


def join(parent: str, name: str) -> str:
    """Return the path of a child."""
    return f"/{name}" if parent == ROOT else f"{parent}/{name}"


def is_below(path: str, ancestor: str) -> bool:
    """Whether `path` is a proper descendant of `ancestor`."""
    return path != ancestor and path.startswith(ROOT if ancestor == ROOT else ancestor + "/")


def by_segments(path: str) -> tuple[bytes, ...]:
    """Sort key that compares paths segment by segment (Icechunk spec, moved nodes)."""
    return tuple(part.encode() for part in path.split("/"))
