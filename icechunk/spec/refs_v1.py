"""Branches and tags of spec 1: one small JSON object each.

Icechunk spec 1, "References": ``refs/branch.NAME/ref.json`` and ``refs/tag.NAME/ref.json`` hold
``{"snapshot":"<id>"}``; a deleted tag keeps its object and gets an empty tombstone next to it.
"""

from __future__ import annotations

import json

from icechunk.core.errors import ErrorKind, FormatError, InvalidInputError
from icechunk.core.ids import ObjectId, id_text, parse_object_id

REFS = "refs/"
_BRANCH, _TAG = "refs/branch.", "refs/tag."
_REF, _TOMBSTONE = "/ref.json", "/ref.json.deleted"
_ENCODED = frozenset('%~#?*{^}]"><[|`\\')
"""ASCII characters that are percent-encoded in the names of objects."""

TOMBSTONE = b""
"""Content of a tombstone."""


def encode_ref(target: ObjectId) -> bytes:
    """Content of ``ref.json``."""
    return b'{"snapshot":"%b"}' % id_text(target).encode()


def decode_ref(data: bytes, *, name: str) -> ObjectId:
    """Snapshot that a ``ref.json`` points to.

    Parameters
    ----------
    data : bytes
        The whole object.
    name : str
        Its name, for error messages.

    Raises
    ------
    FormatError
        Kind ``deserialization`` for anything else.
    """
    try:
        content = json.loads(data)
        return parse_object_id(content["snapshot"])
    except (ValueError, TypeError, KeyError, RecursionError, InvalidInputError) as error:
        raise FormatError(
            f"error deserializing `{name}`: it does not name a snapshot. Restore the object, or "
            "delete it if the ref is not needed.",
            ErrorKind.DESERIALIZATION,
        ) from error


def check_ref_name(name: str) -> str:
    """Return a name that spec 1 can store; the empty one can be.

    Raises
    ------
    InvalidInputError
        Kind ``invalid-ref-name`` for names with a slash.
    """
    if "/" in name:
        raise InvalidInputError(
            f"invalid ref name `{name}`: repositories of spec version 1 take no `/` in names. "
            "Choose another name, or upgrade the repository.",
            ErrorKind.INVALID_REF_NAME,
        )
    return name


def check_new_name(name: str) -> str:
    """Return a name for a new ref, if every implementation finds the ref again under it.

    The Rust library lists refs by the names of their objects and leaves them percent-encoded: it
    then looks for a branch ``%C3%A9`` and gives up collecting and expiring, and a tag ``é`` does
    not protect its snapshot there.

    Raises
    ------
    InvalidInputError
        Kind ``invalid-ref-name`` for names with a slash, or a character that is encoded.
    """
    check_ref_name(name)
    odd = [character for character in name if not " " <= character <= "~" or character in _ENCODED]
    if odd:
        raise InvalidInputError(
            f"invalid ref name `{name}`: in a repository of spec version 1 other programs lose "
            f"refs with {odd[0]!r} in their names from sight, so that their garbage collection "
            "and expiration fail. Use letters, digits and -_.+=:@, or upgrade the repository with "
            "`icechunk.upgrade_icechunk_repository`",
            ErrorKind.INVALID_REF_NAME,
        )
    return name


def branch_key(name: str) -> str:
    """Object name of a branch."""
    return f"{_BRANCH}{check_ref_name(name)}{_REF}"


def tag_key(name: str) -> str:
    """Object name of a tag."""
    return f"{_TAG}{check_ref_name(name)}{_REF}"


def tombstone_key(name: str) -> str:
    """Object name of a deleted tag's tombstone."""
    return f"{_TAG}{check_ref_name(name)}{_TOMBSTONE}"


def branch_of(key: str) -> str | None:
    """Name of the branch that an object name stands for, None for other objects."""
    return _middle(key, _BRANCH, _REF)


def tag_of(key: str) -> str | None:
    """Name of the tag that an object name stands for, None for other objects."""
    return _middle(key, _TAG, _REF)


def deleted_tag_of(key: str) -> str | None:
    """Name of the tag whose tombstone an object name stands for, None for other objects."""
    return _middle(key, _TAG, _TOMBSTONE)


def _middle(key: str, start: str, end: str) -> str | None:
    if not (key.startswith(start) and key.endswith(end)):
        return None
    name = key[len(start) : -len(end)]  # may be empty: the reference library allows that
    return name if "/" not in name else None
