"""Scalar FlatBuffers writer: byte-stable, with shared vtables.

The buffer is built back to front, so children are added before their parents and every
reference points forward in the finished bytes. A *ref* is an opaque int returned when an
object is added. The same calls always give the same bytes.

Example
-------
::

    b = Builder()
    name = b.string("main")
    first = b.table({0: ref(name), 1: u32(7)})
    refs = b.offset_vector([first, b.table({0: ref(b.string("x")), 1: u32(2)})])
    ids = b.struct_vector(raw_ids, count=2, align=1)        # two ObjectId12 in 24 bytes
    root = b.table({0: struct(object_id), 1: ref(refs), 2: ref(ids), 3: ref(None)})
    body = b.finish(root)                                    # slot 3 is left out

Field constructors (`u8` ... `u64`, `i32`, `struct`, `ref`) give what a table slot
holds; a field is left out of the table when its value is None or equals the `default` given.
"""

from __future__ import annotations

import struct as _struct
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from icechunk.core.errors import ErrorKind, FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

IDENTIFIER = b"Ichk"
"""File identifier at bytes 4..8 of every payload."""

MAX_BODY = 2**31 - 1
"""Largest payload in bytes: vtable distances are signed 32-bit numbers."""

Raw: TypeAlias = "bytes | bytearray | memoryview"
"""Bytes to be copied into the payload as they are."""

_SHORT = 1024
"""Vectors of so few bytes are joined with their length at once."""

_SMALL = 2**18
"""Payloads of more bytes are not copied once more before they are compressed."""

Field: TypeAlias = tuple[str, "int | bytes | None"]

_WIDEST = 16
"""No field of a table in these files is wider (bytes)."""

_REACH = 2**16 - 1 - _WIDEST
"""Farthest a field may be from the start of its table (bytes)."""

_SIZES = {"B": 1, "H": 2, "I": 4, "i": 4, "o": 4, "Q": 8}


def _scalar(code: str, value: int | None, default: int | None) -> Field:
    return (code, None if value is None or value == default else value)


def u8(value: int | None, default: int | None = None) -> Field:
    """Field holding an unsigned byte."""
    return _scalar("B", value, default)


def u16(value: int | None, default: int | None = None) -> Field:
    """Field holding a u16."""
    return _scalar("H", value, default)


def u32(value: int | None, default: int | None = None) -> Field:
    """Field holding a u32."""
    return _scalar("I", value, default)


def i32(value: int | None, default: int | None = None) -> Field:
    """Field holding an i32."""
    return _scalar("i", value, default)


def u64(value: int | None, default: int | None = None) -> Field:
    """Field holding a u64."""
    return _scalar("Q", value, default)


def struct(raw: bytes | None) -> Field:
    """Field holding an inline struct of alignment 1 (object and node ids)."""
    return ("s" if raw is None else f"{len(raw)}s", raw)


def ref(target: int | None) -> Field:
    """Field referring to a string, vector, table or union value added before."""
    return ("o", target)


def too_large(size: int) -> FormatError:
    """Error for a payload of `size` bytes, more than `MAX_BODY`."""
    return FormatError(
        f"the metadata file would have {size} bytes, the format allows {MAX_BODY}. Put less into "
        "one file: fewer references per manifest (set manifest splitting in the configuration), "
        "fewer or smaller nodes per repository, shorter messages",
        kind=ErrorKind.SERIALIZATION,
    )


class _Layout:
    """Where the fields of one table shape go."""

    __slots__ = ("align", "order", "packer", "size", "vtable")

    def __init__(self, shape: tuple[tuple[int, str], ...]) -> None:
        sized = sorted((-_SIZES.get(code, 1), slot, code) for slot, code in shape)
        eights = [f for f in sized if f[0] == -8]
        fours = [f for f in sized if f[0] == -4]
        rest = [f for f in sized if f[0] > -4]
        # one four-byte field fills the hole between the soffset and the first eight-byte field
        fields = fours[:1] + eights + fours[1:] + rest if eights else fours + rest
        slots = 1 + max((slot for slot, _ in shape), default=-1)
        offsets = [0] * slots
        pattern, pos = "<i", 4
        self.order: list[tuple[int, bool, int]] = []
        for negative, slot, code in fields:
            pad = -pos % -negative
            offsets[slot] = pos + pad
            self.order.append((slot, code == "o", pos + pad))
            pattern += f"{pad}x" if pad else ""
            pattern += "I" if code == "o" else code
            pos += pad + _struct.calcsize("<" + ("I" if code == "o" else code))
        self.align = 8 if eights else 4
        self.size = pos
        self.packer = _struct.Struct(pattern)
        self.vtable = _struct.pack(f"<{2 + slots}H", 4 + 2 * slots, pos, *offsets)


_layouts: dict[tuple[tuple[int, str], ...], _Layout] = {}
"""Layouts by shape: there are a few dozen in the whole format."""


class Builder:
    """Collects the objects of one flatbuffer, last one first."""

    def __init__(self) -> None:
        self._parts: list[Raw] = []
        self._size = 0
        self._vtables: dict[bytes, int] = {}
        self._strings: dict[str, int] = {}
        self.out_of_reach: list[int] = []

    @property
    def size(self) -> int:
        """Bytes collected so far."""
        return self._size

    def _place(self, raw: Raw, size: int, align: int) -> int:
        """Add bytes in front of those added before, aligned; return their ref."""
        pad = -(self._size + size) % align
        if pad:
            self._parts.append(bytes(pad))
        self._parts.append(raw)
        self._size += size + pad
        return self._size

    def string(self, text: str) -> int:
        """Add a string (UTF-8, NUL terminated) and return its ref."""
        raw = text.encode("utf-8")
        packed = len(raw).to_bytes(4, "little") + raw + b"\0"
        return self._place(packed + bytes(-len(packed) % 4), len(packed) + -len(packed) % 4, 4)

    def shared_string(self, text: str) -> int:
        """Like `string`, but equal texts are stored once."""
        known = self._strings.get(text)
        if known is None:
            known = self._strings[text] = self.string(text)
        return known

    def bytes_vector(self, raw: bytes) -> int:
        """Add a vector of bytes and return its ref."""
        return self.struct_vector(raw, len(raw), 1)

    def struct_vector(self, raw: Raw, count: int, align: int) -> int:
        """Add a vector of `count` structs or scalars given as packed bytes.

        Parameters
        ----------
        raw
            The elements, ``count * element size`` bytes, little endian.
        count
            Number of elements.
        align
            Alignment of one element: 1 for ids, 4 for u32 and index ranges, 8 with u64 inside.

        Returns
        -------
        int
            The ref of the vector.
        """
        if align <= 4 and isinstance(raw, bytes) and len(raw) <= _SHORT:
            return self._place(count.to_bytes(4, "little") + raw, 4 + len(raw), 4)
        self._place(raw, memoryview(raw).nbytes, max(align, 4))
        return self._place(count.to_bytes(4, "little"), 4, 4)

    def offset_vector(self, refs: Sequence[int]) -> int:
        """Add a vector of strings or tables given by their refs."""
        count = len(refs)
        size = 4 + 4 * count
        here = self._size + -(self._size + size) % 4 + size - 4
        raw = _struct.pack(
            f"<{count + 1}I", count, *[here - 4 * k - target for k, target in enumerate(refs)]
        )
        return self._place(raw, size, 4)

    def offset_column(self, refs: NDArray[np.int64]) -> int:
        """Add a vector of many strings or tables given by their refs."""
        count = len(refs)
        size = 4 + 4 * count
        words = np.empty(count + 1, "<u4")
        words[0] = count
        words[1:] = (self._size + -(self._size + size) % 4 + size - 4) - 4 * np.arange(count) - refs
        return self._place(words.tobytes(), size, 4)

    def mark(self) -> int:
        """Mark for `joined`."""
        return len(self._parts)

    def joined(self, mark: int) -> bytes:
        """What was added since a mark as one block of a multiple of 8 bytes."""
        self._place(b"", 0, 8)
        raw = b"".join(reversed(self._parts[mark:]))
        self._parts[mark:] = [raw]
        return raw

    def block(self, raw: Raw, entry: int, align: int = 8) -> int:
        """Add a self-contained block made by `bulk.table_vector`.

        Parameters
        ----------
        raw
            Position-independent flatbuffer bytes: every offset inside points inside.
        entry
            Position within `raw` of the object to refer to.
        align
            Alignment the block needs.

        Returns
        -------
        int
            The ref of the object at `entry`.
        """
        return self._place(raw, memoryview(raw).nbytes, align) - entry

    def table(self, fields: Mapping[int, Field], apart: Mapping[int, int] | None = None) -> int:
        """Add a table and return its ref.

        Parameters
        ----------
        fields
            Slot number to field; fields whose value is None are left out.
        apart
            Further slots whose fields are not in the table but in a block added before, and the
            ref of each field. Those further away than a vtable can say are left out, and listed
            in `out_of_reach`.
        """
        shape = tuple((slot, field[0]) for slot, field in fields.items() if field[1] is not None)
        layout = _layouts.get(shape)
        if layout is None:
            layout = _layouts[shape] = _Layout(shape)
        vtable = self._vtables.get(layout.vtable)
        if apart:
            vtable = self._vtable_apart(layout, apart)
        elif vtable is None:
            vtable = self._place(layout.vtable, len(layout.vtable), 2)
            self._vtables[layout.vtable] = vtable
        size = layout.size
        here = self._size + -(self._size + size) % layout.align + size
        values: list[int | bytes] = []
        for slot, is_ref, offset in layout.order:
            value = fields[slot][1]
            assert value is not None
            values.append(here - offset - int(value) if is_ref else value)
        return self._place(layout.packer.pack(vtable - here, *values), size, layout.align)

    def _vtable_apart(self, layout: _Layout, apart: Mapping[int, int]) -> int:
        """Add the vtable of the table that comes next, some fields of which are elsewhere."""
        words = list(_struct.unpack(f"<{len(layout.vtable) // 2}H", layout.vtable))
        words += [0] * (3 + max(apart) - len(words))
        words[0] = 2 * len(words)
        behind = self._size + -(self._size + words[0]) % 2 + words[0]
        here = behind + -(behind + layout.size) % layout.align + layout.size
        for slot, field in apart.items():
            if here - field <= _REACH:
                words[2 + slot] = here - field
                words[1] = max(words[1], here - field + _WIDEST)
            else:
                self.out_of_reach.append(slot)
        return self._place(_struct.pack(f"<{len(words)}H", *words), words[0], 2)

    def finish(self, root: int) -> bytes:
        """Return the finished payload; see `finish_parts`."""
        return b"".join(self.finish_parts(root))

    def finish_parts(self, root: int) -> list[Raw]:
        """Return the finished payload, a large one in pieces: it is not copied once more.

        Parameters
        ----------
        root
            Ref of the root table.

        Raises
        ------
        FormatError
            If the payload would reach 2 GiB, which no reader accepts.
        """
        total = self._size + 8 + -self._size % 8
        if total > MAX_BODY:
            raise too_large(total)
        head = _struct.pack("<I4s", total - root, IDENTIFIER) + bytes(-self._size % 8)
        parts = [head, *reversed(self._parts)]
        return parts if total > _SMALL else [b"".join(parts)]
