from __future__ import annotations

import contextlib
import io
import secrets
import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from icechunk.core.errors import FormatError
from icechunk.spec import envelope
from icechunk.spec.envelope import HEADER_SIZE, FileType, pack, unpack, unpack_large

BODY = b"payload " * 100


def packed(body: bytes = BODY, **change: int) -> bytearray:
    raw = bytearray(pack(FileType.SNAPSHOT, 2, body))
    for name, value in change.items():
        raw[{"version": 36, "kind": 37, "compression": 38}[name]] = value
    return raw


def frame(body: bytes, **how: bool) -> bytes:
    """The same file with another zstd frame."""
    header = bytes(packed()[:HEADER_SIZE])
    return header + zstandard.ZstdCompressor(**how).compress(body)


def streamed(body: bytes) -> bytes:
    """As releases before 2.1 wrote it: no content size in the frame."""
    out = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as writer:
        writer.write(body)
    return bytes(packed()[:HEADER_SIZE]) + out.getvalue()


def refused(data: bytes, expected: FileType = FileType.SNAPSHOT, **options: int) -> FormatError:
    with pytest.raises(FormatError) as caught:
        unpack(bytes(data), expected, name="snapshots/S", **options)
    assert "snapshots/S" in caught.value.message
    return caught.value


@given(st.binary(max_size=2000), st.sampled_from([1, 2]), st.integers(1, 19))
def test_round_trip(body: bytes, version: int, level: int) -> None:
    opened = unpack(pack(FileType.MANIFEST, version, body, level), FileType.MANIFEST, name="m")
    assert opened == (version, "icechunk-py 1", body)


def test_a_view_of_memory_will_do() -> None:
    view = memoryview(bytes(packed()))
    assert unpack(view, FileType.SNAPSHOT, name="s").body == BODY
    assert refused(view[:-1].tobytes()).kind == "deserialization"


def test_header_layout() -> None:
    raw = pack(FileType.REPO_INFO, 2, BODY)
    assert raw[:12] == "ICE🧊CHUNK".encode()
    assert raw[12:36] == b"icechunk-py 1".ljust(24)
    assert raw[36:39] == bytes([2, 6, 1])


@pytest.mark.parametrize("body", [BODY, bytes(10**6), b""])
def test_frames_without_a_content_size(body: bytes) -> None:
    assert unpack(streamed(body), FileType.SNAPSHOT, name="s").body == body


def test_frames_with_a_checksum() -> None:
    raw = frame(BODY, write_checksum=True)
    assert unpack(raw, FileType.SNAPSHOT, name="s").body == BODY
    damaged = raw[:-1] + bytes([raw[-1] ^ 1])
    assert refused(damaged).kind == "deserialization"


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        (b"", "invalid-file-format", "got 0 bytes, expected at least 39"),
        (bytes(packed()[:38]), "invalid-file-format", "got 38 bytes, expected at least 39"),
        (b"X" + packed()[1:], "invalid-file-format", "invalid magic numbers in file"),
        (packed(version=3), "unsupported-spec-version", "Icechunk format version 3, but this"),
        (packed(version=0), "invalid-file-format", "invalid spec version 0"),
        (packed(kind=2), "invalid-file-format", "expected Snapshot got 2"),
        (packed(kind=99), "invalid-file-format", "unknown file type code 99"),
        (packed(compression=0), "invalid-file-format", "invalid compression algorithm"),
    ],
)
def test_what_is_not_the_expected_file_is_refused(data: bytes, kind: str, text: str) -> None:
    error = refused(data)
    assert error.kind == kind
    assert text in error.message


@pytest.mark.parametrize("write", [frame, streamed])
def test_exactly_one_frame(write: object) -> None:
    raw: bytes = write(BODY)  # type: ignore[operator]
    second = raw[HEADER_SIZE:]
    skippable = struct.pack("<II", 0x184D2A50, 4) + b"skip"
    for data in (
        raw + b"\0",
        raw + second,
        raw + skippable,
        raw[:HEADER_SIZE] + skippable + second,
        raw[:-1],
        raw[:HEADER_SIZE],
        raw[: HEADER_SIZE + 3],
    ):
        assert refused(data).kind == "deserialization"


@pytest.mark.parametrize("write", [frame, streamed])
def test_content_beyond_the_limit_is_refused(write: object) -> None:
    data: bytes = write(bytes(10**6))  # type: ignore[operator]
    assert "limit of 999999 bytes" in refused(data, limit=999_999).message
    assert len(unpack(data, FileType.SNAPSHOT, name="s", limit=10**6).body) == 10**6


def test_a_lie_about_the_size_allocates_nothing() -> None:
    raw = bytearray(frame(bytes(10**6)))
    at = raw.index(struct.pack("<I", 10**6))
    raw[at : at + 4] = struct.pack("<I", 2**31 - 1)
    tracemalloc.start()
    refused(bytes(raw))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**8


@given(st.integers(0, 10**9), st.integers(1, 255))
def test_flipped_bytes_give_the_body_or_a_format_error(at: int, mask: int) -> None:
    raw = packed()
    raw[at % len(raw)] ^= mask
    with contextlib.suppress(FormatError):
        unpack(bytes(raw), FileType.SNAPSHOT, name="s", limit=10**6)


def test_contexts_are_not_shared_between_threads() -> None:
    bodies = [bytes([k]) * 50_000 for k in range(32)]

    def cycle(body: bytes) -> bytes:
        return unpack(pack(FileType.MANIFEST, 2, body), FileType.MANIFEST, name="m").body

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(cycle, bodies)) == bodies


@pytest.mark.parametrize("size", [0, 1, 1000, 300_000])
@pytest.mark.parametrize("checksum", [True, False])
def test_large_payloads_are_the_same(
    size: int, checksum: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envelope, "_LARGE", 1)
    for body in (bytes(size), bytes(k * k % 251 for k in range(size)), secrets.token_bytes(size)):
        frame = zstandard.ZstdCompressor(write_checksum=checksum).compress(body)
        data = pack(FileType.MANIFEST, 2, b"")[:HEADER_SIZE] + frame
        found = unpack_large(data, FileType.MANIFEST, name="m")
        assert found == body
        assert memoryview(found).readonly
        # a frame without its size
        streamed_frame = zstandard.ZstdCompressor(write_content_size=False).compress(body)
        assert (
            unpack_large(data[:HEADER_SIZE] + streamed_frame, FileType.MANIFEST, name="m") == body
        )


@pytest.mark.parametrize("large", [1, 2**22])
def test_damage_of_large_payloads_is_noticed(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "_LARGE", large)
    body = bytes(k * k % 251 for k in range(400_000))
    data = pack(FileType.MANIFEST, 2, body)
    frame = data[HEADER_SIZE:]
    wrong = [data[:-1], data[:-4], data[: len(data) // 2], data + b"\0", data + frame]
    wrong += [data[:HEADER_SIZE] + frame[:5], data[:HEADER_SIZE]]
    for place in range(HEADER_SIZE, len(data), max(len(data) // 300, 1)):
        wrong.append(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
    for damaged in wrong:
        with pytest.raises(FormatError, match="`m`"):
            unpack_large(damaged, FileType.MANIFEST, name="m")
    with pytest.raises(FormatError, match="larger than the limit"):
        unpack_large(data, FileType.MANIFEST, name="m", limit=1000)
    with pytest.raises(FormatError, match="expected Snapshot"):
        unpack_large(data, FileType.SNAPSHOT, name="m")
