"""Object keys as file names, and file names that are not objects.

Odd characters of a segment are percent-encoded as other implementations do on local file systems;
only names of refs of spec 1 repositories contain any. Since ``#`` is among them, names that end in
``#`` and digits are free for files that are not objects: temporaries (ours and others') and locks.
"""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

from icechunk.storage.base import segments

_ODD = frozenset('%~#?*{^}]"><[|`\\' + "\x7f" + "".join(map(chr, range(32))))
_ODD_HERE = _ODD | frozenset(":") if os.name == "nt" else _ODD
_HIDDEN = re.compile(r"#\d+$")
_OURS = re.compile(r"#\d{18}$")

LOCK_NAME = "icechunk-lock#0"
"""The lock file in the root folder. It stays when nobody holds it: deleting it would be a race."""


def encode_segment(segment: str) -> str:
    """Return the file name of one segment of a key."""
    if segment.isascii() and _ODD_HERE.isdisjoint(segment):
        return segment
    return "".join(
        character
        if character.isascii() and character not in _ODD_HERE
        else "".join(f"%{byte:02X}" for byte in character.encode())
        for character in segment
    )


def decode_segment(name: str) -> str:
    """Return the segment that a file name stands for; names nobody encoded stand for themselves."""
    return unquote(name) if "%" in name else name


def encode_key(key: str) -> str:
    """Return an object's file name relative to the root, in the platform's notation.

    Raises
    ------
    InvalidInputError
        If the key could name something outside the root.
    """
    return os.sep.join(map(encode_segment, segments(key)))


def is_hidden(name: str) -> bool:
    """Tell whether a file is no object: a temporary or a lock."""
    return _HIDDEN.search(name) is not None


def temporary_beside(path: str) -> str:
    """Return a fresh name for a file that is to become `path`."""
    return f"{path}#{10**17 + int.from_bytes(os.urandom(12)) % (9 * 10**17)}"


def is_our_temporary(name: str) -> bool:
    """Tell whether `temporary_beside` made this name."""
    return _OURS.search(name) is not None
