"""Versions of the on-disk format."""

from __future__ import annotations

from enum import IntEnum


class SpecVersion(IntEnum):
    """A version of the on-disk format; orders and compares like its number."""

    v1 = 1
    v2 = 2

    @staticmethod
    def current() -> SpecVersion:
        """The version that new repositories get."""
        return SpecVersion.v2

    def __repr__(self) -> str:
        mark = " (current)" if self is SpecVersion.v2 else ""
        return f"SpecVersion.{self.name}{mark}"

    def __str__(self) -> str:
        return self.name


SpecVersion.__module__ = "icechunk"
