"""The storages for tests do what the storage inside does, and only what they promise besides."""

from __future__ import annotations

import pickle
import time
from pathlib import Path

import pytest

import icechunk
from icechunk.testing import (
    FaultyStorage,
    LatencyStorage,
    RecordingStorage,
    StorageWrapper,
    ThrottledStorage,
)
from tests.repositories import edit, read, storage_of, with_grid

WRAPPERS = {
    "plain": StorageWrapper,
    "latency": LatencyStorage,
    "recording": RecordingStorage,
    "faulty": FaultyStorage,
    "throttled": lambda inner: ThrottledStorage(inner, calls_per_second=1e6, burst=100),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("kind", ["memory", "local"])
def test_a_repository_works_through_a_wrapper(kind: str, wrapper: str, tmp_path: Path) -> None:
    inner = storage_of(kind, tmp_path)
    repo, _ = with_grid(WRAPPERS[wrapper](inner), icechunk.RepositoryConfig(0))
    session = repo.writable_session("main")
    edit(session, (0, 0), 7.0)
    session.commit("seven")
    plain = icechunk.Repository.open(inner)
    assert read(plain.readonly_session("main"))[0, 0] == 7
    assert read(repo.readonly_session("main"))[0, 0] == 7


def test_wrappers_pickle_with_their_settings(tmp_path: Path) -> None:
    inner = storage_of("local", tmp_path)
    slow = pickle.loads(pickle.dumps(LatencyStorage(inner, write_latency_ms=3, read_latency_ms=4)))
    assert (slow.write_latency_ms, slow.read_latency_ms) == (3, 4)
    assert slow.identity == inner.identity
    assert type(pickle.loads(pickle.dumps(RecordingStorage(inner)))) is RecordingStorage


def test_latency_waits_before_reads_and_writes_apart() -> None:
    storage = LatencyStorage(icechunk.in_memory_storage(), write_latency_ms=40)
    begin = time.monotonic()
    storage.put("chunks/X", b"1")
    written = time.monotonic()
    storage.get("chunks/X")
    assert written - begin >= 0.04
    storage.write_latency_ms, storage.read_latency_ms = 0, 40
    begin = time.monotonic()
    storage.get("chunks/X")
    assert time.monotonic() - begin >= 0.04
    assert "read_latency_ms: 40" in str(storage)


@pytest.mark.parametrize(("value", "error"), [(-1, OverflowError), (0.5, TypeError)])
def test_latency_is_checked(value: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        LatencyStorage(icechunk.in_memory_storage(), read_latency_ms=value)


def test_recording_tells_verbs_keys_and_sizes() -> None:
    storage = RecordingStorage(icechunk.in_memory_storage())
    storage.put("chunks/X", b"123")
    storage.read_range("chunks/X", 1, 2)
    with pytest.raises(icechunk.StorageError):
        storage.get("chunks/Y")
    storage.delete(iter(["chunks/X", "chunks/Y"]))
    assert [tuple(call) for call in storage.calls] == [
        ("put", ("chunks/X",), 3),
        ("read_range", ("chunks/X",), 2),
        ("get", ("chunks/Y",), 0),
        ("delete", ("chunks/X", "chunks/Y"), 0),
    ]
    assert storage.count("put", "get") == 2
    storage.clear()
    assert storage.count() == 0


def test_faults_come_before_or_after_once_or_for_good() -> None:
    storage = FaultyStorage(icechunk.in_memory_storage(), 1, verbs={"put"})
    storage.put("chunks/A", b"1")
    with pytest.raises(icechunk.StorageError, match="put of chunks/B failed on purpose"):
        storage.put("chunks/B", b"1")
    storage.put("chunks/B", b"1")
    storage.arm(0, after=True)
    with pytest.raises(icechunk.StorageError):
        storage.put("chunks/C", b"1")
    assert storage.head("chunks/C") is not None
    storage.arm(0, dead=True, after=True)
    for _ in range(2):
        with pytest.raises(icechunk.StorageError):
            storage.put("chunks/D", b"1")
    storage.disarm()
    assert storage.head("chunks/D") is not None
    assert [call.keys[0] for call in storage.failures] == [
        "chunks/B", "chunks/C", "chunks/D", "chunks/D",
    ]  # fmt: skip


def test_faults_may_be_of_any_kind() -> None:
    storage = FaultyStorage(
        icechunk.in_memory_storage(), 0, error=lambda call: TimeoutError(call.verb)
    )
    with pytest.raises(TimeoutError, match="get"):
        storage.get("repo")


def test_throttling_waits_or_refuses() -> None:
    inner = icechunk.in_memory_storage()
    patient = ThrottledStorage(inner, calls_per_second=50, burst=2)
    begin = time.monotonic()
    for _ in range(4):
        patient.head("chunks/X")
    assert time.monotonic() - begin >= 0.038
    assert patient.throttled == 2
    strict = ThrottledStorage(inner, calls_per_second=1, burst=2, refuse=True)
    strict.head("chunks/X")
    strict.head("chunks/X")
    with pytest.raises(icechunk.StorageError) as caught:
        strict.head("chunks/X")
    assert caught.value.kind == icechunk.ErrorKind.THROTTLED
    with pytest.raises(ValueError, match="above 0"):
        ThrottledStorage(inner, calls_per_second=0)
