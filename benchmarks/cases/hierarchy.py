"""Thousands of arrays in groups: made, committed, listed, opened; and their snapshot file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from case import Case, Implementation, Sample, stopwatch
from stores import open_repository

_PER_GROUP = 100


def _store(implementation: Implementation, folder: Path) -> tuple[Any, Any]:
    """Return a new store and what commits it; zarr's keeps everything in a dictionary."""
    if implementation == "zarr":
        from zarr.storage import MemoryStore

        return MemoryStore(), lambda: None
    shutil.rmtree(folder, ignore_errors=True)
    repository = open_repository(implementation, folder, create=True)
    session = repository.writable_session("main")
    return session.store, lambda: session.commit("arrays")


def _make(implementation: Implementation, folder: Path, arrays: int) -> Sample:
    """Create arrays through Zarr; as extra the time of the commit."""
    import zarr

    store, commit = _store(implementation, folder)
    with stopwatch() as watch:
        root = zarr.create_group(store)
        group = root
        for number in range(arrays):
            if number % _PER_GROUP == 0:
                group = root.create_group(f"group-{number // _PER_GROUP:03d}")
            group.create_array(
                f"variable-{number:05d}", shape=(8, 180, 360), chunks=(1, 180, 360), dtype="f4"
            )
    with stopwatch() as committing:
        commit()
    return watch.sample(arrays, commit=committing.wall)


def _filled(implementation: Implementation, folder: Path, arrays: int) -> Any:
    """Write the same documents without Zarr; return the store, committed."""
    import asyncio

    import zarr
    from zarr.core.buffer import default_buffer_prototype
    from zarr.storage import MemoryStore

    model: dict[str, Any] = {}
    group = zarr.create_group(MemoryStore(model))
    group.create_array("a", shape=(8, 180, 360), chunks=(1, 180, 360), dtype="f4")
    buffer = default_buffer_prototype().buffer
    store, commit = _store(implementation, folder)

    async def write() -> None:
        await store.set("zarr.json", buffer.from_bytes(model["zarr.json"].to_bytes()))
        for number in range(arrays):
            name = f"group-{number // _PER_GROUP:03d}"
            if number % _PER_GROUP == 0:
                document = buffer.from_bytes(model["zarr.json"].to_bytes())
                await store.set(f"{name}/zarr.json", document)
            document = buffer.from_bytes(model["a/zarr.json"].to_bytes())
            await store.set(f"{name}/variable-{number:05d}/zarr.json", document)

    asyncio.run(write())
    commit()
    return store


def _prepare(implementation: Implementation, folder: Path, arrays: int) -> None:
    if implementation != "zarr":
        _filled(implementation, folder, arrays)


def _opened(implementation: Implementation, folder: Path, arrays: int) -> Any:
    """Open the store of `_prepare` with a new handle."""
    if implementation == "zarr":
        return _filled(implementation, folder, arrays)
    return open_repository(implementation, folder).readonly_session("main").store


def _list(implementation: Implementation, folder: Path, arrays: int) -> Sample:
    """List all members through Zarr; as extras the keys, the root, and a group of the store."""
    import asyncio

    import zarr

    store = _opened(implementation, folder, arrays)

    async def count(names: Any) -> int:
        return len([name async for name in names])

    with stopwatch() as watch:
        members = zarr.open_group(store, mode="r").members(max_depth=None)
    if len(members) != arrays + -(-arrays // _PER_GROUP):
        raise SystemExit(f"{len(members)} members")
    extra = {}
    listings = {
        "root": lambda: store.list_dir(""),
        "group": lambda: store.list_dir("group-000"),
        "keys": lambda: store.list_prefix(""),
    }
    for name, listing in listings.items():
        with stopwatch() as listed:
            asyncio.run(count(listing()))
        extra[name] = listed.wall
    return watch.sample(**extra)


def _open(implementation: Implementation, folder: Path, arrays: int) -> Sample:
    """Open every array; as extra the first one, with the repository."""
    import zarr

    if implementation != "zarr":
        import icechunk  # noqa: F401 - its import is a case of its own

    with stopwatch() as first:
        store = _opened(implementation, folder, arrays)
        zarr.open_array(store, path="group-000/variable-00000", mode="r")
    with stopwatch() as watch:
        for number in range(arrays):
            path = f"group-{number // _PER_GROUP:03d}/variable-{number:05d}"
            zarr.open_array(store, path=path, mode="r")
    return watch.sample(arrays, first=first.wall)


def _snapshot(arrays: int) -> Any:
    from icechunk.core.ids import NodeId, ObjectId
    from icechunk.spec.snapshot.nodes import ArrayData, ManifestRef, NodeSnapshot, NodeTable
    from icechunk.spec.snapshot.snapshot import ManifestInfo, Snapshot

    manifests = [ObjectId(number.to_bytes(12, "big")) for number in range(arrays // 100 + 1)]
    document = b'{"shape":[%d,180,360],"zarr_format":3,"node_type":"array"}' + b" " * 600
    nodes = [NodeSnapshot(NodeId(bytes(8)), "/", b"{}")]
    for number in range(arrays):
        group = f"/group-{number // 100:03d}"
        if number % 100 == 0:
            nodes.append(NodeSnapshot(NodeId((2**40 + number).to_bytes(8, "big")), group, b"{}"))
        array = ArrayData(
            (number + 1, 180, 360),
            (number + 1, 1, 1),
            ("time", "lat", "lon"),
            (ManifestRef(manifests[number // 100], ((0, number + 1), (0, 1), (0, 1))),),
        )
        path = f"{group}/variable-{number:05d}"
        identity = NodeId((number + 1).to_bytes(8, "big"))
        nodes.append(NodeSnapshot(identity, path, document % (number + 1), array))
    infos = {manifest: ManifestInfo(manifest, 1000, 100) for manifest in manifests}
    return Snapshot(ObjectId(bytes(12)), None, 1, "m", {}, NodeTable(nodes), infos)


def _encode(implementation: Implementation, folder: Path, arrays: int) -> Sample:
    """One array changed in a snapshot that was read from a file."""
    from icechunk.spec.snapshot.codec import decode_snapshot, encode_snapshot

    stored = decode_snapshot(encode_snapshot(_snapshot(arrays)), name="s")
    with stopwatch() as watch:
        encode_snapshot(stored)
    return watch.sample()


def _decode(implementation: Implementation, folder: Path, arrays: int) -> Sample:
    """Open the file and look at one array and the root's children."""
    from icechunk.spec.snapshot.codec import decode_snapshot, encode_snapshot

    data = encode_snapshot(_snapshot(arrays))
    with stopwatch() as watch:
        nodes = decode_snapshot(data, name="s").nodes
        node = nodes.get("/group-000/variable-00000")
        below = nodes.children("/")
    if node is None or not below:
        raise SystemExit("the hierarchy is gone")
    return watch.sample()


_ALL: tuple[Implementation, ...] = ("ours", "reference", "zarr")
_STATE = "local files on tmpfs, not synced; zarr = its MemoryStore, no versions"

CASES = (
    Case(
        name="tree-create",
        title="create 5,000 arrays in 50 groups through Zarr, per array",
        state=f"{_STATE}; commit = seconds of the commit of all",
        place="memory",
        size=5_000,
        implementations=_ALL,
        measure=_make,
        goal=1.0,
    ),
    Case(
        name="tree-list",
        title="list all members of 5,000 arrays in 50 groups through Zarr",
        state=f"{_STATE}; a fresh handle; root, group, keys = listings of the store alone",
        place="memory",
        size=5_000,
        implementations=_ALL,
        prepare=_prepare,
        measure=_list,
        goal=1.0,
    ),
    Case(
        name="tree-open",
        title="open each of 5,000 arrays in 50 groups through Zarr, per array",
        state=f"{_STATE}; first = open the repository, a session and one array",
        place="memory",
        size=5_000,
        implementations=_ALL,
        prepare=_prepare,
        measure=_open,
        goal=1.0,
    ),
    Case(
        name="tree-encode",
        title="snapshot file of 5,000 arrays, written again",
        state="in memory, zstd included; the snapshot came from a file",
        place="memory",
        size=5_000,
        implementations=("ours",),
        measure=_encode,
        limit=0.04,
    ),
    Case(
        name="tree-decode",
        title="snapshot file of 5,000 arrays, read, one array and the root looked at",
        state="in memory, zstd included",
        place="memory",
        size=5_000,
        implementations=("ours",),
        measure=_decode,
        limit=0.04,
    ),
)
