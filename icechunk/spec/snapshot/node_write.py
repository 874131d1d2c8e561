"""Write the nodes of a snapshot: unchanged ones are copied from their file as bytes.

Parts that many arrays have in common (names of dimensions, equal axes, the same extents) are stored
once; readers follow offsets, so they need not know.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np

from icechunk.core.errors import ErrorKind, FormatError, InvalidInputError
from icechunk.core.ids import id_text
from icechunk.spec.dialect import Dialect
from icechunk.spec.flatbuffers.read import Body
from icechunk.spec.flatbuffers.write import Builder, ref, struct, u8, u32, u64
from icechunk.spec.snapshot.node_rows import (
    ARRAY,
    GROUP,
    NOTE_SIZE,
    Region,
    StoredNodes,
    region_note,
)
from icechunk.spec.snapshot.nodes import ArrayData, ManifestRef, NodeSnapshot
from icechunk.spec.snapshot.snapshot import Snapshot

_MAX_U32 = 2**32 - 1


class NodeWriter:
    """Adds the nodes of one snapshot to a flatbuffer.

    Parameters
    ----------
    builder : Builder
        Builder of the snapshot file.
    snapshot : Snapshot
        The snapshot to write.
    dialect : Dialect
        Spec version to write.
    """

    def __init__(self, builder: Builder, snapshot: Snapshot, dialect: Dialect) -> None:
        self._builder = builder
        self._snapshot = snapshot
        self._dialect = dialect
        self._shared: dict[Hashable, int] = {}

    def write(self) -> StoredNodes:
        """Add all nodes; return them in their encoded form.

        Call this before anything else is added to the builder.

        Raises
        ------
        FormatError
            Kind ``manifest-info-not-found`` when a node refers to a manifest that is not listed.
        InvalidInputError
            Kind ``invalid-array-metadata`` for arrays that the format cannot describe.
        """
        table, builder = self._snapshot.nodes, self._builder
        own, source, rows = table.parts()
        kept = len(table) - len(own)
        if not isinstance(source, StoredNodes) or not can_be_copied(
            source, len(own), kept, self._dialect
        ):
            return self._encode_all(own)
        if not table.manifest_ids() <= self._snapshot.manifests.keys():
            raise _unlisted(f"one of {kept} unchanged nodes")
        note = bytearray(NOTE_SIZE)
        base = builder.block(note, 0)
        for part in source.region.parts:
            builder.block(part, 0)
        refs, known = source.refs[rows], source.known.copy()
        mark = builder.mark()
        for path, node in own.items():
            refs[table.row(path)] = distance = self._node(node) - base
            known[distance] = node
        fresh = builder.joined(mark)
        live = source.region.live * kept // max(len(source.paths), 1)
        region = source.region.longer(fresh, live + len(fresh))
        note[:] = region_note(region)
        version, paths, ids = self._dialect.spec_version, table.paths, table.ids
        return StoredNodes(version, paths, ids, region, refs, source.body, source.end, known)

    def _encode_all(self, changed: dict[str, NodeSnapshot]) -> StoredNodes:
        """Write every node; keep those that changed decoded."""
        table, builder = self._snapshot.nodes, self._builder
        mark = builder.mark()
        refs = np.fromiter(map(self._node, table), np.int64, len(table))
        raw = builder.joined(mark)
        known = {int(refs[table.row(path)]): node for path, node in changed.items()}
        version, size = self._dialect.spec_version, len(raw)
        region, body = (
            Region((raw,), size, size),
            Body(raw, f"nodes of {id_text(self._snapshot.id)}"),
        )
        return StoredNodes(version, table.paths, table.ids, region, refs, body, size, known)

    def _once(self, key: Hashable, make: Callable[[], int]) -> int:
        """Ref of a part that equal nodes share."""
        known = self._shared.get(key)
        if known is None:
            known = self._shared[key] = make()
        return known

    def _node(self, node: NodeSnapshot) -> int:
        builder = self._builder
        if node.array is None:
            kind, data = GROUP, self._once("group", lambda: builder.table({}))
        else:
            _check_array(node.path, node.array, self._snapshot)
            kind, data = ARRAY, self._array(node.array)
        return builder.table(
            {
                0: struct(node.id),
                1: ref(builder.string(node.path)),
                2: ref(builder.bytes_vector(node.user_data)),
                3: u8(kind),
                4: ref(data),
            }
        )

    def _array(self, array: ArrayData) -> int:
        builder = self._builder
        dimensions = array.dimension_names
        names = None
        if dimensions is not None:
            names = self._once(("names", dimensions), lambda: self._names(dimensions))
        manifests = builder.offset_vector([self._manifest(item) for item in array.manifests])
        axes = tuple(zip(array.shape, array.num_chunks, strict=True))
        counted, pairs = None, b""
        if self._dialect.counted_shapes:
            counted = self._once(("axes", axes), lambda: self._axes(axes))
        else:
            # Spec 1 stores a chunk length that gives back the number of chunks.
            lengths = [(length, -(-length // chunks) if chunks else 0) for length, chunks in axes]
            pairs = np.array(lengths, "<u8").tobytes()
        shape = self._once(
            ("shape", pairs), lambda: builder.struct_vector(pairs, len(pairs) // 16, 8)
        )
        return builder.table({0: ref(shape), 1: ref(names), 2: ref(manifests), 3: ref(counted)})

    def _names(self, names: tuple[str | None, ...]) -> int:
        builder = self._builder
        texts = [builder.shared_string(name) if name else None for name in names]
        return builder.offset_vector([builder.table({0: ref(text)}) for text in texts])

    def _axes(self, axes: tuple[tuple[int, int], ...]) -> int:
        return self._builder.offset_vector([self._axis(*axis) for axis in axes])

    def _axis(self, length: int, chunks: int) -> int:
        table = {0: u64(length), 1: u32(chunks)}
        return self._once(("axis", length, chunks), lambda: self._builder.table(table))

    def _manifest(self, item: ManifestRef) -> int:
        builder = self._builder
        extents = item.extents
        boxes = self._once(
            ("extents", extents),
            lambda: builder.struct_vector(np.array(extents, "<u4").tobytes(), len(extents), 4),
        )
        return builder.table({0: struct(item.object_id), 1: ref(boxes)})


def can_be_copied(source: StoredNodes, changed: int, kept: int, dialect: Dialect) -> bool:
    """Whether the bytes of the unchanged nodes may be part of the new file, with little waste."""
    live = source.region.live * kept // max(len(source.paths), 1)
    return (
        source.spec_version == dialect.spec_version
        and changed * 4 <= kept
        and source.region.size - live <= live // 4
    )


def _check_array(path: str, array: ArrayData, snapshot: Snapshot) -> None:
    """Refuse what other writers are known to store as a wrong number, or to fail on."""
    for manifest in array.manifests:
        if manifest.object_id not in snapshot.manifests:
            raise _unlisted(f"array `{path}`")
    if max(array.num_chunks, default=0) > _MAX_U32:
        raise InvalidInputError(
            f"Invalid array metadata: array `{path}` has {max(array.num_chunks)} chunks along one "
            f"axis, the format allows {_MAX_U32}. Use larger chunks.",
            ErrorKind.INVALID_ARRAY_METADATA,
        )
    names = array.dimension_names
    if names is not None and len(names) > len(array.shape):
        raise InvalidInputError(
            f"Invalid array metadata: array `{path}` has {len(names)} dimension names for "
            f"{len(array.shape)} dimensions. Give one name per dimension.",
            ErrorKind.INVALID_ARRAY_METADATA,
        )


def _unlisted(what: str) -> FormatError:
    return FormatError(
        f"{what} refers to a manifest that the snapshot does not list. "
        "Commit again from a fresh session.",
        ErrorKind.MANIFEST_INFO_NOT_FOUND,
    )
