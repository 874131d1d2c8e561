"""Which commit wrote a chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icechunk import Repository
from icechunk.core.errors import InvalidInputError, NodeNotFoundError
from tests.merging.worlds import array, branches, commit, new_repo, write

if TYPE_CHECKING:
    import zarr


@pytest.fixture
def repo() -> Repository:
    return new_repo()


def owners(repo: Repository, **options: object) -> list[str]:
    found = repo.blame("/a", **options)  # type: ignore[arg-type]
    return [found.messages[row] for row in found.commit]


@pytest.mark.parametrize("spec_version", [1, 2])
def test_the_last_writer(spec_version: int) -> None:
    repo = new_repo(spec_version)
    commit(repo, "main", write(0, 2, 5), "first")
    commit(repo, "main", write(0, 4, 6), "second")
    commit(repo, "main", write(1, 2, 7), "third")
    assert owners(repo) == ["third", "second", "base", "base"]
    found = repo.blame("/a")
    assert found.snapshot_id(1) == repo.lookup_snapshot(repo.lookup_branch("main")).parent_id
    assert found.snapshot_id(9) is None
    assert found.counts.tolist() == [1, 1, 2]
    assert "first" not in found.messages


def test_a_region(repo: Repository) -> None:
    commit(repo, "main", write(0, 2, 5), "first")
    assert owners(repo, region=(slice(1, 3),)) == ["first", "base"]
    assert owners(repo, region=(7,)) == ["base"]
    for bad in ((slice(8, 9),), (slice(0, 8, 2),), (0, 0)):
        with pytest.raises(InvalidInputError, match="region"):
            repo.blame("/a", bad)


def test_merges_are_followed(repo: Repository) -> None:
    branches(repo, write(0, 4, 5), write(2, 6, 7))
    repo.merge("f", prefer="target")
    assert owners(repo) == ["source", "target", "target", "base"]


def test_moves_and_resizes_are_followed(repo: Repository) -> None:
    commit(repo, "main", write(0, 2, 5), "first")
    session = repo.rearrange_session("main")
    session.move("/a", "/b")
    session.commit("rename")
    commit(repo, "main", lambda root: array(root, "b").resize((4,)), "smaller")
    commit(repo, "main", lambda root: array(root, "b").resize((8,)), "larger")
    found = repo.blame("/b")
    assert [found.messages[row] for row in found.commit] == ["first", "base"]


def test_a_node_made_again(repo: Repository) -> None:
    def again(root: zarr.Group) -> None:
        del root["a"]
        root.create_array("a", shape=(4,), chunks=(2,), dtype="i4", fill_value=0)[:] = 3

    commit(repo, "main", again, "again")
    assert owners(repo) == ["again", "again"]


def test_forms(repo: Repository) -> None:
    found = repo.blame("/a")
    form = found.to_dict()
    assert form["commits"][0]["chunks"] == [[0], [1], [2], [3]]
    assert "base" in str(found)


def test_tables(repo: Repository) -> None:
    commit(repo, "main", write(0, 2, 5), "first")
    found = repo.blame("/a")
    expected = ["first", "base", "base", "base"]
    frame = found.to_pandas()
    assert frame["chunk_0"].tolist() == [0, 1, 2, 3]
    assert frame["message"].tolist() == expected
    pytest.importorskip("pyarrow")
    table = found.to_arrow()
    assert table.column("message").to_pylist() == expected
    assert table.column("chunk_0").to_pylist() == [0, 1, 2, 3]
    assert table.column("snapshot_id").to_pylist() == frame["snapshot_id"].tolist()
    assert table.column("written_at").to_pylist()[0] == found.written_at[0]


def test_refused(repo: Repository) -> None:
    with pytest.raises(NodeNotFoundError):
        repo.blame("/nowhere")
    with pytest.raises(InvalidInputError, match="is a group"):
        repo.blame("/")
