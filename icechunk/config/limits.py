"""Bounds on what metadata files may ask of this process.

``ICECHUNK_MAX_METADATA_BYTES`` bounds what one metadata file (snapshot, manifest, transaction log
or repo object) may decompress to.  The default is the largest file that the format allows.  Set it
lower where repositories come from people you do not trust: a file of a few kilobytes can unfold to
gigabytes.  While a file is decoded, memory stays below about 2 times this bound for the bytes
themselves and 25 times for tables of Python objects made from them (hierarchies); an honest file
costs a tenth of that.
"""

from __future__ import annotations

import os

from icechunk.core.errors import ErrorKind, InvalidInputError

VARIABLE = "ICECHUNK_MAX_METADATA_BYTES"
"""Environment variable that bounds the decompressed size of one metadata file, in bytes."""

LARGEST_METADATA_BYTES = 2**31
"""Default bound: beyond it the 32-bit offsets of the format do not reach."""


def max_metadata_bytes() -> int:
    """Largest decompressed size of a metadata file that is read, in bytes.

    Returns
    -------
    int
        The environment variable ``ICECHUNK_MAX_METADATA_BYTES``, read anew at each call, or
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
