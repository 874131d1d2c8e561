"""The type of options that take a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}

if TYPE_CHECKING:
    _ParamType = click.ParamType[datetime]
else:
    _ParamType = click.ParamType  # older releases take no type parameter


class Moment(_ParamType):
    """A time: ISO 8601 (UTC unless an offset is given), or an age such as ``7d``."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read the text of an option."""
        if isinstance(value, datetime):
            return value
        match = re.fullmatch(r"(\d+)([smhdw])", value)
        try:
            if match:
                return datetime.now(UTC) - int(match[1]) * _UNITS[match[2]]
            when = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is not a time; write 7d (also s, m, h, w) for an age, or "
                "2025-01-31 or 2025-01-31T12:00:00+01:00",
                param,
                ctx,
            )
        return when if when.tzinfo is not None else when.replace(tzinfo=UTC)
