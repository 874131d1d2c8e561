"""The three displays: a constructor call, a block of lines, escaped HTML."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given

from icechunk.config import containers, manifests, preload, repository, splitting, storage
from icechunk.config.containers import ObjectStoreConfig, VirtualChunkContainer, s3_store
from icechunk.config.credentials import Credentials, S3Credentials, S3StaticCredentials
from icechunk.config.flags import Attribution, FeatureFlag
from icechunk.config.repository import CachingConfig, RepositoryConfig, RepoUpdateRetryConfig
from icechunk.config.storage import StorageConcurrencySettings, StorageSettings
from tests.config.configs import repository_configs
from tests.oracle import run_reference

ATTACK = "<script>alert('x')</script>\"&"

#: The public names that displays use, so that they can be evaluated.
PUBLIC: dict[str, Any] = {
    "icechunk": SimpleNamespace(
        CompressionAlgorithm=repository.CompressionAlgorithm,
        ChecksumAlgorithm=storage.ChecksumAlgorithm,
        storage=storage,
        virtual=containers,
        config=SimpleNamespace(
            **{
                name: value
                for module in (containers, manifests, preload, repository, splitting)
                for name, value in vars(module).items()
                if isinstance(value, type)
            }
        ),
    )
}


@given(repository_configs)
def test_the_constructor_form_makes_an_equal_value(config: RepositoryConfig) -> None:
    for container in (config.virtual_chunk_containers or {}).values():
        if type(container.store).__name__ in ("Gcs", "Azure", "Http"):
            return  # may hold secrets, which are not displayed
    assert eval(repr(config), PUBLIC) == config


def test_constructor_form() -> None:
    settings = StorageSettings(
        concurrency=StorageConcurrencySettings(3), unsafe_use_metadata=True, storage_class='a"b'
    )
    assert repr(settings) == (
        "icechunk.storage.StorageSettings(\n"
        "    unsafe_use_conditional_create=None,\n"
        "    unsafe_use_conditional_update=None,\n"
        "    unsafe_use_metadata=True,\n"
        '    storage_class="a\\"b",\n'
        "    metadata_storage_class=None,\n"
        "    chunks_storage_class=None,\n"
        "    minimum_size_for_multipart_upload=None,\n"
        "    concurrency=icechunk.storage.StorageConcurrencySettings(\n"
        "        max_concurrent_requests_for_object=3,\n"
        "        ideal_concurrent_request_size=None,\n"
        "    ),\n"
        "    retries=None,\n"
        "    timeouts=None,\n"
        ")"
    )


def test_block_form_marks_defaults() -> None:
    assert str(CachingConfig(num_chunk_refs=5)).splitlines() == [
        "<icechunk.config.CachingConfig>",
        "num_snapshot_nodes: 500000 (default)",
        "num_chunk_refs: 5",
        "num_transaction_changes: 0 (default)",
        "num_bytes_attributes: 0 (default)",
        "num_bytes_chunks: 0 (default)",
    ]
    assert str(RepoUpdateRetryConfig()).splitlines() == [
        "<icechunk.config.RepoUpdateRetryConfig>",
        "default:",
        "    <icechunk.storage.StorageRetriesSettings>",
        "    max_tries: 100",
        "    initial_backoff_ms: 50",
        "    max_backoff_ms: 30000",
    ]


def test_containers_are_nested_under_their_prefix() -> None:
    config = RepositoryConfig()
    config.set_virtual_chunk_container(VirtualChunkContainer("s3://b/", s3_store(), "n"))
    tail = str(config).partition("virtual_chunk_containers:\n")[2].splitlines()
    assert tail[:5] == [
        "    s3://b/:",
        "        <icechunk.virtual.VirtualChunkContainer>",
        '        name: "n"',
        '        url_prefix: "s3://b/"',
        "        store:",
    ]


def test_flags_and_labels() -> None:
    flag = FeatureFlag(3, "move_node", True, False)
    assert repr(flag) == str(flag)
    assert str(flag).splitlines() == [
        "<icechunk.config.FeatureFlag>",
        "id: 3",
        "name: move_node",
        "default_enabled: True",
        "setting: False",
        "enabled: False",
    ]
    assert repr(Attribution(client="a/1")) == (
        'icechunk.Attribution(\n    client="a/1",\n    workload=None,\n    principal=None,\n)'
    )


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _tags(html: str) -> set[str]:
    parser = _Tags()
    parser.feed(html)
    parser.close()
    assert parser.open == [], "every tag is closed"
    return parser.seen


HARMLESS = {"style", "div", "span", "details", "summary"}


def test_markup_in_values_and_keys_is_inert() -> None:
    container = VirtualChunkContainer(
        f"s3://{ATTACK}/", ObjectStoreConfig.Http({ATTACK: ATTACK}, None), ATTACK
    )
    config = RepositoryConfig(
        virtual_chunk_containers={ATTACK: container},
        storage=StorageSettings(storage_class=ATTACK),
    )
    html = config._repr_html_()
    assert _tags(html) <= HARMLESS
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<style>") == 1


@given(repository_configs)
def test_html_is_well_formed(config: RepositoryConfig) -> None:
    assert _tags(config._repr_html_()) <= HARMLESS


SECRET = "wJalrXUtnFEMI"
SECRETIVE = [
    S3StaticCredentials("AKIAIOSFODNN7EXAMPLE", SECRET, SECRET, datetime(2030, 1, 1, tzinfo=UTC)),
    S3Credentials.Static(S3StaticCredentials("AKIAIOSFODNN7EXAMPLE", SECRET)),
    Credentials.S3(
        S3Credentials.Refreshable(SECRET.encode(), S3StaticCredentials("AKIAIOSFODNN7", SECRET))
    ),
    ObjectStoreConfig.Http({"timeout": "3"}, {"Authorization": f"Bearer {SECRET}"}),
    ObjectStoreConfig.Azure({"account": "a", "azure_storage_sas_token": SECRET}),
]


@pytest.mark.parametrize("value", SECRETIVE, ids=lambda value: type(value).__qualname__)
def test_secrets_are_never_shown(value: Any) -> None:
    for text in (repr(value), str(value), value._repr_html_()):
        assert SECRET not in text
        assert "OSFODNN7" not in text
        assert "****" in text or " bytes&gt;" in text


def test_short_key_ids_are_hidden_whole() -> None:
    assert "abcde" not in repr(S3StaticCredentials("abcde", "s"))
    assert "AKIA****" in repr(S3StaticCredentials("AKIAIOSFODNN7EXAMPLE", "s"))


@pytest.mark.oracle
def test_displays_agree_with_the_reference() -> None:
    reference = run_reference(
        """
        import icechunk as ic
        config = ic.RepositoryConfig(3, caching=ic.CachingConfig(1), storage=ic.StorageSettings())
        config.set_virtual_chunk_container(ic.VirtualChunkContainer("s3://b/", ic.s3_store("r")))
        result = [repr(config), str(config).strip(), config.max_concurrent_decodes]
        """
    )
    config = RepositoryConfig(3, caching=CachingConfig(1), storage=StorageSettings())
    config.set_virtual_chunk_container(VirtualChunkContainer("s3://b/", s3_store("r")))
    assert repr(config) == reference[0]
    # Ours also tells the two conditions that are in force.
    ours = [line for line in str(config).splitlines() if "_sizes:" not in line]
    theirs = [line for line in reference[1].splitlines() if "_sizes:" not in line]
    assert [line for line in ours if "preload_if" not in line] == [
        line for line in theirs if "preload_if" not in line
    ]
