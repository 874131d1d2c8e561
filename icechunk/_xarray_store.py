"""Xarray's view of a group, which refuses values that the stored encoding cannot hold."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.exceptions import ComplexWarning
from xarray import Variable
from xarray.backends.zarr import ZarrStore
from xarray.coders import CFDatetimeCoder
from xarray.conventions import decode_cf_variable

from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.core.locks import ProcessLock

_CATCHING = ProcessLock()
"""Held while filters of warnings are changed, which belong to the whole process."""

_TOLERANCE = np.timedelta64(1, "ms")
"""How far times may move that are stored as floating-point numbers, as xarray does by default."""


class GroupStore(ZarrStore):
    """Leaves alone what the dataset to be written left alone, and checks what it writes over.

    Attributes
    ----------
    undecoded : frozenset of str
        Variables whose `units` are among their attributes: nothing decoded them.
    """

    undecoded: frozenset[str] = frozenset()
    _given: Mapping[str, Variable]

    def open_store_variable(self, name: str) -> Any:
        """Variable as it is stored.

        Before it appends, xarray decodes the stored variables to find their encoding. That fails
        for time axes it cannot decode (a climatology in the year 0), even if the dataset was
        opened with ``decode_times=False`` and so needs no such encoding.
        """
        variable = super().open_store_variable(name)  # type: ignore[no-untyped-call]
        if name in self.undecoded:
            variable.attrs.pop("units", None)
        return variable

    def store(self, variables: Any, *args: Any, **kwargs: Any) -> None:
        """Encode and write a dataset; see `xarray.backends.zarr.ZarrStore.store`."""
        self._given = variables
        with _CATCHING, warnings.catch_warnings():
            if self._mode != "w":
                self._ignore_what_is_checked(variables)
            super().store(variables, *args, **kwargs)  # type: ignore[no-untyped-call]

    def _ignore_what_is_checked(self, variables: Mapping[str, Variable]) -> None:
        """Let xarray encode without a warning what is refused afterwards if it is wrong."""
        stored = set(self.array_keys())
        written = [variable for name, variable in variables.items() if name in stored]
        if written:
            warnings.filterwarnings("ignore", "Time(s|deltas) can't be serialized faithfully")
            warnings.filterwarnings("ignore", ".*encountered in cast", RuntimeWarning)
            warnings.filterwarnings("ignore", category=ComplexWarning)
            if all(variable.chunks is None for variable in written):
                warnings.filterwarnings("ignore", "saving variable .* floating point data")

    def set_variables(self, variables: Any, *args: Any, **kwargs: Any) -> None:
        """Make, resize and fill arrays with encoded variables.

        Raises
        ------
        InvalidInputError
            Kind ``encoding-mismatch`` when a stored array cannot hold the values given for it, or
            arrays that grow together do not have the same length.
        """
        if self._mode != "w":
            stored = set(self.array_keys())
            if self._append_dim is not None:
                self._check_lengths(variables, stored)
            for name, encoded in variables.items():
                if name in stored:
                    self._check_encoding(name, self._given[name], encoded)
        super().set_variables(variables, *args, **kwargs)

    def _check_lengths(self, variables: Mapping[str, Variable], stored: set[str]) -> None:
        """Refuse to append where the arrays would not have the same length afterwards."""
        dim = self._append_dim
        lengths: dict[str, int] = {}
        for name, variable in variables.items():
            if dim in variable.dims:
                axis = variable.dims.index(dim)
                lengths[name] = self.zarr_group[name].shape[axis] if name in stored else 0
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} {length}" for name, length in sorted(lengths.items()))
            raise InvalidInputError(
                f"cannot append along {dim!r}: the stored lengths differ ({listed}; 0 is an array "
                "that is not there yet), so the new values would not lie beside each other. Write "
                "what is missing first, with `region=`, or leave variables out with "
                "`Dataset.drop_vars`",
                ErrorKind.ENCODING_MISMATCH,
            )

    def _check_encoding(self, name: str, given: Variable, encoded: Variable) -> None:
        """Refuse values that would be read back as others."""
        stored = self.open_store_variable(name)
        if name in self.undecoded:
            self._check_units(name, given)
        if encoded.dims != given.dims and set(encoded.dims) == set(given.dims):
            given = given.transpose(*encoded.dims)
        if encoded.chunks is not None or given.chunks is not None:
            if not _surely_fits(given, stored):
                raise _refusal(
                    name,
                    f"its values are {given.dtype}, which {stored.dtype} cannot hold all of",
                    f'Cast it: dataset["{name}"].astype("{stored.dtype}"), or write the array '
                    "again with a wider type",
                )
            return
        if encoded.shape == given.shape and not _comes_back(name, given, encoded, stored):
            raise _refusal(
                name,
                f"it is stored as {_description(stored)}, which does not give the same values back",
                f'Write the array again with encoding={{"{name}": {_needed(encoded)}}}, or convert '
                "the values first",
            )

    def _check_units(self, name: str, given: Variable) -> None:
        """Refuse undecoded times that count from another moment than the stored ones."""
        stored = super().open_store_variable(name).attrs  # type: ignore[no-untyped-call]
        for key in ("units", "calendar"):
            ours, theirs = given.attrs.get(key), stored.get(key)
            if ours != theirs and " since " in f"{given.attrs['units']} {stored.get('units')}":
                raise _refusal(
                    name,
                    f"it has the {key} {ours!r} and is stored with {theirs!r}",
                    "Decode it with `xarray.decode_cf`, and xarray converts the values; or write "
                    f'the array again with encoding={{"{name}": {{"{key}": {ours!r}}}}}',
                )


def _refusal(name: str, reason: str, remedy: str) -> InvalidInputError:
    return InvalidInputError(
        f"cannot write over or append to the variable {name!r}: {reason}. {remedy}",
        ErrorKind.ENCODING_MISMATCH,
    )


def _surely_fits(given: Variable, stored: Variable) -> bool:
    """Whether a type holds the values of another, whatever they are; floats may be rounded."""
    ours, theirs = given.dtype, stored.dtype
    if ours == theirs or ours.kind in "OTmM" or theirs.kind in "OT":
        return True  # times that do not fit fail when dask encodes them
    if {"scale_factor", "add_offset", "_FillValue", "missing_value"} & stored.attrs.keys():
        return ours.kind in "fiub"  # packed: what the numbers mean is decided by the encoding
    if "dtype" in stored.attrs:
        return ours.kind in "bm"
    if ours.kind == theirs.kind and ours.kind in "fc":
        return True
    return np.can_cast(ours, theirs, "safe")


def _comes_back(name: str, given: Variable, encoded: Variable, stored: Variable) -> bool:
    """Whether values that are stored as the array is are read back as they were given."""
    if given.dtype == encoded.dtype == stored.dtype and not _is_encoded(stored):
        return True
    values = np.asarray(given.values)
    raw = np.asarray(encoded.values)
    if stored.dtype.kind not in "OT":
        with np.errstate(all="ignore"):
            raw = raw.astype(stored.dtype)
    # As it is read: with the attributes that are stored, not those that xarray would have needed.
    variable = Variable(encoded.dims, raw, stored.attrs, stored.encoding)
    decoded = np.asarray(
        decode_cf_variable(
            name,
            variable,
            decode_times=_time_coder(values),
            decode_timedelta=values.dtype.kind == "m",
        ).values
    )
    return _same(values, decoded, stored)


def _is_encoded(stored: Variable) -> bool:
    """Whether values are stored as other values."""
    meanings = {"scale_factor", "add_offset", "dtype", "calendar"}
    fills = [stored.attrs.get(key) for key in ("_FillValue", "missing_value")]
    return (
        bool(meanings & stored.attrs.keys())
        or not all(fill is None or np.all(pd.isnull(fill)) for fill in fills)
        or " since " in str(stored.attrs.get("units"))
    )


def _time_coder(values: np.ndarray[Any, Any]) -> Any:
    """Decodes times into what the values are: numpy's of the same unit, or cftime's."""
    if values.dtype.kind == "M":
        unit = np.datetime_data(values.dtype)[0]
        return CFDatetimeCoder(time_unit=unit if unit in ("s", "ms", "us", "ns") else "ns")  # type: ignore[arg-type]
    dates = values.dtype.kind == "O" and values.size > 0 and hasattr(values.flat[0], "calendar")
    return CFDatetimeCoder(use_cftime=True if dates else None)


def _same(values: np.ndarray[Any, Any], decoded: np.ndarray[Any, Any], stored: Variable) -> bool:
    kinds = values.dtype.kind + decoded.dtype.kind
    if kinds in ("MM", "mm"):
        known = ~np.isnat(values)
        if not np.array_equal(known, ~np.isnat(decoded)):
            return False
        apart = abs(values[known] - decoded[known])
        limit = _TOLERANCE if stored.dtype.kind == "f" else np.timedelta64(0, "ns")
        return bool((apart <= limit).all())
    if "M" in kinds or "m" in kinds:
        return False  # numbers would be read as times, or times as numbers
    if values.dtype.kind in "fc" or decoded.dtype.kind in "fc":
        if not {values.dtype.kind, decoded.dtype.kind} <= set("fciub"):
            return False
        return bool(np.isclose(decoded, values, *_precision(stored), equal_nan=True).all())
    if values.dtype.kind == "O" and values.size and hasattr(values.flat[0], "calendar"):
        return bool((abs(values - decoded) <= _TOLERANCE.astype(object)).all())
    # Xarray has no way to store that a text is missing: it becomes an empty one.
    known = ~pd.isnull(values) if values.dtype.kind == "O" else np.ones(values.shape, bool)
    return bool(np.array_equal(values[known].astype(object), decoded[known].astype(object)))


def _precision(stored: Variable) -> tuple[float, float]:
    """Relative and absolute tolerance of what is stored as floats, or packed into integers."""
    scale = abs(float(stored.attrs.get("scale_factor", 1)))
    packed = {"scale_factor", "add_offset"} & stored.attrs.keys()
    if stored.dtype.kind in "fc":
        eps = float(np.finfo(stored.dtype).eps)
        offset = abs(float(stored.attrs.get("add_offset", 0)))
        return 4 * eps, 4 * eps * offset
    # The attributes may be kept in single precision, and decoded in it.
    return (1e-6, scale * 0.5001) if packed else (0.0, 0.0)


def _description(stored: Variable) -> str:
    kept = ("units", "calendar", "scale_factor", "add_offset", "_FillValue", "missing_value")
    said = [f"{key} {stored.attrs[key]!r}" for key in kept if key in stored.attrs]
    return " with ".join([str(stored.dtype), *([", ".join(said)] if said else [])])


def _needed(encoded: Variable) -> dict[str, Any]:
    """Encoding that the values need."""
    kept = {key: encoded.attrs[key] for key in ("units", "calendar") if key in encoded.attrs}
    return {**kept, "dtype": str(encoded.dtype)}
