"""The history of a repository, and single commits, as the views get them."""

from __future__ import annotations

from typing import Any

from icechunk import Diff, Repository, Session
from icechunk_widgets.commits.columns import Listing, commit_row, listing

MOST_COMMITS = 100_000
MOST_PATHS = 2_000


def history(
    repo: Repository,
    session: Session | None = None,
    ref: str | None = None,
    rows: int | None = None,
    limit: int = MOST_COMMITS,
) -> dict[str, Any]:
    """Commits, refs and the working session.

    Parameters
    ----------
    repo : Repository
        Whose history.
    session : Session, optional
        Drawn as a hollow commit above its base while it has changes.
    ref : str, optional
        Snapshot id: show only its ancestry.
    rows : int, optional
        Describe this many of the commits, the newest; all by default.
    limit : int
        List at most this many commits, the newest.

    Returns
    -------
    dict
        ``commits`` (newest first over all branches and tags), ``count`` (of all), ``refs``,
        ``session`` and ``truncated``.
    """
    return summary(listing(repo, ref, limit), session, rows)


def summary(held: Listing, session: Session | None, rows: int | None = None) -> dict[str, Any]:
    """A listing as `history` returns it."""
    shown = len(held) if rows is None else min(rows, len(held))
    places = held.places()
    return {
        "commits": [commit_row(held[place]) for place in range(shown)],
        "count": len(held),
        "refs": [
            {"name": name, "kind": kind, "id": target, "at": places[target]}
            for kind, targets in (("branch", held.branches), ("tag", held.tags))
            for name, target in sorted(targets.items(), key=lambda one: (one[0] != "main", one[0]))
            if target in places
        ],
        "session": None if session is None else working(session),
        "truncated": held.truncated,
    }


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
    """Number of nodes and chunks that differ."""
    return (
        sum(len(paths) for paths in _node_sets(diff).values())
        + len(diff.moved_nodes)
        + sum(map(len, diff.chunk_coordinates.values()))
    )


def commit(repo: Repository, snapshot_id: str) -> dict[str, Any]:
    """One commit and what it changed since its parent.

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
    return {**commit_row(info), "changes": changes}


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
