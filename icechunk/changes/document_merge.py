"""Merge two versions of a node's ``zarr.json`` key by key, against their common ancestor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final


class _Missing:
    """Stands for a key that a document does not have."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class KeyDifference:
    """A key whose values differ between the two sides.

    Attributes
    ----------
    pointer : str
        The key as a JSON Pointer (RFC 6901), such as ``/attributes/units``.
    base, ours, theirs : object
        JSON values; `MISSING` where a document has no such key.
    """

    pointer: str
    base: Any
    ours: Any
    theirs: Any

    @property
    def changed_by(self) -> str | None:
        """``"ours"`` or ``"theirs"`` where one side changed it; None where both did."""
        if _same(self.theirs, self.base):
            return "ours"
        return "theirs" if _same(self.ours, self.base) else None


def differences(
    base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> list[KeyDifference]:
    """Keys whose values differ between the two sides, in the order of the documents.

    Lists are values: they are compared, and later taken, as a whole.
    """
    return list(_differences("", base, ours, theirs))


def merge(
    base: Mapping[str, Any],
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    keys: Mapping[str, str],
    otherwise: str | None = None,
) -> tuple[dict[str, Any], list[KeyDifference]]:
    """Merge two documents.

    Parameters
    ----------
    base, ours, theirs : mapping
        The documents.
    keys : mapping of str to str
        ``"ours"``, ``"theirs"`` or ``"base"`` by JSON Pointer. A key that is not named comes from
        the side that changed it.
    otherwise : str, optional
        The side of keys that both changed and that `keys` does not name.

    Returns
    -------
    dict
        The merged document, keys in the order of `theirs`.
    list of KeyDifference
        Keys that both changed and that no decision covers; they are as in `theirs` here.
    """
    merged, left = _copied(theirs), []
    for difference in differences(base, ours, theirs):
        side = keys.get(difference.pointer) or difference.changed_by or otherwise
        if side is None:
            left.append(difference)
        else:
            _put(merged, difference.pointer, getattr(difference, side))
    return merged, left


def _differences(pointer: str, base: Any, ours: Any, theirs: Any) -> Iterator[KeyDifference]:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        former = base if isinstance(base, Mapping) else {}
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            yield from _differences(
                f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}",
                former.get(key, MISSING),
                ours.get(key, MISSING),
                theirs.get(key, MISSING),
            )
    elif not _same(ours, theirs):
        yield KeyDifference(pointer, base, ours, theirs)


def _put(document: dict[str, Any], pointer: str, value: Any) -> None:
    *above, last = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
    for key in above:
        document = document[key]
    if value is MISSING:
        document.pop(last, None)
    else:
        document[last] = value


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return value


def _same(one: Any, two: Any) -> bool:
    """Equal as JSON: true is not 1, but 1 and 1.0 are one number."""
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return one.keys() == two.keys() and all(_same(one[key], two[key]) for key in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(_same, one, two))
    return isinstance(one, bool) == isinstance(two, bool) and bool(one == two)
