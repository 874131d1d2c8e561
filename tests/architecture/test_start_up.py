"""What a program loads and computes before its first chunk, beyond what `import zarr` takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zarr

import icechunk

MOST_MODULES = 150
#: CPU time relative to that of ``import zarr`` in the same process. It was 0.3 to 0.4 when this was
#: written, and up to 0.85 on a machine that was busy with much else; the number of modules is the
#: sharper limit.
MOST_CPU = 1.5
#: Modules of other packages that a local read does not need.
UNUSED = {"regex", "yaml", "http.client", "urllib.request", "email.parser", "obstore", "fsspec"}

START = """
import json, sys, time
begin = time.process_time()
import zarr
ready = time.process_time()
before = set(sys.modules)
import icechunk
repo = icechunk.Repository.open(icechunk.local_filesystem_storage(sys.argv[1]))
array = zarr.open_array(repo.readonly_session("main").store, path="a", mode="r")
cell = int(array[0])
end = time.process_time()
modules = sorted(set(sys.modules) - before)
print(json.dumps({"cell": cell, "modules": modules, "cpu": (end - ready) / (ready - begin)}))
"""


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("start") / "repo"
    repo = icechunk.Repository.create(icechunk.local_filesystem_storage(folder, durable=False))
    with repo.transaction("main", message="sevens") as store:
        zarr.create_array(store, name="a", shape=(100,), chunks=(10,), dtype="i4")[:] = 7
    command = [sys.executable, "-c", START, str(folder)]
    root = Path(__file__).parents[2]
    # Installed packages have byte code; without it, icechunk alone would be compiled every time.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = str(tmp_path_factory.mktemp("byte_code"))
    done = [
        subprocess.run(command, capture_output=True, text=True, check=True, cwd=root, env=env)
        for _ in range(4)  # the first one may have to compile byte code
    ]
    return [json.loads(one.stdout) for one in done]


def test_few_modules_are_loaded(starts: list[dict[str, Any]]) -> None:
    loaded = [name for name in starts[-1]["modules"] if name.split(".")[0] == "icechunk"]
    assert len(loaded) <= MOST_MODULES, loaded


def test_nothing_is_loaded_that_a_local_read_does_not_need(starts: list[dict[str, Any]]) -> None:
    assert starts[-1]["cell"] == 7
    assert UNUSED.isdisjoint(starts[-1]["modules"])


def test_the_start_costs_about_as_much_as_that_of_zarr(starts: list[dict[str, Any]]) -> None:
    assert min(start["cpu"] for start in starts) < MOST_CPU
