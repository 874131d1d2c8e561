"""Configuration of how manifests are preloaded, split and compressed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from icechunk.config.fields import bounded, converted, expect, instance_of, signed, unsigned
from icechunk.config.preload import ManifestPreloadCondition
from icechunk.config.splitting import ManifestSplitCondition, ManifestSplitDimCondition
from icechunk.config.values import Value, value_class

ManifestSplitValues: TypeAlias = dict[
    ManifestSplitDimCondition.Axis
    | ManifestSplitDimCondition.DimensionName
    | ManifestSplitDimCondition.Any,
    int,
]
SplitSizesDict: TypeAlias = dict[ManifestSplitCondition, ManifestSplitValues]
_SplitSizes: TypeAlias = list[
    tuple[ManifestSplitCondition, list[tuple[ManifestSplitDimCondition, int]]]
]
SplitRules: TypeAlias = tuple[
    tuple[ManifestSplitCondition, tuple[tuple[ManifestSplitDimCondition, int], ...]], ...
]

UNSPLIT = 2**32 - 1
"""Chunks per manifest along a dimension that is not split."""

_COORDINATES = (
    r"^(t|time|date|datetime|valid_time|forecast_reference_time|step)[0-9]*$",
    r"^(z|lev|level|depth|height|altitude|pressure|plev|isobaric|sigma|heightAboveGround)[0-9]*$",
    r"^(y|j|nlat|nj|rlat|northing|projection_y_coordinate)$",
    r"^(lat|latitude|y_?lat|nav_lat)[a-z0-9_]*$",
    r"^(lon|longitude|x_?lon|nav_lon|lng)[a-z0-9_]*$",
    r"^(x|i|nlon|ni|rlon|easting|projection_x_coordinate)$",
)


def default_preload_condition() -> ManifestPreloadCondition:
    """Return the default condition: small manifests of coordinate arrays."""
    names = [ManifestPreloadCondition.name_matches(regex) for regex in _COORDINATES]
    few = ManifestPreloadCondition.num_refs(None, 1001)
    return ManifestPreloadCondition.or_conditions(names) & few


@value_class("icechunk.config.ManifestPreloadConfig")
class ManifestPreloadConfig(Value):
    """Which manifests are preloaded in the background when a session opens.

    Parameters
    ----------
    max_total_refs : int, optional
        Most chunk references to preload in total (u32; 10 000 when unset).
    preload_if : ManifestPreloadCondition, optional
        Which manifests to preload; small ones of coordinate arrays when unset.
    max_arrays_to_scan : int, optional
        Number of arrays that are checked (u32; 50 when unset).
    """

    max_total_refs: int | None = unsigned(32, default=None, in_force=10_000)
    preload_if: ManifestPreloadCondition | None = instance_of(
        ManifestPreloadCondition, default=None, in_force=default_preload_condition
    )
    max_arrays_to_scan: int | None = unsigned(32, default=None, in_force=50)


def _pair(name: str, item: Any) -> tuple[Any, Any]:
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise TypeError(
            f"'{type(item).__qualname__}' object is not an instance of 'tuple'; "
            f"`{name}` is a list of (condition, sizes) pairs"
        )
    return item[0], item[1]


def _sequence(name: str, given: Any) -> Sequence[Any]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(
            f"'{type(given).__qualname__}' object is not an instance of 'Sequence'; "
            f"`{name}` is a list of (condition, sizes) pairs, from_dict takes nested dicts"
        )
    return given


def _split_size(value: Any) -> int:
    size = bounded("split size", value, 0, UNSPLIT)
    if size == 0:
        raise ValueError("invalid zero value; a manifest must hold at least 1 chunk per dimension")
    return size


def _split_rules(name: str, given: Any) -> SplitRules:
    """Check split sizes and make them immutable."""
    rules = []
    for item in _sequence(name, given):
        condition, sizes = _pair(name, item)
        expect(name, condition, ManifestSplitCondition)
        dims = []
        for inner in _sequence(name, sizes):
            dimension, size = _pair(name, inner)
            expect(name, dimension, ManifestSplitDimCondition)
            dims.append((dimension, _split_size(size)))
        rules.append((condition, tuple(dims)))
    return tuple(rules)


def _as_lists(rules: SplitRules | None) -> _SplitSizes | None:
    return None if rules is None else [(condition, list(sizes)) for condition, sizes in rules]


def default_split_sizes() -> SplitRules:
    """Return the default sizes: one manifest per array."""
    everything = ManifestSplitCondition.path_matches(".*")
    return ((everything, ((ManifestSplitDimCondition.any(), UNSPLIT),)),)


@value_class("icechunk.config.ManifestSplittingConfig")
class ManifestSplittingConfig(Value):
    """How the chunk references of an array are split into manifests.

    Parameters
    ----------
    split_sizes : list of (ManifestSplitCondition, list of (ManifestSplitDimCondition, int))
        For arrays that meet the condition: the number of chunks along each dimension that one
        manifest holds (u32, at least 1). The first match wins, for arrays and for dimensions.
        Arrays are not split when unset.
    """

    split_sizes: _SplitSizes | None = converted(
        _split_rules, default=None, in_force=default_split_sizes, expose=_as_lists
    )

    @staticmethod
    def from_dict(split_sizes: Mapping[Any, Mapping[Any, int]]) -> ManifestSplittingConfig:
        """Build from nested dicts; the same as `icechunk.config.from_dict`."""
        return from_dict(split_sizes)

    def to_dict(config) -> SplitSizesDict:
        """Return nested dicts; the same as `icechunk.config.to_dict`."""
        return to_dict(config)


def from_dict(split_sizes: Mapping[Any, Mapping[Any, int]]) -> ManifestSplittingConfig:
    """Build a splitting configuration from nested dicts.

    Parameters
    ----------
    split_sizes : dict
        Array condition to dimension condition to chunks per manifest; the first match wins.

    Returns
    -------
    ManifestSplittingConfig
        The same rules as a configuration.

    Examples
    --------
    >>> from_dict({ManifestSplitCondition.AnyArray(): {ManifestSplitDimCondition.Axis(0): 365}})
    """
    return ManifestSplittingConfig(
        [(rule, list(dims.items())) for rule, dims in split_sizes.items()]
    )


def to_dict(config: ManifestSplittingConfig) -> SplitSizesDict:
    """Return the rules of a splitting configuration as nested dicts.

    Parameters
    ----------
    config : ManifestSplittingConfig
        What to convert.

    Returns
    -------
    dict
        Array condition to dimension condition to chunks per manifest; empty when nothing is set.
    """
    return {rule: dict(sizes) for rule, sizes in config.split_sizes or []}  # type: ignore[arg-type]


@value_class("icechunk.config.ManifestVirtualChunkLocationCompressionConfig")
class ManifestVirtualChunkLocationCompressionConfig(Value):
    """Compression of the URLs of virtual chunks inside a manifest.

    Accepted for compatibility, without effect: compressed URLs are read, but URLs are written as
    shared plain strings, which makes smaller files that open faster.

    Parameters
    ----------
    min_num_chunks : int, optional
        Least number of virtual chunks of a manifest to compress (u16; 1000 when unset).
    dictionary_max_training_samples : int, optional
        Number of URLs to train the dictionary with (u16; 100 when unset).
    dictionary_max_size_bytes : int, optional
        Size of the dictionary (u32; 2048 when unset).
    compression_level : int, optional
        Zstandard level (i32; 3 when unset).
    """

    min_num_chunks: int | None = unsigned(16, default=None, in_force=1000)
    dictionary_max_training_samples: int | None = unsigned(
        16, default=None, in_force=100, kw_only=True
    )
    dictionary_max_size_bytes: int | None = unsigned(32, default=None, in_force=2048, kw_only=True)
    compression_level: int | None = signed(32, default=None, in_force=3, kw_only=True)


@value_class("icechunk.config.ManifestConfig")
class ManifestConfig(Value):
    """How manifests are loaded ahead, split and compressed.

    Parameters
    ----------
    preload : ManifestPreloadConfig, optional
        Which manifests are preloaded when a session opens.
    splitting : ManifestSplittingConfig, optional
        How the chunk references of arrays are split into manifests.
    virtual_chunk_location_compression : ManifestVirtualChunkLocationCompressionConfig, optional
        Compression of the URLs of virtual chunks; without effect.
    max_concurrent_manifest_fetches_during_commit : int, optional
        Arrays whose manifests a commit fetches and updates in parallel (u16; 1 when unset).
    """

    preload: ManifestPreloadConfig | None = instance_of(
        ManifestPreloadConfig, default=None, in_force=ManifestPreloadConfig, replace=True
    )
    splitting: ManifestSplittingConfig | None = instance_of(
        ManifestSplittingConfig, default=None, in_force=ManifestSplittingConfig, replace=True
    )
    virtual_chunk_location_compression: ManifestVirtualChunkLocationCompressionConfig | None = (
        instance_of(
            ManifestVirtualChunkLocationCompressionConfig,
            default=None,
            in_force=ManifestVirtualChunkLocationCompressionConfig,
        )
    )
    max_concurrent_manifest_fetches_during_commit: int | None = unsigned(
        16, default=None, in_force=1
    )
