"""Look up where a chunk is stored: the hot path of every read."""

from __future__ import annotations

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.chunk_edits import DELETED
from icechunk.core.errors import ErrorKind, FormatError
from icechunk.core.ids import NodeId, id_text
from icechunk.files.repository_files import RepositoryFiles
from icechunk.spec.manifest.chunk_table import ChunkTable, Location
from icechunk.spec.manifest.coordinates import ChunkIndex
from icechunk.spec.manifest.decode import Manifest
from icechunk.spec.manifest.extents import contains, covers
from icechunk.spec.snapshot.nodes import ManifestRef, NodeSnapshot, NodeTable
from icechunk.spec.snapshot.snapshot import ManifestInfo, Snapshot


class NotHeld:
    """Answer of `ArrayReader.locate` when a manifest must be fetched, or decoded, first.

    Attributes
    ----------
    part : int
        Which manifest of the array.
    decode : bool
        Whether the references have to be decoded; otherwise the file itself can be searched.
    """

    __slots__ = ("decode", "part")

    def __init__(self, part: int, *, decode: bool = False) -> None:
        self.part = part
        self.decode = decode


BASE_NOT_HELD = NotHeld(-1)
"""The same before any manifest: the base snapshot must be fetched first."""


class ArrayReader:
    """Locations of the chunks of one array, as a session sees them.

    Parameters
    ----------
    node : NodeSnapshot
        An array; its metadata as the session sees it, its manifests those of the base.
    base : Snapshot
        The session's base.
    changes : ChangeSet or None
        The session's changes, read live; None looks at the base alone.
    files : RepositoryFiles
        Fetches manifests.
    """

    __slots__ = (
        "_bounds",
        "_edits",
        "_files",
        "_kept",
        "_manifests",
        "_refs",
        "_tables",
        "_weights",
        "_whole",
        "node",
    )

    def __init__(
        self, node: NodeSnapshot, base: Snapshot, changes: ChangeSet | None, files: RepositoryFiles
    ) -> None:
        assert node.array is not None
        self.node = node
        self._files = files
        self._edits = {} if changes is None else changes.chunks
        self._kept = None if changes is None else changes.kept.get(node.id)
        self._bounds = tuple(max(count, 1) for count in node.array.num_chunks)
        self._refs = node.array.manifests
        self._weights = [_info(base, ref).num_chunk_refs for ref in self._refs]
        self._tables: list[ChunkTable | None] = [None] * len(self._refs)
        # fetched, but the array's references in them are not decoded yet
        self._manifests: list[Manifest | None] = [None] * len(self._refs)
        # The table of an array with one manifest, all of it on the grid: it alone has the answer.
        self._whole: ChunkTable | None = None

    def in_grid(self, coords: ChunkIndex) -> bool:
        """Whether coordinates have the array's rank and lie on its chunk grid."""
        bounds = self._bounds
        if len(coords) != len(bounds):
            return False
        for position, bound in zip(coords, bounds, strict=True):  # noqa: SIM110 - measured
            if position >= bound:
                return False
        return True

    def locate(self, coords: ChunkIndex) -> Location | NotHeld | None:
        """Where a chunk is; None where there is none; `NotHeld` when `load` must come first."""
        if len(coords) != len(self._bounds):
            return None
        edits = self._edits.get(self.node.id)
        if edits is not None:
            found = edits.find(coords)
            if found is not None:
                return None if found is DELETED else found
        if self._whole is not None:
            row = self._whole.find(coords)
            return self._whole.location(row) if row >= 0 else None
        if not self.in_grid(coords) or not self._survived(coords):
            return None
        for part, ref in enumerate(self._refs):
            if len(self._refs) == 1 or contains(ref.extents, coords):
                table = self._tables[part]
                if table is None:
                    return self._locate_cold(part, coords)
                row = table.find(coords)
                return table.location(row) if row >= 0 else None
        return None

    def _locate_cold(self, part: int, coords: ChunkIndex) -> Location | NotHeld | None:
        """`locate` in a manifest that is not decoded into columns yet."""
        ref = self._refs[part]
        manifest = self._manifests[part] or self._files.held_manifest(ref.object_id)
        if manifest is None or self.node.id not in manifest.arrays:
            return NotHeld(part)
        place = manifest.peek(self.node.id, coords)
        if place is not None:
            if not contains(ref.extents, coords):
                raise self._unexpected_references(part)
            return place
        table = manifest.decoded(self.node.id)
        if table is None:
            self._manifests[part] = manifest
            return NotHeld(part, decode=True)
        self._hold(part, table)
        row = table.find(coords)
        return table.location(row) if row >= 0 else None

    def _survived(self, coords: ChunkIndex) -> bool:
        """Whether no resize of this session removed a chunk of the base."""
        kept = self._kept
        return kept is None or all(p < max(k, 1) for p, k in zip(coords, kept, strict=True))

    def load(self, part: int, *, decode: bool = True) -> None:
        """Fetch one manifest of the array.

        Parameters
        ----------
        part : int
            Which one.
        decode : bool
            Also turn the references into columns; otherwise only when there are few.

        Raises
        ------
        FormatError
            If the manifest is damaged or is not the one that the snapshot describes.
        """
        ref = self._refs[part]
        manifest = self._manifests[part]
        if manifest is None:
            manifest = self._files.manifest(ref.object_id, self._weights[part])
        if self.node.id not in manifest.arrays:
            raise FormatError(
                f"manifest {id_text(ref.object_id)} has no references of array "
                f"{self.node.path}, which its snapshot promises; the repository is damaged",
                ErrorKind.MANIFEST_INFO_NOT_FOUND,
            )
        if decode or not manifest.searchable(self.node.id):
            self._hold(part, manifest.arrays[self.node.id])
        else:
            self._manifests[part] = manifest

    def _hold(self, part: int, table: ChunkTable) -> None:
        if not covers(self._refs[part].extents, table.extents()):
            raise self._unexpected_references(part)
        self._tables[part] = table
        self._manifests[part] = None
        grid = tuple((0, bound) for bound in self._bounds)
        if len(self._refs) == 1 and self._kept is None and covers(grid, table.extents()):
            self._whole = table

    def _unexpected_references(self, part: int) -> FormatError:
        """The error for a manifest with references where the snapshot says there are none."""
        ref = self._refs[part]
        return FormatError(
            f"manifest {id_text(ref.object_id)} has references of array {self.node.path} outside "
            f"of {ref.extents}, where its snapshot says that they are; the repository is damaged. "
            "Restore it from a backup or use another snapshot",
            ErrorKind.DESERIALIZATION,
        )

    def find(self, coords: ChunkIndex) -> Location | None:
        """Where a chunk is, fetching its manifest when necessary; None where there is none."""
        while isinstance(found := self.locate(coords), NotHeld):
            self.load(found.part, decode=found.decode)
        return found

    def base_table(self) -> ChunkTable:
        """All references of the base that the session still sees, uncommitted edits aside."""
        for part in range(len(self._refs)):
            if self._tables[part] is None:
                self.load(part)
        tables = [table for table in self._tables if table is not None]
        assert len(tables) == len(self._refs)
        limits = self._bounds if self._kept is None else tuple(map(min, self._kept, self._bounds))
        box = tuple((0, max(limit, 1)) for limit in limits)
        return ChunkTable.concat([table.within(box) for table in tables], ndim=len(self._bounds))

    def table(self) -> ChunkTable:
        """All references as the session sees them."""
        base = self.base_table()
        edits = self._edits.get(self.node.id)
        return base if edits is None else ChunkTable.merge(base, edits.table())


def _info(base: Snapshot, ref: ManifestRef) -> ManifestInfo:
    info = base.manifests.get(ref.object_id)
    if info is None:
        raise FormatError(
            f"snapshot {id_text(base.id)} does not list manifest {id_text(ref.object_id)} that "
            "one of its arrays refers to; the repository is damaged",
            ErrorKind.MANIFEST_INFO_NOT_FOUND,
        )
    return info


class SnapshotView:
    """A committed snapshot whose chunks can be looked up; implements `ChunkReader`."""

    def __init__(self, snapshot: Snapshot, files: RepositoryFiles) -> None:
        self._snapshot = snapshot
        self._files = files
        self._readers: dict[NodeId, ArrayReader] = {}

    @property
    def nodes(self) -> NodeTable:
        """The hierarchy."""
        return self._snapshot.nodes

    def get(self, path: str) -> NodeSnapshot | None:
        """Node at an absolute path, or None."""
        return self._snapshot.nodes.get(path)

    def by_id(self, node_id: NodeId) -> NodeSnapshot | None:
        """Node with an id, or None."""
        return self._snapshot.nodes.by_id(node_id)

    def reader(self, node: NodeSnapshot) -> ArrayReader:
        """Reader of one of the snapshot's arrays."""
        reader = self._readers.get(node.id)
        if reader is None:
            reader = ArrayReader(node, self._snapshot, None, self._files)
            self._readers[node.id] = reader
        return reader

    def chunk(self, node_id: NodeId, coords: ChunkIndex) -> Location | None:
        """Where a chunk is, or None where it was never written."""
        node = self._snapshot.nodes.by_id(node_id)
        return None if node is None or node.array is None else self.reader(node).find(coords)
