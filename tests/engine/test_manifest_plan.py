"""Large manifests: patched where a few chunks changed, cut where they are too large for one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk.engine import manifest_plan
from icechunk.spec.manifest import patch as manifest_patch
from icechunk.spec.manifest import splits


def repo_of(count: int) -> icechunk.Repository:
    """An array of `count` chunks of one number each."""
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    group = zarr.create_group(session.store)
    array = group.create_array("a", shape=(count,), chunks=(1,), dtype="i4", compressors=None)
    array[...] = np.arange(count)
    session.commit("all")
    return repo


def change(repo: icechunk.Repository, where: Any, value: int) -> None:
    session = repo.writable_session("main")
    zarr.open_array(session.store, path="a")[where] = value
    session.commit("some")


def cells(repo: icechunk.Repository) -> list[int]:
    session = repo.readonly_session("main")
    return zarr.open_array(session.store, path="a", mode="r")[...].tolist()  # type: ignore[no-any-return, union-attr]


def manifests(repo: icechunk.Repository) -> dict[Any, Any]:
    node = repo.readonly_session("main")._transaction.base.nodes.get("/a")
    assert node is not None
    assert node.array is not None
    return {ref.extents: ref.object_id for ref in node.array.manifests}


def test_a_few_changed_chunks_are_patched_in(monkeypatch: pytest.MonkeyPatch) -> None:
    patched = []
    plan = manifest_plan.plan_patch

    def watched(*arguments: Any) -> Any:
        patched.append(plan(*arguments))
        return patched[-1]

    monkeypatch.setattr(manifest_plan, "plan_patch", watched)
    for module in (manifest_plan, manifest_patch):
        monkeypatch.setattr(module, "SMALLEST", 100)
    repo = repo_of(200)
    before = manifests(repo)
    change(repo, slice(50, 52), 7)
    wanted = list(range(200))
    wanted[50:52] = [7, 7]
    assert [p is not None for p in patched] == [True]
    assert cells(repo) == wanted
    assert manifests(repo).keys() == before.keys()
    assert manifests(repo) != before
    session = repo.writable_session("main")
    zarr.open_array(session.store, path="a").resize((150,))
    session.commit("smaller")
    change(repo, 3, 8)
    wanted[3] = 8
    assert cells(repo) == wanted[:150]
    assert [c.message for c in repo.ancestry(branch="main")][:2] == ["some", "smaller"]


def test_arrays_too_large_for_one_manifest_get_several(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (manifest_plan, splits):
        monkeypatch.setattr(module, "MAX_MANIFEST_REFS", 64)
    repo = repo_of(200)
    before = manifests(repo)
    assert len(before) == 4
    assert cells(repo) == list(range(200))

    change(repo, 60, 7)
    after = manifests(repo)
    assert after.keys() == before.keys()
    assert sum(before[box] != after[box] for box in before) == 1

    session = repo.writable_session("main")
    array = zarr.open_array(session.store, path="a")
    array.resize((300,))
    array[250:] = 9
    session.commit("more")
    wanted = list(range(200))
    wanted[60] = 7
    assert cells(repo) == wanted + [0] * 50 + [9] * 50
    assert all(high[0][1] - high[0][0] <= 130 for high in manifests(repo))
