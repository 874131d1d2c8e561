"""Version an existing archive without copying it: virtual chunks of a netCDF file.

    python examples/virtual_chunks.py

The repository stores the location of every chunk: a file, an offset, a length, and the file's
modification time. Chunks are read from the file. Chunks that are written are stored in the
repository; the file never changes.
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from scipy.io import netcdf_file
from zarr.codecs import BytesCodec

import icechunk

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "output" / "virtual"
RAW: Any = {"decode_times": False, "mask_and_scale": False}


def offsets(values: np.ndarray[Any, Any], whole: np.ndarray[Any, Any], chunks: int) -> list[int]:
    """First byte of each chunk of a variable that is mapped into memory."""
    first = values.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    step = values.strides[0] if chunks > 1 else 0
    return [first + step * number for number in range(chunks)]


def refer(store: icechunk.IcechunkStore, path: Path, location: str) -> None:
    """Make a Zarr group whose chunks are those of a classic netCDF file, one per record."""
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    group = zarr.create_group(store)
    with netcdf_file(path, mmap=True) as file:
        for name, variable in file.variables.items():
            data = variable.data
            whole = data
            while isinstance(whole.base, np.ndarray):
                whole = whole.base
            chunk = (1, *data.shape[1:]) if variable.isrec else data.shape
            count = data.shape[0] if variable.isrec else 1
            group.create_array(
                name,
                shape=data.shape,
                chunks=chunk,
                dtype=data.dtype,
                serializer=BytesCodec(endian="big"),
                compressors=None,
                fill_value=data.dtype.type(-1e34) if data.dtype.itemsize == 4 else 0,
                dimension_names=variable.dimensions,
            )
            rejected = store.set_virtual_refs_arr(
                name,
                (count, *(1,) * (data.ndim - 1)),
                [location] * count,
                np.array(offsets(data, whole, count), np.uint64),
                np.full(count, int(np.prod(chunk)) * data.dtype.itemsize, np.uint64),
                checksum=written,
            )
            assert rejected is None
        del data, whole, variable  # release the memory map of the file


def main() -> None:
    """Refer to a file, read and change chunks, and detect a later change of the file."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    archive = OUTPUT / "archive"
    archive.mkdir(parents=True)
    path = archive / "coads_climatology.cdf"
    shutil.copy2(HERE / "data" / path.name, path)

    prefix = archive.as_uri() + "/"
    config = icechunk.RepositoryConfig()
    config.set_virtual_chunk_container(
        icechunk.VirtualChunkContainer(prefix, icechunk.local_filesystem_store(str(archive)))
    )
    storage = icechunk.local_filesystem_storage(OUTPUT / "repository")
    access = {prefix: icechunk.credentials.LocalFileSystemAccess}
    repo = icechunk.Repository.create(storage, config, authorize_virtual_chunk_access=access)

    session = repo.writable_session("main")
    refer(session.store, path, prefix + path.name)
    session.commit("The archive as it is")
    size = sum(one.stat().st_size for one in (OUTPUT / "repository").rglob("*") if one.is_file())
    print(f"{path.stat().st_size / 1e6:.1f} MB referred to by a repository of {size / 1e3:.0f} kB.")

    store = repo.readonly_session("main").store
    virtual = xr.open_zarr(store, consolidated=False, zarr_format=3, **RAW)
    with xr.open_dataset(path, engine="scipy", **RAW) as real:
        for name in real.variables:
            np.testing.assert_array_equal(virtual[name].values, real[name].values)
    print(f"All {len(virtual.variables)} variables read equal to the file.")

    session = repo.writable_session("main")
    sst: Any = zarr.open_array(session.store, path="SST")
    sst[0] = np.where(sst[0] < -1e33, sst[0], sst[0] + 0.5)
    session.commit("January corrected by half a degree")
    kinds = [repo.readonly_session("main").chunk_type("/SST", [k, 0, 0]).name for k in range(12)]
    ours, theirs = kinds.count("native"), kinds.count("virtual")
    print(f"SST now has {ours} chunk in the repository and {theirs} in the file.")

    stranger = icechunk.Repository.open(storage).readonly_session("main")
    try:
        zarr.open_array(stranger.store, path="SST")[1]
    except icechunk.InvalidInputError as error:
        print(f"Without authorisation: {error.kind}.")

    with path.open("r+b") as file:  # another program changes the archive
        file.seek(-1000, 2)
        file.write(bytes(1000))
    later = path.stat().st_mtime + 10
    os.utime(path, (later, later))
    try:
        zarr.open_array(repo.readonly_session("main").store, path="SST")[1]
    except icechunk.StorageError as error:
        print(f"After another program changed the file: {error.kind}.")


if __name__ == "__main__":
    main()
