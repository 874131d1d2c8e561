"""Limits of memory and requests for maintenance, and the checks of arguments."""

from __future__ import annotations

import operator
from typing import NamedTuple

from icechunk.core.errors import ErrorKind, InvalidInputError

_U16, _U32, _U64 = 2**16 - 1, 2**32 - 1, 2**64 - 1


class Limits(NamedTuple):
    """Limits of a walk over a whole repository.

    Attributes
    ----------
    snapshots : int
        Snapshots held in memory at once.
    manifest_fetches : int
        Manifests fetched at once.
    compressed_bytes, decoded_bytes : int
        Bytes of manifests read at once, as stored and in memory; a larger one is read alone.
    """

    snapshots: int = 50
    manifest_fetches: int = 500
    compressed_bytes: int = 512 * 1024 * 1024
    decoded_bytes: int = 4 * 1024 * 1024 * 1024

    @classmethod
    def checked(
        cls,
        max_snapshots_in_memory: object,
        max_compressed_manifest_mem_bytes: object,
        max_decoded_manifest_mem_bytes: object,
        max_concurrent_manifest_fetches: object,
    ) -> Limits:
        """Limits from arguments of the public methods, named like them.

        Raises
        ------
        TypeError, ValueError, OverflowError
            For anything but positive integers of 16 bits (counts) or 64 bits (bytes).
        """
        return cls(
            positive("max_snapshots_in_memory", max_snapshots_in_memory, _U16),
            positive("max_concurrent_manifest_fetches", max_concurrent_manifest_fetches, _U16),
            positive("max_compressed_manifest_mem_bytes", max_compressed_manifest_mem_bytes, _U64),
            positive("max_decoded_manifest_mem_bytes", max_decoded_manifest_mem_bytes, _U64),
        )


def positive(name: str, value: object, largest: int = _U16) -> int:
    """An integer from 1 to `largest`.

    Raises
    ------
    TypeError
        For anything but an integer.
    ValueError
        For zero.
    OverflowError
        For negative and too large numbers.
    """
    number = operator.index(value)  # type: ignore[arg-type]
    if number == 0:
        raise InvalidInputError(
            f"invalid zero value: `{name}` must be at least 1", ErrorKind.UNKNOWN
        )
    if number < 0:
        raise OverflowError(f"number too small to fit in target type: `{name}` is {number}")
    if number > largest:
        raise OverflowError(
            f"number too large to fit in target type: `{name}` is {number}, at most {largest}"
        )
    return number


def failures(value: object) -> int:
    """Limit of consecutive failed deletes: a positive integer of 32 bits."""
    return positive("max_consecutive_delete_failures", value, _U32)


def truth(name: str, value: object) -> bool:
    """Return an argument that must be a bool.

    Raises
    ------
    TypeError
        For anything else: 1 is not True here.
    """
    if not isinstance(value, bool):
        raise TypeError(
            f"{type(value).__name__!r} object is not an instance of 'bool'; give `{name}` True or "
            "False"
        )
    return value
