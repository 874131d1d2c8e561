"""The registry of store kinds: each kind is one module, and everything finds it there."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

import icechunk
from icechunk.config.containers import ObjectStoreConfig
from icechunk.storage.kinds import MODULES, kind_at, kind_of, kinds, register, unregister
from icechunk.storage.kinds.kind import BucketKind, StoreKind

_IN_CONFIG = {"allow_http", "base_url", "endpoint"}
"""Options of Google and Azure that travel in `config`."""

ROOT = Path(__file__).resolve().parents[2]


def in_a_new_process(code: str) -> list[str]:
    """Run code, and return the words that it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def use_a_shelf() -> None:
    """Use a kind of store from outside: by URL, as storage, for virtual chunks, by an alias."""
    import obstore

    from icechunk.cli.addresses import entry_of, locate, storage_of
    from tests.storage import shelf

    register(shelf.KIND)
    storage, _ = locate("shelf://b/p?color=blue")
    assert storage.identity == "shelf://b/p"
    assert "color: blue" in str(storage)
    entry = entry_of("shelf://b/p?color=blue")
    assert (entry.kind, str(storage_of(entry))) == ("Shelf", str(storage))
    with pytest.raises(icechunk.InvalidInputError, match=r"shelf_storage\(bucket='b', prefix='p'"):
        icechunk.local_filesystem_storage("shelf://b/p")

    data = np.arange(10, dtype="f4")
    source = shelf.KIND.connect(shelf.Shelf(), "archive")
    obstore.put(source, "x", data.tobytes())
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    container = icechunk.VirtualChunkContainer("shelf://archive/", shelf.Shelf({"color": "grey"}))
    config.set_virtual_chunk_container(container)
    access = icechunk.containers_credentials(
        {"shelf://archive/": icechunk.s3_credentials(anonymous=True)}
    )
    repo = icechunk.Repository.create(storage, config, access)
    session = repo.writable_session("main")
    for name in ("virtual", "own"):
        zarr.create_array(session.store, name=name, shape=10, chunks=10, dtype="f4",
                          compressors=None, filters=None)  # fmt: skip
    session.store.set_virtual_ref("virtual/c/0", "shelf://archive/x", offset=0, length=40)
    group = zarr.open_group(session.store)
    group["own"][:] = data
    session.commit("both")

    again = icechunk.Repository.open(locate("shelf://b/p")[0], None, access)
    stored = (again.config.virtual_chunk_containers or {})["shelf://archive/"].store
    assert stored == shelf.Shelf({"color": "grey"})
    group = zarr.open_group(again.readonly_session("main").store, mode="r")
    np.testing.assert_array_equal(group["virtual"][:], data)
    np.testing.assert_array_equal(group["own"][:], data)

    refused = icechunk.Repository.open(locate("shelf://b/p")[0])
    with pytest.raises(icechunk.InvalidInputError, match=r"S3Credentials\.Anonymous") as caught:
        zarr.open_group(refused.readonly_session("main").store, mode="r")["virtual"][:]
    assert caught.value.kind == "unauthorized-virtual-chunk-container"
    wrong = {"shelf://archive/": icechunk.credentials.HttpAccess}
    with pytest.raises(icechunk.StorageError, match="do not match store type ObjectStoreConfig"):
        icechunk.Repository.open(locate("shelf://b/p")[0], None, wrong)


def test_a_new_kind_is_one_module_and_one_entry() -> None:
    code = "from tests.storage.test_kinds import use_a_shelf; use_a_shelf(); print('done')"
    assert in_a_new_process(code) == ["done"]


def test_every_module_is_registered_once() -> None:
    folder = ROOT / "icechunk" / "storage" / "kinds"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "kind"}
    assert sorted(MODULES) == sorted(modules)
    names = [kind.name for kind in kinds()]
    assert len(set(names)) == len(names) == len(MODULES)


def test_every_configuration_has_one_kind_and_every_scheme_at_most_one() -> None:
    for variant in ObjectStoreConfig.__subclasses__():
        fitting = [kind.name for kind in kinds() if issubclass(variant, kind.configs)]
        assert len(fitting) == 1, variant
    for schemes in ("schemes", "redirects"):
        found = [scheme for kind in kinds() for scheme in getattr(kind, schemes)]
        assert len(set(found)) == len(found)


def test_examples_of_authorisations_are_of_the_right_class() -> None:
    for kind in kinds():
        if kind.authorisation is not None:
            assert type(eval(kind.example, {"icechunk": icechunk})) is kind.authorisation


def test_options_and_locations_are_keywords_of_the_constructor() -> None:
    for kind in kinds():
        if isinstance(kind, BucketKind):
            keywords = inspect.signature(kind.storage).parameters.keys()
            assert {*kind.location, "from_env"} <= keywords, kind.name
            for options in (kind.options, kind.redirect_options):
                assert set(options) <= {*keywords, *_IN_CONFIG}, kind.name


def test_unknown_kinds() -> None:
    class Other(StoreKind):
        name = "other"
        schemes = ("gopher",)

    assert kind_at("gopher") is None
    other = Other()
    register(other)
    try:
        assert kind_at("GOPHER") is other
    finally:
        unregister(other)
    assert kind_at("gopher") is None
    with pytest.raises(icechunk.StorageError, match="no network client") as caught:
        kind_of(icechunk.ObjectStoreConfig.InMemory()).connect(
            icechunk.ObjectStoreConfig.InMemory(), "b"
        )
    assert caught.value.kind == "storage-config"


def test_a_local_repository_loads_no_other_kind(tmp_path: Path) -> None:
    code = f"""
import sys, icechunk
storage = icechunk.local_filesystem_storage({str(tmp_path)!r})
icechunk.Repository.create(storage).writable_session("main")
found = {{name for name in sys.modules if name.startswith("icechunk.storage.kinds.")}}
print(*sorted(name.rpartition(".")[2] for name in found))
"""
    assert in_a_new_process(code) == ["kind", "local"]
