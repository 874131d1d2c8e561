"""A note behind the flatbuffer of a file that was patched instead of written in full.

Patches leave the references that they replace in the file, unused. The note says how large the
payload was when all of it was in use, so that a file that was patched too often is written in full.
Readers ignore what follows the last object of a flatbuffer; other writers may drop the note.
"""

from __future__ import annotations

import struct

from icechunk.spec.flatbuffers.read import Body

_NOTE = struct.Struct("<8sQ")
_MARK = b"ic-patch"


def read_note(body: Body) -> tuple[int, int]:
    """Return (bytes before the note, size of the payload when it was written in full)."""
    if body.size > _NOTE.size:
        mark, size = _NOTE.unpack_from(body.data, body.size - _NOTE.size)
        if mark == _MARK and size <= body.size:
            return body.size - _NOTE.size, size
    return body.size, body.size


def note(size: int) -> bytes:
    """The note for a payload that had `size` bytes when it was written in full (16 bytes)."""
    return _NOTE.pack(_MARK, size)
