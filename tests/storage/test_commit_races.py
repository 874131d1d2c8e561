"""Eight processes commit at the same time to one repository on a real server: nothing is lost."""

from __future__ import annotations

import base64
import pickle
import subprocess
import sys
import textwrap

import pytest

import icechunk
from icechunk.storage import fsspec_storage
from icechunk.storage.base import Storage
from tests.servers.places import AzurePlace, S3Place, fresh

PROCESSES, COMMITS = 8, 25

WRITER = """
    import base64, pickle, sys
    import zarr
    import icechunk
    storage = pickle.loads(base64.b64decode(sys.argv[1]))
    writer, commits = int(sys.argv[2]), int(sys.argv[3])
    repo = icechunk.Repository.open(storage)
    for n in range(commits):
        session = repo.writable_session("main")
        zarr.open_array(session.store, path="a")[writer * commits + n] = 1
        solver = icechunk.BasicConflictSolver()
        session.commit(f"{writer} {n}", rebase_with=solver, rebase_tries=500)
"""


def race(storage: Storage, processes: int = PROCESSES, commits: int = COMMITS) -> None:
    """Let processes commit and check that every commit and every value is there."""
    import zarr

    repo = icechunk.Repository.create(storage)
    session = repo.writable_session("main")
    zarr.create_array(
        session.store, name="a", shape=(processes * commits,), chunks=(1,), dtype="i1"
    )
    session.commit("array")
    recipe = base64.b64encode(pickle.dumps(storage)).decode()
    command = [sys.executable, "-c", textwrap.dedent(WRITER), recipe]
    running = [
        subprocess.Popen([*command, str(n), str(commits)], stderr=subprocess.PIPE, text=True)
        for n in range(processes)
    ]
    said = [each.communicate()[1] for each in running]
    assert [each.returncode for each in running] == [0] * processes, "\n".join(said)[-3000:]
    messages = [each.message for each in repo.ancestry(branch="main")][:-2]
    assert sorted(messages) == sorted(f"{w} {n}" for w in range(processes) for n in range(commits))
    for n in range(processes):
        own = [message for message in reversed(messages) if message.startswith(f"{n} ")]
        assert own == [f"{n} {i}" for i in range(commits)], "each writer's commits in their order"
    values = zarr.open_array(repo.readonly_session("main").store, path="a")[:]
    assert int(values.sum()) == processes * commits


@pytest.mark.slow
@pytest.mark.timeout(600)
class TestRaces:
    def test_moto(self, moto: S3Place) -> None:
        race(moto.storage())

    def test_azurite(self, azurite: AzurePlace) -> None:
        race(azurite.storage())

    def test_radosgw(self, radosgw: S3Place) -> None:
        race(radosgw.storage())

    def test_google_by_gcsfs(self, fake_gcs: str, monkeypatch: pytest.MonkeyPatch) -> None:
        # a search for a kind of bucket that emulators do not know takes a minute
        monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        pytest.importorskip("gcsfs", reason="no gcsfs: it belongs to the test extra")
        options = {"endpoint_url": fake_gcs, "token": "anon"}
        race(fsspec_storage(f"gs://testbucket/{fresh()}", storage_options=options))


def test_a_small_race(moto: S3Place) -> None:
    race(moto.storage(), 3, 5)
