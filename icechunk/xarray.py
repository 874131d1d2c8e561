"""Write xarray objects, with numpy or dask arrays, into a session."""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable, Hashable, Mapping, MutableMapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Literal, cast, overload

from xarray import DataArray, Dataset
from xarray.backends.common import ArrayWriter

from icechunk._xarray_store import GroupStore
from icechunk.distributed import in_session
from icechunk.engine.forking import adopt, draft
from icechunk.session import ForkSession, Session
from icechunk.store import IcechunkStore

__all__ = [
    "LazyArrayWriter",
    "Region",
    "XarrayDatasetWriter",
    "ZarrWriteModes",
    "has_dask",
    "is_chunked_array",
    "is_dask_collection",
    "to_icechunk",
]

ZarrWriteModes = Literal["w", "w-", "a", "a-", "r+", "r"]
Region = Mapping[str, slice | Literal["auto"]] | Literal["auto"] | None

has_dask = find_spec("dask") is not None
"""Whether dask is installed."""

_UNNAMED = "__xarray_dataarray_variable__"
"""The name xarray itself gives to a DataArray without one, and recognises when it reads."""


def is_dask_collection(x: Any) -> bool:
    """Whether something is a dask collection; False when dask is not installed."""
    if not has_dask:
        return False
    from dask.base import is_dask_collection as ask

    return bool(ask(x))


is_chunked_array = is_dask_collection


class LazyArrayWriter(ArrayWriter):
    """Collects what xarray wants written, eager and dask arrays apart; writes nothing by itself.

    Attributes
    ----------
    sources, targets, regions : list
        Dask arrays, the Zarr arrays they go to, and the part of each.
    eager_sources, eager_targets, eager_regions : list
        The same for data in memory.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.eager_sources: list[Any] = []
        self.eager_targets: list[Any] = []
        self.eager_regions: list[Any] = []

    def add(self, source: Any, target: Any, region: Any = None) -> Any:
        """Remember to write an array.

        Parameters
        ----------
        source : array_like
            The data.
        target : zarr.Array
            Where it goes.
        region : tuple of slice, optional
            The part of `target`; all of it by default.
        """
        if is_dask_collection(source):
            self.sources.append(source)
            self.targets.append(target)
            self.regions.append(region)
        else:
            self.eager_sources.append(source)
            self.eager_targets.append(target)
            self.eager_regions.append(region)

    def write_eager(self) -> None:
        """Write the data in memory, and forget it."""
        queue = zip(self.eager_sources, self.eager_targets, self.eager_regions, strict=True)
        for source, target, region in queue:
            target[region or ...] = source
        self.eager_sources, self.eager_targets, self.eager_regions = [], [], []


@dataclass
class XarrayDatasetWriter:
    """Writes one dataset in three steps: metadata, data in memory, dask arrays.

    Call `_open_group`, `write_metadata`, `write_eager` and `write_lazy` in this order; that is what
    `to_icechunk` does.

    Parameters
    ----------
    dataset : xarray.Dataset
        What to write.
    store : IcechunkStore
        Where to write it.
    safe_chunks : bool
        Refuse dask chunks of which several would go into one Zarr chunk.
    align_chunks : bool
        Rechunk dask arrays so that none do.
    """

    dataset: Dataset
    _initialized: bool = field(default=False, repr=False)
    store: IcechunkStore = field(kw_only=True)
    safe_chunks: bool = field(default=True, kw_only=True)
    align_chunks: bool = field(default=False, kw_only=True)
    writer: LazyArrayWriter = field(default_factory=LazyArrayWriter, init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.store, IcechunkStore):
            raise TypeError(f"store must be an IcechunkStore, not {type(self.store).__name__}")

    def _open_group(
        self,
        *,
        group: str | None,
        mode: ZarrWriteModes | None,
        append_dim: Hashable | None,
        region: Region,
    ) -> None:
        """Open or make the group to write to, and find where a region lies."""
        _check_names(self.dataset)
        # Arguments that not every supported xarray knows are only passed when they are used.
        optional: dict[str, Any] = {"align_chunks": True} if self.align_chunks else {}
        region = dict(region) if isinstance(region, Mapping) else region  # xarray completes it
        self.xarray_store = GroupStore.open_group(
            store=self.store,
            group=group,
            mode=_choose_mode(mode, append_dim, region),
            zarr_format=3,
            append_dim=append_dim,
            write_region=region,
            safe_chunks=self.safe_chunks,
            consolidated=False,
            consolidate_on_close=False,
            **optional,
        )
        self.dataset = self.xarray_store._validate_and_autodetect_region(self.dataset)
        # Decoding moves `units` from a variable's attributes to its encoding.
        self.xarray_store.undecoded = frozenset(
            str(name)
            for name, variable in self.dataset.variables.items()
            if "units" in variable.attrs
        )

    def write_metadata(self, encoding: Mapping[Any, Any] | None = None) -> None:
        """Make or resize the arrays and write all attributes.

        Parameters
        ----------
        encoding : mapping, optional
            Encoding of variables by name, as in ``Dataset.to_zarr``.
        """
        given = {} if encoding is None else dict(encoding)
        self.xarray_store._validate_encoding(given)
        _dump_to_store()(self.dataset, self.xarray_store, self.writer, encoding=given)
        self._initialized = True

    def write_eager(self) -> None:
        """Write the variables whose data is in memory."""
        self._check_initialized()
        self.writer.write_eager()

    def write_lazy(
        self,
        chunkmanager_store_kwargs: MutableMapping[str, Any] | None = None,
        split_every: int | None = None,
    ) -> ForkSession | None:
        """Compute and write the dask arrays, through a fork that is merged back.

        Parameters
        ----------
        chunkmanager_store_kwargs : mapping, optional
            ``lock``, and options of ``dask.compute`` such as ``scheduler``.
        split_every : int, optional
            How many forks are merged at a time.

        Returns
        -------
        ForkSession or None
            The fork that was merged; None when there is no dask array.
        """
        self._check_initialized()
        writer = self.writer
        if not writer.sources:
            return None
        from icechunk.dask import store_dask

        fork = store_dask(
            self.store.session,
            sources=writer.sources,
            targets=writer.targets,
            regions=writer.regions,
            split_every=split_every,
            **(chunkmanager_store_kwargs or {}),
        )
        writer.sources, writer.targets, writer.regions = [], [], []
        return fork

    def _check_blocks(self, options: Mapping[str, Any]) -> None:
        """Refuse dask blocks that would overwrite each other's part of a chunk."""
        writer = self.writer
        if writer.sources:
            from icechunk._dask_blocks import need_lock, parts_of

            parts = parts_of(writer.sources, writer.targets, writer.regions)
            need_lock(parts, of_xarray=True, **options)

    def _move_to(self, store: IcechunkStore) -> None:
        """Write the values to the same arrays in the store of another session."""
        self.store, writer = store, self.writer
        writer.targets = [in_session(array, store.session) for array in writer.targets]
        writer.eager_targets = [in_session(array, store.session) for array in writer.eager_targets]

    def _check_initialized(self) -> None:
        if not self._initialized:
            raise ValueError("Please call `write_metadata` first.")


_XarrayDatasetWriter = XarrayDatasetWriter


def _accept_older_names(function: Callable[..., None]) -> Callable[..., None]:
    """Take the first two arguments also as ``dataset`` and ``store``; ignore unknown keywords."""
    known = set(function.__annotations__)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        for older, name in (("dataset", "obj"), ("store", "session")):
            if older in kwargs and name not in kwargs:
                kwargs[name] = kwargs.pop(older)
        unknown = sorted(set(kwargs) - known)
        if unknown:
            warnings.warn(
                f"to_icechunk ignores the unknown keyword arguments {', '.join(unknown)}",
                UserWarning,
                stacklevel=2,
            )
        return function(*args, **{k: v for k, v in kwargs.items() if k in known})

    return wrapper


@overload
def to_icechunk(
    obj: DataArray | Dataset,
    session: Session | IcechunkStore,
    *,
    group: str | None = None,
    mode: ZarrWriteModes | None = None,
    safe_chunks: bool = True,
    align_chunks: bool = False,
    append_dim: Hashable | None = None,
    region: Region = None,
    encoding: Mapping[Any, Any] | None = None,
    chunkmanager_store_kwargs: MutableMapping[str, Any] | None = None,
    split_every: int | None = None,
) -> None: ...


@overload
def to_icechunk(
    dataset: DataArray | Dataset,
    store: Session | IcechunkStore,
    *,
    group: str | None = None,
    mode: ZarrWriteModes | None = None,
    safe_chunks: bool = True,
    append_dim: Hashable | None = None,
    region: Region = None,
    encoding: Mapping[Any, Any] | None = None,
    chunkmanager_store_kwargs: MutableMapping[str, Any] | None = None,
    split_every: int | None = None,
    **kwargs: Any,
) -> None: ...


@_accept_older_names
def to_icechunk(
    obj: DataArray | Dataset,
    session: Session | IcechunkStore,
    *,
    group: str | None = None,
    mode: ZarrWriteModes | None = None,
    safe_chunks: bool = True,
    align_chunks: bool = False,
    append_dim: Hashable | None = None,
    region: Region = None,
    encoding: Mapping[Any, Any] | None = None,
    chunkmanager_store_kwargs: MutableMapping[str, Any] | None = None,
    split_every: int | None = None,
) -> None:
    """Write an xarray object into a session, without committing it.

    Data in memory is written directly.  Dask arrays are computed by dask's scheduler, on threads,
    processes or a cluster, through a fork of the session that is merged back.

    Parameters
    ----------
    obj : xarray.Dataset or xarray.DataArray
        What to write.
    session : Session, ForkSession or IcechunkStore
        Where to write it; the session must be writable.
    group : str, optional
        Path of the group in the store; its root by default.
    mode : {"w", "w-", "a", "a-", "r+"}, optional
        ``"w"`` replaces an existing node at the path, ``"w-"`` refuses one, ``"a"`` overwrites
        existing variables, ``"a-"`` only those with `append_dim`, ``"r+"`` writes values of
        existing variables only.  By default ``"a"`` with `append_dim`, ``"r+"`` with `region`,
        otherwise ``"w-"``.
    safe_chunks : bool
        Refuse to write when several dask chunks would go into one Zarr chunk or shard.  With
        False they are written one after another on threads, and still refused on processes and
        clusters, where one of the writes would be lost.
    align_chunks : bool
        Rechunk dask arrays to fit the Zarr chunks.
    append_dim : hashable, optional
        Dimension to append along.
    region : mapping of str to slice, or "auto", optional
        Part of the existing arrays to write to.
    encoding : mapping, optional
        Encoding of variables by name, as in ``Dataset.to_zarr``.
    chunkmanager_store_kwargs : mapping, optional
        ``lock``, and options of ``dask.compute`` such as ``scheduler``.
    split_every : int, optional
        How many forks are merged at a time.

    Raises
    ------
    ValueError
        When the arguments contradict each other or the data does not fit the arrays, as
        ``Dataset.to_zarr`` does.
    InvalidInputError
        A ``ValueError``, of kind ``shared-chunk`` for dask chunks as above; ``encoding-mismatch``
        when the values would be read back as others, because the encoding of the existing arrays
        cannot hold them (hourly times where days are stored as integers), or when the arrays that
        are appended to differ in length.  Of dask arrays only the data type is checked.
    TypeError
        When `obj` is neither a Dataset nor a DataArray.

    Notes
    -----
    What is refused changes nothing in the session.  ``Dataset.to_zarr(session.store)`` makes no
    such checks: xarray's ``safe_chunks=False`` loses writes there.
    """
    store = session if isinstance(session, IcechunkStore) else session.store
    options = chunkmanager_store_kwargs or {}

    def prepared(store: IcechunkStore) -> XarrayDatasetWriter:
        writer = XarrayDatasetWriter(
            _as_dataset(obj), store=store, safe_chunks=safe_chunks, align_chunks=align_chunks
        )
        writer._open_group(group=group, mode=mode, append_dim=append_dim, region=region)
        writer.write_metadata(encoding)
        writer._check_blocks(options)
        return writer

    # A refused call must not leave arrays resized or a group emptied: the hierarchy is
    # changed in a draft, which the session takes over when all checks have passed.
    transaction = store.session._transaction
    drafted, revision = draft(transaction)
    writer = prepared(IcechunkStore(Session(drafted), store.read_only))
    if adopt(transaction, drafted, revision):
        writer._move_to(store)
    else:  # another thread wrote to the session meanwhile
        writer = prepared(store)
    writer.write_eager()
    writer.write_lazy(options, split_every)


def _as_dataset(obj: DataArray | Dataset) -> Dataset:
    """The dataset that xarray itself would write for an object."""
    if isinstance(obj, Dataset):
        return obj
    if not isinstance(obj, DataArray):
        raise TypeError(
            f"cannot write a {type(obj).__name__}; pass a Dataset or a DataArray "
            "(of a DataTree, every node's dataset with its own `group`)"
        )
    if obj.name is None or obj.name in obj.coords or obj.name in obj.dims:
        return obj.to_dataset(name=_UNNAMED)
    return obj.to_dataset()


def _check_names(dataset: Dataset) -> None:
    for name in dataset.variables:
        if not isinstance(name, str):
            raise TypeError(
                f"Invalid name {name!r} for a variable: it must be a string to be stored; "
                "rename it with `Dataset.rename`"
            )
        if not name:
            raise ValueError(
                "Invalid name '' for a variable: it must not be empty to be stored; "
                "rename it with `Dataset.rename`"
            )


def _choose_mode(
    mode: ZarrWriteModes | None, append_dim: Hashable | None, region: Region
) -> ZarrWriteModes:
    """The mode that fits `append_dim` and `region`; ValueError when the given one does not."""
    if mode is None:
        return "a" if append_dim is not None else "r+" if region is not None else "w-"
    if append_dim is not None and mode not in ("a", "a-"):
        raise ValueError("cannot set append_dim unless mode='a' or mode=None")
    if region is not None and mode not in ("a", "a-", "r+"):
        raise ValueError("cannot set region unless mode='a', mode='a-', mode='r+' or mode=None")
    if mode not in ("w", "w-", "a", "a-", "r+"):
        raise ValueError(
            f"The only supported options for mode are 'w', 'w-', 'a', 'a-', and 'r+', but {mode=}"
        )
    return mode


def _dump_to_store() -> Callable[..., None]:
    """Xarray's step from a dataset to a store, wherever the installed release keeps it."""
    for module in ("xarray.backends.writers", "xarray.backends.api"):
        if find_spec(module) is not None:
            found = getattr(importlib.import_module(module), "dump_to_store", None)
            if found is not None:
                return cast(Callable[..., None], found)
    raise ImportError("the installed xarray has no `dump_to_store`; please report its version")
