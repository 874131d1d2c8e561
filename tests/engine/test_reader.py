"""Lookups in large manifests: in the file itself at first, in decoded columns later."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype

import icechunk
from icechunk.core.errors import FormatError
from icechunk.engine import manifest_plan
from icechunk.engine.reader import ArrayReader, NotHeld
from icechunk.spec.manifest import decode as manifest_module
from icechunk.spec.manifest import patch as manifest_patch
from icechunk.spec.manifest.extents import Extents

COUNT = 300


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat a manifest of `COUNT` references like one of a million."""
    monkeypatch.setattr(manifest_module, "_COLD_REFS", 50)
    monkeypatch.setattr(manifest_module, "_COLD_SHARE", 50)
    for module in (manifest_plan, manifest_patch):
        monkeypatch.setattr(module, "SMALLEST", 100)


@pytest.fixture
def repo() -> icechunk.Repository:
    """A repository whose array ``/a`` has `COUNT` chunks of one number each, the last one empty."""
    storage = icechunk.in_memory_storage()
    repo = icechunk.Repository.create(storage)
    session = repo.writable_session("main")
    group = zarr.create_group(session.store)
    array = group.create_array(
        "a", shape=(COUNT + 1,), chunks=(1,), dtype="i4", compressors=None, fill_value=-1
    )
    array[:COUNT] = np.arange(COUNT)
    session.commit("all")
    return icechunk.Repository.open(storage)


def manifest_of(session: icechunk.Session) -> Any:
    """The manifest file of the array as the session's repository holds it."""
    transaction = session._transaction
    array = transaction.base.nodes.get("/a").array  # type: ignore[union-attr]
    assert array is not None
    return transaction.ctx.files.held_manifest(array.manifests[0].object_id)


def decoded(session: icechunk.Session) -> bool:
    """Whether the references of the array were turned into columns."""
    node = session._transaction.base.nodes.get("/a")
    assert node is not None
    return manifest_of(session).decoded(node.id) is not None


def cell(session: icechunk.Session, position: int) -> int:
    return int(zarr.open_array(session.store, path="a")[position])  # type: ignore[arg-type, index]


def cells(repo: icechunk.Repository) -> list[int]:
    store = repo.readonly_session("main").store
    return zarr.open_array(store, path="a", mode="r")[...].tolist()  # type: ignore[no-any-return, union-attr]


def test_the_first_lookups_leave_the_references_undecoded(repo: icechunk.Repository) -> None:
    session = repo.readonly_session("main")
    assert [cell(session, k) for k in (0, 150, COUNT - 1)] == [0, 150, COUNT - 1]
    assert not decoded(session)


def test_scans_and_missing_chunks_decode_them(repo: icechunk.Repository) -> None:
    session = repo.readonly_session("main")
    assert [cell(session, k) for k in range(40)] == list(range(40))
    assert decoded(session)
    assert manifest_of(session).stored(b"any") is None
    again = icechunk.Repository.open(repo.storage).readonly_session("main")
    assert cell(again, COUNT) == -1
    assert decoded(again)


def test_stores_look_up_without_blocking_the_event_loop(repo: icechunk.Repository) -> None:
    session = repo.readonly_session("main")
    reader = session._transaction.array_reader("/a")
    first = reader.locate((7,))
    assert isinstance(first, NotHeld)
    assert not first.decode
    reader.load(first.part, decode=first.decode)
    assert not isinstance(reader.locate((7,)), NotHeld)
    missing = reader.locate((COUNT,))
    assert isinstance(missing, NotHeld), "decoding is no work for an event loop either"
    assert missing.decode
    assert not decoded(session)
    prototype = default_buffer_prototype()

    async def ask() -> list[Any]:
        keys = [f"a/c/{k}" for k in (5, COUNT, 6)]
        return list(await asyncio.gather(*(session.store.get(key, prototype) for key in keys)))

    one, none, two = asyncio.run(ask())
    assert none is None
    assert [int.from_bytes(found.to_bytes(), "little") for found in (one, two)] == [5, 6]
    assert decoded(session)


def test_readers_keep_a_manifest_that_the_cache_evicts(repo: icechunk.Repository) -> None:
    config = icechunk.RepositoryConfig(caching=icechunk.CachingConfig(num_chunk_refs=0))
    session = icechunk.Repository.open(repo.storage, config).readonly_session("main")
    assert [cell(session, k) for k in range(0, COUNT, 7)] == list(range(0, COUNT, 7))
    assert cell(session, COUNT) == -1


def written_anew(*arguments: Any) -> None:
    """A plan of no patch."""


@pytest.mark.parametrize("patched", [True, False])
@pytest.mark.parametrize("lookups", [[], [5], list(range(60)), [COUNT]])
def test_commits_after_lookups_keep_every_reference(
    repo: icechunk.Repository, patched: bool, lookups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not patched:
        monkeypatch.setattr(manifest_plan, "plan_patch", written_anew)
    session = repo.writable_session("main")
    for position in lookups:
        cell(session, position)
    zarr.open_array(session.store, path="a")[150] = 7  # type: ignore[index]
    session.commit("one")
    assert cells(repo) == [*range(150), 7, *range(151, COUNT), -1]
    session = repo.writable_session("main")
    for position in lookups:
        cell(session, position)
    array = zarr.open_array(session.store, path="a")
    array.resize((200,))  # type: ignore[union-attr]
    session.commit("fewer")
    assert cells(repo) == [*range(150), 7, *range(151, 200)]


def test_tables_hold_every_reference_after_a_lookup(repo: icechunk.Repository) -> None:
    reader = repo.readonly_session("main")._transaction.array_reader("/a")
    assert reader.find((3,)) is not None
    assert len(reader.base_table()) == COUNT
    assert reader.table().coords().reshape(-1).tolist() == list(range(COUNT))


def test_a_commit_after_a_lookup_is_patched(
    repo: icechunk.Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Any] = []
    plan = manifest_plan.plan_patch

    def watched(*arguments: Any) -> Any:
        plans.append(plan(*arguments))
        return plans[-1]

    monkeypatch.setattr(manifest_plan, "plan_patch", watched)
    session = repo.writable_session("main")
    assert cell(session, 150) == 150
    zarr.open_array(session.store, path="a")[150] = 7  # type: ignore[index]
    session.commit("one")
    assert plans[0] is not None
    assert cells(repo)[150] == 7


@pytest.mark.parametrize("box", [((0, 100),), ((100, COUNT),)])
def test_references_outside_of_the_promised_box_are_damage(
    repo: icechunk.Repository, box: Extents
) -> None:
    transaction = repo.readonly_session("main")._transaction
    node = transaction.node("/a")
    assert node is not None
    assert node.array is not None
    ref = node.array.manifests[0]

    def reader(extents: Extents) -> ArrayReader:
        assert node is not None
        assert node.array is not None
        array = replace(node.array, manifests=(ref._replace(extents=extents),))
        return ArrayReader(
            replace(node, array=array), transaction.base, None, transaction.ctx.files
        )

    inside, outside = (50, 200) if box[0][0] == 0 else (200, 50)
    assert reader(((0, COUNT + 9),)).find((50,)) is not None, "a box may be larger"
    cold = reader(box)
    assert cold.find((inside,)) is not None
    with pytest.raises(FormatError, match="outside of"):
        cold.find((outside,))
    with pytest.raises(FormatError, match="outside of"):
        reader(box).base_table()


def test_a_manifest_without_the_array_is_damage(repo: icechunk.Repository) -> None:
    transaction = repo.readonly_session("main")._transaction
    node = transaction.node("/a")
    assert node is not None
    assert transaction.array_reader("/a").find((0,)) is not None, "now it is in memory"
    other = replace(node, id=b"other-id")
    reader = ArrayReader(other, transaction.base, None, transaction.ctx.files)
    with pytest.raises(FormatError, match="which its snapshot promises"):
        reader.find((0,))
