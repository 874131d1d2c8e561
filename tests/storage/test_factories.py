"""Constructors of storages."""

from __future__ import annotations

import inspect
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from icechunk import (
    S3Options,
    Storage,
    StorageError,
    azure_credentials,
    gcs_credentials,
    s3_credentials,
    storage,
)
from icechunk.storage.local import LocalStorage
from icechunk.storage.memory import MemoryStorage
from tests.oracle import run_reference

REMOTE: dict[str, dict[str, Any]] = {
    "s3_storage": {"bucket": "b", "prefix": "p"},
    "s3_object_store_storage": {"bucket": "b", "prefix": "p"},
    "tigris_storage": {"bucket": "b", "prefix": "p", "region": "iad"},
    "r2_storage": {"bucket": "b", "account_id": "a"},
    "hf_storage": {"bucket": "b", "prefix": "p", "namespace": "n"},
    "gcs_storage": {"bucket": "b", "prefix": "p"},
    "azure_storage": {"account": "a", "container": "c", "prefix": "p"},
    "http_storage": {"base_url": "http://localhost"},
    "redirect_storage": {"base_url": "http://localhost"},
}
LOCAL = ("in_memory_storage", "local_filesystem_storage")
METHODS = tuple(name for name in vars(Storage) if name.startswith("new_"))


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
def test_remote_ones_are_made_without_a_request(name: str) -> None:
    made = getattr(storage, name)(**REMOTE[name])
    assert isinstance(made, Storage)
    copy = pickle.loads(pickle.dumps(made))
    assert type(copy) is type(made)
    assert (str(copy), copy.identity) == (str(made), made.identity)


def test_class_methods_make_the_same() -> None:
    options = S3Options(region="us-east-1")
    anonymous = s3_credentials(anonymous=True)
    made = [
        Storage.new_s3(options, "b", "p", anonymous),
        Storage.new_s3_object_store(options, "b", "p", anonymous),
        Storage.new_tigris(options, "b", "p", False, anonymous),
        Storage.new_r2(options, "b", "p", "account", anonymous),
        Storage.new_hf(options, "b", "p", "namespace", anonymous),
        Storage.new_gcs("b", "p", gcs_credentials(anonymous=True)),
        Storage.new_azure_blob("account", "c", "p", azure_credentials(anonymous=True)),
        Storage.new_http("http://localhost/x"),
        Storage.new_redirect("http://localhost/x"),
    ]
    assert len({each.identity for each in made}) == len(made) - 1, "the first two are one place"


@pytest.mark.parametrize(
    ("make", "kind", "match"),
    [
        (lambda: storage.tigris_storage(bucket="b", prefix="p"), "storage-other", "needs|requires"),
        (lambda: storage.r2_storage(bucket="b"), "storage-config", "endpoint_url or account_id"),
        (lambda: storage.r2_storage(account_id="a"), "storage-config", "bucket or prefix"),
        (lambda: storage.s3_storage(bucket="", prefix="p"), "storage-config", "name of a bucket"),
        (lambda: storage.s3_storage(bucket="b/c", prefix="p"), "storage-config", "into `prefix`"),
        (
            lambda: storage.s3_storage(bucket="b", prefix=None, legacy_rooted_keys=True),
            "storage-config",
            "slash",
        ),
    ],
)
def test_what_cannot_be_meant(make: Callable[[], Storage], kind: str, match: str) -> None:
    with pytest.raises(StorageError, match=match) as caught:
        make()
    assert caught.value.kind == kind


def test_credentials_that_contradict_each_other() -> None:
    for make in (
        lambda: storage.s3_storage(bucket="b", prefix="p", access_key_id="a"),
        lambda: storage.s3_storage(bucket="b", prefix="p", anonymous=True, from_env=True),
        lambda: storage.gcs_storage(bucket="b", prefix="p", bearer_token="t", from_env=True),
        lambda: storage.azure_storage(
            account="a", container="c", prefix="p", access_key="k", sas_token="t"
        ),
    ):
        with pytest.raises(ValueError, match="credentials"):
            make()


def test_the_account_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(ValueError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        storage.azure_storage(container="c", prefix="p")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "mine")
    assert "account: mine" in str(storage.azure_storage(container="c", prefix="p"))


SECRETS = {
    "s3_storage": {
        "bucket": "b",
        "prefix": "p",
        "access_key_id": "AKIAHIDDEN",
        "secret_access_key": "hidden1",
        "session_token": "hidden2",
        "endpoint_url": "https://me:hidden3@h?t=hidden4",
    },
    "gcs_storage": {"bucket": "b", "prefix": "p", "bearer_token": "hidden1"},
    "azure_storage": {
        "account": "a",
        "container": "c",
        "prefix": "p",
        "access_key": "aGlkZGVuMQ==",
    },
    "http_storage": {"base_url": "http://me:hidden1@h/x?t=hidden2", "headers": {"X": "hidden3"}},
    "redirect_storage": {"base_url": "http://h/x?t=hidden2"},
}


@pytest.mark.parametrize("name", SECRETS)
def test_displays_show_no_secrets(name: str) -> None:
    made = getattr(storage, name)(**SECRETS[name])
    shown = "".join((repr(made), str(made), made._repr_html_(), made.identity))
    assert "hidden" not in shown.lower()
    assert "aGlkZGVu" not in shown


@pytest.mark.oracle
def test_displays_are_those_of_the_reference() -> None:
    given = {
        "s3_storage": {
            "bucket": "b",
            "prefix": "p",
            "region": "eu-west-1",
            "endpoint_url": "http://127.0.0.1:1",
            "allow_http": True,
            "access_key_id": "a",
            "secret_access_key": "b",
        },
        "s3_object_store_storage": {"bucket": "b", "prefix": "p", "region": "eu-west-1"},
        "tigris_storage": {"bucket": "b", "prefix": "p", "region": "iad"},
        "r2_storage": {"bucket": "b", "prefix": "p", "account_id": "acc"},
        "hf_storage": {"bucket": "b", "prefix": "p", "namespace": "ns"},
        "gcs_storage": {"bucket": "b", "prefix": "p", "anonymous": True},
        "azure_storage": {"account": "a", "container": "c", "prefix": "p", "anonymous": True},
        "http_storage": {"base_url": "http://127.0.0.1:1/x"},
        "redirect_storage": {"base_url": "http://127.0.0.1:1/x"},
    }
    reference = run_reference(
        """
        from icechunk import storage
        def seen(name, given):
            made = getattr(storage, name)(**given)
            settings = None if name == "redirect_storage" else str(made.default_settings())
            return [str(made), settings]
        result = {name: seen(name, given) for name, given in args[0].items()}
        """,
        given,
    )
    for name, (text, settings) in reference.items():
        made = getattr(storage, name)(**given[name])
        assert str(made).strip() == text.strip()
        if settings is not None:
            assert str(made.default_settings()).strip() == settings.strip()


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
