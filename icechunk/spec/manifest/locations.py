"""Compressed virtual chunk locations (Icechunk spec 2, `ChunkRef.compressed_location`).

Each location is a small zstd frame made with a dictionary that the manifest carries. They are
always read; this library does not write them, because sharing one plain string per URL makes
smaller files that open faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import zstandard

from icechunk.spec.columns.text_column import TextColumn

if TYPE_CHECKING:
    from icechunk.spec.flatbuffers.read import Body

MAX_LOCATION = 1024
"""Largest decompressed location in bytes."""

_ZSTD_WITH_DICTIONARY = 1
# URLs share long prefixes: a frame of 20 bytes may well hold 200
_UNFOLDING = 64


def decompress_locations(
    body: Body, frames: TextColumn, algorithm: int, dictionary: bytes | None
) -> TextColumn:
    """Decompress the locations of many references, each distinct frame once.

    Parameters
    ----------
    body
        Payload of the manifest, for error messages.
    frames
        One compressed frame per reference; rows of length 0 have no location.
    algorithm, dictionary
        `compression_algorithm` and `location_dictionary` of the manifest.

    Returns
    -------
    TextColumn
        The plain locations, one per row.

    Raises
    ------
    FormatError
        If the manifest has no dictionary, or a frame is damaged or too large.
    """
    if algorithm != _ZSTD_WITH_DICTIONARY or dictionary is None:
        body.fail("compressed chunk location present but no decompression dictionary available")
    codes, distinct = frames.distinct()
    try:
        decompressor = zstandard.ZstdDecompressor(
            dict_data=zstandard.ZstdCompressionDict(dictionary)
        )
    except zstandard.ZstdError as error:
        body.fail(f"the location dictionary is unusable ({error})")
    pool = memoryview(distinct.pool)
    pieces: list[bytes] = []
    room = _UNFOLDING * body.size
    for start, length in zip(distinct.start.tolist(), distinct.length.tolist(), strict=True):
        frame = pool[start : start + length]
        try:
            if length == 0:
                pieces.append(b"")
                continue
            if zstandard.frame_content_size(frame) > MAX_LOCATION:
                body.fail(f"a chunk location is longer than {MAX_LOCATION} bytes")
            piece = decompressor.decompress(frame, max_output_size=MAX_LOCATION)
            pieces.append(piece)
            room -= len(piece)
            if room < 0:
                body.fail("the chunk locations unfold to far more data than the file holds")
        except zstandard.ZstdError as error:
            body.fail(f"a chunk location cannot be decompressed ({error})")
    sizes = np.array([len(piece) for piece in pieces], np.int64)
    start_of = np.cumsum(sizes) - sizes
    return TextColumn(b"".join(pieces), start_of[codes], sizes[codes].astype(np.uint32))
