"""Several processes on one local repository: no acknowledged commit is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest
import zarr

import icechunk

ROOT = Path(__file__).resolve().parents[2]

WRITER = """
import json, sys
import icechunk, zarr

path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
repo = icechunk.Repository.open(icechunk.local_filesystem_storage(path))
acknowledged = []
while len(acknowledged) < count:
    session = repo.writable_session("main")
    counter = zarr.open_array(session.store, path="counter", mode="r+")
    counter[0] = counter[0] + 1
    try:
        acknowledged.append(session.commit(f"{name} {len(acknowledged)}"))
    except icechunk.ConflictError as error:
        assert error.kind == "commit-conflict", error
print(json.dumps(acknowledged))
"""

FOREVER = """
import sys
import icechunk, zarr

repo = icechunk.Repository.open(icechunk.local_filesystem_storage(sys.argv[1]))
while True:
    session = repo.writable_session("main")
    counter = zarr.open_array(session.store, path="counter", mode="r+")
    value = int(counter[0]) + 1
    counter[0] = value
    print(value, session.commit(str(value)), flush=True)
"""


@pytest.fixture
def counted(tmp_path):
    """Path of a repository with an array that counts commits; its chunk is stored natively."""
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    storage = icechunk.local_filesystem_storage(tmp_path / "r")
    repo = icechunk.Repository.create(storage, config)
    session = repo.writable_session("main")
    zarr.create_array(session.store, name="counter", shape=1, chunks=1, dtype="i8", fill_value=-1)[
        0
    ] = 0
    session.commit("0")
    return tmp_path / "r"


def run(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_eight_processes_lose_no_commit(counted):
    processes, commits = 8, 50
    writers = [run(WRITER, counted, f"w{number}", commits) for number in range(processes)]
    acknowledged = [json.loads(writer.communicate(timeout=580)[0]) for writer in writers]
    assert all(writer.returncode == 0 for writer in writers)
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(counted))
    history = [info.id for info in repo.ancestry(branch="main")]
    assert sorted(id for ids in acknowledged for id in ids) == sorted(history[:-2])
    assert len(set(history)) == processes * commits + 2
    counter = zarr.open_array(repo.readonly_session("main").store, path="counter", mode="r")
    assert counter[0] == processes * commits


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_writer_leaves_a_committed_state(counted):
    """100 times SIGKILL at a random instant, while commits follow one another."""
    instants = random.Random(7)
    acknowledged = 0
    for _ in range(5):
        # One interpreter start is long against a commit: several kills of children share it.
        acknowledged = max(acknowledged, killed_burst(counted, instants, kills=20))
        check_state(counted, acknowledged)


BURST = """
import os, signal, subprocess, sys, time
import icechunk, zarr

path, kills, delays = sys.argv[1], int(sys.argv[2]), [float(d) for d in sys.argv[3].split(",")]
repo = icechunk.Repository.open(icechunk.local_filesystem_storage(path))
for delay in delays:
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        while True:
            session = repo.writable_session("main")
            counter = zarr.open_array(session.store, path="counter", mode="r+")
            value = int(counter[0]) + 1
            counter[0] = value
            session.commit(str(value))
            os.write(into, f"{value}\\n".encode())
    os.close(into)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(out) as lines:
        done = lines.read().split()
    print(done[-1] if done else 0, flush=True)
    fresh = icechunk.Repository.open(icechunk.local_filesystem_storage(path))
    tip = next(iter(fresh.ancestry(branch="main")))
    session = fresh.readonly_session("main")
    value = int(zarr.open_array(session.store, path="counter", mode="r")[0])
    assert str(value) == tip.message, (value, tip.message)
    assert not done or value >= int(done[-1]), (value, done[-1])
"""


def killed_burst(path, instants, kills):
    delays = ",".join(str(instants.uniform(0.03, 0.15)) for _ in range(kills))
    process = run(BURST, path, kills, delays)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    values = [int(line) for line in output.split()]
    assert len(values) == kills
    return max(values)


def check_state(path, acknowledged):
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(path))
    infos = list(repo.ancestry(branch="main"))
    value = int(zarr.open_array(repo.readonly_session("main").store, path="counter", mode="r")[0])
    assert value >= acknowledged
    assert [info.message for info in infos[:-1]] == [str(n) for n in range(value, -1, -1)]


@pytest.mark.slow
def test_a_process_killed_from_outside(counted):
    writer = run(FOREVER, counted)
    first = writer.stdout.readline()
    time.sleep(0.3)
    writer.send_signal(signal.SIGKILL)
    rest = writer.communicate()[0].splitlines()
    lines = [first, *rest]
    complete = [
        line.split() for line in lines if len(line.split()) == 2 and len(line.split()[1]) == 20
    ]
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(counted))
    history = {info.id for info in repo.ancestry(branch="main")}
    assert {snapshot_id for _, snapshot_id in complete} <= history


def test_a_forked_child_uses_its_parents_repository(counted):
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(counted))
    session = repo.writable_session("main")
    array = zarr.create_array(session.store, name="b", shape=4, chunks=1, dtype="i8")
    array[0] = 1
    child = os.fork()
    if child == 0:
        code = 1
        try:
            mine = repo.writable_session("main")
            counter = mine.store.get_sync("counter/c/0")
            assert counter is not None
            session.store.set_sync("b/c/1", counter)  # its own pack, not the parent's
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    deadline = time.monotonic() + 30
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the forked child hangs")
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(done[1]) == 0
    array[2] = 3
    session.commit("after the fork")
    back = zarr.open_array(repo.readonly_session("main").store, path="b", mode="r")
    assert back[:].tolist() == [1, 0, 3, 0]
