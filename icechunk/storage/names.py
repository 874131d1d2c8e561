"""Object keys as file names, and file names that are not objects.

Special characters of a segment are percent-encoded, as other implementations do on local file
systems; only names of refs in repositories of format 1 contain any. ``#`` is one of them, so names
that end in ``#`` and digits are available for files that are not objects: temporary files (also
those of other implementations) and the lock.
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
"""The lock file in the root folder. It is never deleted: a process could take the lock of a
deleted file while another makes a new one."""


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
    """Return the segment of a file name; a name without ``%`` is the segment itself."""
    return unquote(name) if "%" in name else name


def encode_key(key: str) -> str:
    """Return an object's path relative to the root, with the separators of the platform.

    Raises
    ------
    InvalidInputError
        If the key could name something outside the root.
    """
    return os.sep.join(map(encode_segment, segments(key)))


def is_hidden(name: str) -> bool:
    """Whether a file is not an object, but temporary or a lock."""
    return _HIDDEN.search(name) is not None


def temporary_beside(path: str) -> str:
    """Return a new name for a file that will be renamed to `path`."""
    return f"{path}#{10**17 + int.from_bytes(os.urandom(12)) % (9 * 10**17)}"


def is_our_temporary(name: str) -> bool:
    """Whether `temporary_beside` made this name."""
    return _OURS.search(name) is not None
