"""Names and forms of three generations of icechunk that code in the wild relies on."""

from __future__ import annotations

import importlib
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import icechunk
from tests.repositories import with_grid

MODULES = [
    "icechunk",
    "icechunk._exceptions",
    "icechunk._icechunk_python",
    "icechunk.config",
    "icechunk.conflicts",
    "icechunk.credentials",
    "icechunk.dask",
    "icechunk.distributed",
    "icechunk.ops",
    "icechunk.repository",
    "icechunk.session",
    "icechunk.snapshots",
    "icechunk.storage",
    "icechunk.store",
    "icechunk.types",
    "icechunk.vendor.xarray",
    "icechunk.virtual",
    "icechunk.xarray",
]


@pytest.mark.parametrize("module", MODULES)
def test_what_a_module_promises_it_has(module):
    loaded = importlib.import_module(module)
    for name in loaded.__all__:
        assert hasattr(loaded, name), name


def test_every_public_name_is_documented():
    for name in icechunk.__all__:
        value = getattr(icechunk, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), name


def test_every_public_method_is_documented():
    for cls in (
        icechunk.Repository,
        icechunk.Session,
        icechunk.ForkSession,
        icechunk.IcechunkStore,
    ):
        for name, member in inspect.getmembers(cls):
            if not name.startswith("_") and (callable(member) or isinstance(member, property)):
                assert inspect.getdoc(member), f"{cls.__name__}.{name}"


def test_asynchronous_twins_are_coroutine_functions_with_the_same_parameters():
    found = 0
    for cls in (icechunk.Repository, icechunk.Session):
        for name, member in inspect.getmembers(cls, callable):
            if name.endswith("_async") and name != "ops_log_async":
                assert inspect.iscoroutinefunction(member), name
                plain = getattr(cls, name.removesuffix("_async"))
                same = inspect.signature(member).parameters == inspect.signature(plain).parameters
                assert same or "storage" in inspect.signature(member).parameters, name
                found += 1
    assert found >= 51


def test_dir_lists_the_public_names():
    assert set(icechunk.__all__) <= set(dir(icechunk))
    namespace: dict[str, object] = {}
    exec("from icechunk import *", namespace)
    assert set(icechunk.__all__) <= namespace.keys()


def test_classes_name_their_public_home():
    for name in ("Session", "Repository", "IcechunkStore", "Diff", "SnapshotInfo", "ChunkType"):
        assert getattr(icechunk, name).__module__ == "icechunk"


def test_names_of_early_versions():
    assert icechunk.SnapshotMetadata is icechunk.SnapshotInfo
    kinds = icechunk.ConflictType
    assert kinds.UserAttributesDoubleUpdate is kinds.ZarrMetadataDoubleUpdate
    assert icechunk.ChunkType.INLINE is icechunk.ChunkType.inline
    assert f"{icechunk.spec_version():d}" == "2"
    data = icechunk.ConflictErrorData("A", "B")
    for error in (icechunk.ConflictError(data), icechunk.ConflictError(Exception(data))):
        assert (error.expected_parent, error.actual_parent) == ("A", "B")
        assert error.data == data
    failed = icechunk.RebaseFailedError(icechunk.RebaseFailedData("S", ["c"]))
    assert (failed.snapshot, failed.snapshot_id, failed.conflicts) == ("S", "S", ["c"])
    assert pickle.loads(pickle.dumps(failed)).data == failed.data


def test_the_native_layer_is_reachable_through_the_wrappers():
    repo, _ = with_grid(icechunk.in_memory_storage())
    native = importlib.import_module("icechunk._icechunk_python")
    session = repo.writable_session("main")
    assert isinstance(repo._repository, native.PyRepository)
    assert isinstance(session._session, native.PySession)
    assert set(native._all_error_kinds()) == {kind.value for kind in icechunk.ErrorKind}
    assert native.AsyncCloseableIterator[int] is not None


def test_user_agent_and_debug_info(capsys):
    assert icechunk.user_agent().startswith("icechunk")
    icechunk.print_debug_info()
    text = capsys.readouterr().out
    for name in ("platform", "python", "icechunk", "zarr", "numpy"):
        assert f"{name}:  " in text


def test_the_reference_library_in_the_same_folder_is_noticed(tmp_path):
    package = tmp_path / "icechunk"
    package.symlink_to(Path(icechunk.__file__).parent)
    copy = tmp_path / "copy"
    copy.mkdir()
    for entry in Path(icechunk.__file__).parent.iterdir():
        if entry.name != "__init__.py":
            (copy / entry.name).symlink_to(entry)
    (copy / "__init__.py").write_text(Path(icechunk.__file__).read_text())
    (copy / "_icechunk_python.abi3.so").write_bytes(b"")
    package.unlink()
    copy.rename(package)
    done = subprocess.run(
        [sys.executable, "-c", "import icechunk"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode != 0
    assert "pip uninstall" in done.stderr


@pytest.mark.parametrize("module", ["icechunk", "icechunk._icechunk_python"])
def test_classes_can_be_found_again_by_pickle(module):
    for name in importlib.import_module(module).__all__:
        value = getattr(importlib.import_module(module), name)
        if inspect.isclass(value) and value.__module__.startswith("icechunk"):
            assert pickle.loads(pickle.dumps(value)) is value
