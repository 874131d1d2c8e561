"""Differences of the metadata of a node, key by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from icechunk_widgets.kernel.plain import plain

MOST_ROWS = 500

Leaves = dict[tuple[str, ...], Any]


def leaves(document: Mapping[str, Any] | None) -> Leaves:
    """The values of a JSON document by their paths of keys; lists count as values."""
    return dict(_walk((), document or {}))


def _walk(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping) and (value or not path):
        for key, item in value.items():
            yield from _walk((*path, str(key)), item)
    else:
        yield path, value


def metadata_rows(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """The keys that differ, in the order of the document.

    Parameters
    ----------
    before, after : mapping or None
        ``zarr.json`` of the node; None where there is no node.

    Returns
    -------
    list of dict
        ``key`` (names joined by dots), ``change`` (``added``, ``removed`` or ``changed``),
        ``before`` and ``after`` (JSON values, absent where there is none).
    """
    old, new = leaves(before), leaves(after)
    _drop_parents(old, new)
    _drop_parents(new, old)
    rows = []
    for path in [*old, *(path for path in new if path not in old)]:
        was, now = path in old, path in new
        if was and now and _same(old[path], new[path]):
            continue
        row: dict[str, Any] = {
            "key": ".".join(path),
            "change": "changed" if was and now else "added" if now else "removed",
        }
        if was:
            row["before"] = plain(old[path])
        if now:
            row["after"] = plain(new[path])
        rows.append(row)
    return rows[:MOST_ROWS]


def _drop_parents(one: Leaves, two: Leaves) -> None:
    """Drop empty objects that have keys on the other side: only the keys are listed."""
    above = {path[:depth] for path in two for depth in range(len(path))}
    for path in [path for path in one if path in above]:
        del one[path]


def _same(one: Any, two: Any) -> bool:
    """Equal as JSON: true is not 1."""
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(_same, one, two))
    return isinstance(one, bool) == isinstance(two, bool) and bool(one == two)
