"""What a repository is, as dictionaries."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from icechunk.core.ids import INITIAL_SNAPSHOT_ID, id_text
from tests.stateful.plain_store import Content

FIRST = id_text(INITIAL_SNAPSHOT_ID)


@dataclass
class Commit:
    """A snapshot of the model."""

    parent: str | None
    written_at: datetime
    content: Content
    message: str


@dataclass
class Model:
    """What a repository is."""

    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    burnt: set[str] = field(default_factory=set)
    metadata: dict[str, Any] = field(default_factory=dict)
    online: bool = True
    flags: dict[str, bool] = field(default_factory=dict)
    ops: list[str] = field(default_factory=list)

    def line(self, snapshot_id: str | None) -> list[str]:
        """A snapshot and its ancestors."""
        ids = []
        while snapshot_id is not None:
            ids.append(snapshot_id)
            snapshot_id = self.commits[snapshot_id].parent
        return ids

    def reachable(self) -> set[str]:
        """Snapshots in the history of a ref."""
        tips = [*self.branches.values(), *self.tags.values()]
        return {one for tip in tips for one in self.line(tip)} | {FIRST}
