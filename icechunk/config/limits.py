"""Limit on the decompressed size of metadata files.

``ICECHUNK_MAX_METADATA_BYTES`` caps the decompressed size of one metadata file (snapshot, manifest,
transaction log or repo object). The default is the largest file that the format allows. Set it
lower if you open untrusted repositories: a file of a few kilobytes can decompress to gigabytes.
While a file is decoded, memory stays below about 2 times this limit for the bytes, and 25 times for
the Python objects made from them (hierarchies); typical files take a tenth of that.
"""

from __future__ import annotations

import os

from icechunk.core.errors import ErrorKind, InvalidInputError

VARIABLE = "ICECHUNK_MAX_METADATA_BYTES"
"""Environment variable that caps the decompressed size of one metadata file, in bytes."""

LARGEST_METADATA_BYTES = 2**31
"""Default limit: the signed 32-bit offsets of FlatBuffers reach no further."""


def max_metadata_bytes() -> int:
    """Return the largest decompressed size of a metadata file that is read, in bytes.

    Returns
    -------
    int
        The environment variable ``ICECHUNK_MAX_METADATA_BYTES``, read at each call, or
        `LARGEST_METADATA_BYTES`.

    Raises
    ------
    InvalidInputError
        When the variable is not a positive integer.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return LARGEST_METADATA_BYTES
    try:
        limit = int(text)
    except ValueError:
        limit = 0
    if limit < 1:
        raise InvalidInputError(
            f"the environment variable {VARIABLE} is {text!r}, which is not a number of bytes. "
            f"Unset it, or give a positive integer such as {LARGEST_METADATA_BYTES}",
            ErrorKind.STORAGE_CONFIG,
        )
    return min(limit, LARGEST_METADATA_BYTES)
