"""Names of the objects of a repository, relative to its root (Icechunk spec, "File layout")."""

from __future__ import annotations

from icechunk.core.ids import ObjectId, id_text

REPO = "repo"
CONFIG = "config.yaml"
SNAPSHOTS = "snapshots"
OVERWRITTEN = "overwritten"

_YEAR_3000_MS = 32_503_680_000_000


def snapshot_key(snapshot_id: ObjectId) -> str:
    """Object name of a snapshot."""
    return f"{SNAPSHOTS}/{id_text(snapshot_id)}"


def log_key(snapshot_id: ObjectId) -> str:
    """Object name of a snapshot's transaction log."""
    return f"transactions/{id_text(snapshot_id)}"


def manifest_key(manifest_id: ObjectId) -> str:
    """Object name of a manifest."""
    return f"manifests/{id_text(manifest_id)}"


def chunk_key(chunk_id: ObjectId) -> str:
    """Object name of a chunk, or of a pack of chunks."""
    return f"chunks/{id_text(chunk_id)}"


def backup_name(at: int, unique: ObjectId, of: str = REPO) -> str:
    """Name under ``overwritten/`` of a mutable object replaced at `at` (µs since 1970).

    The count down to the year 3000 makes a listing start with the newest.
    """
    return f"{of}.{_YEAR_3000_MS - at // 1000:014d}.{id_text(unique)}"
