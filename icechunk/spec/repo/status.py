"""Whether a repository takes changes, as the public API shows it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import IntEnum

from icechunk.config.fields import instance_of, moment
from icechunk.config.rendering import Entry, Label
from icechunk.config.values import Value, value_class
from icechunk.core.clock import from_datetime, now_us, to_datetime
from icechunk.spec.repo.updates import READ_ONLY, RepoStatusValue


class RepoAvailability(IntEnum):
    """What a repository allows; equals the number that the format uses."""

    online = 0
    """Everything."""
    read_only = 1
    """Nothing but reading and changing the status."""

    def __repr__(self) -> str:
        return f"RepoAvailability.{self.name}"

    __str__ = __repr__


RepoAvailability.__module__ = "icechunk"

_SHOWN = {RepoAvailability.online: "Online", RepoAvailability.read_only: "ReadOnly"}


@value_class("icechunk.repository.RepoStatus")
class RepoStatus(Value):
    """Availability of a repository.

    Parameters
    ----------
    availability : RepoAvailability
        What is allowed.
    set_at : datetime.datetime, optional
        When it was set, with a time zone; now by default.
    limited_availability_reason : str, optional
        Why, in your words.
    """

    availability: RepoAvailability = instance_of(RepoAvailability)
    set_at: datetime | None = moment(default=None)
    limited_availability_reason: str | None = instance_of(str, default=None)

    def __post_init__(self) -> None:
        if self.set_at is None:
            self.set_at = to_datetime(now_us())

    @classmethod
    def of(cls, value: RepoStatusValue) -> RepoStatus:
        """The public form of a stored status; one that is "offline" reads as online."""
        limited = value.availability == READ_ONLY
        kind = RepoAvailability.read_only if limited else RepoAvailability.online
        return cls(kind, to_datetime(value.set_at), value.reason)

    def stored(self) -> RepoStatusValue:
        """The form that is stored."""
        at = now_us() if self.set_at is None else from_datetime(self.set_at)
        return RepoStatusValue(int(self.availability), at, self.limited_availability_reason)

    def _entries(self) -> Iterable[Entry]:
        reason = self.limited_availability_reason
        return [
            Entry("availability", Label(_SHOWN[self.availability])),
            Entry("set_at", self.set_at),
            Entry("limited_availability_reason", None if reason is None else Label(reason)),
        ]

    def __repr__(self) -> str:
        return str(self)
