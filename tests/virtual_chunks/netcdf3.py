"""Where the bytes of classic netCDF variables are (Unidata's specification of the format)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import Any

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8}
_DTYPES = {1: "i1", 2: "S1", 3: ">i2", 4: ">i4", 5: ">f4", 6: ">f8"}


@dataclass(frozen=True)
class Variable:
    """One variable.

    Attributes
    ----------
    shape
        Of the whole variable; the first side counts records where it has any.
    chunk
        What is one run of bytes: a record, or the whole variable.
    offsets
        First byte of every chunk.
    length
        Bytes of a chunk.
    """

    dtype: str
    dimensions: tuple[str, ...]
    attributes: dict[str, Any]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    offsets: list[int]
    length: int


class _Header:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 4
        assert data[:3] == b"CDF"
        assert data[3] in (1, 2)
        self.wide = data[3] == 2

    def int(self) -> int:
        self.at += 4
        return int(struct.unpack_from(">i", self.data, self.at - 4)[0])

    def begin(self) -> int:
        if not self.wide:
            return self.int()
        self.at += 8
        return int(struct.unpack_from(">q", self.data, self.at - 8)[0])

    def name(self) -> str:
        length = self.int()
        text = self.data[self.at : self.at + length].decode()
        self.at += -(-length // 4) * 4
        return text

    def attributes(self) -> dict[str, Any]:
        self.int()
        found = {}
        for _ in range(self.int()):
            name, kind, count = self.name(), self.int(), self.int()
            size = _SIZES[kind] * count
            raw = self.data[self.at : self.at + size]
            self.at += -(-size // 4) * 4
            if kind == 2:
                found[name] = raw.rstrip(b"\0").decode("latin-1")
            else:
                code = {1: "b", 3: "h", 4: "i", 5: "f", 6: "d"}[kind]
                values = list(struct.unpack(f">{count}{code}", raw))
                found[name] = values[0] if count == 1 else values
        return found


def variables(data: bytes) -> dict[str, Variable]:
    """Read the header of a classic file: every variable and where its bytes are."""
    header = _Header(data)
    records = header.int()
    header.int()
    dims = [(header.name(), header.int()) for _ in range(header.int())]
    header.attributes()
    header.int()
    raw = []
    for _ in range(header.int()):
        name = header.name()
        ids = [header.int() for _ in range(header.int())]
        attributes = header.attributes()
        kind, size, begin = header.int(), header.int(), header.begin()
        raw.append((name, ids, attributes, kind, size, begin))
    in_record = [size for _, ids, *_, size, _ in raw if ids and dims[ids[0]][1] == 0]
    stride = sum(in_record)
    if len(in_record) == 1:  # a lone record variable is not padded
        _, ids, _, kind, _, _ = next(one for one in raw if one[1] and dims[one[1][0]][1] == 0)
        stride = _SIZES[kind] * prod(dims[d][1] for d in ids[1:])
    found = {}
    for name, ids, attributes, kind, _, begin in raw:
        sides = [dims[d][1] for d in ids]
        is_record = bool(sides) and sides[0] == 0
        inner = tuple(sides[1:] if is_record else sides)
        found[name] = Variable(
            _DTYPES[kind],
            tuple(dims[d][0] for d in ids),
            attributes,
            (records, *inner) if is_record else inner,
            (1, *inner) if is_record else inner,
            [begin + stride * r for r in range(records)] if is_record else [begin],
            _SIZES[kind] * prod(inner),
        )
    return found
