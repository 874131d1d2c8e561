"""Convert metadata of snapshots and repositories to the JSON values that are stored.

Accepted values and their stored form follow the reference library 2.3.0: JSON types as they are;
tuples, ranges and arrays as lists; numpy scalars as numbers; bytes as lists of integers; integers
beyond 64 bits as floats; NaN and infinities as null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.spec.flatbuffers.flex import MAX_DEPTH

_INT64_MIN, _UINT64_MAX = -(2**63), 2**64 - 1


def json_object(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Metadata as it will read back: a dict of JSON values with text keys.

    Parameters
    ----------
    metadata : mapping or None
        What the user gave; None is the empty mapping.

    Returns
    -------
    dict
        A deep copy without anything that the format cannot hold.

    Raises
    ------
    TypeError
        For values that have no JSON form and for keys that are not text.
    InvalidInputError
        Kind ``bad-metadata`` when values are nested too deep.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise _not_json(metadata)
    return {_key(key): json_value(value) for key, value in metadata.items()}


def json_value(value: Any, depth: int = 1) -> Any:
    """One metadata value as it will read back; see `json_object`."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth > MAX_DEPTH:
        raise InvalidInputError(
            f"bad metadata: values nested more than {MAX_DEPTH} deep cannot be stored. "
            "Flatten the value.",
            ErrorKind.BAD_METADATA,
        )
    if isinstance(value, Mapping):
        return {_key(key): json_value(item, depth + 1) for key, item in value.items()}
    if isinstance(value, bytes | bytearray | memoryview):
        return list(bytes(value))
    if isinstance(value, np.generic | np.ndarray):
        plain = value.tolist()
        if isinstance(plain, type(value)):
            raise _not_json(value)
        return json_value(plain, depth)
    if isinstance(value, Sequence):
        return [json_value(item, depth + 1) for item in value]
    raise _not_json(value)


def _integer(value: int) -> int | float:
    """Integer, or the nearest float outside the range of int64 and uint64."""
    if _INT64_MIN <= value <= _UINT64_MAX:
        return int(value)
    try:
        return float(value)
    except OverflowError:
        raise _not_json(value) from None


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(
            f"'{type(key).__name__}' object is not an instance of 'str': metadata keys must be text"
        )
    return _text(key)


def _text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _not_json(text) from None
    return str(text)


def _not_json(value: Any) -> TypeError:
    return TypeError(
        f"'{type(value).__name__}' object is not an instance of 'dict': metadata takes JSON values "
        "(None, bool, numbers, text, lists, dicts); convert it first"
    )
