"""Hypothesis strategies for configurations, chunks and points in time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st

from icechunk import config as own
from icechunk.config import (
    ManifestSplitCondition,
    ManifestSplitDimCondition,
    ManifestSplittingConfig,
    RepositoryConfig,
)
from icechunk.core.errors import IcechunkError
from icechunk.core.ids import INITIAL_SNAPSHOT_ID, id_text
from icechunk.repository import Repository
from icechunk.storage import Storage

if TYPE_CHECKING:
    from types import ModuleType

    import zarr
    from hypothesis.strategies import DataObject

__all__ = [
    "chunk_coordinates",
    "chunk_paths",
    "chunk_slicers",
    "draw_older_than",
    "repository_configs",
    "splitting_configs",
]


@st.composite
def splitting_configs(
    draw: st.DrawFn, *, arrays: Iterable[zarr.Array[Any]]
) -> ManifestSplittingConfig:
    """Configurations of manifest splitting for some arrays.

    Parameters
    ----------
    arrays : iterable of zarr.Array
        Each is named by a condition on its path or its name, and split along some of its
        dimensions, which are named by number or, where all have names, by name.
    """
    rules = {}
    for array in arrays:
        path = array.path.strip("/")
        name = path.rpartition("/")[2]
        condition = draw(
            st.sampled_from(
                [
                    ManifestSplitCondition.path_matches(path),
                    ManifestSplitCondition.name_matches(name),
                ]
            )
        )
        axes = draw(
            st.lists(st.integers(0, array.ndim - 1), min_size=1, unique=True)
            if array.ndim
            else st.just([])
        )
        rules[condition] = {
            draw(_dimension(array, axis)): draw(st.integers(1, array.cdata_shape[axis] + 3))
            for axis in axes
        } or {ManifestSplitDimCondition.Any(): draw(st.integers(1, 5))}
    return ManifestSplittingConfig.from_dict(rules)


def _dimension(array: zarr.Array[Any], axis: int) -> st.SearchStrategy[Any]:
    """Ways to name a dimension of an array."""
    ways: list[Any] = [ManifestSplitDimCondition.Axis(axis)]
    names = getattr(array.metadata, "dimension_names", None)
    if names is not None and names[axis] is not None:
        ways.append(ManifestSplitDimCondition.DimensionName(names[axis]))
    return st.sampled_from(ways)


@st.composite
def repository_configs(
    draw: st.DrawFn,
    num_updates_per_repo_info_file: st.SearchStrategy[int] = st.integers(1, 5),  # noqa: B008
    inline_chunk_threshold_bytes: st.SearchStrategy[int] | None = None,
    splitting: st.SearchStrategy[ManifestSplittingConfig] | None = None,
    ic_module: ModuleType | None = None,
) -> RepositoryConfig:
    """Configurations with small limits, which make rare cases frequent.

    Parameters
    ----------
    num_updates_per_repo_info_file : strategy of int
        Length of the operations log kept with the repository.
    inline_chunk_threshold_bytes : strategy of int, optional
        Bytes up to which a chunk is kept in its manifest; not set when absent.
    splitting : strategy of ManifestSplittingConfig, optional
        How manifests are split; not set when absent.
    ic_module : module, optional
        Makes the configuration with the classes of another module with Icechunk's API.
    """
    module: Any = own if ic_module is None else ic_module
    values: dict[str, Any] = {
        "num_updates_per_repo_info_file": draw(num_updates_per_repo_info_file)
    }
    if inline_chunk_threshold_bytes is not None:
        values["inline_chunk_threshold_bytes"] = draw(inline_chunk_threshold_bytes)
    if splitting is not None:
        values["manifest"] = module.ManifestConfig(splitting=draw(splitting))
    config: RepositoryConfig = module.RepositoryConfig.default()
    for name, value in values.items():
        if hasattr(config, name):  # older libraries know fewer settings
            setattr(config, name, value)
    return config


@st.composite
def chunk_coordinates(draw: st.DrawFn, numblocks: tuple[int, ...]) -> tuple[int, ...]:
    """Coordinates of one chunk.

    Parameters
    ----------
    numblocks : tuple of int
        Shape of the chunk grid, each at least 1.
    """
    return tuple(draw(st.integers(0, max(count - 1, 0))) for count in numblocks)


@st.composite
def chunk_slicers(
    draw: st.DrawFn, numblocks: tuple[int, ...], chunk_shape: tuple[int, ...]
) -> tuple[slice, ...]:
    """Slices that cut exactly one chunk out of an array with a regular chunk grid.

    Parameters
    ----------
    numblocks : tuple of int
        Shape of the chunk grid.
    chunk_shape : tuple of int
        Cells per chunk.
    """
    where = draw(chunk_coordinates(numblocks))
    return tuple(
        slice(at * size, (at + 1) * size) for at, size in zip(where, chunk_shape, strict=True)
    )


@st.composite
def chunk_paths(draw: st.DrawFn, numblocks: tuple[int, ...]) -> str:
    """The part of a chunk's key after ``c/``, such as ``0/1``."""
    return "/".join(map(str, draw(chunk_coordinates(numblocks))))


def draw_older_than(data: DataObject, storage: Storage, repo: Repository) -> datetime:
    """A cut-off time for expiration or garbage collection: after some snapshot, or before all.

    Parameters
    ----------
    data : DataObject
        What ``st.data()`` gives.
    storage : Storage
        Where the repository is.
    repo : Repository
        A handle on it.

    Returns
    -------
    datetime.datetime
        UTC. Later than everything written for the snapshot it was drawn for, by the clock of the
        storage, which a collection compares, and by its own time, which an expiration compares.
    """
    written: dict[str, datetime] = {}
    for folder in ("snapshots", "transactions"):
        for info in storage.list_objects_metadata(prefix=folder):
            name = info.key.rpartition("/")[2]
            written[name] = max(written.get(name, info.created_at), info.created_at)
    for name in list(written):
        try:
            flushed = repo.lookup_snapshot(name).written_at
        except IcechunkError:
            continue  # not known to the repository (any more)
        written[name] = max(written[name], flushed)
    first = id_text(INITIAL_SNAPSHOT_ID)
    # as many choices as snapshots, whatever the clock did: a failing example must be repeatable
    times = sorted(at for name, at in written.items() if name != first)
    start = min(written.values(), default=datetime.now(UTC))
    choices = [start, *(at + timedelta(microseconds=1) for at in times)]
    return data.draw(st.sampled_from(choices), label="older than")
