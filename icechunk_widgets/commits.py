"""The history of a repository as the view draws it."""

from __future__ import annotations

from typing import Any

from icechunk import Diff, Repository, Session, SnapshotInfo
from icechunk_widgets.plain import iso, plain

MOST_COMMITS = 100_000
MOST_PATHS = 2_000
_AUTHOR_KEYS = ("author", "author_name", "user", "username", "committer")


def history(
    repo: Repository,
    session: Session | None = None,
    ref: str | None = None,
    limit: int = MOST_COMMITS,
) -> dict[str, Any]:
    """Commits, refs and the working session.

    Parameters
    ----------
    repo : Repository
        Whose history.
    session : Session, optional
        Drawn as a hollow commit on top of its base while it has changes.
    ref : str, optional
        Snapshot id: show only its ancestry.
    limit : int
        Most commits to show, the newest.

    Returns
    -------
    dict
        ``commits`` (newest first over all branches and tags), ``refs``, ``session`` and
        ``truncated``.
    """
    held = repo.history()
    infos: list[SnapshotInfo] = held["commits"]
    if ref is not None:
        infos = list(repo.ancestry(snapshot_id=ref))
    shown = {info.id for info in infos[:limit]}
    refs = [
        {"name": name, "kind": kind, "id": target}
        for kind, targets in (("branch", held["branches"]), ("tag", held["tags"]))
        for name, target in sorted(targets.items(), key=lambda item: (item[0] != "main", item[0]))
        if ref is None or target in shown
    ]
    return {
        "commits": [row(info) for info in infos[:limit]],
        "refs": refs,
        "session": None if session is None else working(session),
        "truncated": len(infos) > limit,
    }


def row(info: SnapshotInfo) -> dict[str, Any]:
    """One commit."""
    return {
        "id": info.id,
        "parent": info.parent_id,
        "message": info.message,
        "time": iso(info.written_at),
        "author": author_of(info),
        "metadata": plain(info.metadata),
    }


def author_of(info: SnapshotInfo) -> str | None:
    """Who committed, where the metadata say so."""
    for key in _AUTHOR_KEYS:
        value = info.metadata.get(key)
        if isinstance(value, str) and value:
            return value
    return None


def working(session: Session) -> dict[str, Any] | None:
    """The working session; None for a read-only one."""
    if session.read_only:
        return None
    changes = count_changes(session.status())
    return {
        "branch": session.branch,
        "base": session.snapshot_id,
        "dirty": session.has_uncommitted_changes,
        "changes": changes,
    }


def count_changes(diff: Diff) -> int:
    """How many nodes and chunks differ."""
    return (
        sum(len(paths) for paths in _node_sets(diff).values())
        + len(diff.moved_nodes)
        + sum(map(len, diff.chunk_coordinates.values()))
    )


def commit(repo: Repository, snapshot_id: str) -> dict[str, Any]:
    """One commit and what it changed against its parent.

    Returns
    -------
    dict
        As in `history`, and ``changes``: paths by kind (each list cut at 2000), and ``counts``
        of all of them.  None for the first snapshot.
    """
    info = repo.lookup_snapshot(snapshot_id)
    changes = None
    if info.parent_id is not None:
        diff = repo.diff(from_snapshot_id=info.parent_id, to_snapshot_id=info.id, any_states=True)
        changes = changes_of(diff)
    return {**row(info), "changes": changes}


def chunks_written(repo: Repository, snapshot_id: str) -> int | None:
    """How many chunks a commit wrote or removed; None for the first snapshot."""
    info = repo.lookup_snapshot(snapshot_id)
    if info.parent_id is None:
        return None
    diff = repo.diff(from_snapshot_id=info.parent_id, to_snapshot_id=info.id, any_states=True)
    return sum(map(len, diff.chunk_coordinates.values()))


def changes_of(diff: Diff) -> dict[str, Any]:
    """The changes of a commit by kind."""
    sets = _node_sets(diff)
    chunks = diff.chunk_coordinates
    counts = {name: len(paths) for name, paths in sets.items()}
    counts["moved"] = len(diff.moved_nodes)
    counts["chunks"] = sum(map(len, chunks.values()))
    return {
        **{name: sorted(paths)[:MOST_PATHS] for name, paths in sets.items()},
        "updated_chunks": [
            {"path": path, "chunks": len(coords)} for path, coords in sorted(chunks.items())
        ][:MOST_PATHS],
        "moved": [{"from": old, "to": new} for old, new in diff.moved_nodes[:MOST_PATHS]],
        "counts": counts,
    }


def _node_sets(diff: Diff) -> dict[str, set[str]]:
    return {
        "new_groups": diff.new_groups,
        "new_arrays": diff.new_arrays,
        "deleted_groups": diff.deleted_groups,
        "deleted_arrays": diff.deleted_arrays,
        "updated_groups": diff.updated_groups,
        "updated_arrays": diff.updated_arrays,
    }
