"""Conditions on arrays and dimensions that split chunk references into manifests."""

from __future__ import annotations

from typing import TypeAlias

from icechunk.config.conditions import AllOf, AnyOf, Condition, OnName, OnPath, found
from icechunk.config.fields import MISSING, instance_of, unsigned
from icechunk.config.values import Variant


class ManifestSplitCondition(Condition, path="icechunk.config.ManifestSplitCondition"):
    """Condition on an array; hashable, ``&`` and ``|`` combine conditions."""

    Or: TypeAlias = "_Or"
    And: TypeAlias = "_And"
    PathMatches: TypeAlias = "_PathMatches"
    NameMatches: TypeAlias = "_NameMatches"
    AnyArray: TypeAlias = "_AnyArray"

    @staticmethod
    def any_array() -> ManifestSplitCondition:
        """Match every array; the same as ``AnyArray()``."""
        return _AnyArray()


class _Or(AnyOf, ManifestSplitCondition, variant="Or", call="or_conditions"):
    pass


class _And(AllOf, ManifestSplitCondition, variant="And", call="and_conditions"):
    pass


class _PathMatches(
    OnPath, ManifestSplitCondition, variant="PathMatches", call="path_matches", by_name=True
):
    pass


class _NameMatches(
    OnName, ManifestSplitCondition, variant="NameMatches", call="name_matches", by_name=True
):
    pass


class _AnyArray(ManifestSplitCondition, variant="AnyArray", call="any_array"):
    def matches(self, path: str, num_refs: int = 0) -> bool:
        return True


class ManifestSplitDimCondition(Variant, path="icechunk.config.ManifestSplitDimCondition"):
    """Condition on one dimension of an array; hashable."""

    _one_line_ = True

    Axis: TypeAlias = "_Axis"
    DimensionName: TypeAlias = "_DimensionName"
    Any: TypeAlias = "_Any"

    @staticmethod
    def axis(axis: int) -> ManifestSplitDimCondition:
        """Match the dimension with this index; the same as ``Axis(axis)``."""
        return _Axis(axis)

    @staticmethod
    def dimension_name(regex: str) -> ManifestSplitDimCondition:
        """Match dimensions by their name; the same as ``DimensionName(regex)``."""
        return _DimensionName(regex)

    @staticmethod
    def any() -> ManifestSplitDimCondition:
        """Match every dimension; the same as ``Any()``."""
        return _Any()

    def matches(self, axis: int, name: str | None) -> bool:
        """Return whether the condition holds for one dimension.

        Parameters
        ----------
        axis : int
            Index of the dimension, from 0.
        name : str or None
            Its name, or None.
        """
        raise NotImplementedError

    def __hash__(self) -> int:
        return hash((self._path_, self._values))


class _Axis(ManifestSplitDimCondition, variant="Axis", call="axis"):
    number: int = unsigned(64, default=MISSING)

    def matches(self, axis: int, name: str | None) -> bool:
        return axis == self.number


class _DimensionName(ManifestSplitDimCondition, variant="DimensionName", call="dimension_name"):
    regex: str = instance_of(str)

    def matches(self, axis: int, name: str | None) -> bool:
        return name is not None and found(self.regex, name)


class _Any(ManifestSplitDimCondition, variant="Any", call="any"):
    def matches(self, axis: int, name: str | None) -> bool:
        return True
