"""What a session does with nodes and chunk references, beyond what Zarr's store interface can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from icechunk.core.ids import id_text
from icechunk.core.paths import check_path
from icechunk.core.runtime import offload, twin
from icechunk.engine.reindex import Mapped, reindex, shift
from icechunk.engine.transaction import Transaction, missing_node
from icechunk.session.error_context import labelled
from icechunk.session.references import ChunkReferences
from icechunk.spec.manifest.chunk_table import VIRTUAL
from icechunk.spec.manifest.chunk_type import ChunkType
from icechunk.spec.manifest.virtual_urls import resolved_column


class Hierarchy:
    """Moves of nodes and chunks, and questions about them."""

    @property
    def _transaction(self) -> Transaction:
        raise NotImplementedError

    @labelled
    def move(self, from_path: str, to_path: str) -> None:
        """Move or rename a group or array, with everything below it; no data is copied.

        Only in a session of `Repository.rearrange_session`. Groups on the way are not created.

        Parameters
        ----------
        from_path, to_path : str
            Absolute paths.

        Raises
        ------
        NodeNotFoundError
            There is nothing at `from_path`.
        AlreadyExistsError
            Kind ``move-wont-overwrite``.
        SessionStateError
            Kinds ``non-rearrange-session``, ``move-into-self-or-descendant``,
            ``move-destination-parent-missing`` and ``move-destination-parent-not-group``.
        """
        self._transaction.move(from_path, to_path)

    @labelled
    def get_node_id(self, path: str) -> str:
        """Id of a node, which it keeps when it is moved.

        Returns
        -------
        str
            13 characters.
        """
        node = self._transaction.node(check_path(path))
        if node is None:
            raise missing_node(path)
        return id_text(node.id)

    @labelled
    def shift_array(self, array_path: str, chunk_offset: Iterable[int]) -> None:
        """Move all chunks of an array by a number of chunks per axis; no data is copied.

        Chunks that leave the array are dropped, places that are vacated are cleared.

        Parameters
        ----------
        array_path : str
            Absolute path of an array with a regular chunk grid.
        chunk_offset : iterable of int
            How many chunks to move along each axis; negative towards the origin.

        Raises
        ------
        NodeNotFoundError, InvalidInputError
            When there is no such array, or the offset has too few entries.
        IcechunkError
            When chunks of the array differ in size.
        """
        shift(self._transaction, array_path, tuple(chunk_offset))

    @labelled
    def reindex_array(
        self, array_path: str, forward: Mapped, backward: Mapped | None = None
    ) -> None:
        """Move the chunks of an array through a function of their coordinates.

        Parameters
        ----------
        array_path : str
            Absolute path of an array with a regular chunk grid.
        forward : callable
            Takes the coordinates of an existing chunk, a list of int, and returns those it goes
            to, or None to leave it where it is.
        backward : callable, optional
            The inverse of `forward`; places it finds vacated are cleared. Without it they keep
            their chunk, so that chunks are copied.

        Raises
        ------
        InvalidInputError
            Kind ``invalid-chunk-index`` when `forward` leads out of the array.
        IcechunkError
            When a function raises, or chunks of the array differ in size. Nothing is changed.
        """
        reindex(self._transaction, array_path, forward, backward)

    async def chunk_coordinates(
        self, array_path: str, batch_size: int = 1_000
    ) -> AsyncIterator[tuple[int, ...]]:
        """Coordinates of the existing chunks of an array, in row-major order.

        Parameters
        ----------
        array_path : str
            Absolute path.
        batch_size : int
            How many are made at a time; at least 1.

        Yields
        ------
        tuple of int
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        table = await offload(self._transaction.array_reader(array_path).table)
        for start in range(0, len(table), batch_size):
            for coords in table.coords(slice(start, start + batch_size)).tolist():
                yield tuple(coords)

    @labelled
    def chunk_type(self, array_path: str, chunk_coordinates: Sequence[int]) -> ChunkType:
        """How one chunk is stored.

        Parameters
        ----------
        array_path : str
            Absolute path.
        chunk_coordinates : sequence of int
            One entry per axis.

        Returns
        -------
        ChunkType
            ``uninitialized`` also for coordinates off the array's chunk grid.
        """
        reader = self._transaction.array_reader(array_path)
        coords = tuple(chunk_coordinates)
        if any(position < 0 for position in coords):
            raise OverflowError(f"chunk coordinates are not negative, got {list(coords)}")
        if not reader.in_grid(coords):
            return ChunkType.uninitialized
        found = reader.find(coords)
        return ChunkType.uninitialized if found is None else ChunkType(found.kind)

    @labelled
    def chunk_references(self, array_path: str) -> ChunkReferences:
        """Where all chunks of an array are, as numpy columns.

        Parameters
        ----------
        array_path : str
            Absolute path.

        Returns
        -------
        ChunkReferences
            As the session sees them now, uncommitted changes included.

        Raises
        ------
        NodeNotFoundError
            There is nothing at the path.
        InvalidInputError
            Kind ``not-an-array`` for a group.
        """
        table = self._transaction.array_reader(array_path).table()
        return ChunkReferences(table, self._named_containers())

    def _named_containers(self) -> dict[str, str]:
        """URL prefixes of the virtual chunk containers that have a name."""
        containers = self._transaction.ctx.config.virtual_chunk_containers or {}
        return {one.name: one.url_prefix for one in containers.values() if one.name}

    @labelled
    def all_virtual_chunk_locations(self) -> list[str]:
        """URLs of all virtual chunks, one per chunk, those of named containers resolved.

        Returns
        -------
        list of str
            By array and chunk; an object that holds several chunks appears several times.
        """
        transaction = self._transaction
        named = self._named_containers()
        found: list[str] = []
        for node in sorted(transaction.tree, key=lambda node: node.path.encode()):
            if node.is_array:
                table = transaction.array_reader(node.path).table()
                if table.text is not None:
                    virtual = table.kind == VIRTUAL
                    text = table.text if virtual.all() else table.text.take(virtual)
                    found += resolved_column(text, named)
        return found

    move_async = twin(move)
    get_node_id_async = twin(get_node_id)
    chunk_type_async = twin(chunk_type)
    chunk_references_async = twin(chunk_references)
    all_virtual_chunk_locations_async = twin(all_virtual_chunk_locations)
