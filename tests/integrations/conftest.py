"""Processes of dask, started once: each imports zarr and xarray, which takes seconds."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

Scheduled = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def process_pool() -> Iterator[ProcessPoolExecutor]:
    """Two processes, started the way dask starts its own."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def scheduled(request: pytest.FixtureRequest) -> Scheduled:
    """Options of dask for a scheduler; ``"processes"`` uses the shared pool."""

    def options(scheduler: str) -> dict[str, Any]:
        if scheduler != "processes":
            return {"scheduler": scheduler}
        return {"scheduler": scheduler, "pool": request.getfixturevalue("process_pool")}

    return options


@pytest.fixture(scope="session")
def process_cluster() -> Iterator[Any]:
    """A cluster of two worker processes; a test connects a client of its own."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster
