"""Files that were patched, copied and cut here, read and continued by the reference library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk.engine import manifest_plan
from icechunk.spec.manifest import splits
from tests.oracle import run_reference

pytestmark = pytest.mark.oracle

COUNT = 30_000
PREFIX = "s3://bucket/a/path/of/some/length/"

READ = """
    import icechunk as ic, numpy as np, zarr

    root, = args
    repo = ic.Repository.open(ic.local_filesystem_storage(root))
    store = repo.readonly_session("main").store
    offsets = np.zeros(%d, "u8")
    urls = set()
    for coords, _, paths, starts, _, _ in store.array_chunk_iterator("/refs"):
        offsets[coords[:, 0]] = starts
        urls.update(paths)
    group = zarr.open_group(store, mode="r")
    values = {name: array[...].tolist() for name, array in group.arrays() if name != "refs"}
    attributes = {name: dict(array.attrs) for name, array in group.arrays() if name != "refs"}

    session = repo.writable_session("main")
    zarr.open_array(session.store, path="a03")[0] = -7
    session.store.set_virtual_ref(
        "refs/c/5", "s3://bucket/theirs", offset=77, length=1, validate_container=False
    )
    session.commit("theirs")
    result = [offsets.tolist(), len(urls), values, attributes]
"""

WRITE = """
    import icechunk as ic, numpy as np, zarr

    root, locations, offsets, lengths = args
    repo = ic.Repository.create(ic.local_filesystem_storage(root))
    session = repo.writable_session("main")
    count = len(locations)
    zarr.create_array(session.store, name="refs", shape=(count,), chunks=(1,), dtype="u1")
    session.store.set_virtual_refs_arr(
        "refs", (count,), locations, np.array(offsets, "u8"), np.array(lengths, "u8"),
        validate_containers=False,
    )
    session.commit("references")
"""


def opened(root: Path) -> icechunk.Repository:
    return icechunk.Repository.open(icechunk.local_filesystem_storage(root, durable=False))


def columns(files: int) -> tuple[list[str], Any, Any]:
    each = COUNT // files
    locations = [f"{PREFIX}file-{k // each:06d}.nc" for k in range(COUNT)]
    offsets = (np.arange(COUNT) % each * 65_536 + 4000).astype(np.uint64)
    return locations, offsets, np.random.default_rng(1).integers(6000, 6600, COUNT).astype("u8")


def create(root: Path, files: int = 30) -> icechunk.Repository:
    """A large array of virtual references and twenty small ones."""
    storage = icechunk.local_filesystem_storage(root, durable=False)
    repo = icechunk.Repository.create(storage)
    session = repo.writable_session("main")
    group = zarr.create_group(session.store)
    group.create_array("refs", shape=(COUNT,), chunks=(1,), dtype="u1")
    for k in range(20):
        array = group.create_array(f"a{k:02d}", shape=(4,), chunks=(2,), dtype="i4")
        array[...] = k
    locations, offsets, lengths = columns(files)
    session.store.set_virtual_refs_arr(
        "refs", (COUNT,), locations, offsets, lengths, validate_containers=False
    )
    session.commit("all")
    return repo


def change(repo: icechunk.Repository, step: int) -> None:
    session = repo.writable_session("main")
    session.store.set_virtual_ref(
        f"refs/c/{step}", f"s3://bucket/new-{step}", offset=step, length=1, validate_container=False
    )
    zarr.open_array(session.store, path=f"a{step:02d}").attrs["step"] = step
    session.commit(f"step {step}")


@pytest.mark.parametrize("limit", [splits.MAX_MANIFEST_REFS, 7000])
def test_the_reference_continues_patched_and_cut_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    for module in (splits, manifest_plan):
        monkeypatch.setattr(module, "MAX_MANIFEST_REFS", limit)
    repo = create(tmp_path / "repo")
    for step in range(1, 4):
        change(repo, step)
    node = repo.readonly_session("main")._transaction.base.nodes.get("/refs")
    assert node is not None
    assert node.array is not None
    assert len(node.array.manifests) == -(-COUNT // limit) or limit < 10_000
    offsets, urls, values, attributes = run_reference(READ % COUNT, str(tmp_path / "repo"))
    wanted = columns(30)[1].tolist()
    wanted[1:4] = [1, 2, 3]
    assert offsets == wanted
    assert urls == 33
    assert values == {f"a{k:02d}": [k] * 4 for k in range(20)}
    assert attributes == {f"a{k:02d}": ({"step": k} if 1 <= k <= 3 else {}) for k in range(20)}

    repo = opened(tmp_path / "repo")
    session = repo.readonly_session("main")
    assert [c.message for c in repo.ancestry(branch="main")][:2] == ["theirs", "step 3"]
    theirs = zarr.open_array(session.store, path="a03", mode="r")
    assert np.asarray(theirs[...]).tolist() == [-7, 3, 3, 3]
    offsets = session.chunk_references("/refs").offset
    wanted[5] = 77
    assert offsets.tolist() == wanted
    change(repo, 6)


@pytest.mark.parametrize("files", [30, COUNT])
def test_manifests_are_no_larger_than_those_of_the_reference(tmp_path: Path, files: int) -> None:
    create(tmp_path / "ours", files)
    locations, offsets, lengths = columns(files)
    run_reference(WRITE, str(tmp_path / "theirs"), locations, offsets.tolist(), lengths.tolist())
    sizes = {
        name: max(path.stat().st_size for path in (tmp_path / name / "manifests").iterdir())
        for name in ("ours", "theirs")
    }
    assert sizes["ours"] <= 1.05 * sizes["theirs"]
