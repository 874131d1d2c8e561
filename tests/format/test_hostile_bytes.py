"""Damaged files end in `FormatError`, never in another exception or a huge allocation."""

from __future__ import annotations

import contextlib
import random
import struct
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from icechunk.format import manifest as module
from icechunk.format.envelope import FileType, pack, unpack
from icechunk.format.manifest import decode_manifest, encode_manifest
from icechunk.format.txlog import decode_transaction_log, encode_transaction_log
from icechunk.ground.errors import FormatError
from icechunk.ground.ids import NodeId, ObjectId
from icechunk.model.chunk_table import ChunkTable, Location
from icechunk.model.txlog import Move, TransactionLog
from tests.format.test_locations import URLS, compress
from tests.format.test_locations import manifest as compressed_manifest

NODE = NodeId(b"node-id!")


def _manifest() -> bytes:
    places = [
        Location(1, ObjectId(b"chunk-id-123"), 0, 9, None, None, None, 0),
        Location(2, None, 5, 9, None, "s3://bucket/key", '"tag"', 0),
        Location(2, None, 5, 9, None, "s3://bucket/key2", None, 77),
        Location(3, None, 0, 4, b"data", None, None, 0),
    ]
    rows = [((k // 3, k), places[k % 4]) for k in range(12)]
    other = NodeId(b"other-id")
    table = ChunkTable.from_locations(2, rows)
    return encode_manifest(ObjectId(bytes(12)), {NODE: table, other: table.select([0])})


def _txlog() -> bytes:
    nodes = [NodeId(bytes([k]) * 8) for k in range(4)]
    log = TransactionLog(
        ObjectId(bytes(12)),
        new_groups=frozenset(nodes),
        updated_chunks={nodes[0]: np.arange(12, dtype=np.uint32).reshape(6, 2)},
        moved=(Move("/a", "/b", nodes[1], True),),
    )
    return encode_transaction_log(log)


def read_manifest(data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_COLD_REFS", 0)
        manifest = decode_manifest(data, name="damaged", limit=2**24)
        for node in manifest.arrays:
            manifest.locate(node, (1, 4))
    manifest = decode_manifest(data, name="damaged", limit=2**24)
    for table in manifest.arrays.values():
        table.native_ids()
        table.extents()
        for row, coords in enumerate(table.coords().tolist()):
            assert table.find(coords) == row
            table.location(row)


def read_txlog(data: bytes) -> None:
    decode_transaction_log(data, name="damaged", limit=2**24)


CASES = [
    pytest.param(FileType.MANIFEST, _manifest(), read_manifest, id="manifest"),
    pytest.param(
        FileType.MANIFEST,
        compressed_manifest([*compress(URLS[:6]), None]),
        read_manifest,
        id="compressed",
    ),
    pytest.param(FileType.TRANSACTION_LOG, _txlog(), read_txlog, id="log"),
]
Reader = Callable[[bytes], None]


@pytest.mark.parametrize(("kind", "data", "read"), CASES)
def test_truncated_files(kind: FileType, data: bytes, read: Reader) -> None:
    for size in range(len(data)):
        with pytest.raises(FormatError):
            read(data[:size])
    body = unpack(data, kind, name="x").body
    for size in range(len(body)):
        with contextlib.suppress(FormatError):
            read(pack(kind, 2, body[:size], level=1))


@pytest.mark.parametrize(("kind", "data", "read"), CASES)
def test_every_single_byte_changed(kind: FileType, data: bytes, read: Reader) -> None:
    body = unpack(data, kind, name="x").body
    chance = random.Random(5)
    for at in range(len(body)):
        for value in {0, 4, 0x80, 0xFF, chance.randrange(256)}:
            damaged = bytearray(body)
            damaged[at] = value
            with contextlib.suppress(FormatError):
                read(pack(kind, 2, bytes(damaged), level=1))


@pytest.mark.parametrize(("kind", "data", "read"), CASES)
def test_every_word_replaced(kind: FileType, data: bytes, read: Reader) -> None:
    body = unpack(data, kind, name="x").body
    tracemalloc.start()
    for at in range(0, len(body) - 3, 4):
        for value in (0, 12, len(body) - at, 2**16, 2**31 - 1, 2**32 - 4):
            damaged = bytearray(body)
            damaged[at : at + 4] = struct.pack("<I", value)
            with contextlib.suppress(FormatError):
                read(pack(kind, 2, bytes(damaged), level=1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**25


@pytest.mark.parametrize(("kind", "data", "read"), CASES)
def test_random_damage(kind: FileType, data: bytes, read: Reader) -> None:
    body = unpack(data, kind, name="x").body
    chance = random.Random(7)
    for _ in range(400):
        damaged = bytearray(body)
        for _ in range(chance.randrange(1, 12)):
            damaged[chance.randrange(len(body))] = chance.randrange(256)
        with contextlib.suppress(FormatError):
            read(pack(kind, 2, bytes(damaged), level=1))
