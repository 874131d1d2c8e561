"""Ways to damage a metadata file: its container, and its content packed again."""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Callable, Iterator

import zstandard

from icechunk.spec.envelope import HEADER_SIZE, FileType, unpack

_WORDS = [0, 1, 2, 4, 8, 12, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1]
_LONGS = [2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1]


class Damage:
    """An endless supply of damaged variants of one file, the same for the same seed.

    Parameters
    ----------
    data : bytes
        The intact file.
    kind : FileType
        Its type.
    seed : int
        Where the random choices start.
    """

    def __init__(self, data: bytes, kind: FileType, seed: int) -> None:
        self.data = data
        self.header = data[:HEADER_SIZE]
        self.body = unpack(data, kind, name="intact").body
        self.chance = random.Random(seed)
        # no checksum: damage has to get past the container
        self._packer = zstandard.ZstdCompressor(level=1)

    def packed(self, body: bytes | bytearray) -> bytes:
        """File with other content."""
        return self.header + self._packer.compress(bytes(body))

    def exhaustive(self) -> Iterator[bytes]:
        """Every truncation of file and content, every byte of the container changed."""
        for end in range(len(self.data)):
            yield self.data[:end]
        for end in range(len(self.body)):
            yield self.packed(self.body[:end])
        for at in range(len(self.data)):
            yield self.data[:at] + bytes([self.data[at] ^ 0x10]) + self.data[at + 1 :]
        yield self.data + b"\0"
        yield self.data + self.data[HEADER_SIZE:]

    def every_byte(self) -> Iterator[bytes]:
        """Every byte of the content replaced by a few values."""
        for at in range(len(self.body)):
            for value in (self.body[at] ^ 1, self.body[at] ^ 0x80, 0, 4, 255):
                yield self.packed(self.body[:at] + bytes([value]) + self.body[at + 1 :])

    def every_word(self) -> Iterator[bytes]:
        """Every aligned word of the content replaced: offsets out of bounds, in circles, huge."""
        for at in range(0, len(self.body) - 3, 4):
            for value in (*_WORDS, len(self.body) - at, self.chance.randrange(len(self.body))):
                body = bytearray(self.body)
                struct.pack_into("<I", body, at, value)
                yield self.packed(body)

    def random(self) -> Iterator[bytes]:
        """One to several random changes at once, without end."""
        ways: list[Callable[[bytearray], None]] = [
            self._byte,
            self._word,
            self._long,
            self._swap,
            self._copy,
            self._shift,
        ]
        while True:
            body = bytearray(self.body)
            for _ in range(self.chance.choice([1, 1, 1, 2, 3, 6, 20])):
                self.chance.choice(ways)(body)
            yield self.packed(body)

    def some(self, count: int) -> Iterator[bytes]:
        """`count` variants of all sorts; everything systematic first."""
        systematic = [*self.exhaustive(), *self.every_byte(), *self.every_word()]
        if len(systematic) > count // 2:
            systematic = self.chance.sample(systematic, count // 2)
        rest = itertools.islice(self.random(), count - len(systematic))
        return itertools.chain(systematic, rest)

    def _at(self, body: bytearray, size: int) -> int:
        return self.chance.randrange(max(len(body) - size, 1)) // size * size

    def _byte(self, body: bytearray) -> None:
        body[self.chance.randrange(len(body))] = self.chance.randrange(256)

    def _word(self, body: bytearray) -> None:
        near = self.chance.randrange(-64, 64) % 2**32
        value = self.chance.choice([*_WORDS, near, self.chance.randrange(len(body))])
        struct.pack_into("<I", body, self._at(body, 4), value)

    def _long(self, body: bytearray) -> None:
        struct.pack_into("<Q", body, self._at(body, 4) // 8 * 8, self.chance.choice(_LONGS))

    def _swap(self, body: bytearray) -> None:
        one, two = self._at(body, 4), self._at(body, 4)
        body[one : one + 4], body[two : two + 4] = body[two : two + 4], body[one : one + 4]

    def _copy(self, body: bytearray) -> None:
        size = self.chance.choice([4, 8, 12, 16, 40])
        source, target = self._at(body, 4), self._at(body, 4)
        part = body[source : source + size]
        body[target : target + len(part)] = part

    def _shift(self, body: bytearray) -> None:
        at = self._at(body, 4)
        if self.chance.random() < 0.5:
            body[at:at] = bytes(4)
        elif len(body) > 64:
            del body[at : at + 4]
