"""Feature flags of spec 2: numbers in the file, names in the API."""

from __future__ import annotations

from collections.abc import Mapping

from icechunk.core.errors import ErrorKind, InvalidInputError

FLAG_IDS: Mapping[str, int] = {"move_node": 3, "create_tag": 4, "delete_tag": 5}
"""Known feature flags; all are on by default."""


def flag_id(name: str) -> int:
    """Number of a feature flag.

    Raises
    ------
    InvalidInputError
        Kind ``invalid-feature-flag``.
    """
    if name not in FLAG_IDS:
        raise InvalidInputError(
            f"invalid feature flag name: {name}. Known flags: {', '.join(FLAG_IDS)}.",
            ErrorKind.INVALID_FEATURE_FLAG,
        )
    return FLAG_IDS[name]
