"""The quickstart without a browser, and what the reference library makes of its repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import icechunk
from tests.oracle import run_reference

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Folder of the examples after the headless run, and what the run printed."""
    folder = tmp_path_factory.mktemp("story") / "examples"
    shutil.copytree(ROOT / "examples", folder, ignore=shutil.ignore_patterns("output"))
    done = subprocess.run(
        [sys.executable, folder / "quickstart.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_it_tells_its_story(story):
    _, printed = story
    for line in (
        "committed",
        "ConflictError",
        "108 chunks of SST hold exactly what was chosen",
        "A fresh process reads the same 10 arrays, byte for byte.",
    ):
        assert line in printed
    assert "Traceback" not in printed


def test_the_tag_still_is_the_file_that_was_written(story):
    folder, _ = story
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(folder / "output/coads"))
    tagged = xr.open_zarr(
        repo.readonly_session(tag="v1").store, consolidated=False, decode_times=False
    )
    with xr.open_dataset(
        folder / "data/coads_climatology.cdf", engine="scipy", decode_times=False
    ) as source:
        xr.testing.assert_identical(tagged.load(), source.load())


@pytest.mark.oracle
def test_the_reference_library_reads_it_and_goes_on(story, tmp_path):
    folder, _ = story
    repository = tmp_path / "coads"
    shutil.copytree(folder / "output/coads", repository)
    told = run_reference(
        """
        import hashlib
        import icechunk, zarr

        repo = icechunk.Repository.open(icechunk.local_filesystem_storage(args[0]))

        def sums(**selector):
            group = zarr.open_group(repo.readonly_session(**selector).store, mode="r")
            return {name: hashlib.sha256(array[...].tobytes()).hexdigest()
                    for name, array in group.arrays()}

        result = {
            "tips": {name: sums(branch=name) for name in repo.list_branches()},
            "tag": sums(tag="v1"),
            "log": [info.message for info in repo.ancestry(branch="main")],
            "changed": repo.diff(from_tag="v1", to_branch="main").updated_chunks,
        }
        session = repo.writable_session("main")
        zarr.open_group(session.store)["SST"][0, 0, 0] = 21.5
        result["commit"] = session.commit("from the reference library")
        """,
        repository,
    )
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(repository))
    branch_tips = {"main": told["commit"], "bias-correction": repo.lookup_branch("bias-correction")}
    assert {name: repo.lookup_branch(name) for name in repo.list_branches()} == branch_tips
    before = next(iter(repo.ancestry(branch="main"))).parent_id
    ours = {
        "main": repo.readonly_session(snapshot_id=before),
        "bias-correction": repo.readonly_session("bias-correction"),
    }
    assert {name: sums(session) for name, session in ours.items()} == told["tips"]
    assert sums(repo.readonly_session(tag="v1")) == told["tag"]
    messages = [info.message for info in repo.ancestry(branch="main")]
    assert messages == ["from the reference library", *told["log"]]
    ours_changed = repo.diff(from_tag="v1", to_snapshot_id=before).updated_chunks
    assert ours_changed == {path: sorted(chunks) for path, chunks in told["changed"].items()}
    sst = zarr.open_group(repo.readonly_session("main").store, mode="r")["SST"]
    assert np.asarray(sst[0, 0, 0]) == 21.5


def sums(session):
    """Digest of every array of a session."""
    import hashlib

    group = zarr.open_group(session.store, mode="r")
    return {
        name: hashlib.sha256(array[...].tobytes()).hexdigest() for name, array in group.arrays()
    }
