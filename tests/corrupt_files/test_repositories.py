"""A repository whose files are damaged one at a time, used through the public interface.

Whatever happens to one file on disk, each step ends in an `IcechunkError` or in the data that were
written; and what failed has changed nothing.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import IcechunkError
from icechunk.core.errors import ErrorKind
from icechunk.spec.envelope import HEADER_SIZE, FileType
from tests.corrupt_files.mutations import Damage

KINDS = {
    "repo": FileType.REPO_INFO,
    "snapshots": FileType.SNAPSHOT,
    "manifests": FileType.MANIFEST,
    "transactions": FileType.TRANSACTION_LOG,
}
VALUES = {"native": np.arange(4000, dtype="f8"), "inline": np.arange(12, dtype="i4")}


def opened(root: Path) -> icechunk.Repository:
    return icechunk.Repository.open(icechunk.local_filesystem_storage(root, durable=False))


def tree(root: Path) -> dict[str, bytes]:
    """Every file of a repository."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def values(session: icechunk.Session) -> dict[str, Any]:
    group = zarr.open_group(session.store, mode="r")
    return {name: group[f"g/{name}"][...] for name in VALUES}  # type: ignore[index]


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three commits, a branch and a tag."""
    root = tmp_path_factory.mktemp("intact") / "repo"
    repo = icechunk.Repository.create(icechunk.local_filesystem_storage(root, durable=False))
    session = repo.writable_session("main")
    group = zarr.create_group(session.store).create_group("g")
    for name, value in VALUES.items():
        chunks = (len(value) // 4,)
        array = group.create_array(
            name, shape=value.shape, chunks=chunks, dtype=value.dtype, compressors=None
        )
        array[...] = value
    first = session.commit("first", {"by": "me"})
    for message in ("second", "third"):
        session = repo.writable_session("main")
        zarr.open_group(session.store, path="g").attrs["message"] = message
        zarr.open_array(session.store, path="g/native")[:10] = VALUES["native"][:10]
        session.commit(message)
    repo.create_branch("dev", first)
    repo.create_tag("v1", first)
    return root


def steps(root: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What people do with a repository: each step says what it does and gives what it found."""
    yield "exists", lambda: icechunk.Repository.exists(icechunk.local_filesystem_storage(root))
    yield "history", lambda: [c.message for c in opened(root).ancestry(branch="main")]
    yield "refs", lambda: (opened(root).list_branches(), opened(root).list_tags())
    for ref in ({"branch": "main"}, {"branch": "dev"}, {"tag": "v1"}):
        yield f"read {ref}", lambda ref=ref: values(opened(root).readonly_session(**ref))  # type: ignore[misc]
    yield "diff", lambda: str(opened(root).diff(from_tag="v1", to_branch="main"))


def append(root: Path) -> None:
    """Commit to main."""
    session = opened(root).writable_session("main")
    zarr.open_array(session.store, path="g/native")[100:120] = -1.0
    session.commit("more")


def same(one: object, two: object) -> bool:
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(np.array_equal(one[k], two[k]) for k in one)
    return one == two


def physical(data: bytes, others: list[bytes], chance: random.Random) -> Iterator[bytes | None]:
    """What disks, networks and careless copies do to a file; None: it is gone."""
    size = len(data)
    yield None
    yield b""
    yield data[: size // 2]
    yield data[:-1]
    yield data + b"\0"
    yield bytes(size)
    yield data[: size // 2] + bytes(size - size // 2)
    for at in (3, 36, 37, 38, HEADER_SIZE + 1, *chance.sample(range(size), 6)):
        yield data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
    yield from others


def metadata_files(root: Path) -> list[str]:
    return [name for name in tree(root) if name.split("/")[0] in KINDS]


def test_any_damage_to_a_file_is_noticed_or_harmless(intact: Path, tmp_path: Path) -> None:
    before = tree(intact)
    names = metadata_files(intact)
    assert len(names) >= 4 * 3
    chance = random.Random(3)
    refused = tried = 0
    expected = {name: step() for name, step in steps(intact)}
    root = tmp_path / "repo"
    shutil.copytree(intact, root)
    for name in names:
        family = name.split("/")[0]
        others = [before[n] for n in names if n != name and n.split("/")[0] == family][:2]
        for data in physical(before[name], others, chance):
            damage(root, name, data)
            now = tree(root)
            for what, step in steps(root):
                tried += 1
                try:
                    found = step()
                except IcechunkError:
                    refused += 1
                    continue
                if what == "exists" or (data is None and family == "repo"):
                    continue
                assert same(found, expected[what]), f"{what} with {name} damaged"
            assert tree(root) == now, "reading has changed files"
            check_commit(root, now)
            shutil.rmtree(root)
            shutil.copytree(intact, root)
    assert refused > tried // 8


def damage(root: Path, name: str, data: bytes | None) -> None:
    if data is None:
        (root / name).unlink()
    else:
        (root / name).write_bytes(data)


def check_commit(root: Path, before: dict[str, bytes]) -> None:
    """A commit works, or leaves everything that was there as it was."""
    try:
        append(root)
    except IcechunkError:
        after = tree(root)
        assert {name: after.get(name) for name in before} == before
        return
    read = zarr.open_array(opened(root).readonly_session("main").store, path="g/native", mode="r")
    wanted = VALUES["native"].copy()
    wanted[100:120] = -1.0
    try:
        assert np.array_equal(np.asarray(read[...]), wanted)
    except IcechunkError:
        return  # the damage lies in a part that the commit did not look at


@pytest.mark.parametrize("family", ["repo", "manifests", "transactions"])
def test_damage_below_the_checksum_raises_nothing_else(
    family: str, intact: Path, tmp_path: Path
) -> None:
    root = tmp_path / "repo"
    shutil.copytree(intact, root)
    names = [name for name in metadata_files(intact) if name.split("/")[0] == family]
    for name in names:
        data = (intact / name).read_bytes()
        for variant in Damage(data, KINDS[family], len(name)).some(60 // len(names)):
            (root / name).write_bytes(variant)
            now = tree(root)
            for _, step in steps(root):
                try:
                    step()
                except (IcechunkError, ValueError):
                    # ValueError: a length that is wrong but possible gives bytes that Zarr's
                    # codec refuses; the format keeps no checksum of chunks.
                    continue
            assert tree(root) == now
        (root / name).write_bytes(data)


def test_a_repository_of_the_future_is_refused_with_its_version(
    intact: Path, tmp_path: Path
) -> None:
    root = tmp_path / "repo"
    shutil.copytree(intact, root)
    data = bytearray((root / "repo").read_bytes())
    data[36] = 3
    (root / "repo").write_bytes(bytes(data))
    now = tree(root)
    with pytest.raises(IcechunkError, match=r"version 3.*up to version 2.*upgrade") as caught:
        opened(root)
    assert caught.value.kind == ErrorKind.UNSUPPORTED_SPEC_VERSION
    assert tree(root) == now
