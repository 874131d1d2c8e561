"""The snapshot file of 5,000 arrays, alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from case import Case, Implementation, Sample, stopwatch


def _snapshot(arrays: int) -> Any:
    from icechunk.ground.ids import NodeId, ObjectId
    from icechunk.model.nodes import ArrayData, ManifestRef, NodeSnapshot, NodeTable
    from icechunk.model.snapshot import ManifestInfo, Snapshot

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
    from icechunk.format.snapshot import decode_snapshot, encode_snapshot

    stored = decode_snapshot(encode_snapshot(_snapshot(arrays)), name="s")
    with stopwatch() as watch:
        encode_snapshot(stored)
    return watch.sample()


def _decode(implementation: Implementation, folder: Path, arrays: int) -> Sample:
    """Open the file and look at one array and the root's children."""
    from icechunk.format.snapshot import decode_snapshot, encode_snapshot

    data = encode_snapshot(_snapshot(arrays))
    with stopwatch() as watch:
        nodes = decode_snapshot(data, name="s").nodes
        node = nodes.get("/group-000/variable-00000")
        below = nodes.children("/")
    if node is None or not below:
        raise SystemExit("the hierarchy is gone")
    return watch.sample()


CASES = (
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
