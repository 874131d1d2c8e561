"""The container of all metadata files: a 39-byte header and one zstd frame.

Layout (Icechunk spec, "File layout"): 12 magic bytes, 24 bytes of writer name, spec version,
file type, compression algorithm, then the compressed flatbuffer.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import zstandard

from icechunk.config.limits import VARIABLE, max_metadata_bytes
from icechunk.core.errors import ErrorKind, FormatError

MAGIC = b"ICE\xf0\x9f\xa7\x8aCHUNK"
HEADER_SIZE = 39
MAX_SPEC_VERSION = 2
_WRITER = b"icechunk-py 1".ljust(24)
_ZSTD = 1
# one four-byte RLE block is the best zstd can do: 128 KiB out of 4 bytes
_MAX_RATIO = 2**15
_SLICE, _SMALLEST_SLICE = 2**13, 16
_DEFAULT_LEVEL = 3
_LARGE = 2**22  # numpy has huge pages for arrays of this size
_RLE = 1
# Fixed-size records repeat at a few distances: looking no further is faster and finds more; a table
# of 64 KiB stays in the fastest cache of a processor.
_FOR_RECORDS = {"strategy": zstandard.STRATEGY_FAST, "min_match": 6, "hash_log": 14}


class FileType(IntEnum):
    """File type byte of the header."""

    SNAPSHOT = 1
    MANIFEST = 2
    ATTRIBUTES = 3
    TRANSACTION_LOG = 4
    CHUNK = 5
    REPO_INFO = 6


_LABELS = {
    FileType.SNAPSHOT: "Snapshot",
    FileType.MANIFEST: "Manifest",
    FileType.ATTRIBUTES: "Attributes",
    FileType.TRANSACTION_LOG: "TransactionLog",
    FileType.CHUNK: "Chunk",
    FileType.REPO_INFO: "RepoInfo",
}


class Envelope(NamedTuple):
    """An opened container: spec version byte, writer name and decompressed payload."""

    spec_version: int
    writer: str
    body: bytes


class _Codecs(threading.local):
    """One zstd context per thread and level: they are costly to make and not thread-safe."""

    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor()
        self.compressors: dict[tuple[int, bool], zstandard.ZstdCompressor] = {}

    def compressor(self, level: int, records: bool) -> zstandard.ZstdCompressor:
        """Context for one kind of payload; frames carry a checksum of their content."""
        known = self.compressors.get((level, records))
        if known is None:
            tuning = _FOR_RECORDS if records and level == _DEFAULT_LEVEL else {}
            parameters = zstandard.ZstdCompressionParameters.from_level(
                level, write_checksum=True, **tuning
            )
            known = zstandard.ZstdCompressor(compression_params=parameters)
            self.compressors[level, records] = known
        return known


_codecs = _Codecs()


def pack(
    file_type: FileType,
    spec_version: int,
    body: bytes | Sequence[bytes | bytearray | memoryview],
    level: int = 3,
    *,
    records: bool = False,
) -> bytes:
    """Compress a payload and put the header in front of it.

    Parameters
    ----------
    file_type
        What the payload is.
    spec_version
        Spec version byte, 1 or 2.
    body
        The flatbuffer, whole or in pieces.
    level
        zstd compression level.
    records
        The payload is mostly blocks of records of `icechunk.spec.flatbuffers.bulk`: at the
        default level, parameters chosen for them give smaller files in half the time.

    Returns
    -------
    bytes
        The object as stored.
    """
    header = MAGIC + _WRITER + bytes((spec_version, file_type, _ZSTD))
    compressor = _codecs.compressor(level, records)
    if isinstance(body, bytes):
        return header + compressor.compress(body)
    if len(body) == 1:
        return header + compressor.compress(body[0])
    stream = compressor.compressobj(size=sum(memoryview(piece).nbytes for piece in body))
    return b"".join([header, *map(stream.compress, body), stream.flush()])


def unpack(
    data: bytes | memoryview, expected_type: FileType, *, name: str, limit: int | None = None
) -> Envelope:
    """Check the header and decompress the payload.

    Parameters
    ----------
    data
        The whole object.
    expected_type
        File type the caller can read.
    name
        Object name for error messages.
    limit
        Largest decompressed size accepted, in bytes; `max_metadata_bytes` by default.

    Returns
    -------
    Envelope
        Spec version (1 or 2), writer name and payload.

    Raises
    ------
    FormatError
        ``unsupported-spec-version`` for files of a newer spec, ``invalid-file-format`` for
        anything that is not the expected file, ``deserialization`` for a damaged payload.
    """
    version, writer = _check_header(data, expected_type, name)
    if limit is None:
        limit = max_metadata_bytes()
    return Envelope(version, writer, _decompress(memoryview(data)[HEADER_SIZE:], name, limit))


def unpack_large(
    data: bytes | memoryview, expected_type: FileType, *, name: str, limit: int | None = None
) -> bytes | memoryview:
    """Payload of a file, as `unpack` gives it, decompressed into huge pages where it is large.

    Page faults in fresh memory take half as long as the decompression itself.

    Returns
    -------
    bytes or memoryview
        The payload, which must not be written to.
    """
    _check_header(data, expected_type, name)
    if limit is None:
        limit = max_metadata_bytes()
    frame = memoryview(data)[HEADER_SIZE:]
    try:
        size = zstandard.get_frame_parameters(frame).content_size
        if _LARGE <= size <= min(limit, len(frame) * _MAX_RATIO) and _ends_at(frame, len(frame)):
            return _into_pages(frame, size, name)
    except zstandard.ZstdError as error:
        raise _damaged(str(error), name) from error
    return _decompress(frame, name, limit)


def _check_header(data: bytes | memoryview, expected: FileType, name: str) -> tuple[int, str]:
    """Return (spec version, writer name) of a header that is what it should be."""
    if len(data) < HEADER_SIZE:
        _refuse(
            f"invalid icechunk header size, got {len(data)} bytes, expected at least {HEADER_SIZE}",
            name,
        )
    if data[:12] != MAGIC:
        _refuse("invalid magic numbers in file", name)
    version, type_code, algorithm = data[36], data[37], data[38]
    if version > MAX_SPEC_VERSION:
        raise FormatError(
            f"this repository uses Icechunk format version {version}, but this library only "
            f"supports up to version {MAX_SPEC_VERSION}. Please upgrade the icechunk library "
            f"(object `{name}`)",
            kind=ErrorKind.UNSUPPORTED_SPEC_VERSION,
        )
    if version < 1:
        _refuse(f"invalid spec version {version}", name)
    if type_code != expected:
        if type_code not in _LABELS:
            _refuse(f"Icechunk encountered an unknown file type code {type_code}", name)
        label = _LABELS[expected]
        _refuse(f"Icechunk cannot read this file type, expected {label} got {type_code}", name)
    if algorithm != _ZSTD:
        _refuse("Icechunk cannot read file, invalid compression algorithm", name)
    return version, bytes(data[12:36]).decode("utf-8", "replace").rstrip(" \0")


def _refuse(problem: str, name: str) -> None:
    raise FormatError(
        f"{problem}. Check that `{name}` is an intact Icechunk object of this repository",
        kind=ErrorKind.INVALID_FILE_FORMAT,
    )


def _damaged(problem: str, name: str) -> FormatError:
    return FormatError(
        f"error decompressing `{name}`: {problem}. "
        "The object is damaged: restore it from a backup or use another snapshot",
        kind=ErrorKind.DESERIALIZATION,
    )


def _decompress(frame: memoryview, name: str, limit: int) -> bytes:
    """Decompress exactly one zstd frame of at most `limit` bytes of content."""
    try:
        size = zstandard.get_frame_parameters(frame).content_size
        if size == zstandard.CONTENTSIZE_UNKNOWN:
            return _stream(frame, name, limit)
        if size > limit:
            raise _too_large(name, limit)
        if size > len(frame) * _MAX_RATIO:
            raise _damaged(f"{len(frame)} bytes cannot hold {size} bytes of content", name)
        body: bytes = _codecs.decompressor.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise _damaged(str(error), name) from error
    if len(body) != size:
        raise _damaged(f"expected {size} bytes of content, got {len(body)}", name)
    return body


def _into_pages(frame: memoryview, size: int, name: str) -> memoryview:
    """Decompress a frame that declares its size, and ends where the file does."""
    pages = np.empty(size, np.uint8)  # numpy asks for huge pages
    found = 0
    with _codecs.decompressor.stream_reader(frame) as stream:
        found = stream.readinto(pages)
        if found != size or stream.read(1):
            raise _damaged(f"expected {size} bytes of content, got {found}", name)
    pages.flags.writeable = False
    return pages.data


def _ends_at(frame: memoryview, end: int) -> bool:
    """Whether the blocks of a zstd frame end at a position (RFC 8878, 3.1.1)."""
    at = int(zstandard.frame_header_size(frame))
    while at + 3 <= end:
        head = int.from_bytes(frame[at : at + 3], "little")
        last, kind, size = head & 1, head >> 1 & 3, head >> 3
        at += 3 + (1 if kind == _RLE else size)
        if last:
            return at + 4 * zstandard.get_frame_parameters(frame).has_checksum == end
    return False


def _stream(frame: memoryview, name: str, limit: int) -> bytes:
    """Decompress a frame that does not declare its size, checking the limit on the way."""
    stream = _codecs.decompressor.decompressobj()
    pieces: list[bytes] = []
    total = start = 0
    while start < len(frame):
        if stream.eof:
            raise _damaged("bytes follow the compressed frame", name)
        # a slice so small that it cannot decompress to much more than the rest of the limit
        size = max(_SMALLEST_SLICE, min(_SLICE, (limit - total) // _MAX_RATIO))
        piece = stream.decompress(frame[start : start + size])
        start += size
        total += len(piece)
        if total > limit:
            raise _too_large(name, limit)
        pieces.append(piece)
    if not stream.eof:
        raise _damaged("the compressed frame is truncated", name)
    if stream.unused_data:
        raise _damaged("bytes follow the compressed frame", name)
    return b"".join(pieces)


def _too_large(name: str, limit: int) -> FormatError:
    return FormatError(
        f"`{name}` is larger than the limit of {limit} bytes when decompressed. Where you trust "
        f"its origin, set the environment variable {VARIABLE} higher",
        kind=ErrorKind.DESERIALIZATION,
    )
