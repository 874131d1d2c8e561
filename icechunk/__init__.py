"""Icechunk: a transactional storage engine for Zarr v3, in Python.

>>> import icechunk, zarr
>>> repo = icechunk.Repository.create(icechunk.in_memory_storage())
>>> session = repo.writable_session("main")
>>> array = zarr.create_array(session.store, shape=4, chunks=2, dtype="i4")
>>> array[:] = 7
>>> snapshot_id = session.commit("sevens")
"""

from __future__ import annotations

from typing import Any

from icechunk._version import __version__ as __version__
from icechunk.core.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
__all__ += ["load_ipython_extension"]


def load_ipython_extension(ipython: Any) -> None:
    """Register ``%icechunk`` (for ``%load_ext icechunk``); needs the notebook packages."""
    import importlib

    importlib.import_module("icechunk_widgets").load_ipython_extension(ipython)


def _refuse_two_libraries() -> None:
    """Two distributions share this import name; mixed in one folder neither works."""
    from importlib.machinery import EXTENSION_SUFFIXES
    from pathlib import Path

    here = Path(__file__).parent
    names = (f"_icechunk_python{suffix}" for suffix in (*EXTENSION_SUFFIXES, ".abi3.so", ".pyd"))
    foreign = next((name for name in names if (here / name).exists()), None)
    if foreign is not None:
        raise ImportError(
            "both `icechunk-jupyter` and PyPI's `icechunk` are installed in this environment, and "
            "they share one folder; run `pip uninstall icechunk icechunk-jupyter` and install the "
            "one you want"
        )


_refuse_two_libraries()
