"""References of every kind and in every number, exchanged between the libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import icechunk
from icechunk.spec.manifest.chunk_table import INLINE, NATIVE, VIRTUAL
from tests.interop.actions import array_doc, content_digest, group_doc
from tests.interop.sides import Ours, Side
from tests.interop.test_zoo import PAIRS
from tests.interop.zoo import animals, as_content, payload

FAR_APART = PAIRS[:2] + PAIRS[4:]
"""The oldest and the newest writer, for what takes long."""


@pytest.fixture
def side(request: pytest.FixtureRequest) -> Any:
    def get(name: str) -> Side:
        return Ours() if name == "ours" else request.getfixturevalue(name)

    return get


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file that virtual chunks are ranges of."""
    path = tmp_path / "files" / "data.bin"
    path.parent.mkdir()
    path.write_bytes(np.random.default_rng(0).bytes(400_000))
    return path


def rows_of(root: str, snapshot: str, path: str) -> list[tuple[Any, ...]]:
    """References of an array as this library decodes them."""
    storage = icechunk.local_filesystem_storage(root)
    session = icechunk.Repository.open(storage).readonly_session(snapshot_id=snapshot)
    table = session._transaction.array_reader(path).table()
    coords = table.coords().tolist()
    return [(tuple(at), table.location(row)) for row, at in enumerate(coords)]


@pytest.mark.parametrize(("spec", "first", "second"), PAIRS)
def test_every_kind_of_chunk_in_one_array(
    tmp_path: Path, data: Path, side: Any, spec: int, first: str, second: str
) -> None:
    root, url = str(tmp_path / "repo"), f"file://{data}"
    raw = data.read_bytes()
    author, other = side(first), side(second)
    author("create", root=root, spec=spec, threshold=10)
    kinds: dict[str, tuple[int, bytes]] = {}
    puts = {"mixed/zarr.json": array_doc([40, 30], [1, 30]), "zarr.json": group_doc()}
    documents = as_content(puts)
    for number, writer in enumerate((author, other, author)):
        wanted: dict[str, str] = {}
        rows = []
        for step in range(12):
            at, kind = 3 * step + number, (NATIVE, VIRTUAL, INLINE)[(step + number) % 3]
            key = f"mixed/c/{at}/0"
            if kind == VIRTUAL:
                offset = 31 * at + number
                rows.append([[at, 0], url, offset, 30])
                kinds[key] = VIRTUAL, raw[offset : offset + 30]
            else:
                wanted[key] = payload(f"{key} {number}", 30 if kind == NATIVE else 9)
                kinds[key] = kind, wanted[key].encode("latin-1")
        writer("begin", root=root, branch="main", name="s", puts=(puts | wanted))
        writer("refer", name="s", path="/mixed", rows=rows)
        tip = writer("finish", name="s", message=str(number))
        puts = {}
        meant = content_digest(documents | {key: content for key, (_, content) in kinds.items()})
        found = rows_of(root, tip, "/mixed")
        assert {f"mixed/c/{at[0]}/0": row.kind for at, row in found} == {
            key: kind for key, (kind, _) in kinds.items()
        }
        for at, row in found:
            content = kinds[f"mixed/c/{at[0]}/0"][1]
            assert row.length == len(content)
            if row.kind == VIRTUAL:
                assert row.url == url
                assert raw[row.offset : row.offset + row.length] == content
        for reader in (author, other):
            if not isinstance(reader, Ours):
                folder = str(data.parent)
                assert reader("digest", root=root, snapshot=tip, folder=folder) == meant


@pytest.mark.parametrize(("spec", "first", "second"), PAIRS)
def test_split_manifests(tmp_path: Path, side: Any, spec: int, first: str, second: str) -> None:
    root = str(tmp_path / "repo")
    author, other = side(first), side(second)
    author("create", root=root, spec=spec, split=3)
    puts = {"a/zarr.json": array_doc([8, 5], [1, 1]), "b/zarr.json": array_doc([4], [2])}
    puts |= {f"a/c/{i}/{j}": payload(f"{i} {j}", 3) for i in range(8) for j in range(5)}
    tip = author("commit", root=root, branch="main", message="split", puts=puts)
    content = as_content(puts)
    for number, writer in enumerate((other, author)):
        more = {"a/zarr.json": array_doc([8 + 2 * number, 6], [1, 1])}
        more |= {f"a/c/{k}/5": payload(f"{k} {number}", 3) for k in range(0, 8, 3)}
        drops = [f"a/c/{number}/{j}" for j in range(3)]
        tip = writer("commit", root=root, branch="main", message="", puts=more, drops=drops)
        content |= as_content(more)
        for key in drops:
            del content[key]
        for reader in (author, other):
            assert reader("digest", root=root, snapshot=tip) == content_digest(content)
        storage = icechunk.local_filesystem_storage(root)
        session = icechunk.Repository.open(storage).readonly_session(snapshot_id=tip)
        (array,) = (node for node in session.nodes() if node.path == "/a")
        assert len(array.manifest_ids) == 6


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "first", "second"), FAR_APART)
def test_a_hundred_thousand_references(
    tmp_path: Path, data: Path, side: Any, spec: int, first: str, second: str
) -> None:
    root, count, length = str(tmp_path / "repo"), 100_000, 4
    author, other = side(first), side(second)
    author("create", root=root, spec=spec)
    puts = {"big/zarr.json": array_doc([count], [1])}
    author("begin", root=root, branch="main", name="s", puts=puts)
    author("refer_many", name="s", path="/big", url=f"file://{data}", length=length, count=count)
    author("finish", name="s", message="many")
    change = {f"big/c/{n}": payload(str(n), 3) for n in (0, 77_777, 99_999)}
    tip = other("commit", root=root, branch="main", message="three of them", puts=change)
    raw = data.read_bytes()
    found = rows_of(root, tip, "/big")
    assert len(found) == count
    for at, row in found[:: count // 1000]:
        key = f"big/c/{at[0]}"
        if key not in change:
            assert (row.kind, row.offset, row.length) == (VIRTUAL, at[0] * length, length)
    for at in (0, 77_777, 99_999):
        assert bytes(found[at][1].inline) == change[f"big/c/{at}"].encode("latin-1")
    content = {f"big/c/{n}": raw[n * length : (n + 1) * length] for n in range(count)}
    content |= as_content(puts) | as_content(change)
    chunks = sorted(key for key in content if key.startswith("big/c"))[:: count // 500]
    sample = {key: content[key] for key in [*puts, *chunks]}
    for reader in (author, other):
        if not isinstance(reader, Ours):
            arguments = {"sample": 500, "folder": str(data.parent)}
            seen = reader("digest", root=root, snapshot=tip, **arguments)
            assert seen == content_digest(sample, len(content))


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "first", "second"), FAR_APART)
def test_thousands_of_nodes(tmp_path: Path, side: Any, spec: int, first: str, second: str) -> None:
    root = str(tmp_path / "repo")
    author, other = side(first), side(second)
    author("create", root=root, spec=spec)
    puts = animals(rectilinear=False, many=4000)
    author("commit", root=root, branch="main", message="crowd", puts=puts)
    more = {f"crowd/member {n:04}/a/zarr.json": array_doc([2], [1]) for n in range(0, 4000, 7)}
    tip = other("commit", root=root, branch="main", message="more", puts=more)
    content = as_content(puts) | as_content(more)
    for reader in (author, other):
        assert reader("digest", root=root, snapshot=tip) == content_digest(content)
