"""Feature flags of a repository, and the attribution labels of requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from typing import Any

from icechunk.config.fields import converted, expect, instance_of, unsigned
from icechunk.config.rendering import Entry, Label
from icechunk.config.values import Value, value_class

KNOWN_FLAGS: dict[str, int] = {"move_node": 3, "create_tag": 4, "delete_tag": 5}
"""Name and number of every feature flag; all are on by default."""


@value_class("icechunk.config.FeatureFlag", fixed=True)
class FeatureFlag(Value):
    """One feature that a repository may switch off.

    Parameters
    ----------
    id : int
        Number in the repository's file (u16).
    name : str
        Name, e.g. ``move_node``.
    default_enabled : bool
        Whether the feature is on when nothing is set.
    setting : bool, optional
        Explicit setting; None for the default.
    """

    id: int = unsigned(16, default=0)
    name: str = instance_of(str, default="")
    default_enabled: bool = instance_of(bool, default=True)
    setting: bool | None = instance_of(bool, default=None)

    @property
    def enabled(self) -> bool:
        """Whether the feature is on."""
        return self.default_enabled if self.setting is None else self.setting

    def _entries(self) -> Iterable[Entry]:
        shown = [
            entry._replace(value=Label(self.name)) if entry.name == "name" else entry
            for entry in Value._entries(self)
        ]
        return [*shown, Entry("enabled", self.enabled)]

    def __repr__(self) -> str:
        return str(self)


def feature_flags(enabled: Set[int], disabled: Set[int]) -> list[FeatureFlag]:
    """List all known flags with their settings.

    Parameters
    ----------
    enabled, disabled : set of int
        Numbers of the flags that were set explicitly (Icechunk spec 2, repo info).

    Returns
    -------
    list of FeatureFlag
        By number.
    """
    return [
        FeatureFlag(
            id=number,
            name=name,
            default_enabled=True,
            setting=True if number in enabled else False if number in disabled else None,
        )
        for name, number in KNOWN_FLAGS.items()
    ]


_CLIENT = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?")
_FORBIDDEN = re.compile(r'[^ -~]|[()\\;="]')
_MAX_BYTES = 128


def _label(name: str, value: Any) -> str:
    """Return a label after checking that it can be part of an HTTP header."""
    expect(name, value, str)
    if name == "client" and not _CLIENT.fullmatch(value):
        raise ValueError(
            "attribution `client` must be `name` or `name/version` in token characters, "
            f'got "{value}"'
        )
    bad = _FORBIDDEN.search(value)
    if bad is not None:
        raise ValueError(
            f"attribution `{name}` contains the forbidden character {bad[0]!r}; "
            'use printable ASCII without ( ) \\ ; = "'
        )
    if len(value.encode()) > _MAX_BYTES:
        raise ValueError(
            f"attribution `{name}` is longer than {_MAX_BYTES} bytes; shorten it to that"
        )
    return value  # type: ignore[no-any-return]


@value_class("icechunk.Attribution", fixed=True)
class Attribution(Value):
    """Labels sent with every request in the User-Agent header, for access logs.

    Parameters
    ----------
    client : str, optional
        Software, ``name`` or ``name/version`` in HTTP token characters.
    workload : str, optional
        Name of the job.
    principal : str, optional
        User or service on whose behalf the requests are sent.

    Raises
    ------
    ValueError
        When a label is longer than 128 bytes or holds characters that headers cannot carry.
    """

    client: str | None = converted(_label, default=None, kw_only=True)
    workload: str | None = converted(_label, default=None, kw_only=True)
    principal: str | None = converted(_label, default=None, kw_only=True)
