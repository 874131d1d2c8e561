"""What was decided about the conflicts of a merge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from icechunk.conflicts.decision import Decision
from icechunk.conflicts.model import ConflictType
from icechunk.core.errors import ErrorKind, InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from icechunk.spec.manifest.coordinates import Coords

UNDECIDED, SOURCE, TARGET, BASE = range(4)
_CODES: Final = {"ours": SOURCE, "theirs": TARGET, "base": BASE}
_SIDES: Final = {"source": "ours", "target": "theirs"}
_PREFERENCES: Final = {None: UNDECIDED, "source": SOURCE, "target": TARGET}


def decisions_of(entries: Iterable[Decision | Mapping[str, Any]]) -> tuple[Decision, ...]:
    """Decisions from values or their JSON-able form; ``source`` and ``target`` name sides too.

    Raises
    ------
    InvalidInputError
        When an entry is wrong.
    """
    return tuple(
        one if isinstance(one, Decision) else Decision.from_dict(_in_sides(one)) for one in entries
    )


def _in_sides(entry: Mapping[str, Any]) -> dict[str, Any]:
    form = dict(entry)
    form["choice"] = _SIDES.get(form.get("choice", ""), form.get("choice"))
    if isinstance(form.get("keys"), Mapping):
        form["keys"] = {key: _SIDES.get(side, side) for key, side in form["keys"].items()}
    if "otherwise" in form:
        form["otherwise"] = _SIDES.get(form["otherwise"], form["otherwise"])
    return form


class Verdicts:
    """Decisions by kind and path, and what holds for all other conflicts.

    Parameters
    ----------
    decisions : iterable of Decision
        In the order they were made; the last about a chunk or a node counts. ``"ours"`` is the
        source, whose changes are laid, ``"theirs"`` the target.
    prefer : str, optional
        ``"source"`` or ``"target"``: the side of conflicts that no decision is about.

    Raises
    ------
    InvalidInputError
        Kind ``not-allowed`` for another preference.
    """

    def __init__(self, decisions: Iterable[Decision] = (), prefer: str | None = None) -> None:
        if prefer not in _PREFERENCES:
            raise InvalidInputError(
                f"`prefer` is {prefer!r}; it must be 'source', 'target' or None",
                ErrorKind.NOT_ALLOWED,
            )
        self._otherwise = _PREFERENCES[prefer]
        self._by_key: dict[tuple[ConflictType, str], list[Decision]] = {}
        for one in decisions:
            self._by_key.setdefault((one.type, one.path), []).append(one)

    def decision(self, kind: ConflictType, path: str) -> Decision | None:
        """The last decision about a conflict of a whole node, or None."""
        found = self._by_key.get((kind, path))
        return found[-1] if found else None

    def side(self, kind: ConflictType, path: str) -> int:
        """Side that was chosen for a conflict of a whole node."""
        decision = self.decision(kind, path)
        return self._otherwise if decision is None else _CODES.get(decision.choice, UNDECIDED)

    def sides(self, path: str, coords: Coords, grid: tuple[int, ...]) -> NDArray[np.uint8]:
        """Side that was chosen for each chunk of an array that both sides wrote; shape ``(n,)``."""
        codes: NDArray[Any] = np.full(len(coords), self._otherwise, np.uint8)
        for one in self._by_key.get((ConflictType.ChunkDoubleUpdate, path), ()):
            code = _CODES.get(one.choice, UNDECIDED)
            if one.selection is None:
                codes[:] = code
            else:
                codes[one.selection.mask(coords, grid)] = code
        return codes
