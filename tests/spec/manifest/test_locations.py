from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zstandard

from icechunk.core.errors import FormatError
from icechunk.core.ids import NodeId
from icechunk.spec.envelope import FileType, pack
from icechunk.spec.flatbuffers.write import Builder, Field, ref, struct, u8, u64
from icechunk.spec.manifest import decode as module
from icechunk.spec.manifest.decode import decode_manifest

NODE = NodeId(b"node-id!")
URLS = [f"s3://bucket/a/long/common/prefix/file-{k % 50:04d}.nc" for k in range(300)]
DICTIONARY = b"s3://bucket/a/long/common/prefix/file-0000.nc"


def manifest(
    frames: list[bytes | None],
    *,
    dictionary: bytes | None = DICTIONARY,
    algorithm: int | None = None,
) -> bytes:
    """References with compressed locations; None makes one with a plain location."""
    b = Builder()
    tables = []
    for k, frame in enumerate(frames):
        fields: dict[int, Field] = {
            0: ref(b.struct_vector(np.array([k], "<u4").tobytes(), 1, 4)),
            2: u64(k),
            3: u64(1),
        }
        if frame is None:
            fields[5] = ref(b.string("s3://plain"))
        else:
            fields[8] = ref(b.bytes_vector(frame))
        tables.append(b.table(fields))
    array = b.table({0: struct(NODE), 1: ref(b.offset_vector(tables))})
    fields = {0: struct(bytes(12)), 1: ref(b.offset_vector([array])), 3: u8(algorithm)}
    if dictionary is not None:
        fields[2] = ref(b.bytes_vector(dictionary))
    return pack(FileType.MANIFEST, 2, b.finish(b.table(fields)))


def compress(urls: list[str], dictionary: bytes = DICTIONARY, **how: Any) -> list[bytes]:
    compressor = zstandard.ZstdCompressor(
        dict_data=zstandard.ZstdCompressionDict(dictionary), **how
    )
    return [compressor.compress(url.encode()) for url in urls]


def locations(data: bytes) -> list[str | None]:
    table = decode_manifest(data, name="m").arrays[NODE]
    return [table.location(row).url for row in range(len(table))]


@pytest.mark.parametrize("how", [{}, {"write_content_size": False}, {"write_checksum": True}])
def test_raw_content_dictionaries(how: dict[str, bool]) -> None:
    assert locations(manifest([*compress(URLS, **how)])) == URLS


def test_trained_dictionaries() -> None:
    samples = [f"s3://bucket/{k * 7919}/prefix/{k}.nc".encode() * 3 for k in range(2000)]
    trained = zstandard.train_dictionary(2048, samples).as_bytes()
    assert locations(manifest([*compress(URLS, trained)], dictionary=trained)) == URLS


def test_compressed_and_plain_locations_in_one_array() -> None:
    frames = compress(URLS[:3])
    found = locations(manifest([frames[0], None, frames[1], None, frames[2]]))
    assert found == [URLS[0], "s3://plain", URLS[1], "s3://plain", URLS[2]]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (manifest([*compress(URLS)], algorithm=0), "no decompression dictionary available"),
        (manifest([*compress(URLS)], dictionary=None), "no decompression dictionary available"),
        (manifest([b"not a frame"]), "cannot be decompressed"),
        (manifest([compress(["s3://a"])[0][:-2]]), "cannot be decompressed"),
        (manifest([*compress(["s3://" + "a" * 1020])]), "longer than 1024 bytes"),
        (
            manifest([*compress(["s3://" + "a" * 1020], write_content_size=False)]),
            "cannot be decompressed",
        ),
    ],
)
def test_what_cannot_be_decompressed_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        locations(data)


def test_a_cold_lookup_decompresses_one_location(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COLD_REFS", 0)
    found = decode_manifest(manifest([*compress(URLS)]), name="m")
    place = found.locate(NODE, (17,))
    assert place is not None
    assert (place.url, place.offset) == (URLS[17], 17)


def test_longest_location() -> None:
    url = "s3://" + "a" * 1019
    assert locations(manifest([*compress([url])])) == [url]
