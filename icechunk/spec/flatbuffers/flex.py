"""FlexBuffers: bytes of one JSON-like value, and the value back.

Source of the layout: the FlexBuffers part of the FlatBuffers documentation; Icechunk spec 2 uses
it for metadata values and for the repository configuration.  The writer emits 8-byte slots and
untyped vectors only, which every reader accepts.  The reader knows every type: other writers pick
the narrowest width for each value, typed and fixed-length vectors and scalars behind offsets.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from icechunk.core.errors import ErrorKind, FormatError, InvalidInputError

MAX_DEPTH = 200
"""Deepest nesting of containers that is written or read."""

_NULL, _INT, _UINT, _FLOAT, _KEY, _STRING = range(6)
_INDIRECT_INT, _INDIRECT_UINT, _INDIRECT_FLOAT = 6, 7, 8
_MAP, _VECTOR = 9, 10
_VECTOR_INT, _VECTOR_STRING_DEPRECATED = 11, 15
_FIXED_FIRST, _FIXED_LAST = 16, 24
_BLOB, _BOOL, _VECTOR_BOOL = 25, 26, 36

_INT64_MIN, _INT64_MAX, _UINT64_MAX = -(2**63), 2**63 - 1, 2**64 - 1
_FLOATS = {2: struct.Struct("<e"), 4: struct.Struct("<f"), 8: struct.Struct("<d")}
_WIDTH_8 = 3  # log2 of the only slot width the writer uses


def _utf8(text: str) -> bytes:
    """UTF-8 form of a text, refusing lone surrogates."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            "bad metadata: a text holds half of a surrogate pair and has no UTF-8 form. "
            "Replace it, for example with text.encode(errors='replace').",
            ErrorKind.BAD_METADATA,
        ) from error


class _Writer:
    """Growing buffer; every `value` leaves its contents there and returns slot and type."""

    def __init__(self) -> None:
        self.out = bytearray()

    def align(self) -> None:
        """Pad to the next multiple of the slot width."""
        self.out.extend(b"\0" * (-len(self.out) % 8))

    def text(self, text: str) -> int:
        """Write a string with its length and terminator; position of its first byte."""
        raw = _utf8(text)
        self.align()
        self.out += len(raw).to_bytes(8, "little")
        position = len(self.out)
        self.out += raw + b"\0"
        return position

    def key(self, text: str) -> int:
        """Write a map key (no length, ended by NUL); position of its first byte."""
        raw = _utf8(text)
        if 0 in raw:
            raise InvalidInputError(
                f"bad metadata: the key {text!r} holds a NUL character. Choose another key.",
                ErrorKind.BAD_METADATA,
            )
        position = len(self.out)
        self.out += raw + b"\0"
        return position

    def slots(self, values: list[tuple[int, int]]) -> None:
        """Write one 8-byte slot per (type, content): a position becomes a distance back."""
        here = len(self.out)
        for index, (kind, content) in enumerate(values):
            if kind in (_STRING, _MAP, _VECTOR, _KEY):
                content = here + 8 * index - content
            self.out += (content & _UINT64_MAX).to_bytes(8, "little")

    def value(self, value: Any, depth: int = 0) -> tuple[int, int]:
        """Write what does not fit a slot; (type, slot content or position)."""
        if value is None:
            return _NULL, 0
        if value is True or value is False:
            return _BOOL, int(value)
        if isinstance(value, str):
            return _STRING, self.text(value)
        if isinstance(value, int):
            if _INT64_MIN <= value <= _INT64_MAX:
                return _INT, value
            if 0 <= value <= _UINT64_MAX:
                return _UINT, value
            value = float(value)
        if isinstance(value, float):
            return _FLOAT, int.from_bytes(struct.pack("<d", value), "little")
        if depth >= MAX_DEPTH:
            raise InvalidInputError(
                f"bad metadata: values nested more than {MAX_DEPTH} deep cannot be stored. "
                "Flatten the value.",
                ErrorKind.BAD_METADATA,
            )
        if isinstance(value, Mapping):
            return self.map(value, depth)
        if isinstance(value, list | tuple):
            items = [self.value(item, depth + 1) for item in value]
            self.align()
            return _VECTOR, self.body(items)
        raise TypeError(f"'{type(value).__name__}' object cannot be stored as a metadata value")

    def map(self, value: Mapping[str, Any], depth: int) -> tuple[int, int]:
        """Write a map: its sorted keys vector, then the values."""
        names = sorted(value, key=_utf8)
        items = [self.value(value[name], depth + 1) for name in names]
        keys = [(_KEY, self.key(name)) for name in names]
        self.align()
        self.out += len(keys).to_bytes(8, "little")
        keys_at = len(self.out)
        self.slots(keys)
        self.out += (len(self.out) - keys_at).to_bytes(8, "little")
        self.out += (8).to_bytes(8, "little")
        return _MAP, self.body(items)

    def body(self, items: list[tuple[int, int]]) -> int:
        """Write length, slots and types of a container; position of the first slot."""
        self.out += len(items).to_bytes(8, "little")
        position = len(self.out)
        self.slots(items)
        self.out += bytes([kind << 2 | _WIDTH_8 for kind, _ in items])
        return position


def encode(value: Any) -> bytes:
    """FlexBuffers bytes of a JSON-like value.

    Parameters
    ----------
    value : None, bool, int, float, str, list, tuple or mapping with str keys
        Integers outside the range of int64 and uint64 become floats.

    Returns
    -------
    bytes
        Self-contained, any alignment.

    Raises
    ------
    InvalidInputError
        Keys with NUL characters, text without a UTF-8 form, nesting beyond `MAX_DEPTH`.
    TypeError
        Values that are not JSON-like.
    """
    writer = _Writer()
    root = writer.value(value)
    writer.align()
    writer.slots([root])
    writer.out += bytes([root[0] << 2 | _WIDTH_8, 8])
    return bytes(writer.out)


class _Damaged(Exception):
    """What is wrong with the bytes; `decode` adds where they came from."""


def _damaged(what: str) -> NoReturn:
    raise _Damaged(what)


class _Reader:
    """Bounds-checked view of one buffer; `budget` limits the expansion of shared values."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.budget = 64 * len(data) + 1024

    def spend(self, amount: int) -> None:
        """Count decoded elements and bytes against what a well-formed buffer can hold."""
        self.budget -= amount
        if self.budget < 0:
            _damaged("it unfolds to far more data than it holds")

    def unsigned(self, position: int, width: int) -> int:
        """Unsigned integer of `width` bytes."""
        if position < 0 or position + width > len(self.data):
            _damaged("a position lies outside")
        return int.from_bytes(self.data[position : position + width], "little")

    def target(self, position: int, width: int) -> int:
        """Position that the offset stored at `position` points back to."""
        target = position - self.unsigned(position, width)
        if target < 0:
            _damaged("an offset points before the start")
        return target

    def scalar(self, kind: int, position: int, width: int) -> Any:
        """Inline scalar of one of the five scalar types."""
        if kind == _NULL:
            return None
        raw = self.unsigned(position, width)
        if kind == _INT:
            return raw - (1 << 8 * width) if raw >> (8 * width - 1) else raw
        if kind == _UINT:
            return raw
        if kind == _BOOL:
            return raw != 0
        if width not in _FLOATS:
            _damaged("a float of one byte")
        return _FLOATS[width].unpack_from(self.data, position)[0]

    def key(self, position: int) -> str:
        """Text that ends at the next NUL."""
        end = self.data.find(b"\0", position)
        if end < 0:
            _damaged("a key without end")
        return self.text(position, end)

    def text(self, start: int, end: int) -> str:
        """UTF-8 text of a range."""
        if end > len(self.data):
            _damaged("a text reaches beyond the end")
        self.spend(end - start)
        try:
            return self.data[start:end].decode()
        except UnicodeDecodeError:
            _damaged("a text is not UTF-8")

    def length(self, position: int, width: int, element: int) -> int:
        """Number of elements stored just before `position`, checked against the end."""
        count = self.unsigned(position - width, width)
        if position + count * element > len(self.data):
            _damaged("a container reaches beyond the end")
        self.spend(count)
        return count

    def value(self, packed: int, position: int, width: int, depth: int = 0) -> Any:
        """Value whose slot of `width` bytes is at `position`."""
        kind, inner = packed >> 2, 1 << (packed & 3)
        if kind <= _FLOAT or kind == _BOOL:
            return self.scalar(kind, position, width)
        here = self.target(position, width)
        if kind == _STRING:
            return self.text(here, here + self.length(here, inner, 1))
        if kind == _KEY:
            return self.key(here)
        if _INDIRECT_INT <= kind <= _INDIRECT_FLOAT:
            return self.scalar(kind - 5, here, inner)
        if depth >= MAX_DEPTH:
            _damaged(f"containers are nested more than {MAX_DEPTH} deep")
        if kind == _BLOB:
            return list(self.data[here : here + self.length(here, inner, 1)])
        if kind not in (_MAP, _VECTOR):
            return self.typed(kind, here, inner)
        count = self.length(here, inner, inner + 1)
        types = here + count * inner
        # An explicit loop: a comprehension would cost a second Python frame per level.
        values: list[Any] = []
        for row in range(count):
            slot = here + row * inner
            values.append(self.value(self.data[types + row], slot, inner, depth + 1))
        if kind == _VECTOR:
            return values
        keys = self.map_keys(here, inner)
        if len(keys) != count:
            _damaged("a map has more values than keys, or fewer")
        return dict(zip(keys, values, strict=True))

    def map_keys(self, position: int, width: int) -> list[str]:
        """Keys of the map whose values start at `position`."""
        keys_at = self.target(position - 3 * width, width)
        key_width = self.unsigned(position - 2 * width, width)
        if key_width not in (1, 2, 4, 8):
            _damaged("a map whose keys have an impossible width")
        count = self.length(keys_at, key_width, key_width)
        slots = range(keys_at, keys_at + count * key_width, key_width)
        return [self.key(self.target(slot, key_width)) for slot in slots]

    def typed(self, kind: int, position: int, width: int) -> list[Any]:
        """Vector whose elements share one type: typed, fixed-length or boolean."""
        if _FIXED_FIRST <= kind <= _FIXED_LAST:
            count = (kind - _FIXED_FIRST) // 3 + 2
            kind = (kind - _FIXED_FIRST) % 3 + _INT
            if position + count * width > len(self.data):
                _damaged("a container reaches beyond the end")
            self.spend(count)
        else:
            count = self.length(position, width, width)
            if kind == _VECTOR_BOOL:
                kind = _BOOL
            elif _VECTOR_INT <= kind <= _VECTOR_STRING_DEPRECATED:
                kind += _INT - _VECTOR_INT
            else:
                _damaged(f"unknown type {kind}")
        slots = range(position, position + count * width, width)
        if kind == _KEY:
            return [self.key(self.target(slot, width)) for slot in slots]
        if kind == _STRING:
            starts = [self.target(slot, width) for slot in slots]
            return [self.text(at, at + self.length(at, 1, 1)) for at in starts]
        if kind == _FLOAT and width not in _FLOATS:
            _damaged("a float of one byte")
        letter = {_INT: "i", _UINT: "u", _FLOAT: "f", _BOOL: "u"}[kind]
        column = np.frombuffer(self.data, f"<{letter}{width}", count, position)
        listed: list[Any] = (column != 0).tolist() if kind == _BOOL else column.tolist()
        return listed


def decode(data: bytes | memoryview, *, name: str = "a metadata value") -> Any:
    """Value of a FlexBuffers buffer written by any writer.

    Parameters
    ----------
    data : bytes or memoryview
        One self-contained buffer.
    name : str
        The object that holds it, for error messages.

    Returns
    -------
    None, bool, int, float, str, list or dict
        Blobs become lists of integers, as JSON has no bytes.

    Raises
    ------
    FormatError
        Damaged bytes, kind ``deserialization``.
    """
    raw = bytes(data)
    try:
        if len(raw) < 3:
            _damaged(f"{len(raw)} bytes are too few")
        packed, width = raw[-2], raw[-1]
        if width not in (1, 2, 4, 8) or len(raw) < 2 + width:
            _damaged(f"impossible width {width} of the root")
        if packed >> 2 in (_INT, _UINT):  # a number of a commit: most values of a long history
            return int.from_bytes(raw[-2 - width : -2], "little", signed=packed >> 2 == _INT)
        return _Reader(raw).value(packed, len(raw) - 2 - width, width)
    except _Damaged as damage:
        raise FormatError(
            f"error deserializing `{name}`: damaged FlexBuffers value, {damage}. Restore the "
            "object, for example from a copy of the repository.",
            ErrorKind.DESERIALIZATION,
        ) from None
