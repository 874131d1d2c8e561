"""Display repositories, sessions and differences as widgets when a cell ends in one."""

from __future__ import annotations

from typing import Any

from icechunk import Diff, Repository, Session
from icechunk_widgets.commits.details import changes_of
from icechunk_widgets.static_html import tables

_SECTIONS = {
    "new_groups": "new group",
    "new_arrays": "new array",
    "deleted_groups": "deleted group",
    "deleted_arrays": "deleted array",
    "updated_groups": "changed group",
    "updated_arrays": "changed array",
}


def enable(ipython: Any = None) -> None:
    """Register the displays with a shell; see `icechunk_widgets.enable`."""
    if ipython is None:
        from IPython.core.getipython import get_ipython

        ipython = get_ipython()
    if ipython is None:
        raise RuntimeError("IPython is not running; call this in a notebook or an IPython console")
    formatter = ipython.display_formatter
    formatter.mimebundle_formatter.for_type(Repository, _repository)
    formatter.mimebundle_formatter.for_type(Session, _session)
    formatter.formatters["text/html"].for_type(Diff, diff_html)


def _repository(repo: Repository, **_: Any) -> Any:
    from icechunk_widgets.history.widget import History

    return History(repo)._repr_mimebundle_()


def _session(session: Session, **_: Any) -> Any:
    from icechunk_widgets.history.widget import History

    return History(session.repository, session)._repr_mimebundle_()


def diff_html(diff: Diff) -> str:
    """A difference as a static table."""
    changes = changes_of(diff)
    rows = [(title, path) for name, title in _SECTIONS.items() for path in changes[name]]
    rows += [("chunks", f"{item['path']}: {item['chunks']}") for item in changes["updated_chunks"]]
    rows += [("moved", f"{move['from']} → {move['to']}") for move in changes["moved"]]
    if not rows:
        return tables.box("Differences", tables.line("No differences"))
    return tables.box("Differences", tables.table(("what", "node"), rows))
