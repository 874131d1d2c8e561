"""Icechunk in notebooks: history, differences, conflict resolution and the ``%icechunk`` magic.

The widgets, and ipywidgets with them, are imported on first use.

>>> import icechunk_widgets as iw
>>> iw.History(repo)                              # doctest: +SKIP
>>> iw.Diff(repo, "v1.0", "main")                 # doctest: +SKIP
>>> iw.ConflictResolver(session, "Merge")         # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icechunk_widgets.diff.widget import Diff
    from icechunk_widgets.history.widget import History
    from icechunk_widgets.resolver.widget import ConflictResolver

__all__ = [
    "ConflictResolver",
    "Diff",
    "History",
    "enable",
    "load_ipython_extension",
    "unload_ipython_extension",
]

_WIDGETS = {
    "ConflictResolver": "resolver.widget",
    "Diff": "diff.widget",
    "History": "history.widget",
}


def __getattr__(name: str) -> Any:
    """Import a widget on first use."""
    if name not in _WIDGETS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WIDGETS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(ipython: Any) -> None:
    """Register ``%icechunk`` and its completion (for ``%load_ext icechunk_widgets``).

    Parameters
    ----------
    ipython : IPython.core.interactiveshell.InteractiveShell
        The running shell.
    """
    import_module(f"{__name__}.magic").register(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Undo `load_ipython_extension` (for ``%unload_ext icechunk_widgets``).

    Parameters
    ----------
    ipython : IPython.core.interactiveshell.InteractiveShell
        The running shell.
    """
    import_module(f"{__name__}.magic").unregister(ipython)


def enable(ipython: Any = None) -> None:
    """Display repositories, sessions and differences as widgets when a cell ends in one.

    Parameters
    ----------
    ipython : IPython.core.interactiveshell.InteractiveShell, optional
        The shell; the running one by default.

    Raises
    ------
    RuntimeError
        Outside IPython.
    """
    import_module(f"{__name__}.formatters").enable(ipython)
