"""Copy the values of a region of an array from one store to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import zarr

from icechunk.core.errors import ErrorKind, InvalidInputError, NodeNotFoundError
from icechunk.store.zarr_store import IcechunkStore


def copy_region(
    source: IcechunkStore, target: IcechunkStore, path: str, region: Sequence[slice | int]
) -> None:
    """Write the values that an array has in one store to the same array in another.

    Raises
    ------
    NodeNotFoundError
        One of the stores has no array at the path.
    InvalidInputError
        Kind ``invalid-region`` for more axes than the array has, or elements that one of the
        arrays does not have.
    """
    arrays = [_array(store, path) for store in (source, target)]
    for array in arrays:
        for axis, item in enumerate(region):
            inside = axis < array.ndim and _inside(item, array.shape[axis])
            if not inside:
                raise InvalidInputError(
                    f"the region {item} of axis {axis} is not inside {path}, whose shape is "
                    f"{list(array.shape)}",
                    ErrorKind.INVALID_REGION,
                )
    where: Any = tuple(region)
    arrays[1][where] = arrays[0][where]


def _inside(item: slice | int, length: int) -> bool:
    if isinstance(item, int):
        return -length <= item < length
    return item.stop is None or abs(item.stop) <= length


def _array(store: IcechunkStore, path: str) -> zarr.Array[Any]:
    try:
        return zarr.open_array(
            store, path=path.lstrip("/"), mode="r+" if not store.read_only else "r"
        )
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise NodeNotFoundError(
            f"there is no array at `{path}`, so no region of it can be restored",
            ErrorKind.NODE_NOT_FOUND,
        ) from error
