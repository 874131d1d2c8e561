"""Conditions that choose the manifests to preload when a session opens."""

from __future__ import annotations

from typing import TypeAlias

from icechunk.config.conditions import AllOf, AnyOf, Condition, OnName, OnPath
from icechunk.config.fields import unsigned


class ManifestPreloadCondition(Condition, path="icechunk.config.ManifestPreloadCondition"):
    """Condition on an array and the size of its manifest; ``&`` and ``|`` combine conditions."""

    Or: TypeAlias = "_Or"
    And: TypeAlias = "_And"
    PathMatches: TypeAlias = "_PathMatches"
    NameMatches: TypeAlias = "_NameMatches"
    NumRefs: TypeAlias = "_NumRefs"

    @staticmethod
    def num_refs(from_refs: int | None, to_refs: int | None) -> ManifestPreloadCondition:
        """Match manifests with a number of chunk references in a half-open range.

        Parameters
        ----------
        from_refs, to_refs : int or None
            Bounds of the range, the lower included (u32); None means no limit.
        """
        return _NumRefs(from_refs, to_refs)

    @staticmethod
    def true() -> ManifestPreloadCondition:
        """Match everything."""
        return _True()

    @staticmethod
    def false() -> ManifestPreloadCondition:
        """Match nothing."""
        return _False()


class _Or(AnyOf, ManifestPreloadCondition, variant="Or", call="or_conditions"):
    pass


class _And(AllOf, ManifestPreloadCondition, variant="And", call="and_conditions"):
    pass


class _PathMatches(
    OnPath, ManifestPreloadCondition, variant="PathMatches", call="path_matches", by_name=True
):
    pass


class _NameMatches(
    OnName, ManifestPreloadCondition, variant="NameMatches", call="name_matches", by_name=True
):
    pass


class _NumRefs(ManifestPreloadCondition, variant="NumRefs", call="num_refs", by_name=True):
    from_: int | None = unsigned(32, default=None)
    to: int | None = unsigned(32, default=None)

    def matches(self, path: str, num_refs: int = 0) -> bool:
        return (self.from_ or 0) <= num_refs and (self.to is None or num_refs < self.to)


class _True(ManifestPreloadCondition, variant="True", call="true"):
    def matches(self, path: str, num_refs: int = 0) -> bool:
        return True


class _False(ManifestPreloadCondition, variant="False", call="false"):
    def matches(self, path: str, num_refs: int = 0) -> bool:
        return False


# `from` is a keyword, so it cannot be declared as a field.
setattr(_NumRefs, "from", property(lambda self: self.from_))
_NumRefs._name_positions(["from", "to"])
