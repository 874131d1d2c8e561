"""Small repositories that the tests of the widgets look at."""

from __future__ import annotations

import numpy as np
import zarr

import icechunk
from icechunk import Repository, Session

SHAPE, CHUNKS, GRID = (4, 6, 8), (2, 3, 4), (2, 2, 2)


def climate(storage: icechunk.Storage | None = None) -> Repository:
    """SST of 2 x 2 x 2 chunks beside its coordinates, committed as "base"."""
    repo = Repository.create(storage or icechunk.in_memory_storage())
    session = repo.writable_session("main")
    root = zarr.group(session.store)
    axes = {"TIME": np.arange(4) * 24.0, "Y": np.linspace(-45, 45, 6), "X": np.arange(8.0) * 10}
    for name, values in axes.items():
        root.create_array(name, data=values, dimension_names=[name])
    root["TIME"].attrs["units"] = "hours since 2000-01-01 00:00:00"
    root["Y"].attrs["units"] = "degrees_north"
    sst = root.create_array(
        "SST",
        shape=SHAPE,
        chunks=CHUNKS,
        dtype="f4",
        dimension_names=("TIME", "Y", "X"),
        fill_value=float("nan"),
    )
    sst[:] = np.arange(192).reshape(SHAPE)
    session.commit("base", {"author": "Ana"})
    return repo


def array(session: Session, path: str = "SST", mode: str = "r+") -> zarr.Array:
    """The array of a session."""
    return zarr.open_array(session.store, path=path, mode=mode)


def values(repo: Repository, path: str = "SST", branch: str = "main") -> np.ndarray:
    """Committed values."""
    return np.asarray(array(repo.readonly_session(branch), path, "r")[:])


def clash(repo: Repository) -> Session:
    """A session that wrote chunks (*, 0, *) = -2, after a commit that wrote (0, *, *) = -1."""
    mine = repo.writable_session("main")
    array(mine)[:, :3] = -2
    commit_value(repo, np.s_[:2], -1, "theirs")
    return mine


def commit_value(repo: Repository, where: object, value: float, message: str) -> str:
    """A commit of another session."""
    session = repo.writable_session("main")
    array(session)[where] = value
    return session.commit(message)
