"""`icechunk.spec.repo.lineage`, for the packages of merges and commits."""

from icechunk.spec.repo.lineage import (
    KINDS,
    LINEAGE_KEY,
    Lineage,
    lineage_of,
    refuse_lineage_key,
    with_lineage,
)

__all__ = ["KINDS", "LINEAGE_KEY", "Lineage", "lineage_of", "refuse_lineage_key", "with_lineage"]
