"""Resolves the location of a virtual chunk: container, authorisation, reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from icechunk.config.containers import ObjectStoreConfig, VirtualChunkContainer
from icechunk.config.resolve import StorageTuning
from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.core.runtime import PerProcess
from icechunk.spec.manifest.virtual_urls import RELATIVE, canonical, fits, resolved
from icechunk.storage.kinds import kind_of
from icechunk.virtual_chunks.local import LocalFiles
from icechunk.virtual_chunks.source import VirtualObject, shown

_OBJECTS = 4096
"""Locations whose reader is remembered; one costs about a kilobyte."""


class VirtualChunks:
    """The virtual chunks that one repository handle may read.

    No file is opened, and no client is made, for a location outside of the authorised containers.

    Parameters
    ----------
    containers : sequence of VirtualChunkContainer
        Longest URL prefix first; see `icechunk.config.resolve.Settings`.
    authorized : mapping
        Credentials by URL prefix.
    tuning : StorageTuning
        Retries and time limits of requests.
    """

    def __init__(
        self,
        containers: Sequence[VirtualChunkContainer],
        authorized: Mapping[str, Any],
        tuning: StorageTuning,
    ) -> None:
        self._tuning = tuning
        known = {canonical(one.url_prefix): one for one in containers if fits(one)}
        self._containers = {key: known[key] for key in sorted(known, key=len, reverse=True)}
        self._named = {one.name: prefix for prefix, one in self._containers.items() if one.name}
        self._authorized = {canonical(prefix): value for prefix, value in authorized.items()}
        # Made again in a forked child, where clients of object stores do not work.
        self._objects: PerProcess[dict[str, VirtualObject]] = PerProcess(dict)
        self._sources: dict[str, Callable[[str], VirtualObject]] = {}
        self._files: LocalFiles | None = None

    @property
    def near(self) -> bool:
        """Whether every read takes microseconds: all authorised containers are local files."""
        return all(
            isinstance(self._containers[prefix].store, ObjectStoreConfig.LocalFileSystem)
            for prefix in self._authorized.keys() & self._containers.keys()
        )

    def object(self, location: str) -> VirtualObject:
        """Return the object of a location; it is opened by the first read.

        Parameters
        ----------
        location : str
            As in the manifest, possibly relative to a named container.

        Raises
        ------
        InvalidInputError
            Kinds ``no-container-for-virtual-chunk``, ``unauthorized-virtual-chunk-container``.
        """
        objects = self._objects.get()
        found = objects.get(location)
        if found is None:
            found = self._resolve(location)
            if len(objects) >= _OBJECTS:
                objects.clear()
            objects[location] = found
        return found

    def _resolve(self, location: str) -> VirtualObject:
        url = self._absolute(location)
        # The longest prefix counts, also for a location relative to a named container.
        prefix = next((one for one in self._containers if url.startswith(one)), None)
        if prefix is None:
            raise InvalidInputError(
                f"no virtual chunk container can handle the chunk location ({shown(url)}), edit "
                "the repository configuration adding a virtual chunk container for the chunk "
                "references: `RepositoryConfig.set_virtual_chunk_container`, then "
                "`Repository.open(storage, config, authorize_virtual_chunk_access=...)`"
                f"{self._known()}",
                ErrorKind.NO_CONTAINER_FOR_VIRTUAL_CHUNK,
            )
        if prefix not in self._authorized:
            raise InvalidInputError(
                f"a virtual chunk in this repository resolves to the url prefix {prefix}, to be "
                "able to fetch the chunk you need to authorize the virtual chunk container when "
                "you open/create the repository: pass `authorize_virtual_chunk_access="
                f'{{"{prefix}": {kind_of(self._containers[prefix].store).example}}}`'
                f"{self._known(authorized=True)}",
                ErrorKind.UNAUTHORIZED_VIRTUAL_CHUNK_CONTAINER,
            )
        return self._source(prefix)(url)

    def _absolute(self, location: str) -> str:
        url = resolved(location, self._named)
        if url.startswith(f"{RELATIVE}://"):
            name = url.removeprefix(f"{RELATIVE}://").partition("/")[0]
            raise InvalidInputError(
                f"no virtual chunk container named '{name}' found, check the repository "
                f"configuration{self._known()}",
                ErrorKind.NO_CONTAINER_FOR_VIRTUAL_CHUNK,
            )
        return url

    def _known(self, *, authorized: bool = False) -> str:
        """Return the declared or authorised prefixes, for messages."""
        if authorized:
            return f"; authorized are: {', '.join(sorted(self._authorized)) or 'none'}"
        known = [
            prefix + (f" ({one.name})" if one.name else "")
            for prefix, one in self._containers.items()
        ]
        return f"; declared are: {', '.join(known) or 'none'}"

    def _source(self, prefix: str) -> Callable[[str], VirtualObject]:
        """Return the function that opens the objects of an authorised container."""
        source = self._sources.get(prefix)
        if source is None:
            source = self._new_source(self._containers[prefix], self._authorized[prefix])
            source = self._sources.setdefault(prefix, source)
        return source

    def _new_source(
        self, container: VirtualChunkContainer, credential: Any
    ) -> Callable[[str], VirtualObject]:
        store = container.store
        if isinstance(store, ObjectStoreConfig.LocalFileSystem):
            if self._files is None:
                self._files = LocalFiles(
                    prefix
                    for prefix, one in self._containers.items()
                    if prefix in self._authorized
                    and isinstance(one.store, ObjectStoreConfig.LocalFileSystem)
                )
            return self._files.object
        # Imported on first use: most repositories need none of them.
        if isinstance(store, ObjectStoreConfig.Http):
            from icechunk.virtual_chunks.http import WebServer

            return WebServer(container.url_prefix, store, credential, self._tuning).object
        if isinstance(store, ObjectStoreConfig.Fsspec):
            from icechunk.virtual_chunks.fsspec import FileSystems

            return FileSystems(credential).object
        from icechunk.virtual_chunks.object_store import Buckets

        return Buckets(store, credential, self._tuning).object
