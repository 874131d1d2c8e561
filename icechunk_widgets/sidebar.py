"""The list of the side panel: repositories among the kernel's variables."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

_DISTRIBUTION = "icechunk-jupyter"


def repositories_json(namespace: Mapping[str, Any]) -> str:
    """Repositories, their refs and the working session, as JSON text; never raises.

    The browser calls it whenever the kernel is idle, so it imports no package that is not loaded.

    Parameters
    ----------
    namespace : mapping
        The kernel's variables.

    Returns
    -------
    str
        ``{"repositories": [...], "version": ...}``; handles on the same storage are one
        repository, named by all its variables.
    """
    engine = sys.modules.get("icechunk")
    listed: list[dict[str, Any]] = []
    if engine is not None and hasattr(engine, "Repository"):
        try:
            listed = _repositories(engine, dict(namespace))
        except Exception as error:
            listed = [_broken("?", "", error)]
    return json.dumps({"repositories": listed, "version": _version(engine)}, allow_nan=False)


def _version(engine: Any) -> str:
    if engine is not None:
        return str(getattr(engine, "__version__", ""))
    try:
        return metadata.version(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return ""


def _repositories(engine: Any, namespace: dict[str, Any]) -> list[dict[str, Any]]:
    # type() instead of isinstance(), which would load lazy objects among the variables.
    variables = [(name, value) for name, value in namespace.items() if name[:1] != "_"]
    groups: dict[str, list[tuple[str, Any]]] = {}
    for name, value in variables:
        if issubclass(type(value), engine.Repository):
            groups.setdefault(value.storage.identity, []).append((name, value))
    sessions = [value for _, value in variables if issubclass(type(value), engine.Session)]
    rows = []
    for place, members in groups.items():
        name = ", ".join(member for member, _ in members)
        try:
            rows.append(_row(name, members[0][1], sessions))
        except Exception as error:
            rows.append(_broken(name, place, error))
    return rows


def _row(name: str, repo: Any, sessions: list[Any]) -> dict[str, Any]:
    from icechunk_widgets.arrays.chunk_refs import same_repository
    from icechunk_widgets.commits.details import working
    from icechunk_widgets.diff.states import place_of

    own = [
        session for session in sessions if not session.read_only and same_repository(session, repo)
    ]
    # Of several sessions, one with uncommitted changes.
    session = next((one for one in own if one.has_uncommitted_changes), own[-1] if own else None)
    return {
        "name": name,
        "location": place_of(repo),
        "spec_version": int(repo.spec_version),
        **_refs(repo, None if session is None else session.branch),
        "session": None if session is None else _state(working(session)),
    }


def _refs(repo: Any, current: str | None) -> dict[str, Any]:
    from icechunk_widgets.kernel.plain import iso

    table = repo.commit_table()
    branches = []
    for branch in sorted(table.branches, key=lambda name: (name != "main", name)):
        target = table.branches[branch]
        row = table.find(target)
        tip = None if row < 0 else table[row]
        branches.append(
            {
                "name": branch,
                "id": target,
                "message": "" if tip is None else tip.message,
                "time": "" if tip is None else iso(tip.written_at),
                "current": branch == current,
            }
        )
    tags = [{"name": tag, "id": target} for tag, target in sorted(table.tags.items())]
    return {"branches": branches, "tags": tags}


def _state(session: dict[str, Any] | None) -> dict[str, Any] | None:
    if session is None:
        return None
    return {name: session[name] for name in ("branch", "dirty", "changes")}


def _broken(name: str, place: str, error: Exception) -> dict[str, Any]:
    text = str(error).split("\n")[0]
    return {
        "name": name,
        "location": place,
        "spec_version": None,
        "branches": [],
        "tags": [],
        "session": None,
        "error": f"{type(error).__name__}: {text}",
    }
