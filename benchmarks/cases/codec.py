"""The manifest codec alone: 1,000,000 native references between columns and bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from case import Case, Implementation, Sample, stopwatch


def _table(references: int) -> Any:
    import numpy as np

    from icechunk.spec.manifest.chunk_table import ChunkTable

    rows = np.arange(references, dtype=np.uint32)
    random = np.random.default_rng(7)
    return ChunkTable.from_columns(
        np.stack([rows // 10_000, rows // 100 % 100, rows % 100], axis=1),
        np.ones(references, dtype=np.uint8),  # native
        random.integers(0, 256, (references, 12), dtype=np.uint8),
        np.zeros(references, dtype=np.uint64),
        np.full(references, 65_536, dtype=np.uint64),
    )


def _encode_decode(references: int) -> tuple[Sample, Sample]:
    from icechunk.core.ids import NodeId, ObjectId
    from icechunk.spec.manifest.decode import decode_manifest, encode_manifest

    node, name = NodeId(bytes(range(8))), ObjectId(bytes(range(12)))
    table = _table(references)
    with stopwatch() as encoding:
        data = encode_manifest(name, {node: table})
    with stopwatch() as decoding:
        decoded = decode_manifest(data, name="manifests/benchmark").arrays[node]
        found = decoded.find((0, 0, 1))
    if len(decoded) != references or found != 1:
        raise SystemExit("the codec changed the references")
    return encoding.sample(), decoding.sample()


def _encode(implementation: Implementation, folder: Path, references: int) -> Sample:
    return _encode_decode(references)[0]


def _decode(implementation: Implementation, folder: Path, references: int) -> Sample:
    return _encode_decode(references)[1]


CASES = (
    Case(
        name="encode",
        title="encode a manifest of 1,000,000 references",
        state="columns to bytes, zstd level 3 included; random object ids",
        place="memory",
        size=1_000_000,
        implementations=("ours",),
        measure=_encode,
        limit=1.0,
    ),
    Case(
        name="decode",
        title="decode a manifest of 1,000,000 references, first lookup included",
        state="bytes to columns, zstd included",
        place="memory",
        size=1_000_000,
        implementations=("ours",),
        measure=_decode,
        limit=1.0,
    ),
)
