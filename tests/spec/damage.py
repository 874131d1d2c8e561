"""Damaged metadata files: what a disk, a network or an attacker may hand to a decoder."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from icechunk.core.errors import FormatError
from icechunk.spec.envelope import FileType, pack, unpack

_WORDS = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x04\0\0\0"]


def damaged(data: bytes, kind: FileType, count: int, seed: int = 0) -> Iterator[bytes]:
    """Files with damage below the compression, where checksums and zstd do not catch it."""
    envelope = unpack(data, kind, name="intact")
    generator = random.Random(seed)

    def packed(body: bytes) -> bytes:
        return pack(kind, envelope.spec_version, body, 1)

    size = len(envelope.body)
    for end in range(0, size, max(1, size // count)):
        yield packed(envelope.body[:end])
    for _ in range(count):
        body = bytearray(envelope.body)
        for _ in range(generator.choice([1, 1, 2, 5, 20])):
            at = generator.randrange(size)
            if generator.random() < 0.5:
                body[at] = generator.randrange(256)
            else:
                at -= at % 4
                body[at : at + 4] = generator.choice(_WORDS)
        yield packed(bytes(body[:size]))


def assert_only_format_errors(
    data: bytes, kind: FileType, read: Callable[[bytes], object], count: int = 300
) -> None:
    """Decode damaged variants of a file: each gives some value or a `FormatError`."""
    failures = 0
    for variant in damaged(data, kind, count):
        try:
            read(variant)
        except FormatError:
            failures += 1
    assert failures > count // 4
    for end in range(0, len(data), max(1, len(data) // 60)):
        try:
            read(data[:end])
        except FormatError:
            continue
        raise AssertionError(f"a file cut to {end} bytes was accepted")
