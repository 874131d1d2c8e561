"""The cases by name, in the order in which a report shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cases import (
    changes,
    codec,
    hierarchy,
    history,
    imports,
    merging,
    metadata,
    object_store,
    read_chunk,
    read_many,
    references,
    upkeep,
    virtual,
    write_many,
)

if TYPE_CHECKING:
    from case import Case

CASES: dict[str, Case] = {
    case.name: case
    for module in (
        read_chunk,
        read_many,
        write_many,
        virtual,
        references,
        history,
        merging,
        hierarchy,
        metadata,
        changes,
        codec,
        imports,
        upkeep,
        object_store,
    )
    for case in module.CASES
}
