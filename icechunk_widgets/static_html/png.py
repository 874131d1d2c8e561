"""PNG pictures without an imaging library."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(
    indices: NDArray[np.uint8],
    palette: list[tuple[int, int, int]],
    transparent: int | None = None,
) -> bytes:
    """An image of palette colours.

    Parameters
    ----------
    indices : ndarray of uint8, shape (h, w)
        Places in the palette.
    palette : list of (int, int, int)
        Red, green and blue, 0 to 255; at most 256 colours.
    transparent : int, optional
        Place of the transparent colour.
    """
    height, width = indices.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    lines = np.concatenate((np.zeros((height, 1), np.uint8), indices), axis=1)
    alpha = b"" if transparent is None else b"\xff" * transparent + b"\0"
    parts = (
        (b"IHDR", header),
        (b"PLTE", b"".join(bytes(colour) for colour in palette)),
        *([(b"tRNS", alpha)] if alpha else []),
        (b"IDAT", zlib.compress(lines.tobytes(), 6)),
        (b"IEND", b""),
    )
    return _SIGNATURE + b"".join(_part(name, data) for name, data in parts)


def data_url(
    indices: NDArray[np.uint8],
    palette: list[tuple[int, int, int]],
    transparent: int | None = None,
) -> str:
    """The same image as a ``data:`` URL."""
    return "data:image/png;base64," + base64.b64encode(png(indices, palette, transparent)).decode()


def _part(name: bytes, data: bytes) -> bytes:
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
