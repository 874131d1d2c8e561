"""What Icechunk needs to know of a ``zarr.json``: its kind, shape and chunk grid.

The bytes themselves are stored untouched (Zarr v3 core specification, "Metadata"); this module
checks that they describe a group or an array and derives what a snapshot records.
"""

from __future__ import annotations

import json
from typing import Any

from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.core.paths import is_unicode
from icechunk.spec.snapshot.nodes import ArrayData

MAX_CHUNKS_PER_AXIS = 2**32 - 1
"""Chunk coordinates are stored as 32-bit unsigned integers."""


def _bad_array(why: str) -> InvalidInputError:
    return InvalidInputError(f"Invalid array metadata: {why}", ErrorKind.INVALID_ARRAY_METADATA)


def parse_node(
    document: bytes, *, rectilinear: bool = True, foreign_keys: bool = True
) -> ArrayData | None:
    """Check a ``zarr.json`` and return what a snapshot records of it; None for a group.

    Parameters
    ----------
    document : bytes
        The file.
    rectilinear : bool
        Whether the repository can hold arrays with chunks of different sizes.
    foreign_keys : bool
        Whether the array may name its chunks in another way than Icechunk does. Other
        implementations accept such arrays, so that committed ones exist; none can fill them.

    Raises
    ------
    InvalidInputError
        Kind ``bad-metadata`` when the bytes are not JSON of a Zarr v3 group or array, or have a
        rectilinear grid where there can be none; ``invalid-array-metadata`` when the shape,
        chunk grid or chunk key encoding cannot be used.
    """
    try:
        meta = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"bad metadata: {error}; `zarr.json` must be a JSON document", ErrorKind.BAD_METADATA
        ) from error
    if not isinstance(meta, dict) or meta.get("zarr_format") != 3:
        raise InvalidInputError(
            "bad metadata: `zarr_format` must be 3; Icechunk stores Zarr v3 hierarchies only",
            ErrorKind.BAD_METADATA,
        )
    kind = meta.get("node_type")
    if kind == "group":
        return None
    if kind != "array":
        raise InvalidInputError(
            f"bad metadata: `node_type` must be `group` or `array`, got {kind!r}",
            ErrorKind.BAD_METADATA,
        )
    grid = meta.get("chunk_grid")
    if not rectilinear and isinstance(grid, dict) and grid.get("name") == "rectilinear":
        raise InvalidInputError(
            "error decoding Zarr chunk grid metadata: `Non-regular chunk grids are not supported "
            "in icechunk format version 1. Please use spec_version=2 or higher.`",
            ErrorKind.BAD_METADATA,
        )
    if not foreign_keys:
        _check_key_encoding(meta.get("chunk_key_encoding", "default"))
    return _array_data(meta)


def _check_key_encoding(encoding: object) -> None:
    """Refuse all but the default encoding with its default separator.

    Icechunk finds chunks by coordinates and knows one spelling of them as keys, in which also all
    other implementations look for them: an array that asks for another could not be read there.
    """
    named = {"name": encoding} if isinstance(encoding, str) else encoding
    if isinstance(named, dict) and named.get("name") == "default":
        configuration = named.get("configuration")
        if configuration is None or configuration == {}:
            return
        if isinstance(configuration, dict) and configuration.get("separator", "/") == "/":
            return
    raise _bad_array(
        f"chunk key encoding {json.dumps(encoding)} is not supported, Icechunk knows chunks by "
        'keys such as `c/0/1` only; use `chunk_key_encoding={"name": "default", "separator": "/"}`'
    )


def _array_data(meta: dict[str, Any]) -> ArrayData:
    shape = meta.get("shape")
    if not isinstance(shape, list) or not all(_is_size(length) for length in shape):
        raise _bad_array("`shape` must be a list of integers from 0 to 18446744073709551615")
    for required in ("data_type", "chunk_grid", "codecs", "fill_value"):
        if required not in meta:
            raise _bad_array(f"`{required}` is missing")
    return ArrayData(
        shape=tuple(shape),
        num_chunks=_num_chunks(shape, meta["chunk_grid"]),
        dimension_names=_dimension_names(meta.get("dimension_names"), len(shape)),
    )


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64


def _num_chunks(shape: list[int], grid: object) -> tuple[int, ...]:
    name = grid.get("name") if isinstance(grid, dict) else None
    configuration = grid.get("configuration") if isinstance(grid, dict) else None
    if not isinstance(configuration, dict):
        configuration = {}
    if name == "regular":
        counts = _regular_counts(shape, configuration.get("chunk_shape"))
    elif name == "rectilinear":
        counts = _rectilinear_counts(shape, configuration.get("chunk_shapes"))
    else:
        raise _bad_array(f"chunk grid {name!r} is not supported, use a regular one")
    for axis, count in enumerate(counts):
        if count > MAX_CHUNKS_PER_AXIS:
            raise _bad_array(
                f"axis {axis} has {count} chunks, more than the {MAX_CHUNKS_PER_AXIS} that "
                "Icechunk can store; use larger chunks"
            )
    return tuple(counts)


def _regular_counts(shape: list[int], chunk_shape: object) -> list[int]:
    if not isinstance(chunk_shape, list) or not all(_is_size(size) for size in chunk_shape):
        raise _bad_array("`chunk_shape` must be a list of non-negative integers")
    if len(chunk_shape) != len(shape):
        raise _bad_array("`chunk_shape` and `shape` must have the same length")
    return [
        -(-length // size) if size else 0 for length, size in zip(shape, chunk_shape, strict=True)
    ]


def _rectilinear_counts(shape: list[int], chunk_shapes: object) -> list[int]:
    if not isinstance(chunk_shapes, list) or len(chunk_shapes) != len(shape):
        raise _bad_array("`chunk_shapes` must hold one list of sizes per axis")
    counts = []
    for axis, sizes in enumerate(chunk_shapes):
        if not isinstance(sizes, list):
            raise _bad_array(f"`chunk_shapes[{axis}]` must be a list of sizes")
        count = 0
        for entry in sizes:
            if _is_size(entry):
                count += 1
            elif isinstance(entry, list) and len(entry) == 2 and all(map(_is_size, entry)):
                count += entry[1]
            else:
                raise _bad_array(f"`chunk_shapes[{axis}]` holds {entry!r}")
        counts.append(count)
    return counts


def _dimension_names(names: object, rank: int) -> tuple[str | None, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not all(n is None or isinstance(n, str) for n in names):
        raise _bad_array("`dimension_names` must be a list of strings and nulls")
    if len(names) > rank:
        raise _bad_array(f"{len(names)} dimension names for an array of {rank} dimensions")
    if not all(name is None or is_unicode(name) for name in names):
        raise _bad_array("`dimension_names` contain half of a surrogate pair, which is not text")
    # The format has no empty name (format: "null and the empty string give a table without name").
    return tuple(name or None for name in names)
