"""The stored form of a configuration: round trips, tolerance, and the reference's own files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from icechunk.config.containers import (
    ObjectStoreConfig,
    VirtualChunkContainer,
    gcs_store,
    http_store,
    local_filesystem_store,
    s3_store,
)
from icechunk.config.manifests import (
    ManifestConfig,
    ManifestPreloadConfig,
    ManifestSplittingConfig,
    ManifestVirtualChunkLocationCompressionConfig,
)
from icechunk.config.preload import ManifestPreloadCondition
from icechunk.config.repository import (
    CachingConfig,
    CompressionAlgorithm,
    CompressionConfig,
    RepositoryConfig,
    RepoUpdateRetryConfig,
)
from icechunk.config.serde import from_plain, to_plain, to_tagged
from icechunk.config.splitting import ManifestSplitCondition, ManifestSplitDimCondition
from icechunk.config.storage import (
    ChecksumAlgorithm,
    S3Options,
    StorageConcurrencySettings,
    StorageRetriesSettings,
    StorageSettings,
    StorageTimeoutSettings,
)
from icechunk.config.yaml_text import from_yaml, to_yaml
from icechunk.core.errors import FormatError
from tests.config.configs import repository_configs
from tests.oracle import run_reference


@given(repository_configs)
def test_plain_data_round_trips(config: RepositoryConfig) -> None:
    plain = to_plain(config)
    assert from_plain(plain) == config
    assert from_plain(json.loads(json.dumps(plain))) == config
    assert from_plain(to_tagged(config)) == config


@given(repository_configs)
def test_yaml_round_trips(config: RepositoryConfig) -> None:
    assert from_yaml(to_yaml(config)) == config


def test_every_key_is_written() -> None:
    plain = to_plain(RepositoryConfig(storage=StorageSettings(), manifest=ManifestConfig()))
    assert set(plain) == {
        "inline_chunk_threshold_bytes",
        "get_partial_values_concurrency",
        "compression",
        "max_concurrent_requests",
        "max_concurrent_decodes",
        "caching",
        "storage",
        "virtual_chunk_containers",
        "manifest",
        "previous_file",
        "repo_update_retries",
        "num_updates_per_repo_info_file",
    }
    assert plain["caching"] is None
    assert plain["storage"]["timeouts"] is None
    assert plain["manifest"]["splitting"] is None


@pytest.mark.parametrize("data", [{}, {"inline_chunk_threshold_bytes": None}])
def test_missing_keys_are_unset(data: dict[str, Any]) -> None:
    assert from_plain(data) == RepositoryConfig()


def test_unknown_keys_are_ignored_at_every_level() -> None:
    data = {
        "from_the_future": 1,
        "caching": {"num_chunk_refs": 7, "from_the_future": {"a": 1}},
        "virtual_chunk_containers": {
            "s3": {"url_prefix": "s3://a/", "new": 1, "store": {"s3": {"region": "r", "new": 2}}}
        },
    }
    assert from_plain(data) == RepositoryConfig(
        caching=CachingConfig(num_chunk_refs=7),
        virtual_chunk_containers={
            "s3": VirtualChunkContainer("s3://a/", ObjectStoreConfig.S3(S3Options("r")))
        },
    )


def test_the_previous_file_is_kept() -> None:
    config = from_plain({"previous_file": "x"})
    assert config.previous_file == "x"
    assert to_plain(config)["previous_file"] == "x"
    assert RepositoryConfig().previous_file is None


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"inline_chunk_threshold_bytes": 70_000}, "config.inline_chunk_threshold_bytes"),
        ({"inline_chunk_threshold_bytes": "3"}, "config.inline_chunk_threshold_bytes"),
        ({"caching": 3}, "config.caching"),
        ({"storage": {"retries": {"max_tries": 0}}}, "config.storage.retries.max_tries"),
        ({"compression": {"algorithm": "lz4"}}, "config.compression.algorithm"),
        ({"virtual_chunk_containers": [1]}, "config.virtual_chunk_containers"),
        ({"virtual_chunk_containers": {"a": {"url_prefix": "a"}}}, r"containers\['a'\]"),
        ({"virtual_chunk_containers": {"a": {"store": {"ftp": {}}}}}, r"\['a'\].store"),
        ({"manifest": {"preload": {"preload_if": {"num_refs": {"to": 1}}}}}, "preload_if"),
        ({"manifest": {"splitting": {"split_sizes": [["any_array"]]}}}, "split_sizes"),
        ({"manifest": {"splitting": {"split_sizes": [["maybe", []]]}}}, "split_sizes"),
        ([], "config"),
    ],
)
def test_invalid_values_are_reported_with_their_path(data: Any, where: str) -> None:
    with pytest.raises(FormatError, match=where) as caught:
        from_plain(data)
    assert caught.value.kind == "config-deserialization"


@pytest.mark.parametrize("text", ["a: [", "- 1", "caching: !x {}", "\0"])
def test_bad_yaml_is_a_format_error(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        from_yaml(text)
    assert caught.value.kind == "config-deserialization"


def test_an_empty_yaml_file_sets_nothing() -> None:
    assert from_yaml(b"") == RepositoryConfig()


def test_a_stored_split_size_of_zero_does_not_split_the_array() -> None:
    sizes = [["any_array", [{"condition": "Any", "num_chunks": 0}]]]
    config = from_plain({"manifest": {"splitting": {"split_sizes": sizes}}})
    assert config.manifest is not None
    assert config.manifest.splitting is not None
    assert config.manifest.splitting.split_sizes == [
        (ManifestSplitCondition.AnyArray(), [(ManifestSplitDimCondition.Any(), 2**32 - 1)])
    ]


#: Builds `full_config` with the reference; arguments: folder, spec version.
REFERENCE_CONFIG = """
import icechunk as ic, icechunk._icechunk_python as native
S, D, P = ic.ManifestSplitCondition, ic.ManifestSplitDimCondition, ic.ManifestPreloadCondition
O = ic.ObjectStoreConfig
def full_config():
    config = ic.RepositoryConfig(
        inline_chunk_threshold_bytes=3, max_concurrent_decodes=3,
        compression=ic.CompressionConfig(ic.CompressionAlgorithm.Zstd, 5),
        caching=ic.CachingConfig(1, 2, 3, 4, 5),
        storage=ic.StorageSettings(timeouts=ic.StorageTimeoutSettings(1, 2), storage_class="S"),
        manifest=ic.ManifestConfig(
            preload=ic.ManifestPreloadConfig(
                5, (P.true() | P.num_refs(None, None)) & P.num_refs(1, 10) & P.name_matches("a")
                & P.path_matches("b") & P.false(), 3),
            splitting=ic.ManifestSplittingConfig.from_dict({
                S.path_matches("a") & S.name_matches("b") | S.AnyArray():
                    {D.Axis(1): 3, D.DimensionName("x"): 4, D.Any(): 5},
                S.AnyArray(): {D.Any(): 7}}),
            virtual_chunk_location_compression=ic.ManifestVirtualChunkLocationCompressionConfig(
                1, dictionary_max_training_samples=2, dictionary_max_size_bytes=3,
                compression_level=-4)),
        repo_update_retries=native.RepoUpdateRetryConfig(ic.StorageRetriesSettings(1, 2, 3)),
        num_updates_per_repo_info_file=9)
    A = ic.ChecksumAlgorithm
    for prefix, store, name in [
        ("s3://a/", ic.s3_store(region="q", checksum_algorithm=A.Crc64Nvme), None),
        ("s3://b/", ic.s3_store(s3_compatible=True, checksum_algorithm=A.Sha256), "b"),
        ("s3://c/", ic.s3_store(checksum_algorithm=A.Crc32), None),
        ("s3://d/", ic.s3_store(checksum_algorithm=A.Sha1), None),
        ("tigris://c/", O.Tigris(ic.S3Options(checksum_algorithm=A.Crc32c)), None),
        ("gs://d/", ic.gcs_store({"a": "b"}), "d"), ("gs://e/", ic.gcs_store(), None),
        ("az://e/", O.Azure({"account": "x"}), None),
        ("http://f/", ic.http_store({"timeout": "3"}, {"A": "b"}), None),
        ("https://g/", ic.http_store(), None),
        ("file:///tmp/", ic.local_filesystem_store("/tmp"), None),
    ]:
        config.set_virtual_chunk_container(ic.VirtualChunkContainer(prefix, store, name))
    return config
"""


def full_config() -> RepositoryConfig:
    S, D, P = ManifestSplitCondition, ManifestSplitDimCondition, ManifestPreloadCondition
    A = ChecksumAlgorithm
    config = RepositoryConfig(
        inline_chunk_threshold_bytes=3,
        max_concurrent_decodes=3,
        compression=CompressionConfig(CompressionAlgorithm.Zstd, 5),
        caching=CachingConfig(1, 2, 3, 4, 5),
        storage=StorageSettings(  # the reference adds its back end's own settings
            concurrency=StorageConcurrencySettings(5, 4096),
            retries=StorageRetriesSettings(1, 0, 0),
            timeouts=StorageTimeoutSettings(1, 2),
            unsafe_use_conditional_update=False,
            unsafe_use_metadata=False,
            storage_class="S",
        ),
        manifest=ManifestConfig(
            preload=ManifestPreloadConfig(
                5,
                (P.true() | P.num_refs(None, None))
                & P.num_refs(1, 10)
                & P.name_matches("a")
                & P.path_matches("b")
                & P.false(),
                3,
            ),
            splitting=ManifestSplittingConfig.from_dict(
                {
                    S.path_matches("a") & S.name_matches("b") | S.AnyArray(): {
                        D.Axis(1): 3,
                        D.DimensionName("x"): 4,
                        D.Any(): 5,
                    },
                    S.AnyArray(): {D.Any(): 7},
                }
            ),
            virtual_chunk_location_compression=ManifestVirtualChunkLocationCompressionConfig(
                1,
                dictionary_max_training_samples=2,
                dictionary_max_size_bytes=3,
                compression_level=-4,
            ),
        ),
        repo_update_retries=RepoUpdateRetryConfig(StorageRetriesSettings(1, 2, 3)),
        num_updates_per_repo_info_file=9,
    )
    containers: list[tuple[str, ObjectStoreConfig, str | None]] = [
        ("s3://a/", s3_store(region="q", checksum_algorithm=A.Crc64Nvme), None),
        ("s3://b/", s3_store(s3_compatible=True, checksum_algorithm=A.Sha256), "b"),
        ("s3://c/", s3_store(checksum_algorithm=A.Crc32), None),
        ("s3://d/", s3_store(checksum_algorithm=A.Sha1), None),
        ("tigris://c/", ObjectStoreConfig.Tigris(S3Options(checksum_algorithm=A.Crc32c)), None),
        ("gs://d/", gcs_store({"a": "b"}), "d"),
        ("gs://e/", gcs_store(), None),
        ("az://e/", ObjectStoreConfig.Azure({"account": "x"}), None),
        ("http://f/", http_store({"timeout": "3"}, {"A": "b"}), None),
        ("https://g/", http_store(), None),
        ("file:///tmp/", local_filesystem_store("/tmp"), None),
    ]
    for prefix, store, name in containers:
        config.set_virtual_chunk_container(VirtualChunkContainer(prefix, store, name))
    return config


@pytest.mark.oracle
def test_a_yaml_file_of_the_reference(tmp_path: Path) -> None:
    run_reference(
        REFERENCE_CONFIG
        + "storage = ic.local_filesystem_storage(args[0])\n"
        + "ic.Repository.create(storage, full_config(), spec_version=1)",
        tmp_path / "repo",
    )
    assert from_yaml((tmp_path / "repo/config.yaml").read_bytes()) == full_config()


@pytest.mark.oracle
def test_the_reference_reads_our_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "repo"
    code = """
        import icechunk as ic
        ic.Repository.create(ic.local_filesystem_storage(args[0]), spec_version=1).save_config()
        """
    run_reference(code, path)
    (path / "config.yaml").write_text(to_yaml(full_config()))
    verdict = run_reference(
        REFERENCE_CONFIG
        + "stored = ic.Repository.fetch_config(ic.local_filesystem_storage(args[0]))\n"
        + "probe = ic.local_filesystem_storage(args[1])\n"
        + "ic.Repository.create(probe, full_config())\n"
        + "result = stored == ic.Repository.fetch_config(probe)\n",
        path,
        tmp_path / "probe",
    )
    assert verdict is True


@pytest.mark.oracle
def test_the_configuration_inside_a_repository_of_the_reference(tmp_path: Path) -> None:
    from icechunk.spec.repo.codec import decode_repo

    run_reference(
        REFERENCE_CONFIG
        + "ic.Repository.create(ic.local_filesystem_storage(args[0]), full_config())",
        tmp_path / "repo",
    )
    state = decode_repo((tmp_path / "repo/repo").read_bytes(), name="repo")
    assert state.config is not None
    assert from_plain(state.config) == full_config()
    ours = to_plain(full_config())
    ours["virtual_chunk_containers"] = dict(sorted(ours["virtual_chunk_containers"].items()))
    assert ours == state.config, "the same structure, key by key"
