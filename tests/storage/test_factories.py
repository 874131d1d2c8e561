"""Constructors of storages."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from icechunk import Storage, StorageError, storage
from icechunk.storage.local import LocalStorage
from icechunk.storage.memory import MemoryStorage
from tests.oracle import run_reference

REMOTE: dict[str, dict[str, Any]] = {
    "s3_storage": {"bucket": "b", "prefix": "p"},
    "s3_object_store_storage": {"bucket": "b", "prefix": "p"},
    "tigris_storage": {"bucket": "b", "prefix": "p"},
    "r2_storage": {"bucket": "b"},
    "hf_storage": {"bucket": "b", "prefix": "p", "namespace": "n"},
    "gcs_storage": {"bucket": "b", "prefix": "p"},
    "azure_storage": {"account": "a", "container": "c", "prefix": "p"},
    "http_storage": {"base_url": "http://localhost"},
    "redirect_storage": {"base_url": "http://localhost"},
}
LOCAL = ("in_memory_storage", "local_filesystem_storage")
METHODS = tuple(name for name in vars(storage.Storage.__mro__[1]) if name.startswith("new_"))


def shape(call: Callable[..., Any]) -> list[list[Any]]:
    """Names, kinds and defaults of a function's parameters."""
    return [
        [p.name, p.kind.name, None if p.default is p.empty else repr(p.default)]
        for p in inspect.signature(call).parameters.values()
    ]


def test_local_ones(tmp_path: Path) -> None:
    assert isinstance(storage.in_memory_storage(), MemoryStorage)
    assert isinstance(Storage.new_in_memory(), MemoryStorage)
    for path in (tmp_path, str(tmp_path)):
        assert isinstance(storage.local_filesystem_storage(path), LocalStorage)
        assert isinstance(Storage.new_local_filesystem(path), LocalStorage)
    assert storage.local_filesystem_storage(tmp_path).root == str(tmp_path)  # type: ignore[attr-defined]


def test_storage_itself_has_no_constructor() -> None:
    with pytest.raises(TypeError):
        Storage()  # type: ignore[abstract]


@pytest.mark.parametrize("name", REMOTE)
def test_remote_ones_say_what_to_use_instead(name: str) -> None:
    with pytest.raises(StorageError, match="use local_filesystem_storage") as caught:
        getattr(storage, name)(**REMOTE[name])
    assert caught.value.kind == "storage-config"


@pytest.mark.parametrize(
    "name", [name for name in METHODS if name not in ("new_in_memory", "new_local_filesystem")]
)
def test_remote_class_methods_say_so_too(name: str) -> None:
    method = getattr(Storage, name)
    required = [p for p in inspect.signature(method).parameters.values() if p.default is p.empty]
    with pytest.raises(StorageError, match=f"{name} is not available") as caught:
        method(*["x"] * len(required))
    assert caught.value.kind == "storage-config"


@pytest.mark.oracle
def test_signatures_are_those_of_the_reference() -> None:
    reference = run_reference(
        """
        import inspect, icechunk
        from icechunk import storage
        def shape(call):
            return [[p.name, p.kind.name, None if p.default is p.empty else repr(p.default)]
                    for p in inspect.signature(call).parameters.values()]
        result = {name: shape(getattr(storage, name)) for name in args[0]}
        result |= {name: shape(getattr(icechunk.Storage, name)) for name in args[1]}
        """,
        [*REMOTE, *LOCAL],
        METHODS,
    )
    ours = {name: shape(getattr(storage, name)) for name in [*REMOTE, *LOCAL]}
    ours |= {name: shape(getattr(Storage, name)) for name in METHODS}
    ours["local_filesystem_storage"].remove(["durable", "KEYWORD_ONLY", "True"])
    # Earlier versions of the API took the account from the environment.
    assert ours["azure_storage"][0] == ["account", "KEYWORD_ONLY", "None"]
    ours["azure_storage"][0] = ["account", "KEYWORD_ONLY", None]
    assert ours == reference


@pytest.mark.oracle
def test_the_reference_sees_objects_but_no_locks_and_temporaries() -> None:
    with tempfile.TemporaryDirectory() as root:
        ours = storage.local_filesystem_storage(root)
        ours.put("chunks/A", b"1")
        with ours.lock("repo"):
            pass
        Path(root, "repo#123456789012345678").write_bytes(b"left by a killed process")
        code = """
            import icechunk
            place = icechunk.local_filesystem_storage(args[0])
            result = [place.list_objects(), str(place.default_settings())]
        """
        seen, settings = run_reference(code, root)
        assert [tuple(entry) for entry in seen] == [("chunks/A", 1)]
        assert settings.strip() == str(ours.default_settings()).strip()
