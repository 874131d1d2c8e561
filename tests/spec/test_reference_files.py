"""Files written by the reference library decode; files written here are read by it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from icechunk.core.ids import id_text, new_object_id
from icechunk.spec.dialect import dialect_for
from icechunk.spec.envelope import FileType, unpack
from icechunk.spec.flatbuffers.read import Body
from icechunk.spec.manifest.chunk_table import INLINE, NATIVE, VIRTUAL, ChunkTable, Location
from icechunk.spec.manifest.decode import Manifest, decode_manifest, encode_manifest
from icechunk.spec.snapshot.codec import decode_snapshot, encode_snapshot
from icechunk.spec.transaction_log.codec import decode_transaction_log, encode_transaction_log
from tests.oracle import run_reference
from tests.spec.reference_repos import ReferenceRepo, write_reference_repo
from tests.spec.table_strategies import rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from icechunk.spec.transaction_log.log import TransactionLog

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module", params=[1, 2], ids=["v1", "v2"])
def repo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ReferenceRepo:
    version: int = request.param
    return write_reference_repo(tmp_path_factory.mktemp(f"v{version}") / "repo", version)


def manifests(repo: ReferenceRepo) -> Iterator[tuple[Path, Manifest]]:
    for path in sorted((repo.root / "manifests").iterdir()):
        yield path, decode_manifest(path.read_bytes(), name=path.name)


def tables(repo: ReferenceRepo, name: str) -> list[ChunkTable]:
    """All versions of an array's references."""
    found = [
        table
        for _, manifest in manifests(repo)
        for node, table in manifest.arrays.items()
        if id_text(node) == repo.ids[name]
    ]
    return sorted(found, key=len)


def log(repo: ReferenceRepo, commit: int) -> TransactionLog:
    path = repo.root / "transactions" / repo.snapshots[commit]
    return decode_transaction_log(path.read_bytes(), name=path.name)


def test_ids_and_counts(repo: ReferenceRepo) -> None:
    for path, manifest in manifests(repo):
        assert id_text(manifest.id) == path.name
        assert manifest.num_chunk_refs == sum(map(len, manifest.arrays.values()))


def test_native_references(repo: ReferenceRepo) -> None:
    first, second = tables(repo, "native")
    assert first.coords().tolist() == [[i, j] for i in (0, 1) for j in range(4)] + [[2, 3]]
    assert second.coords().tolist() == sorted([*first.coords().tolist(), [2, 0]])
    values = np.arange(40 * 4000).reshape(40, 4000) % 251
    for row, (i, j) in enumerate(first.coords().tolist()):
        place = first.location(row)
        assert place.kind == NATIVE
        assert place.id is not None
        raw = (repo.root / "chunks" / id_text(place.id)).read_bytes()
        chunk = np.frombuffer(raw[place.offset : place.offset + place.length], "u1")
        expected = values[20 * i : 20 * i + 20, 1000 * j : 1000 * j + 1000] if i < 2 else 7
        assert (chunk.reshape(20, 1000) == expected).all()


def test_inline_references(repo: ReferenceRepo) -> None:
    first, second = tables(repo, "inline")
    assert (first.kind == INLINE).all()
    payload = [bytes(first.location(row).inline or b"") for row in range(len(first))]
    assert payload == [bytes(range(8 * k, 8 * k + 8)) for k in range(4)]
    assert first.coords().ravel().tolist() == [1, 2, 3, 4]
    assert bytes(second.location(0).inline or b"") == b"\5" * 8
    scalars = tables(repo, "scalar")
    values = {
        int.from_bytes(bytes(t.location(t.find(())).inline or b""), "little") for t in scalars
    }
    assert values == {42, 43}


def test_virtual_references(repo: ReferenceRepo) -> None:
    (table,) = tables(repo, "big")
    assert (table.kind == VIRTUAL).all()
    for k in (0, 1, 999, 1999):
        place = table.location(table.find((k, 0)))
        assert place.url == f"s3://bucket/some/long/prefix/file-{k // 7}.nc"
        assert (place.offset, place.length) == (k * 10, k + 1)
    compressed = 0
    for path, _ in manifests(repo):
        root = Body(unpack(path.read_bytes(), FileType.MANIFEST, name="m").body, "m").root()
        compressed += any(
            ref.presence(8)
            for array in root.vector_of_tables(1)
            for ref in array.vector_of_tables(1)
        )
    assert compressed == (1 if repo.spec_version == 2 else 0)


def test_kinds_and_checksums_in_one_array(repo: ReferenceRepo) -> None:
    (mixed,), (small,) = tables(repo, "mixed"), tables(repo, "small")
    assert mixed.kind.tolist() == [NATIVE, NATIVE, VIRTUAL, VIRTUAL, VIRTUAL]
    assert small.kind.tolist() == [VIRTUAL, VIRTUAL, VIRTUAL] + [INLINE] * 4
    for table in (mixed, small):
        plain, tagged, dated = (table.location(table.find(c)) for c in ((1, 0), (2, 0), (2, 1)))
        assert plain[2:] == (5, 6, None, "s3://bucket/plain é.nc", None, 0)
        assert tagged[2:] == (5, 7, None, "s3://bucket/tagged.nc", '"abc"', 0)
        assert dated[2:] == (5, 8, None, "s3://bucket/dated.nc", None, 1704164645)


def test_transaction_logs(repo: ReferenceRepo) -> None:
    ids = repo.ids
    first, second = log(repo, 0), log(repo, 1)
    assert {id_text(node) for node in first.new_arrays} == set(ids.values()) - {ids["g/fresh"]}
    assert len(first.new_groups) == 3
    assert {id_text(n): len(c) for n, c in first.updated_chunks.items()} == {
        ids["native"]: 9,
        ids["inline"]: 4,
        ids["scalar"]: 1,
        ids["big"]: 2000,
        ids["mixed"]: 5,
        ids["small"]: 7,
    }
    assert {id_text(node) for node in second.new_arrays} == {ids["g/fresh"]}
    assert {id_text(node) for node in second.deleted_arrays} == {ids["mixed"]}
    assert {id_text(node) for node in second.updated_arrays} == {ids["small"]}
    assert len(second.deleted_groups) == len(second.updated_groups) == 1
    assert {id_text(n): c.tolist() for n, c in second.updated_chunks.items()} == {
        ids["native"]: [[1, 0], [2, 0]],
        ids["inline"]: [[0], [1]],
        ids["scalar"]: [[]],
    }
    if repo.spec_version == 2:
        moved = [(m.source, m.target, m.is_array) for m in log(repo, 2).moved]
        assert moved == [
            ("/g", "/elsewhere", False),
            ("/g/fresh", "/elsewhere/fresh", True),
            ("/small", "/elsewhere/small", True),
        ]


def test_re_encoded_files_say_the_same(repo: ReferenceRepo) -> None:
    dialect = dialect_for(repo.spec_version)
    for _, manifest in manifests(repo):
        again = encode_manifest(manifest.id, manifest.arrays, dialect=dialect)
        found = decode_manifest(again, name="m")
        assert {n: rows(t) for n, t in found.arrays.items()} == {
            n: rows(t) for n, t in manifest.arrays.items()
        }
    for path in (repo.root / "transactions").iterdir():
        found_log = decode_transaction_log(path.read_bytes(), name="t")
        raw = encode_transaction_log(found_log, dialect=dialect)
        assert decode_transaction_log(raw, name="t") == found_log


READ = """
    import icechunk as ic, numpy as np, zarr

    root, snapshots = args
    repo = ic.Repository.open(ic.local_filesystem_storage(root))
    session = repo.readonly_session(snapshot_id=snapshots[0])
    group = zarr.open_group(session.store, mode="r")
    second = zarr.open_group(repo.readonly_session(snapshot_id=snapshots[1]).store, mode="r")
    diff = repo.diff(from_snapshot_id=snapshots[0], to_snapshot_id=snapshots[1])
    virtual = sorted(session.all_virtual_chunk_locations())
    kinds = [
        str(session.chunk_type(f"/{name}", index)).split(".")[-1].lower()
        for name in ("mixed", "small") for index in ([1, 0], [2, 1], [4, 0])
    ]
    result = {
        "native": int(np.sum(group["native"][:] * np.arange(4000) % 97)),
        "inline": group["inline"][:].tolist(),
        "scalar": int(group["scalar"][()]),
        "mixed": group["mixed"][0].tolist() == [1] * 2000,
        "small": group["small"][4:].tolist(),
        "second": [int(second["native"][:].sum()), second["inline"][:].tolist()],
        "virtual": virtual,
        "kinds": kinds,
        "diff": {
            "new": sorted(diff.new_arrays), "deleted": sorted(diff.deleted_arrays),
            "groups": sorted(diff.updated_groups), "arrays": sorted(diff.updated_arrays),
            "chunks": {k: sorted(map(list, v)) for k, v in diff.updated_chunks.items()},
        },
    }
"""

COMMIT = """
    import icechunk as ic, zarr

    repo = ic.Repository.open(ic.local_filesystem_storage(args[0]))
    session = repo.writable_session("main")
    array = zarr.open_array(session.store, path="native")
    array[0, 0] = 99
    session.commit("on top")
    result = [int(array[0, 0]), int(array[0, 1]), int(array[59, 3999])]
"""


def _rewrite(repo: ReferenceRepo) -> None:
    """Replace manifests, transaction logs and snapshots by files of our own."""
    dialect = dialect_for(repo.spec_version)
    sizes: dict[bytes, int] = {}
    for path, manifest in manifests(repo):
        raw = encode_manifest(manifest.id, manifest.arrays, dialect=dialect)
        path.write_bytes(raw)
        sizes[manifest.id] = len(raw)
    for path in (repo.root / "transactions").iterdir():
        found = decode_transaction_log(path.read_bytes(), name="t")
        path.write_bytes(encode_transaction_log(found, dialect=dialect))
    for path in (repo.root / "snapshots").iterdir():
        snapshot = decode_snapshot(path.read_bytes(), name="s")
        infos = {
            key: info._replace(size_bytes=sizes[key]) for key, info in snapshot.manifests.items()
        }
        path.write_bytes(encode_snapshot(replace(snapshot, manifests=infos), dialect=dialect))
    for folder in ("manifests", "transactions", "snapshots"):
        for path in (repo.root / folder).iterdir():
            assert path.read_bytes()[12:23] == b"icechunk-py"


def test_the_reference_reads_and_commits_over_our_files(
    repo: ReferenceRepo, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = write_reference_repo(tmp_path_factory.mktemp("ours") / "repo", repo.spec_version)
    before = run_reference(READ, copy.root, copy.snapshots)
    _rewrite(copy)
    assert run_reference(READ, copy.root, copy.snapshots) == before
    assert len(before["virtual"]) == 2006
    assert run_reference(COMMIT, copy.root) == [99, 1, 7]


def test_the_reference_finds_every_chunk_of_a_shared_object(
    repo: ReferenceRepo, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Native references with offsets into one object, mixed with inline ones."""
    copy = write_reference_repo(tmp_path_factory.mktemp("shared") / "repo", repo.spec_version)
    values = (np.arange(2000) * 7 % 251).astype(np.uint8)
    chunk = new_object_id()
    (copy.root / "chunks" / id_text(chunk)).write_bytes(b"head" + values.tobytes())
    places = [
        Location(NATIVE, chunk, 4 + k, 1, None, None, None, 0)
        if k % 3
        else Location(INLINE, None, 0, 1, values[k : k + 1].tobytes(), None, None, 0)
        for k in range(2000)
    ]
    table = ChunkTable.from_locations(2, [((k, 0), place) for k, place in enumerate(places)])
    for path, manifest in manifests(copy):
        if copy.ids["big"] in map(id_text, manifest.arrays):
            (node,) = manifest.arrays
            path.write_bytes(encode_manifest(manifest.id, {node: table}))
    _rewrite(copy)
    read = """
        import icechunk as ic, zarr
        session = ic.Repository.open(ic.local_filesystem_storage(args[0])).readonly_session("main")
        result = zarr.open_array(session.store, path="big", mode="r")[:, 0].tolist()
    """
    assert run_reference(read, copy.root) == values.tolist()
