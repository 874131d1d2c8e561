"""Zarr hierarchies of virtual references to the variables of netCDF files."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import zarr
from zarr.codecs import BytesCodec
from zarr.codecs.numcodecs import Shuffle, Zlib

import icechunk
from tests.virtual_chunks.netcdf3 import Variable, variables


def _attributes(raw: dict[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, value in raw.items():
        if name.startswith(("_Netcdf", "_FillValue")) or name.isupper():  # the library's own
            continue
        value = value.item() if isinstance(value, np.generic) else value
        value = value.tolist() if isinstance(value, np.ndarray) else value
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        kept[name] = value.decode() if isinstance(value, bytes) else value
    return kept


def add_classic(session: icechunk.Session, data: bytes, location: str, **checks: Any) -> list[str]:
    """Refer to every variable of a classic netCDF file; returns their names."""
    group = zarr.create_group(session.store, overwrite=True)
    found = variables(data)
    for name, variable in found.items():
        _add_classic(session, group, name, variable, location, checks)
    return list(found)


def _add_classic(
    session: icechunk.Session,
    group: Any,
    name: str,
    variable: Variable,
    location: str,
    checks: dict[str, Any],
) -> None:
    fill = variable.attributes.get("_FillValue", variable.attributes.get("missing_value", 0))
    group.create_array(
        name,
        shape=variable.shape,
        chunks=variable.chunk,
        dtype=variable.dtype,
        serializer=BytesCodec(endian="big"),
        compressors=None,
        fill_value=fill,
        dimension_names=variable.dimensions,
        attributes=_attributes(variable.attributes),
    )
    grid = (len(variable.offsets), *(1,) * (len(variable.shape) - 1))
    rejected = session.store.set_virtual_refs_arr(
        name,
        grid,
        [location] * len(variable.offsets),
        np.array(variable.offsets, np.uint64),
        np.full(len(variable.offsets), variable.length, np.uint64),
        **checks,
    )
    assert rejected is None


def add_hdf5(session: icechunk.Session, path: str, location: str) -> list[str]:
    """Refer to every chunk of every data set of an HDF5 file; returns their names."""
    group = zarr.create_group(session.store, overwrite=True)
    with h5py.File(path) as file:
        for name, dataset in file.items():
            _add_dataset(session, group, name, dataset, location)
        return list(file)


def _add_dataset(
    session: icechunk.Session, group: Any, name: str, dataset: Any, location: str
) -> None:
    compressors = []
    if dataset.shuffle:
        compressors.append(Shuffle(elementsize=dataset.dtype.itemsize))
    if dataset.compression == "gzip":
        compressors.append(Zlib(level=dataset.compression_opts))
    group.create_array(
        name,
        shape=dataset.shape,
        chunks=dataset.chunks or dataset.shape,
        dtype=dataset.dtype.newbyteorder("<"),
        serializer=BytesCodec(endian="little"),
        compressors=compressors or None,
        fill_value=dataset.fillvalue.item(),
        dimension_names=[dim[0].name.strip("/") if len(dim) else name for dim in dataset.dims],
        attributes=_attributes(dict(dataset.attrs)),
    )
    if dataset.chunks is None:
        session.store.set_virtual_ref(
            f"{name}/c/" + "/".join("0" * dataset.ndim),
            location,
            offset=dataset.id.get_offset(),
            length=dataset.id.get_storage_size(),
        )
        return
    specs = []
    for number in range(dataset.id.get_num_chunks()):
        chunk = dataset.id.get_chunk_info(number)
        index = [at // side for at, side in zip(chunk.chunk_offset, dataset.chunks, strict=True)]
        specs.append(icechunk.VirtualChunkSpec(index, location, chunk.byte_offset, chunk.size))
    assert session.store.set_virtual_refs(name, specs) is None
