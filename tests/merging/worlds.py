"""Repositories with two branches, and what they hold, for tests of merges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import zarr

import icechunk
from icechunk import Repository

Edit = Callable[[zarr.Group], Any]


def new_repo(spec_version: int = 2, storage: icechunk.Storage | None = None) -> Repository:
    """A repository, in memory by default, whose root holds ``a``: eight ones in chunks of two."""
    repo = Repository.create(storage or icechunk.in_memory_storage(), spec_version=spec_version)
    commit(repo, "main", _layout, "base")
    return repo


def _layout(root: zarr.Group) -> None:
    array = root.create_array("a", shape=(8,), chunks=(2,), dtype="i4", fill_value=0)
    array[:] = 1


def commit(repo: Repository, branch: str, edit: Edit, message: str = "edit") -> str:
    """Commit an edit of the root group."""
    session = repo.writable_session(branch)
    edit(zarr.open_group(session.store, mode="a"))
    return session.commit(message)


def branches(repo: Repository, source: Edit | None, target: Edit | None) -> tuple[str, str]:
    """Branch ``f`` off ``main`` and commit an edit on either; the tips of ``f`` and ``main``."""
    repo.create_branch("f", repo.lookup_branch("main"))
    if source is not None:
        commit(repo, "f", source, "source")
    if target is not None:
        commit(repo, "main", target, "target")
    return repo.lookup_branch("f"), repo.lookup_branch("main")


def write(start: int, stop: int, value: Any, name: str = "a") -> Edit:
    """An edit that writes a slice of an array."""

    def edit(root: zarr.Group) -> None:
        array(root, name)[start:stop] = value

    return edit


def array(root: zarr.Group, name: str = "a") -> zarr.Array[Any]:
    """An array of a group."""
    found = root[name]
    assert isinstance(found, zarr.Array)
    return found


def values(repo: Repository, name: str = "a", **ref: Any) -> list[Any]:
    """Values of an array at a ref, ``main`` by default."""
    session = repo.readonly_session(**(ref or {"branch": "main"}))
    return np.asarray(array(zarr.open_group(session.store, mode="r"), name)[...]).tolist()


def tree(repo: Repository, **ref: Any) -> dict[str, tuple[Any, ...]]:
    """Every node with its metadata and values, by path."""
    root = zarr.open_group(repo.readonly_session(**ref).store, mode="r")
    found: dict[str, tuple[Any, ...]] = {"/": (dict(root.attrs),)}
    for path, node in root.members(max_depth=None):
        if isinstance(node, zarr.Array):
            data = np.asarray(node[...])
            found[f"/{path}"] = (dict(node.attrs), node.shape, str(node.dtype), data.tobytes())
        else:
            found[f"/{path}"] = (dict(node.attrs),)
    return found
