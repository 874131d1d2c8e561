"""The further parents of a commit, kept in its metadata under a key of this project.

A snapshot has one parent on disk (Icechunk spec, "Snapshots").  What merge, cherry-pick, revert,
squash and stash know beyond that is recorded in the commit metadata, which every implementation
keeps.  Second parents are no roots for garbage collection, so that one may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from icechunk.core.errors import ErrorKind, IcechunkError, InvalidInputError
from icechunk.core.ids import ObjectId, id_text, parse_object_id

LINEAGE_KEY: Final = "__icechunk_lineage"
"""Key of commit metadata; other libraries keep it, except when they amend the commit."""

KINDS: Final = ("merge", "pick", "revert", "squash", "stash")


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where the changes of a commit came from.

    Attributes
    ----------
    kind : str
        ``merge``, ``pick``, ``revert``, ``squash`` or ``stash``.
    parents : tuple of ObjectId
        All parents, the first one being the snapshot's own; only merges have more than one.
    base : ObjectId or None
        Merge base that was used.
    source : str
        Name of what was merged, for people.
    of : tuple of ObjectId
        Commits that were picked, reverted or squashed.
    merging : mapping or None
        Of a stash: the merge that was put aside, see `OpenMerge.to_dict`.
    """

    kind: str
    parents: tuple[ObjectId, ...] = ()
    base: ObjectId | None = None
    source: str = ""
    of: tuple[ObjectId, ...] = ()
    merging: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form, as it is stored."""
        form: dict[str, Any] = {
            "kind": self.kind,
            "parents": [id_text(one) for one in self.parents],
        }
        if self.base is not None:
            form["base"] = id_text(self.base)
        if self.source:
            form["source"] = self.source
        if self.of:
            form["of"] = [id_text(one) for one in self.of]
        if self.merging is not None:
            form["merging"] = dict(self.merging)
        return form


def lineage_of(metadata: Mapping[str, Any]) -> Lineage | None:
    """Lineage that commit metadata holds; None for ordinary commits and for malformed content."""
    form = metadata.get(LINEAGE_KEY)
    if not isinstance(form, Mapping) or form.get("kind") not in KINDS:
        return None
    try:
        base, merging = form.get("base"), form.get("merging")
        return Lineage(
            kind=form["kind"],
            parents=tuple(parse_object_id(one) for one in form.get("parents", ())),
            base=None if base is None else parse_object_id(base),
            source=str(form.get("source", "")),
            of=tuple(parse_object_id(one) for one in form.get("of", ())),
            merging=merging if isinstance(merging, Mapping) else None,
        )
    except (IcechunkError, TypeError, ValueError):
        return None  # written by someone else: the commit is an ordinary one for us


def further_parents(metadata: Mapping[str, Any]) -> tuple[ObjectId, ...]:
    """Parents of a merge after the first; none for other commits."""
    lineage = lineage_of(metadata)
    return () if lineage is None else lineage.parents[1:]


def with_lineage(metadata: Mapping[str, Any], lineage: Lineage) -> dict[str, Any]:
    """Commit metadata with a lineage."""
    return {**metadata, LINEAGE_KEY: lineage.to_dict()}


def refuse_lineage_key(metadata: Mapping[str, Any] | None) -> None:
    """Refuse commit metadata that a user gives under the key of lineages.

    Raises
    ------
    InvalidInputError
        Kind ``not-allowed``.
    """
    if metadata and LINEAGE_KEY in metadata:
        raise InvalidInputError(
            f"the metadata key `{LINEAGE_KEY}` is reserved for merges: use another key",
            ErrorKind.NOT_ALLOWED,
        )
