"""Ctrl-C at random moments of commits in a loop: real signals to a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import icechunk

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX"),
]

ROUNDS = 2000 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 150

PROGRAM = """
import fcntl, logging, os, random, signal, sys, threading, time
import zarr
import icechunk
from icechunk.storage.names import LOCK_NAME

logging.disable(logging.WARNING)
# A shell starts background jobs with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
place, rounds, spec = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(spec)
repo = icechunk.Repository.create(
    icechunk.local_filesystem_storage(place, durable=False), spec_version=spec
)
session = repo.writable_session("main")
zarr.create_group(session.store).create_array("a", shape=(4,), chunks=(2,), dtype="i4")
began = time.perf_counter()
session.commit("begin")
takes = 1.3 * (time.perf_counter() - began)
landed_before_the_interrupt = 0

for number in range(rounds):
    message = f"commit {number}"
    session = repo.writable_session("main")
    zarr.open_array(session.store, path="a", mode="r+")[:] = number + 1
    wait = chance.uniform(0, takes)
    stop = threading.Timer(wait, os.kill, (os.getpid(), signal.SIGINT))
    try:
        stop.start()
        session.commit(message)
        stop.join()
        time.sleep(20)
        raise SystemExit("the signal did not arrive")
    except KeyboardInterrupt:
        pass
    with open(os.path.join(place, LOCK_NAME), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    landed = next(iter(repo.ancestry(branch="main"))).message == message
    landed_before_the_interrupt += landed
    assert session.has_uncommitted_changes is not landed, (number, landed)
    assert session.read_only is landed, (number, landed)
    try:
        again = session.commit(message, rebase_with=icechunk.ConflictDetector())
        assert again == repo.lookup_branch("main"), number
    except icechunk.SessionStateError as error:
        assert landed and "this session is over" in str(error), (number, str(error))
    assert not session.has_uncommitted_changes
    assert zarr.open_array(repo.readonly_session("main").store, path="a")[0] == number + 1
print(landed_before_the_interrupt)
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("spec", [1, 2])
def test_every_commit_is_made_once(tmp_path: Path, spec: int) -> None:
    place = str(tmp_path / "repo")
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM, place, str(ROUNDS), str(spec)],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert program.returncode == 0, program.stderr
    assert 0 < int(program.stdout) < ROUNDS, "some before the swap and some after it"
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(place))
    messages = [one.message for one in repo.ancestry(branch="main")]
    expected = ["Repository initialized", "begin", *(f"commit {n}" for n in range(ROUNDS))]
    assert messages[::-1] == expected
