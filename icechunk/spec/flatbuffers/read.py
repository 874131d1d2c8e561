"""Scalar access to FlatBuffers tables, with every read checked against the buffer.

A metadata file may come from anywhere, so nothing here trusts an offset, a count or a string:
whatever is wrong with the bytes surfaces as a `FormatError` naming the object, never as an
`IndexError`, a crash or an allocation larger than the buffer.

Example
-------
::

    root = Body(payload, "manifests/ABC").root()
    identity = root.struct(0, 12)              # required inline struct -> bytes
    note = root.opt_string(8)                  # str | None
    for item in root.vector_of_tables(1):      # required vector -> list[Table]
        print(item.u64(3), item.opt_bytes_vector(1))

Required and optional accessors come in pairs: `string` raises when the field is absent,
`opt_string` returns None. Scalars take a default instead.
"""

from __future__ import annotations

import struct
from typing import NoReturn, cast

from icechunk.core.errors import ErrorKind, FormatError

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_U64 = struct.Struct("<Q")
_TWO_U16 = struct.Struct("<HH")

# Bytes that may be decoded per byte of a payload: a well-formed one is read about twice.
_UNFOLDING = 8
_SMALL = 2**16
# What visiting a table counts: the smallest takes 4 bytes and the 4 of the offset to it.
_VISIT = 16


class Body:
    """The decompressed payload of one metadata file.

    Parameters
    ----------
    data
        The flatbuffer, without the Icechunk header; a view where it is very large.
    name
        Object name used in error messages, e.g. ``manifests/1CECHNKREP0F1RSTCMT0``.
    """

    __slots__ = ("_budget", "_vtables", "data", "name", "size")

    def __init__(self, data: bytes | memoryview, name: str) -> None:
        # slices of a view have to become bytes where they are kept, or compared
        self.data = cast("bytes", data)
        self.name = name
        self.size = len(data)
        self._vtables: dict[int, tuple[int, ...]] = {}
        self._budget = _UNFOLDING * self.size + _SMALL

    def root(self) -> Table:
        """Return the root table.

        Raises
        ------
        FormatError
            If the payload is too short or the root lies outside it.
        """
        if self.size < 8:
            self.fail("the payload is too short")
        return Table(self, self.u32_at(0))

    def fail(self, detail: str) -> NoReturn:
        """Raise the `FormatError` for a payload that breaks the format."""
        raise FormatError(
            f"error deserializing `{self.name}`: {detail}. "
            "The object is damaged: restore it from a backup or use another snapshot",
            kind=ErrorKind.DESERIALIZATION,
        )

    def spend(self, amount: int) -> None:
        """Count bytes copied and tables visited against what a well-formed payload can hold.

        Objects may be shared, so a few kilobytes that point to themselves can unfold to any size.
        """
        self._budget -= amount
        if self._budget < 0:
            self.fail("its parts overlap and unfold to far more data than it holds")

    def u32_at(self, pos: int) -> int:
        """Read a u32 at an absolute, non-negative position."""
        if pos + 4 > self.size:
            self.fail(f"position {pos} is out of bounds")
        value: int = _U32.unpack_from(self.data, pos)[0]
        return value

    def i32_at(self, pos: int) -> int:
        """Read an i32 at an absolute, non-negative position."""
        if pos + 4 > self.size:
            self.fail(f"position {pos} is out of bounds")
        value: int = _I32.unpack_from(self.data, pos)[0]
        return value

    def vtable_at(self, pos: int) -> tuple[int, ...]:
        """Return the field offsets of the vtable at `pos` (0 = absent field)."""
        known = self._vtables.get(pos)
        if known is not None:
            return known
        if pos < 0 or pos + 4 > self.size:
            self.fail(f"vtable at {pos} is out of bounds")
        length, _ = _TWO_U16.unpack_from(self.data, pos)
        if length < 4 or length % 2 or pos + length > self.size:
            self.fail(f"vtable at {pos} has an invalid size of {length} bytes")
        fields = struct.unpack_from(f"<{(length - 4) // 2}H", self.data, pos + 4)
        self._vtables[pos] = fields
        return fields

    def vector_at(self, pos: int, item_size: int) -> tuple[int, int]:
        """Return (position of the first element, count) of the vector at `pos`."""
        count = self.u32_at(pos)
        if pos + 4 + count * item_size > self.size:
            self.fail(f"a vector of {count} elements at {pos} is out of bounds")
        return pos + 4, count

    def string_at(self, pos: int) -> str:
        """Decode the string whose length prefix is at `pos`."""
        start, count = self.vector_at(pos, 1)
        self.spend(count)
        try:
            return str(self.data[start : start + count], "utf-8")
        except UnicodeDecodeError:
            self.fail(f"the string at {pos} is not valid UTF-8")


class Table:
    """A flatbuffer table: slots are read on demand.

    Slot ``k`` is the k-th field of the schema (vtable byte offset ``4 + 2k``). Slots the
    writer did not know about read as absent.
    """

    __slots__ = ("_vtable", "body", "pos")

    def __init__(self, body: Body, pos: int) -> None:
        self.body = body
        self.pos = pos
        self._vtable = body.vtable_at(pos - body.i32_at(pos))

    def presence(self, slot: int) -> bool:
        """Whether the field is stored at all."""
        return slot < len(self._vtable) and self._vtable[slot] != 0

    def fields_from(self, slot: int) -> dict[int, int]:
        """Absolute positions of the fields in and after a slot, by slot."""
        return {
            number: self.place(number, 1)
            for number in range(slot, len(self._vtable))
            if self._vtable[number]
        }

    def fail(self, detail: str) -> NoReturn:
        """Raise the `FormatError` for a table that breaks the format."""
        self.body.fail(detail)

    def place(self, slot: int, size: int) -> int:
        """Absolute position of a field of `size` bytes, 0 when absent."""
        vtable = self._vtable
        if slot >= len(vtable):
            return 0
        offset = vtable[slot]
        if not offset:
            return 0
        pos = self.pos + offset
        if pos + size > self.body.size:
            self.body.fail(f"field {slot} of the table at {self.pos} is out of bounds")
        return pos

    def _target(self, slot: int) -> int:
        """Absolute position an offset field points to, 0 when absent."""
        pos = self.place(slot, 4)
        if not pos:
            return 0
        target: int = pos + _U32.unpack_from(self.body.data, pos)[0]
        return target

    def _required(self, slot: int) -> NoReturn:
        self.body.fail(f"missing required field {slot} of the table at {self.pos}")

    # scalars

    def u8(self, slot: int, default: int = 0) -> int:
        """Read an unsigned byte (also enums and union types)."""
        pos = self.place(slot, 1)
        return self.body.data[pos] if pos else default

    def u16(self, slot: int, default: int = 0) -> int:
        """Read a u16."""
        pos = self.place(slot, 2)
        return int(_U16.unpack_from(self.body.data, pos)[0]) if pos else default

    def u32(self, slot: int, default: int = 0) -> int:
        """Read a u32."""
        pos = self.place(slot, 4)
        return int(_U32.unpack_from(self.body.data, pos)[0]) if pos else default

    def i32(self, slot: int, default: int = 0) -> int:
        """Read an i32."""
        pos = self.place(slot, 4)
        return int(_I32.unpack_from(self.body.data, pos)[0]) if pos else default

    def u64(self, slot: int, default: int = 0) -> int:
        """Read a u64."""
        pos = self.place(slot, 8)
        return int(_U64.unpack_from(self.body.data, pos)[0]) if pos else default

    # structs, strings, tables

    def opt_struct(self, slot: int, size: int) -> bytes | None:
        """Read an inline struct of `size` bytes, None when absent."""
        pos = self.place(slot, size)
        return bytes(self.body.data[pos : pos + size]) if pos else None

    def struct(self, slot: int, size: int) -> bytes:
        """Read a required inline struct of `size` bytes."""
        pos = self.place(slot, size)
        if not pos:
            self._required(slot)
        return bytes(self.body.data[pos : pos + size])

    def opt_string(self, slot: int) -> str | None:
        """Read a string, None when absent."""
        pos = self._target(slot)
        return self.body.string_at(pos) if pos else None

    def string(self, slot: int) -> str:
        """Read a required string."""
        pos = self._target(slot)
        if not pos:
            self._required(slot)
        return self.body.string_at(pos)

    def table(self, slot: int) -> Table:
        """Read a required sub-table (or union value)."""
        pos = self._target(slot)
        if not pos:
            self._required(slot)
        return Table(self.body, pos)

    # vectors

    def vector(self, slot: int, item_size: int) -> tuple[int, int] | None:
        """Return (position of the first element, count), None when absent."""
        pos = self._target(slot)
        return self.body.vector_at(pos, item_size) if pos else None

    def opt_bytes_vector(self, slot: int) -> bytes | None:
        """Read a vector of bytes, None when absent."""
        return self.opt_struct_vector(slot, 1)

    def bytes_vector(self, slot: int) -> bytes:
        """Read a required vector of bytes."""
        value = self.opt_bytes_vector(slot)
        if value is None:
            self._required(slot)
        return value

    def opt_struct_vector(self, slot: int, size: int) -> bytes | None:
        """Read a vector of structs or scalars of `size` bytes as raw bytes, None when absent."""
        span = self.vector(slot, size)
        if span is None:
            return None
        self.body.spend(span[1] * size)
        return bytes(self.body.data[span[0] : span[0] + span[1] * size])

    def struct_vector(self, slot: int, size: int) -> bytes:
        """Read a required vector of structs or scalars as raw bytes (count = len // size)."""
        value = self.opt_struct_vector(slot, size)
        if value is None:
            self._required(slot)
        return value

    def _offsets(self, span: tuple[int, int]) -> list[int]:
        start, count = span
        self.body.spend(_VISIT * count)
        distances = struct.unpack_from(f"<{count}I", self.body.data, start)
        return [start + 4 * k + distance for k, distance in enumerate(distances)]

    def opt_vector_of_tables(self, slot: int) -> list[Table] | None:
        """Read a vector of tables, None when absent."""
        span = self.vector(slot, 4)
        return None if span is None else [Table(self.body, pos) for pos in self._offsets(span)]

    def vector_of_tables(self, slot: int) -> list[Table]:
        """Read a required vector of tables."""
        value = self.opt_vector_of_tables(slot)
        if value is None:
            self._required(slot)
        return value

    def opt_string_vector(self, slot: int) -> list[str] | None:
        """Read a vector of strings, None when absent."""
        span = self.vector(slot, 4)
        return None if span is None else [self.body.string_at(p) for p in self._offsets(span)]

    def string_vector(self, slot: int) -> list[str]:
        """Read a required vector of strings."""
        value = self.opt_string_vector(slot)
        if value is None:
            self._required(slot)
        return value
