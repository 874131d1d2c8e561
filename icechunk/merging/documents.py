"""Compare the ``zarr.json`` documents of nodes."""

from __future__ import annotations

from typing import Any

from icechunk.changes.document_merge import differences
from icechunk.spec.snapshot.nodes import NodeSnapshot

DERIVED = "consolidated_metadata"
"""Key of a group's ``zarr.json`` that only repeats other nodes: never compared, left out."""


def encoding_keys(document: dict[str, Any]) -> dict[str, Any]:
    """Keys of an array's ``zarr.json`` that belong together, its shape and fill value included."""
    return {
        key: value
        for key, value in document.items()
        if key not in ("attributes", "dimension_names")
    }


def same_document(one: NodeSnapshot, two: NodeSnapshot) -> bool:
    """Whether two nodes have the same metadata, however it is written."""
    if one.user_data == two.user_data:
        return True
    first, second = one.document, two.document
    first.pop(DERIVED, None)
    second.pop(DERIVED, None)
    return not differences({}, first, second)
