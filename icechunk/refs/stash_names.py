"""Names of the branches that hold stashes."""

from __future__ import annotations

from typing import Final

STASH_PREFIX: Final = "__icechunk.stash."
"""Begin of the names of branches that hold stashes; legal ref names in both spec versions."""


def is_stash(branch: str) -> bool:
    """Whether a branch only holds a stash, and is left out of listings."""
    return branch.startswith(STASH_PREFIX)
