"""Merges of several processes at once, and of processes that are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import zarr

import icechunk
from icechunk import Repository
from icechunk.spec.repo.lineage import LINEAGE_KEY
from tests.merging.test_laws import check_log
from tests.merging.worlds import array, commit, values, write

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform cannot fork")
BOTH = pytest.mark.parametrize("spec_version", [1, 2])
ROOT = Path(__file__).resolve().parents[2]

MERGER = """
    import sys
    import icechunk
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(sys.argv[1], durable=False))
    for name in sys.argv[2:]:
        repo.merge(name, fast_forward="never")
"""


def open_repo(folder: Path) -> Repository:
    return Repository.open(icechunk.local_filesystem_storage(folder, durable=False))


def with_branches(folder: Path, spec_version: int, count: int) -> Repository:
    """A repository with branches that each wrote one chunk of its own."""
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    storage = icechunk.local_filesystem_storage(folder, durable=False)
    repo = Repository.create(storage, config, spec_version=spec_version)
    layout = {"shape": (2 * count,), "chunks": (2,), "dtype": "i4", "fill_value": 0}
    base = commit(repo, "main", lambda root: root.create_array("a", **layout))  # type: ignore[arg-type]
    for number in range(count):
        repo.create_branch(f"b{number}", base)
        commit(repo, f"b{number}", write(2 * number, 2 * number + 2, number + 1), f"b{number}")
    return repo


def check_history(repo: Repository) -> list[str]:
    """Merges of main, newest first, whose logs are their differences."""
    history = list(repo.ancestry(branch="main"))
    merges = [one for one in history if LINEAGE_KEY in one.metadata]
    for one in merges:
        assert one.parent_id is not None
        assert one.metadata[LINEAGE_KEY]["parents"][0] == one.parent_id
        check_log(repo, one.parent_id, one.id)
    return [one.metadata[LINEAGE_KEY]["source"] for one in merges]


@BOTH
def test_two_processes_merge_into_one_branch(tmp_path: Path, spec_version: int) -> None:
    count = 12
    with_branches(tmp_path / "r", spec_version, count)
    command = [sys.executable, "-c", textwrap.dedent(MERGER), str(tmp_path / "r")]
    running = [
        subprocess.Popen(
            [*command, *(f"b{number}" for number in range(start, count, 2))],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for start in range(2)
    ]
    said = [each.communicate(timeout=100)[1] for each in running]
    assert [each.returncode for each in running] == [0, 0], said
    repo = open_repo(tmp_path / "r")
    merged = check_history(repo)
    assert sorted(merged) == sorted(f"b{number}" for number in range(count))
    assert values(repo) == [number // 2 + 1 for number in range(2 * count)]


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@BOTH
def test_a_killed_merge_is_there_or_not(tmp_path: Path, spec_version: int) -> None:
    count = 12
    repo = with_branches(tmp_path / "r", spec_version, count)
    chance = random.Random(spec_version)
    began = time.perf_counter()
    repo.merge("b0", fast_forward="never")
    takes = time.perf_counter() - began
    for number in range(1, count):
        before = repo.lookup_branch("main")
        child = os.fork()
        if child == 0:
            try:
                open_repo(tmp_path / "r").merge(f"b{number}")
            finally:
                os._exit(0)
        time.sleep(chance.uniform(0, 1.2 * takes))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        repo = open_repo(tmp_path / "r")
        landed = repo.lookup_branch("main") != before
        assert values(repo)[2 * number] == (number + 1 if landed else 0)
        outcome = repo.merge(f"b{number}").outcome
        assert outcome == ("up-to-date" if landed else "merged")
    assert check_history(repo) == [f"b{number}" for number in reversed(range(count))]
    assert values(repo) == [number // 2 + 1 for number in range(2 * count)]
    session = repo.writable_session("main")
    array(zarr.open_group(session.store))[0] = 9
    session.commit("goes on")
