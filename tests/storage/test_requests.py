"""Requests are logged: every storage, every outcome, no secrets, once each."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter

import numpy as np
import pytest
import zarr

import icechunk
from icechunk.config.resolve import Retries
from icechunk.storage import requests
from icechunk.storage.failures import guarded
from icechunk.storage.memory import MemoryStorage
from icechunk.storage.wrapper import StorageWrapper

LOGGER = logging.getLogger("icechunk")


@pytest.fixture(params=["memory", "local", "s3"])
def storage(request, tmp_path):
    if request.param == "memory":
        return icechunk.in_memory_storage()
    if request.param == "local":
        return icechunk.local_filesystem_storage(tmp_path / "repo")
    return request.getfixturevalue("moto").storage()


@pytest.fixture
def lines(caplog):
    """Log lines since the last call."""
    caplog.set_level(logging.DEBUG, "icechunk")

    def taken():
        found = [r.getMessage() for r in caplog.records if r.name == requests.__name__]
        caplog.clear()
        return found

    return taken


def facts(line):
    return dict(re.findall(r"(\w+)=('[^']*'|\S*)", line))


def test_each_verb_says_operation_key_bytes_time_and_outcome(storage, lines):
    storage.put("chunks/A", b"12345")
    version = storage.create("repo", b"one")
    assert storage.create("repo", b"two") is None
    assert storage.replace("repo", b"three", version) is not None
    assert storage.replace("repo", b"four", version) is None
    storage.get("repo")
    storage.read_range("chunks/A", 1, 3)
    storage.read_into("chunks/A", 0, memoryview(bytearray(2)))
    storage.head("none")
    with pytest.raises(icechunk.IcechunkError):
        storage.get("none")
    assert len(list(storage.list("chunks"))) == 1
    storage.sync(iter(["chunks/A"]))
    storage.delete(iter(["chunks/A"]))
    said = [(line.split()[0], facts(line)) for line in lines()]
    shown = [(verb, f["key"], f["bytes"], f["outcome"]) for verb, f in said]
    wanted = [
        ("put", "chunks/A", "5", "ok"),
        ("create", "repo", "3", "ok"),
        ("create", "repo", "3", "refused"),
        ("replace", "repo", "5", "ok"),
        ("replace", "repo", "4", "refused"),
        ("get", "repo", "5", "ok"),
        ("read_range", "chunks/A", "3", "ok"),
        ("head", "none", "0", "not-found"),
        ("get", "none", "0", "object-not-found"),
        ("list", "chunks", "0", "ok"),
        ("delete", "chunks/A", "0", "ok"),
    ]
    assert [one for one in shown if one in wanted] == wanted
    assert shown.count(("get", "repo", "5", "ok")) == 1, "one line for each request"
    for verb, found in said:
        assert float(found["ms"]) >= 0
        assert found["storage"].strip("'") == storage.identity, verb
    assert dict(said)["list"]["objects"] == "1"


def test_an_asynchronous_read_is_logged_once(storage, lines):
    storage.put("chunks/A", b"12345")
    lines()
    assert bytes(asyncio.run(storage.read_range_async("chunks/A", 1, 3))) == b"234"
    (line,) = lines()
    assert facts(line)["bytes"] == "3"


def test_a_session_logs_its_commit_and_every_chunk_it_writes(storage, caplog):
    caplog.set_level(logging.DEBUG, "icechunk")
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    repo = icechunk.Repository.create(storage, config)
    session = repo.writable_session("main")
    array = zarr.create_array(session.store, name="a", shape=(40,), chunks=(10,), dtype="f8")
    caplog.clear()
    array[:] = np.arange(40) + 0.5
    tip = session.commit("one")
    said = [r.getMessage() for r in caplog.records]
    verbs = Counter(line.split()[0] for line in said if "key=chunks/" in line)
    written = verbs["append"] if storage.pack_target_bytes else verbs["put"]
    assert written == 4
    (commit,) = [line for line in said if line.startswith("commit ")]
    assert f"branch=main base={repo.lookup_snapshot(tip).parent_id} snapshot={tip}" in commit


def test_levels_can_be_changed_at_any_time(storage, caplog):
    storage.put("chunks/A", b"12345")
    pack = storage.open_pack("chunks/P")
    for level, count in ((logging.WARNING, 0), (logging.DEBUG, 1), (logging.INFO, 0)):
        caplog.set_level(level, "icechunk")
        caplog.clear()
        storage.head("chunks/A")
        assert len(caplog.records) == count
        if pack is not None:
            pack.append(b"123")
            assert len(caplog.records) == 2 * count
    if pack is not None:
        pack.close()


def test_slow_requests_are_logged_at_level_info(monkeypatch, caplog):
    storage = icechunk.in_memory_storage()
    caplog.set_level(logging.INFO, "icechunk")
    storage.put("a", b"1")
    assert not caplog.records
    monkeypatch.setattr(requests, "SLOW_SECONDS", 0.0)
    storage.get("a")
    (record,) = caplog.records
    assert record.getMessage().startswith("slow get key=a bytes=1 ")


class _Overriding(MemoryStorage):
    def get(self, key):
        return super().get(key)


@pytest.mark.parametrize("kind", [StorageWrapper, lambda inner: inner])
def test_wrappers_and_overrides_do_not_log_twice(kind, lines):
    storage = kind(_Overriding())
    storage.put("a", b"1")
    storage.get("a")
    assert [line.split()[0] for line in lines()] == ["put", "get"]


def test_a_method_keeps_its_name_text_and_signature():
    assert MemoryStorage.get.__doc__ == "Return a whole object, without copying it."
    assert MemoryStorage.read_range.__name__ == "read_range"
    assert icechunk.in_memory_storage().delete(keys=["a"]) == 0


def test_repeated_requests_are_logged(caplog):
    class GenericError(Exception):
        """As the client of object stores raises it when there is no answer."""

    caplog.set_level(logging.INFO, "icechunk")
    answers = [GenericError("HTTP error: https://host/key?X-Amz-Signature=abc"), b"data"]

    def send():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert guarded(send, "chunks/A", "s3://bucket", Retries(3, 1, 1)) == b"data"
    (record,) = caplog.records
    said = record.getMessage()
    assert said.startswith("retry key=chunks/A tries=1 wait_ms=")
    assert "cause=object-store" in said
    assert "Signature" not in said


def test_a_change_that_another_writer_overtook_is_logged(caplog):
    class Overtaken(MemoryStorage):
        refusals = 2

        def replace(self, key, data, expected):
            if self.refusals:
                self.refusals -= 1
                return None
            return super().replace(key, data, expected)

    repo = icechunk.Repository.create(Overtaken())
    caplog.set_level(logging.INFO, "icechunk")
    repo.create_tag("v1", repo.lookup_branch("main"))
    assert [r.getMessage() for r in caplog.records] == [
        "retry key=repo tries=1 cause=changed-meanwhile",
        "retry key=repo tries=2 cause=changed-meanwhile",
    ]


def test_credentials_and_signatures_stay_out_of_the_log(moto, caplog):
    caplog.set_level(1, "icechunk")
    token = "sessiontokensecret987"
    storage = moto.storage(session_token=token)
    repo = icechunk.Repository.create(storage)
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="a", shape=(4,), dtype="f8")[:] = 1
    session.commit("one")
    wrong = moto.storage(region="nowhere-1", endpoint_url="http://user:passw0rd@127.0.0.1:9")
    fast = icechunk.RepositoryConfig(
        storage=icechunk.StorageSettings(
            retries=icechunk.StorageRetriesSettings(max_tries=1, initial_backoff_ms=1)
        )
    )
    with pytest.raises(icechunk.IcechunkError):
        icechunk.Repository.open(wrong, fast)
    text = "\n".join(f"{r.getMessage()} {r.__dict__}" for r in caplog.records)
    assert "outcome=object-store" in text
    assert "get key=repo" in text
    for secret in (moto.secret_access_key, moto.access_key_id, token, "passw0rd", "Signature"):
        assert secret not in text


def test_virtual_chunks_are_logged_without_user_names_and_queries(tmp_path, caplog):
    from icechunk.virtual_chunks.source import VirtualObject

    class Remote(VirtualObject):
        def read(self, place, offset, size):
            return self.read_more(offset, size)

        def read_more(self, offset, size):
            return bytes(size)

    caplog.set_level(logging.DEBUG, "icechunk")
    Remote("https://user:passw0rd@host/file?X-Amz-Signature=abc").read(None, 3, 5)
    (record,) = caplog.records
    assert "key=https://…@host/file?… bytes=5 " in record.getMessage()


def test_a_virtual_chunk_of_a_local_file_is_one_request(tmp_path, caplog):
    (tmp_path / "data").write_bytes(bytes(range(80)))
    prefix = f"file://{tmp_path}/"
    config = icechunk.RepositoryConfig()
    config.set_virtual_chunk_container(
        icechunk.VirtualChunkContainer(prefix, icechunk.local_filesystem_store(str(tmp_path)))
    )
    repo = icechunk.Repository.create(
        icechunk.in_memory_storage(),
        config,
        authorize_virtual_chunk_access={prefix: icechunk.credentials.LocalFileSystemAccess},
    )
    session = repo.writable_session("main")
    array = zarr.create_array(
        session.store, name="a", shape=(10,), chunks=(10,), dtype="u8", compressors=None
    )
    session.store.set_virtual_ref("a/c/0", f"{prefix}data", offset=0, length=80)
    caplog.set_level(logging.DEBUG, "icechunk")
    caplog.clear()
    assert array[0] == int.from_bytes(bytes(range(8)), "little")
    said = [r.getMessage() for r in caplog.records if "data" in r.getMessage()]
    assert len(said) == 1
    assert said[0].startswith(f"read key={prefix}data bytes=80 ms=")
