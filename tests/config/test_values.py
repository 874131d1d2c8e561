"""Ranges, types, equality, sharing, copies: what every configuration value has in common."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from typing import Any

import pytest
from hypothesis import given

from icechunk.config.manifests import (
    ManifestConfig,
    ManifestPreloadConfig,
    ManifestVirtualChunkLocationCompressionConfig,
)
from icechunk.config.repository import (
    CachingConfig,
    CompressionAlgorithm,
    CompressionConfig,
    RepositoryConfig,
)
from icechunk.config.storage import (
    ChecksumAlgorithm,
    S3Options,
    StorageConcurrencySettings,
    StorageRetriesSettings,
    StorageSettings,
    StorageTimeoutSettings,
)
from icechunk.config.values import Value, merged
from tests.config.configs import repository_configs

WIDTHS: dict[int, dict[type[Any], list[str]]] = {
    8: {CompressionConfig: ["level"]},
    16: {
        RepositoryConfig: [
            "inline_chunk_threshold_bytes",
            "get_partial_values_concurrency",
            "max_concurrent_requests",
            "num_updates_per_repo_info_file",
            "max_concurrent_decodes",
        ],
        ManifestConfig: ["max_concurrent_manifest_fetches_during_commit"],
        ManifestVirtualChunkLocationCompressionConfig: [
            "min_num_chunks",
            "dictionary_max_training_samples",
        ],
        StorageConcurrencySettings: ["max_concurrent_requests_for_object"],
        StorageRetriesSettings: ["max_tries"],
    },
    32: {
        ManifestPreloadConfig: ["max_total_refs", "max_arrays_to_scan"],
        ManifestVirtualChunkLocationCompressionConfig: ["dictionary_max_size_bytes"],
        StorageRetriesSettings: ["initial_backoff_ms", "max_backoff_ms"],
        StorageTimeoutSettings: ["connect_timeout_ms", "operation_attempt_timeout_ms"],
        S3Options: ["network_stream_timeout_seconds"],
    },
    64: {
        CachingConfig: ["num_snapshot_nodes", "num_bytes_chunks"],
        StorageConcurrencySettings: ["ideal_concurrent_request_size"],
        StorageSettings: ["minimum_size_for_multipart_upload"],
    },
}
INTEGERS = [
    pytest.param(cls, name, 2**bits - 1, id=f"{cls.__name__}.{name}")
    for bits, classes in WIDTHS.items()
    for cls, names in classes.items()
    for name in names
]
NEVER_ZERO = {"max_tries", "max_concurrent_requests_for_object", "ideal_concurrent_request_size"}


@pytest.mark.parametrize(("cls", "name", "largest"), INTEGERS)
def test_integers_have_the_width_they_are_stored_with(
    cls: type[Any], name: str, largest: int
) -> None:
    value = cls(**{name: largest})
    assert getattr(value, name) == largest
    for bad in (-1, largest + 1, 2**70):
        with pytest.raises(OverflowError, match=f"`{name}` takes 0 to {largest}"):
            setattr(value, name, bad)
    for wrong in ("3", 1.5, [1]):
        with pytest.raises(TypeError, match=f"`{name}` takes an integer"):
            cls(**{name: wrong})
    assert getattr(value, name) == largest, "a refused value leaves the old one"
    setattr(value, name, None)
    assert getattr(value, name) is None


@pytest.mark.parametrize(
    ("cls", "name"), [(p.values[0], p.values[1]) for p in INTEGERS if p.values[1] in NEVER_ZERO]
)
def test_some_integers_cannot_be_zero(cls: type[Any], name: str) -> None:
    with pytest.raises(ValueError, match="invalid zero value"):
        cls(**{name: 0})


def test_the_compression_level_of_locations_may_be_negative() -> None:
    config = ManifestVirtualChunkLocationCompressionConfig(compression_level=-5)
    assert config.compression_level == -5
    with pytest.raises(OverflowError, match="too small"):
        config.compression_level = -(2**31) - 1


@pytest.mark.parametrize(
    ("name", "bad", "says"),
    [
        ("region", 3, "'int' object is not an instance of 'str'"),
        ("allow_http", None, "'None' is not an instance of 'bool'"),
        ("anonymous", 1, "'int' object is not an instance of 'bool'"),
        ("checksum_algorithm", 1, "'int' object is not an instance of 'ChecksumAlgorithm'"),
    ],
)
def test_wrong_types_are_refused(name: str, bad: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        S3Options(**{name: bad})
    options = S3Options()
    with pytest.raises(TypeError, match=says):
        setattr(options, name, bad)


def test_nested_values_must_have_their_class() -> None:
    with pytest.raises(TypeError, match="not an instance of 'CachingConfig'"):
        RepositoryConfig(caching=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not an instance of 'StorageSettings'"):
        RepositoryConfig().storage = CachingConfig()  # type: ignore[assignment]


def test_misspelt_names_are_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'cachin'"):
        RepositoryConfig(cachin=None)  # type: ignore[call-arg]
    with pytest.raises(AttributeError, match="has no attribute 'cachin'; its fields are inline"):
        RepositoryConfig().cachin = None  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="takes from 1 to 4 positional arguments but 5 were given"):
        StorageRetriesSettings(1, 2, 3, 4)  # type: ignore[call-arg]


def test_equality_is_by_value_and_class() -> None:
    assert CachingConfig(1, 2) == CachingConfig(num_snapshot_nodes=1, num_chunk_refs=2)
    assert CachingConfig(1) != CachingConfig(2)
    assert CachingConfig() != CompressionConfig()
    assert CachingConfig() != None  # noqa: E711
    assert RepositoryConfig(caching=CachingConfig(1)) == RepositoryConfig(caching=CachingConfig(1))
    assert RepositoryConfig(caching=CachingConfig()) != RepositoryConfig()
    with pytest.raises(TypeError, match="unhashable"):
        hash(CachingConfig())


def test_nested_values_are_shared() -> None:
    caching = CachingConfig(1)
    config = RepositoryConfig(caching=caching)
    assert config.caching is caching
    caching.num_bytes_chunks = 9
    assert config.caching.num_bytes_chunks == 9


@given(repository_configs)
def test_pickles_and_copies_are_equal_and_separate(config: RepositoryConfig) -> None:
    for twin in (pickle.loads(pickle.dumps(config)), copy.deepcopy(config)):
        assert twin == config
        twin.inline_chunk_threshold_bytes = (config.inline_chunk_threshold_bytes or 0) ^ 1
        assert twin != config
        if twin.caching is not None:
            assert twin.caching is not config.caching


@given(repository_configs, repository_configs)
def test_merging_keeps_what_the_other_leaves_open(
    base: RepositoryConfig, over: RepositoryConfig
) -> None:
    before = copy.deepcopy((base, over))
    result = base.merge(over)
    assert (base, over) == before
    assert base.merge(RepositoryConfig()) == base
    assert RepositoryConfig().merge(over) == over
    assert result.merge(over) == result
    for name in ("inline_chunk_threshold_bytes", "virtual_chunk_containers"):
        mine, theirs = getattr(base, name), getattr(over, name)
        assert getattr(result, name) == (mine if theirs is None else theirs)


def test_merging_shares_nothing() -> None:
    base, over = CachingConfig(1), CachingConfig(None, 2)
    config = merged(RepositoryConfig(caching=base), RepositoryConfig(caching=over))
    assert config.caching == CachingConfig(1, 2)
    over.num_chunk_refs = 77
    assert config.caching == CachingConfig(1, 2)


def test_signatures_name_the_fields() -> None:
    assert list(inspect.signature(S3Options).parameters)[:3] == [
        "region",
        "endpoint_url",
        "allow_http",
    ]
    assert inspect.signature(S3Options).parameters["allow_http"].default is False
    with pytest.raises(TypeError):
        ManifestVirtualChunkLocationCompressionConfig(1, 2)  # type: ignore[misc]


def test_names_of_older_versions() -> None:
    caching = CachingConfig(manifests_cache_size=4)
    assert caching == CachingConfig(num_chunk_refs=4)
    caching.chunks_cache_size = 5  # type: ignore[attr-defined]
    assert caching.num_bytes_chunks == 5
    assert caching.manifests_cache_size == 4  # type: ignore[attr-defined]


def test_enumerations() -> None:
    assert CompressionAlgorithm() is CompressionAlgorithm.Zstd is CompressionAlgorithm.default()
    assert CompressionAlgorithm.Zstd == 0
    assert repr(ChecksumAlgorithm.Sha1) == str(ChecksumAlgorithm.Sha1) == "ChecksumAlgorithm.Sha1"
    assert [int(member) for member in ChecksumAlgorithm] == [0, 1, 2, 3, 4]
    assert pickle.loads(pickle.dumps(ChecksumAlgorithm.Crc32c)) is ChecksumAlgorithm.Crc32c


def value_classes(base: type[Value]) -> list[type[Value]]:
    return [each for kind in base.__subclasses__() for each in (kind, *value_classes(kind))]


def test_values_are_slotted_dataclasses() -> None:
    kinds = {kind for kind in value_classes(Value) if hasattr(kind, "__dataclass_fields__")}
    assert len(kinds) > 15
    for kind in kinds:
        assert all(name in vars(kind) for name in kind.__dataclass_fields__)
        assert not hasattr(kind.__new__(kind), "__dict__"), kind
    options = dataclasses.replace(S3Options("r"), anonymous=True)  # type: ignore[type-var]
    assert options == S3Options("r", anonymous=True)
