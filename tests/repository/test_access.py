"""Checks of virtual chunk containers and their credentials by `Repository`."""

from __future__ import annotations

import warnings

import pytest

import icechunk
from icechunk import credentials
from icechunk.storage import azure_store

LOCAL = icechunk.local_filesystem_store("/data")
S3 = icechunk.s3_store(region="us-east-1")
PLACES = {
    "file:///data/": LOCAL,
    "s3://b/": S3,
    "gs://b/": icechunk.gcs_store({}),
    "az://b/": azure_store(account="x"),
    "https://b/": icechunk.http_store(),
}
FITTING = {
    "file:///data/": credentials.LocalFileSystemAccess,
    "s3://b/": icechunk.Credentials.S3(icechunk.S3Credentials.FromEnv()),
    "gs://b/": icechunk.Credentials.Gcs(icechunk.GcsCredentials.Anonymous()),
    "az://b/": icechunk.Credentials.Azure(icechunk.AzureCredentials.FromEnv()),
    "https://b/": credentials.HttpAccess,
}


def config_of(*containers: icechunk.VirtualChunkContainer) -> icechunk.RepositoryConfig:
    return icechunk.RepositoryConfig(
        virtual_chunk_containers={one.url_prefix: one for one in containers}
    )


def container(prefix: str, name: str | None = None) -> icechunk.VirtualChunkContainer:
    return icechunk.VirtualChunkContainer(prefix, PLACES[prefix], name)


@pytest.mark.parametrize("prefix", PLACES)
def test_fitting_credentials_are_taken_silently(prefix):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        repo = icechunk.Repository.create(
            icechunk.in_memory_storage(), config_of(container(prefix)), {prefix: FITTING[prefix]}
        )
    assert repo.authorized_virtual_container_prefixes == {prefix}
    assert repo.reopen().authorized_virtual_container_prefixes == {prefix}


@pytest.mark.parametrize("prefix", PLACES)
@pytest.mark.parametrize("other", FITTING)
def test_credentials_of_another_kind_of_store_are_refused(prefix, other):
    if prefix == other:
        return
    with pytest.raises(icechunk.StorageError) as caught:
        icechunk.Repository.create(
            icechunk.in_memory_storage(), config_of(container(prefix)), {prefix: FITTING[other]}
        )
    assert caught.value.kind == "storage-other"


@pytest.mark.parametrize("prefix", [*PLACES, "s3://unknown/"])
def test_none_is_deprecated_and_the_warning_says_what_to_write(prefix):
    places = config_of(container(prefix)) if prefix in PLACES else None
    with pytest.warns(DeprecationWarning, match=r"Passing `None`") as caught:
        repo = icechunk.Repository.create(icechunk.in_memory_storage(), places, {prefix: None})
    assert repo.authorized_virtual_container_prefixes == {prefix}
    text = str(caught[0].message)
    assert prefix in text
    assert caught[0].filename == __file__
    if prefix in PLACES:
        written = text.split(f'{{"{prefix}": ')[1].split("}")[0]
        fits = eval(written, {"icechunk": icechunk})
        assert type(fits) is type(FITTING[prefix])


def test_plain_credentials_and_other_things_are_type_errors():
    for value in (icechunk.S3Credentials.FromEnv(), 5):
        with pytest.raises(TypeError, match="'Credentials'"):
            icechunk.Repository.create(icechunk.in_memory_storage(), None, {"s3://b/": value})
    with pytest.raises(TypeError, match="'str'"):
        icechunk.Repository.create(
            icechunk.in_memory_storage(),
            None,
            {5: credentials.HttpAccess},  # type: ignore[dict-item]
        )


def test_the_early_form_by_name_still_works():
    places = config_of(container("s3://b/", "bucket"))
    plain = icechunk.s3_from_env_credentials()
    with pytest.warns(DeprecationWarning, match="virtual_chunk_credentials"):
        repo = icechunk.Repository.create(
            icechunk.in_memory_storage(), places, virtual_chunk_credentials={"bucket": plain}
        )
    assert repo.authorized_virtual_container_prefixes == {"s3://b/"}
    wrapped = icechunk.containers_credentials(bucket=plain)
    again = icechunk.Repository.open(repo.storage, None, wrapped)
    assert again.authorized_virtual_container_prefixes == {"s3://b/"}
    with pytest.warns(DeprecationWarning, match="virtual_chunk_credentials"):
        icechunk.Repository.open_or_create(repo.storage, virtual_chunk_credentials=wrapped)


def test_containers_are_checked_wherever_a_configuration_comes_in():
    bad = config_of(icechunk.VirtualChunkContainer("s3://b", S3))
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    for attempt in (
        lambda: icechunk.Repository.create(icechunk.in_memory_storage(), bad),
        lambda: icechunk.Repository.open(repo.storage, bad),
        lambda: icechunk.Repository.open_or_create(repo.storage, bad),
        lambda: repo.reopen(config=bad),
    ):
        with pytest.raises(ValueError, match="must end in a / character"):
            attempt()


async def test_anything_but_a_storage_is_a_type_error():
    for attempt in (
        icechunk.Repository.create,
        icechunk.Repository.open,
        icechunk.Repository.open_or_create,
        icechunk.Repository.exists,
        icechunk.Repository.fetch_config,
        icechunk.Repository.fetch_spec_version,
    ):
        with pytest.raises(TypeError, match="'Storage'"):
            attempt("/some/path")  # type: ignore[operator]
    with pytest.raises(TypeError, match="'Storage'"):
        await icechunk.Repository.open_async("/some/path")  # type: ignore[arg-type]
