"""Repositories written by the reference library, for decoding tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.oracle import run_reference

WRITE = """
    import datetime
    import icechunk as ic, numpy as np, zarr

    root, version = args
    config = ic.RepositoryConfig.default()
    config.set_virtual_chunk_container(
        ic.VirtualChunkContainer("s3://bucket/", ic.s3_store(region="us-east-1"))
    )
    repo = ic.Repository.create(
        ic.local_filesystem_storage(root), config=config, spec_version=version
    )
    session = repo.writable_session("main")
    store = session.store
    group = zarr.group(store)
    kw = dict(dtype="u1", compressors=None, fill_value=0)
    native = group.create_array("native", shape=(60, 4000), chunks=(20, 1000), **kw)
    native[:40] = np.arange(40 * 4000).reshape(40, 4000) % 251
    native[40:, 3000:] = 7
    inline = group.create_array("inline", shape=(40,), chunks=(8,), **kw)
    inline[8:] = np.arange(32)
    scalar = group.create_array("scalar", shape=(), chunks=(), dtype="i8", compressors=None)
    scalar[...] = 42
    big = group.create_array("big", shape=(2000, 1), chunks=(1, 1), **kw)
    store.set_virtual_refs("/big", [
        ic.VirtualChunkSpec(
            [k, 0], f"s3://bucket/some/long/prefix/file-{k // 7}.nc", k * 10, k + 1
        )
        for k in range(2000)
    ], validate_containers=False)
    mixed = group.create_array("mixed", shape=(6, 2000), chunks=(1, 1000), **kw)
    mixed[0] = 1
    small = group.create_array("small", shape=(6, 2), chunks=(1, 1), **kw)
    small[4:] = 9
    when = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    for name in ("mixed", "small"):
        store.set_virtual_refs("/" + name, [
            ic.VirtualChunkSpec([1, 0], "s3://bucket/plain é.nc", 5, 6),
            ic.VirtualChunkSpec([2, 0], "s3://bucket/tagged.nc", 5, 7, etag_checksum='"abc"'),
            ic.VirtualChunkSpec(
                [2, 1], "s3://bucket/dated.nc", 5, 8, last_updated_at_checksum=when
            ),
        ], validate_containers=False)
    group.create_group("g/h")
    first = session.commit("first")
    names = ["native", "inline", "scalar", "big", "mixed", "small"]
    ids = {name: session.get_node_id("/" + name) for name in names}

    session = repo.writable_session("main")
    group = zarr.open_group(session.store)
    zarr.open_array(session.store, path="inline")[0:16] = 5
    zarr.open_array(session.store, path="native")[20:, :1000] = 5
    zarr.open_array(session.store, path="scalar")[...] = 43
    group["small"].attrs["x"] = 1
    group["g"].attrs["x"] = 1
    del group["g/h"]
    del group["mixed"]
    zarr.create_array(session.store, name="g/fresh", shape=(3,), chunks=(1,), dtype="i2")
    second = session.commit("second")
    ids["g/fresh"] = session.get_node_id("/g/fresh")
    third = None
    if version == 2:
        session = repo.rearrange_session("main")
        session.move("/small", "/g/small")
        session.move("/g", "/elsewhere")
        third = session.commit("third")
    result = {"ids": ids, "snapshots": [first, second, third]}
"""


@dataclass(frozen=True)
class ReferenceRepo:
    """A repository on local disk: node ids (text) by name, ids of its three commits."""

    root: Path
    spec_version: int
    ids: dict[str, str]
    snapshots: list[str]


def write_reference_repo(root: Path, spec_version: int) -> ReferenceRepo:
    """Create the repository in an empty folder."""
    made: dict[str, Any] = run_reference(WRITE, str(root), spec_version)
    return ReferenceRepo(root, spec_version, made["ids"], made["snapshots"])
