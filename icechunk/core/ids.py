"""Identifiers of stored objects and nodes, and their Crockford base-32 text form.

Icechunk spec, "Object ids": 12 random bytes name snapshots, manifests, chunks and transaction
logs, 8 random bytes name nodes.  The text form uses 5 bits per character, most significant bit
first, zero bits appended at the right: 20 and 13 characters.
"""

from __future__ import annotations

import os
from typing import NewType

from icechunk.core.errors import ErrorKind, InvalidInputError

ObjectId = NewType("ObjectId", bytes)
NodeId = NewType("NodeId", bytes)

OBJECT_ID_SIZE = 12
NODE_ID_SIZE = 8

INITIAL_SNAPSHOT_ID = ObjectId(bytes.fromhex("0b1cc8d6787580f0e33a6534"))
"""Id of the snapshot that every repository starts with (text form ``1CECHNKREP0F1RSTCMT0``)."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_VALUES = {char: value for value, char in enumerate(_ALPHABET)}
_VALUES |= {char.lower(): value for char, value in _VALUES.items()}
# Crockford: letters that look like digits decode as these digits.
_VALUES |= {"O": 0, "o": 0, "I": 1, "i": 1, "L": 1, "l": 1}


def _shifts(size: int) -> tuple[int, int, range]:
    """Return the characters, padding bits and shifts to each pair of digits for a size in bytes."""
    chars = -(-size * 8 // 5)
    bits = -(-chars // 2) * 10
    return chars, bits - size * 8, range(bits - 10, -1, -10)


_SHIFTS = {size: _shifts(size) for size in range(OBJECT_ID_SIZE + 1)}


def new_object_id() -> ObjectId:
    """Return a new random id of a snapshot, manifest, chunk or transaction log."""
    return ObjectId(os.urandom(OBJECT_ID_SIZE))


def new_node_id() -> NodeId:
    """Return a new random id of a node."""
    return NodeId(os.urandom(NODE_ID_SIZE))


def id_text(raw: bytes) -> str:
    """Return the Crockford base-32 text of an id (20 characters for 12 bytes, 13 for 8)."""
    if len(raw) == OBJECT_ID_SIZE:  # written out, as every key and every row of a log has one
        p, n = _PAIRS, int.from_bytes(raw, "big") << 4
        return (
            f"{p[n >> 90]}{p[n >> 80 & 1023]}{p[n >> 70 & 1023]}{p[n >> 60 & 1023]}"
            f"{p[n >> 50 & 1023]}{p[n >> 40 & 1023]}{p[n >> 30 & 1023]}{p[n >> 20 & 1023]}"
            f"{p[n >> 10 & 1023]}{p[n & 1023]}"
        )
    chars, spare, shifts = _SHIFTS[len(raw)]
    number = int.from_bytes(raw, "big") << spare
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in shifts])[:chars]


def _decode(text: str, size: int) -> bytes | None:
    """Return the bytes of a base-32 text, or None if it is not the text of `size` bytes."""
    chars = -(-size * 8 // 5)
    if len(text) != chars:
        return None
    number = 0
    for char in text:
        value = _VALUES.get(char)
        if value is None:
            return None
        number = number << 5 | value
    spare = chars * 5 - size * 8
    if number & ((1 << spare) - 1):
        return None
    return (number >> spare).to_bytes(size, "big")


def parse_object_id(text: str) -> ObjectId:
    """Parse the 20-character text of a snapshot id (case-insensitive).

    Raises
    ------
    TypeError
        If `text` is not a string.
    InvalidInputError
        Kind ``invalid-snapshot-id`` when the text is not a valid id.
    """
    if not isinstance(text, str):
        raise TypeError(f"a snapshot id must be a str, not {type(text).__name__}")
    raw = _decode(text, OBJECT_ID_SIZE)
    if raw is None:
        raise InvalidInputError(
            f"invalid snapshot id: `{text}`; ids are 20 characters of 0-9 and A-Z, "
            "as printed by `Repository.ancestry` and returned by `Session.commit`",
            ErrorKind.INVALID_SNAPSHOT_ID,
        )
    return ObjectId(raw)
