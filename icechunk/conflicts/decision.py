"""A decision about a conflict, as a value and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from icechunk.conflicts.model import ConflictType
from icechunk.conflicts.selection import ChunkSelection, selection_from
from icechunk.core.errors import ErrorKind, InvalidInputError
from icechunk.core.paths import check_path

CHOICES: Final[Mapping[ConflictType, tuple[str, ...]]] = {
    ConflictType.NewNodeConflictsWithExistingNode: ("theirs", "rename"),
    ConflictType.NewNodeInInvalidGroup: ("theirs", "rename"),
    ConflictType.ZarrMetadataDoubleUpdate: ("ours", "theirs", "merge", "custom"),
    ConflictType.ZarrMetadataUpdateOfDeletedArray: ("theirs",),
    ConflictType.ZarrMetadataUpdateOfDeletedGroup: ("theirs",),
    ConflictType.ChunkDoubleUpdate: ("ours", "theirs", "base", "cells"),
    ConflictType.ChunksUpdatedInDeletedArray: ("theirs",),
    ConflictType.ChunksUpdatedInUpdatedArray: ("ours", "theirs"),
    ConflictType.DeleteOfUpdatedArray: ("ours", "theirs"),
    ConflictType.DeleteOfUpdatedGroup: ("ours", "theirs"),
    ConflictType.MoveOperationCannotBeRebased: (),
    ConflictType.AppendDoubleUpdate: (
        "ours",
        "theirs",
        "ours then theirs",
        "theirs then ours",
        "by coordinate",
    ),
    ConflictType.ChunksUpdatedBeyondResize: ("ours", "theirs"),
    ConflictType.NewNodeInDeletedGroup: ("ours", "theirs"),
    ConflictType.NodeMovedTwice: ("ours", "theirs"),
    ConflictType.MoveTargetTaken: ("ours", "theirs"),
    ConflictType.EncodingChanged: ("ours", "theirs"),
    ConflictType.FillValueChanged: ("ours", "theirs"),
    ConflictType.BaseExpired: ("ours", "theirs"),
}
"""Possible choices for each kind of conflict of a rebase, and of those that only merges have."""

_SOURCE_IN_MERGES: Final = (
    ConflictType.NewNodeConflictsWithExistingNode,
    ConflictType.ZarrMetadataUpdateOfDeletedArray,
    ConflictType.ZarrMetadataUpdateOfDeletedGroup,
    ConflictType.ChunksUpdatedInDeletedArray,
)
MERGE_CHOICES: Final[Mapping[ConflictType, tuple[str, ...]]] = {
    **CHOICES,
    **{kind: ("ours", *CHOICES[kind]) for kind in _SOURCE_IN_MERGES},
}
"""Possible choices for each kind of conflict of a merge, where the source can always be taken."""

_NAMES: Final = dict(ConflictType.__members__)
_KEYS: Final = {
    "path",
    "type",
    "choice",
    "chunks",
    "runs",
    "boxes",
    "grid",
    "keys",
    "otherwise",
    "metadata",
    "new_path",
}
_SIDES: Final = ("ours", "theirs", "base")


@dataclass(frozen=True, slots=True)
class Decision:
    """How to solve the conflicts of one kind at one node.

    Attributes
    ----------
    path : str
        Path of the conflict.
    type : ConflictType
        Kind of the conflict.
    choice : str
        ``"ours"`` keeps our change, ``"theirs"`` drops it, ``"base"`` puts back what both sides
        started from, ``"merge"`` takes every key of the metadata from the side that changed it,
        ``"custom"`` takes `metadata`, ``"rename"`` moves our node to `new_path`, ``"cells"`` takes
        every cell of a chunk from the side that changed it; `CHOICES` lists which are possible in
        a rebase, `MERGE_CHOICES` in a merge.
        ``"ours then theirs"`` and the reverse place the rows that one side appended after those of
        the other, ``"by coordinate"`` in the order of a coordinate; about one array, they hold for
        all arrays of its group with that dimension.
        ``"cells"`` is for merges; a rebase, which reads no values, leaves such conflicts open.
    selection : ChunkSelection, optional
        The chunks it is about, all by default; only for ``ChunkDoubleUpdate``.
    keys : mapping of str to str, optional
        For ``"merge"``: the side (``"ours"``, ``"theirs"`` or ``"base"``) of single keys, named by
        JSON Pointer (RFC 6901) such as ``/attributes/units``.
    otherwise : str, optional
        For ``"merge"``: the side of keys that both changed and `keys` does not name; without it
        such a key is still a conflict. For ``"cells"``: the side of cells that both changed to
        different values; without it a chunk with such cells is still a conflict.
    metadata : mapping, optional
        The ``zarr.json`` document of ``"custom"``.
    new_path : str, optional
        The free path for ``"rename"``.

    Raises
    ------
    InvalidInputError
        When the parts do not fit together; the message says what is allowed.
    """

    path: str
    type: ConflictType
    choice: str
    selection: ChunkSelection | None = None
    keys: Mapping[str, str] | None = None
    otherwise: str | None = None
    metadata: Mapping[str, Any] | None = None
    new_path: str | None = None

    def __post_init__(self) -> None:
        self.check_choice(MERGE_CHOICES)
        check_path(self.path)
        if self.selection is not None and self.type is not ConflictType.ChunkDoubleUpdate:
            raise _bad(f"{self.type.name} is about the whole node: leave out the chunks")
        if self.choice != "merge" and self.keys is not None:
            raise _bad("`keys` go with the choice 'merge' and only with it")
        if self.choice not in ("merge", "cells") and self.otherwise is not None:
            raise _bad("`otherwise` goes with the choices 'merge' and 'cells' and only with them")
        for side in (*(self.keys or {}).values(), self.otherwise or "ours"):
            if side not in _SIDES:
                raise _bad(f"a key is taken from one of {', '.join(_SIDES)}, not {side!r}")
        for pointer in self.keys or {}:
            if not isinstance(pointer, str) or not pointer.startswith("/"):
                raise _bad(f"{pointer!r} is not a JSON Pointer; write keys as '/attributes/units'")
        if (self.metadata is not None) != (self.choice == "custom"):
            raise _bad("`metadata`, an object, goes with the choice 'custom' and only with it")
        if (self.new_path is not None) != (self.choice == "rename"):
            raise _bad("`new_path`, a string, goes with the choice 'rename' and only with it")
        if self.new_path is not None:
            check_path(self.new_path)

    def check_choice(self, choices: Mapping[ConflictType, tuple[str, ...]]) -> None:
        """Raise unless the choice is possible.

        Parameters
        ----------
        choices : mapping
            `CHOICES` or `MERGE_CHOICES`.

        Raises
        ------
        InvalidInputError
            Kind ``not-allowed``.
        """
        allowed = choices[self.type]
        if not allowed:
            raise _bad(f"nothing can be decided about {self.type.name}", ErrorKind.NOT_ALLOWED)
        if self.choice not in allowed:
            raise _bad(
                f"`choice` is {self.choice!r}; for {self.type.name} it must be "
                + " or ".join(map(repr, allowed)),
                ErrorKind.NOT_ALLOWED,
            )

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Decision:
        """Read the JSON form.

        Parameters
        ----------
        entry : mapping
            ``path``, ``type`` (name of a `ConflictType`), ``choice``, and where they apply
            ``chunks`` (list of coordinates), ``runs`` (``[start, length, ...]`` in row-major
            order over the chunk grid, or over ``grid`` when given) or ``boxes`` (list of
            ``[[start, stop], ...]``), ``keys``, ``otherwise``, ``metadata``, ``new_path``.

        Raises
        ------
        InvalidInputError
            When something is missing, unknown or of the wrong form.
        """
        if not isinstance(entry, Mapping):
            raise _bad(f"must be an object with `path`, `type` and `choice`, not {entry!r}")
        unknown = sorted(set(map(str, entry)) - _KEYS)
        if unknown:
            raise _bad(f"unknown `{unknown[0]}`; known are {', '.join(sorted(_KEYS))}")
        for name in ("path", "choice"):
            if not isinstance(entry.get(name), str):
                raise _bad(f"`{name}` must be a string, not {entry.get(name)!r}")
        if not isinstance(entry.get("metadata"), Mapping | None):
            raise _bad("`metadata` must be an object, the whole `zarr.json`")
        if not isinstance(entry.get("keys"), Mapping | None):
            raise _bad("`keys` must be an object: the side of each key by its JSON Pointer")
        for name in ("new_path", "otherwise"):
            if not isinstance(entry.get(name), str | None):
                raise _bad(f"`{name}` must be a string")
        return cls(
            path=entry["path"],
            type=_conflict_type(entry.get("type")),
            choice=entry["choice"],
            selection=selection_from(entry),
            keys=entry.get("keys"),
            otherwise=entry.get("otherwise"),
            metadata=entry.get("metadata"),
            new_path=entry.get("new_path"),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form, the inverse of `from_dict`."""
        form: dict[str, Any] = {
            "path": self.path,
            "type": self.type.name,
            "choice": self.choice,
        }
        if self.selection is not None:
            form |= self.selection.to_dict()
        if self.keys is not None:
            form["keys"] = dict(self.keys)
        if self.otherwise is not None:
            form["otherwise"] = self.otherwise
        if self.metadata is not None:
            form["metadata"] = dict(self.metadata)
        if self.new_path is not None:
            form["new_path"] = self.new_path
        return form


def _conflict_type(value: object) -> ConflictType:
    if isinstance(value, ConflictType):
        return value
    if isinstance(value, str) and value in _NAMES:
        return _NAMES[value]
    raise _bad(f"`type` is {value!r}; it must be one of {', '.join(k.name for k in ConflictType)}")


def _bad(why: str, kind: ErrorKind = ErrorKind.DESERIALIZATION) -> InvalidInputError:
    return InvalidInputError(why, kind)
