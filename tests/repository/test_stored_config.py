"""Configurations stored by early versions are read, even those that are refused today."""

from __future__ import annotations

import pickle
import warnings

import pytest

import icechunk
from tests.repositories import with_grid

OLD = """
inline_chunk_threshold_bytes: 512
unsafe_overwrite_refs: null
get_partial_values_concurrency: null
virtual_chunk_containers:
  s3:
    name: s3
    url_prefix: s3://
    store: !s3 {region: us-east-1, endpoint_url: null, anonymous: false, allow_http: false}
  bare:
    name: bare
    url_prefix: s3
    store: !s3 {region: us-east-1, endpoint_url: null, anonymous: false, allow_http: false}
  no slash:
    name: ""
    url_prefix: gcs://bucket
    store: !gcs {}
  another store:
    name: a/b
    url_prefix: az://container/
    store: !tigris {region: null, endpoint_url: null, anonymous: false, allow_http: true}
  file:
    name: file
    url_prefix: "file://"
    store: !local_file_system ""
"""
PREFIXES = {"s3://", "s3", "gcs://bucket", "az://container/", "file://"}


def stored(spec: int) -> icechunk.Storage:
    """A repository whose stored configuration has containers that are refused today."""
    storage = icechunk.in_memory_storage()
    icechunk.Repository.create(storage, spec_version=1)
    storage.create("config.yaml", OLD.encode())
    repo = icechunk.Repository.open(storage)
    if spec == 2:
        icechunk.upgrade_icechunk_repository(repo, dry_run=False)
    return storage


def prefixes(config: icechunk.RepositoryConfig | None) -> set[str]:
    assert config is not None
    containers = (config.virtual_chunk_containers or {}).values()
    return {container.url_prefix for container in containers}


@pytest.mark.parametrize("spec", [1, 2])
def test_every_way_to_read_a_stored_configuration_takes_what_is_there(spec: int) -> None:
    storage = stored(spec)
    fetched = icechunk.Repository.fetch_config(storage)
    repo = icechunk.Repository.open(storage, icechunk.RepositoryConfig(compression=None))
    assert prefixes(fetched) == prefixes(repo.config) == PREFIXES
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        icechunk.Repository.open_or_create(storage)
        icechunk.Repository.open(storage, fetched)  # what was read may be handed back
        repo.reopen(config=pickle.loads(pickle.dumps(repo.config)))
    repo.save_config()
    assert prefixes(icechunk.Repository.fetch_config(storage)) == PREFIXES
    assert prefixes(pickle.loads(pickle.dumps(repo.writable_session("main").fork())).config)


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_upgrade_takes_the_configuration_over_and_retires_the_handle(dry_run: bool) -> None:
    storage = stored(1)
    access = {"s3://": icechunk.Credentials.S3(icechunk.S3Credentials.FromEnv())}
    repo = icechunk.Repository.open(
        storage,
        icechunk.RepositoryConfig(inline_chunk_threshold_bytes=7),
        authorize_virtual_chunk_access=access,
    )
    repo.set_default_commit_metadata({"by": "me"})
    fresh = icechunk.upgrade_icechunk_repository(repo, dry_run=dry_run)
    assert fresh.spec_version == (1 if dry_run else 2)
    assert prefixes(fresh.config) == PREFIXES
    assert fresh.config.inline_chunk_threshold_bytes == 7
    assert fresh.authorized_virtual_container_prefixes == {"s3://"}
    assert fresh.default_commit_metadata() == {"by": "me"}
    assert fresh.list_branches() == {"main"}
    if dry_run:
        assert repo.spec_version == 1
    else:
        for ask in (lambda: repo.config, lambda: repo.list_branches(), lambda: repr(repo)):
            with pytest.raises(RuntimeError, match="was upgraded to a newer format"):
                ask()


def test_what_is_given_now_is_checked_though_it_was_stored_before() -> None:
    config = icechunk.Repository.fetch_config(stored(2))
    assert config is not None
    assert config.virtual_chunk_containers is not None
    container = next(
        one for one in config.virtual_chunk_containers.values() if one.url_prefix == "s3://"
    )
    config.set_virtual_chunk_container(container)  # unchanged
    container.url_prefix = "gcs://"
    with pytest.raises(ValueError, match="Invalid url prefix scheme"):
        config.set_virtual_chunk_container(container)
    new = icechunk.VirtualChunkContainer("s3://", icechunk.s3_store(region="us-east-1"))
    with pytest.raises(ValueError, match="must include a host"):
        config.set_virtual_chunk_container(new)


BAD: list[dict[str, object]] = [
    {
        "config": icechunk.RepositoryConfig(
            virtual_chunk_containers={
                "s3://b": icechunk.VirtualChunkContainer("s3://b", icechunk.s3_store(region="x"))
            }
        )
    },
    {"authorize_virtual_chunk_access": {"s3://b/": "secret"}},
    {"authorize_virtual_chunk_access": {1: None}},
    {"spec_version": "v1"},
    {"spec_version": 1.5},
    {"spec_version": "1"},
    {"spec_version": 3},
    {"attribution": "me"},
    {"config": {"inline_chunk_threshold_bytes": 1}},
]


@pytest.mark.parametrize("arguments", BAD, ids=str)
def test_what_is_wrong_with_a_new_repository_is_said_before_anything_is_written(
    arguments: dict[str, object],
) -> None:
    storage = icechunk.in_memory_storage()
    with pytest.raises((ValueError, TypeError)):
        icechunk.Repository.create(storage, **arguments)  # type: ignore[arg-type]
    if "spec_version" in arguments:
        arguments = {"create_version": arguments["spec_version"]}
    with pytest.raises((ValueError, TypeError)):
        icechunk.Repository.open_or_create(storage, **arguments)  # type: ignore[arg-type]
    assert not storage.list_objects()


def test_an_open_with_a_wrong_argument_is_refused() -> None:
    storage = icechunk.in_memory_storage()
    with_grid(storage)
    for arguments in BAD:
        if "spec_version" not in arguments:
            with pytest.raises((ValueError, TypeError)):
                icechunk.Repository.open(storage, **arguments)  # type: ignore[arg-type]
