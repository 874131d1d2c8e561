"""Object store variants, and virtual chunk containers."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from icechunk.config.containers import (
    ObjectStoreConfig,
    VirtualChunkContainer,
    azure_store,
    gcs_store,
    http_store,
    local_filesystem_store,
    s3_store,
    validate_container,
)
from icechunk.config.repository import RepositoryConfig
from icechunk.config.storage import ChecksumAlgorithm, S3Options
from tests.config.configs import stores
from tests.oracle import run_reference


@given(stores)
def test_variants_are_like_tuples(store: ObjectStoreConfig) -> None:
    assert isinstance(store, ObjectStoreConfig)
    assert store, "also without data"
    assert len(store) == len(list(store)) == len(type(store).__match_args__)  # type: ignore[attr-defined]
    for position, value in enumerate(store):
        assert store[position] == getattr(store, f"_{position}") == value
    with pytest.raises(IndexError):
        store[len(store)]
    assert pickle.loads(pickle.dumps(store)) == copy.deepcopy(store) == store
    with pytest.raises(AttributeError):
        store._0 = 1  # type: ignore[misc]


def test_variants_match_by_position() -> None:
    store: Any = http_store({"timeout": "3"}, {"A": "b"})
    match store:
        case ObjectStoreConfig.S3(_):
            pytest.fail("another variant")
        case ObjectStoreConfig.Http(options, headers):
            assert (options, headers) == ({"timeout": "3"}, {"A": "b"})
        case _:
            pytest.fail("not matched")


def test_a_family_has_no_instances() -> None:
    with pytest.raises(TypeError, match=r"cannot create 'ObjectStoreConfig' .* Azure, Fsspec, Gcs"):
        ObjectStoreConfig()


def test_options_are_copied_in_and_out() -> None:
    options = S3Options(region="a")
    store = ObjectStoreConfig.S3(options)
    options.region = "b"
    store._0.region = "c"
    assert store._0.region == "a"
    given_options = {"k": "v"}
    gcs = ObjectStoreConfig.Gcs(given_options)
    given_options["k"] = "w"
    gcs[0]["k"] = "x"
    assert gcs._0 == {"k": "v"}


def test_variants_take_the_documented_arguments() -> None:
    assert ObjectStoreConfig.Gcs() == ObjectStoreConfig.Gcs(None) == gcs_store()
    assert ObjectStoreConfig.Http({"a": "b"}) == ObjectStoreConfig.Http({"a": "b"}, None)
    assert ObjectStoreConfig.S3(options=S3Options()) == ObjectStoreConfig.S3(S3Options())
    assert ObjectStoreConfig.Tigris() == ObjectStoreConfig.Tigris(opts=S3Options())
    assert ObjectStoreConfig.Tigris(options=S3Options("r")) == ObjectStoreConfig.Tigris(
        S3Options("r")
    )
    assert ObjectStoreConfig.LocalFileSystem(Path("/a")) == local_filesystem_store("/a")
    assert ObjectStoreConfig.LocalFileSystem("/a")._0 == Path("/a")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ObjectStoreConfig.S3(None), "'None' is not an instance of 'S3Options'"),
        (lambda: ObjectStoreConfig.Gcs({"a": 1}), "'int' object is not an instance of 'str'"),
        (lambda: ObjectStoreConfig.LocalFileSystem(3), "not int"),
        (lambda: ObjectStoreConfig.InMemory(1), "too many positional"),
        (lambda: VirtualChunkContainer("s3://a/", 3), "not an instance of 'ObjectStoreConfig'"),
        (lambda: VirtualChunkContainer(s3_store(), s3_store()), "not an instance of 'str'"),
        (
            lambda: VirtualChunkContainer("s3://a/"),
            "missing 1 required positional .* 'store'",
        ),
        (lambda: VirtualChunkContainer("a", s3_store(), name="b", store=s3_store()), "multiple"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        make()


def test_store_functions() -> None:
    store = s3_store("r", checksum_algorithm=ChecksumAlgorithm.Sha1)
    assert isinstance(store, ObjectStoreConfig.S3)
    assert store._0 == S3Options(
        "r", network_stream_timeout_seconds=60, checksum_algorithm=ChecksumAlgorithm.Sha1
    )
    assert isinstance(s3_store(s3_compatible=True), ObjectStoreConfig.S3Compatible)
    assert azure_store(account="a", config={"x": "y"})._0 == {"account": "a", "x": "y"}
    assert s3_store() != s3_store(s3_compatible=True)


def test_both_orders_of_a_container() -> None:
    store = s3_store("r")
    new = VirtualChunkContainer("s3://a/", store, "n")
    assert new == VirtualChunkContainer("n", "s3://a/", store)
    assert new == VirtualChunkContainer(store=store, name="n", url_prefix="s3://a/")
    assert (new.name, new.url_prefix, new.store) == ("n", "s3://a/", store)
    new.name = None
    assert new == VirtualChunkContainer("s3://a/", store)


VALID = [
    ("s3://a/", s3_store()),
    ("S3://a/b?c/", s3_store(s3_compatible=True)),
    ("gcs://a/", gcs_store()),
    ("abfs://a/", azure_store(account="x")),
    ("https://a/", http_store()),
    ("tigris://a/", ObjectStoreConfig.Tigris()),
    ("s3://a/", ObjectStoreConfig.Tigris()),
    ("file:///tmp/", local_filesystem_store("/tmp")),
    ("file://tmp/", local_filesystem_store("/tmp")),
]
INVALID = [
    ("s3://a", s3_store(), None, "must end in a / character"),
    ("", s3_store(), None, "must end in a / character"),
    ("s3://", s3_store(), None, "Url prefix for s3:// containers must include a host"),
    ("s3:///a/", s3_store(), None, "Url prefix for s3:// containers must include a host"),
    ("a/", s3_store(), None, "relative URL without a base"),
    ("gs://a/", s3_store(), None, r"Invalid url prefix scheme \(gs\)"),
    ("s3://a/", gcs_store(), None, r"Invalid url prefix scheme \(s3\)"),
    ("r2://a/", s3_store(), None, r"Invalid url prefix scheme \(r2\)"),
    ("memory://a/", ObjectStoreConfig.InMemory(), None, r"Invalid url prefix scheme \(memory\)"),
    ("abfss://a/", azure_store(account="x"), None, r"Invalid url prefix scheme \(abfss\)"),
    ("file:///", local_filesystem_store("/"), None, "file:// containers must include a path"),
    ("s3://a/", s3_store(), "", "name must be non-empty and not contain '/'"),
    ("s3://a/", s3_store(), "a/b", "name must be non-empty and not contain '/'"),
]


@pytest.mark.parametrize(("prefix", "store"), VALID)
def test_valid_containers_are_accepted(prefix: str, store: ObjectStoreConfig) -> None:
    validate_container(VirtualChunkContainer(prefix, store, "any name"))


@pytest.mark.parametrize(("prefix", "store", "name", "says"), INVALID)
def test_invalid_containers_are_refused(
    prefix: str, store: ObjectStoreConfig, name: str | None, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        validate_container(VirtualChunkContainer(prefix, store, name))


def test_a_bare_scheme_passes_only_in_the_older_order() -> None:
    old = VirtualChunkContainer("s3", "s3://", s3_store())
    with pytest.warns(DeprecationWarning, match="one container per bucket"):
        validate_container(old)
    with pytest.warns(DeprecationWarning, match="per bucket"):
        validate_container(pickle.loads(pickle.dumps(old)))
    with pytest.raises(ValueError, match="must include a host"):
        validate_container(VirtualChunkContainer("s3://", s3_store(), "s3"))


def test_containers_of_a_configuration() -> None:
    config = RepositoryConfig()
    assert config.virtual_chunk_containers is None
    one, two = (VirtualChunkContainer(f"s3://{n}/", s3_store(), n) for n in ("one", "two"))
    config.set_virtual_chunk_container(one)
    config.set_virtual_chunk_container(two)
    assert config.virtual_chunk_containers == {"s3://one/": one, "s3://two/": two}
    assert config.get_virtual_chunk_container("s3://one/") == one
    assert config.get_virtual_chunk_container("two") == two
    assert config.get_virtual_chunk_container("three") is None
    found: Any = config.virtual_chunk_containers
    assert found["one"] == found.get("one") == one
    assert found.get("three", 3) == 3
    with pytest.raises(KeyError):
        found["three"]
    found["s3://one/"].name = "changed"
    assert config.get_virtual_chunk_container("one") == one, "copies come out"
    with pytest.raises(ValueError, match="must end in a /"):
        config.set_virtual_chunk_container(VirtualChunkContainer("s3://a", s3_store()))
    config.clear_virtual_chunk_containers()
    assert config.virtual_chunk_containers == {}
    config.virtual_chunk_containers = {"x": one}
    assert config.virtual_chunk_containers == {"x": one}


def test_containers_are_replaced_whole_by_a_merge() -> None:
    a, b = (
        RepositoryConfig(virtual_chunk_containers={p: VirtualChunkContainer(p, s3_store())})
        for p in ("s3://a/", "s3://b/")
    )
    empty = RepositoryConfig(virtual_chunk_containers={})
    assert a.merge(b) == b
    assert a.merge(empty) == empty
    assert a.merge(RepositoryConfig()) == a


@pytest.mark.oracle
def test_the_reference_accepts_the_same_containers() -> None:
    prefixes = [
        *("s3://a/", "s3://a", "s3://", "s3:///a/", "", "a/", "gs://a/", "file:///tmp/", "S3://x/"),
        *(
            "r2://a/",
            "http://a/",
            "tigris://a/",
            "memory://a/",
            "az://a/",
            "s3://a/b?c/",
            "file:///",
        ),
    ]
    kinds = ["s3", "gcs", "http", "local", "azure", "tigris", "memory"]
    theirs = run_reference(
        """
        import icechunk as ic
        O = ic.ObjectStoreConfig
        kinds = {"s3": ic.s3_store(), "gcs": ic.gcs_store(), "http": ic.http_store(),
                 "local": ic.local_filesystem_store("/tmp"), "azure": O.Azure({}),
                 "tigris": O.Tigris(ic.S3Options()), "memory": O.InMemory()}
        result = []
        for prefix in args[0]:
            for kind in args[1]:
                config = ic.RepositoryConfig()
                try:
                    container = ic.VirtualChunkContainer(prefix, kinds[kind])
                    config.set_virtual_chunk_container(container)
                    result.append(True)
                except ValueError:
                    result.append(False)
        """,
        prefixes,
        kinds,
    )
    made = {
        "s3": s3_store(),
        "gcs": gcs_store(),
        "http": http_store(),
        "local": local_filesystem_store("/tmp"),
        "azure": ObjectStoreConfig.Azure({}),
        "tigris": ObjectStoreConfig.Tigris(),
        "memory": ObjectStoreConfig.InMemory(),
    }
    ours = []
    for prefix in prefixes:
        for kind in kinds:
            try:
                validate_container(VirtualChunkContainer(prefix, made[kind]))
                ours.append(True)
            except ValueError:
                ours.append(False)
    assert ours == theirs
