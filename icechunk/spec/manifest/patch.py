"""Replace a few references of a large manifest in the bytes of its file.

Decoding a million references to change one costs many times more than the change. In a flatbuffer
the new references can go behind everything else: only the distances that pointed to the old ones,
and the id, are written over. Old references stay in the file, unused; a note after the flatbuffer,
which readers ignore, says how large the payload was when all of it was in use, so that manifests
that were patched too often are written in full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from icechunk.core.ids import NodeId, ObjectId
from icechunk.spec import envelope
from icechunk.spec.dialect import Dialect
from icechunk.spec.flatbuffers.read import Body
from icechunk.spec.flatbuffers.write import MAX_BODY
from icechunk.spec.manifest.chunk_table import TOMBSTONE, ChunkTable
from icechunk.spec.manifest.encode import encode_refs
from icechunk.spec.manifest.patch_note import note, read_note
from icechunk.spec.manifest.ref_vectors import ID, REFS, search

if TYPE_CHECKING:
    from icechunk.spec.manifest.decode import Manifest

SMALLEST = 20_000
"""Manifests with fewer references are written in full: that costs little."""

_MOST_EDITS = 1000
_WASTE = 8  # at most 1/8 of the payload may be unused


@dataclass(frozen=True, slots=True)
class ManifestPatch:
    """References to be replaced in a manifest file; made by `plan_patch`.

    Attributes
    ----------
    num_chunk_refs : int
        Number of references, before and after.
    """

    _body: Body
    _id_at: int
    _elements: list[int]
    _edits: ChunkTable
    num_chunk_refs: int

    def encode(self, id: ObjectId, *, dialect: Dialect, level: int) -> bytes:
        """File with the new references, under another id.

        Parameters
        ----------
        id
            Id of the new manifest.
        dialect, level
            As `encode_manifest`.
        """
        data = memoryview(self._body.data)
        used, size = read_note(self._body)
        begin = -(-used // 8) * 8
        block = encode_refs(self._edits)
        vector = begin + block.entry
        distances = np.frombuffer(block.raw, "<u4", len(self._edits), block.entry + 4).tolist()
        changes = [(self._id_at, bytes(id))]
        for row, (element, distance) in enumerate(zip(self._elements, distances, strict=True)):
            place = vector + 4 + 4 * row + distance
            changes.append((element, (place - element).to_bytes(4, "little")))
        pieces: list[bytes | memoryview] = []
        done = 0
        for at, raw in sorted(changes):
            pieces += [data[done:at], raw]
            done = at + len(raw)
        pieces += [data[done:used], bytes(begin - used), block.raw, note(size)]
        kind = envelope.FileType.MANIFEST
        return envelope.pack(kind, dialect.spec_version, pieces, level, records=True)


def plan_patch(manifest: Manifest, node: NodeId, edits: ChunkTable) -> ManifestPatch | None:
    """Find out whether edits can be made in the bytes of a manifest.

    Parameters
    ----------
    manifest
        Large, of one array only, and not decoded yet.
    node
        The array.
    edits
        New references for chunks that have one already.

    Returns
    -------
    ManifestPatch or None
        None when the manifest has to be written in full.
    """
    stored = manifest.stored(node)
    if (
        stored is None
        or len(manifest.arrays) != 1
        or manifest.num_chunk_refs < SMALLEST
        or not 0 < len(edits) <= min(_MOST_EDITS, manifest.num_chunk_refs // 20)
        or (edits.kind == TOMBSTONE).any()
    ):
        return None
    body = stored.body
    used, size = read_note(body)
    added = edits.nbytes + 64 * len(edits)
    if used + added - size > size // _WASTE or used + added > MAX_BODY:
        return None
    span, id_at = stored.vector(REFS, 4), body.root().place(ID, 12)
    if span is None or not id_at:
        return None
    elements: list[int] = []
    for coords in edits.coords().tolist():
        element = search(body, span, tuple(coords))
        if element is None:
            return None
        elements.append(element)
    return ManifestPatch(body, id_at, elements, edits, manifest.num_chunk_refs)
