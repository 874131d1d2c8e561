"""Unusual hierarchies, written by one library and read, changed and read again by the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.interop.actions import array_doc, content_digest, group_doc
from tests.interop.sides import Ours, Side
from tests.interop.zoo import animals, as_content, payload

PAIRS = [
    pytest.param(1, "ours", "last_v1", marks=pytest.mark.oracle_v1),
    pytest.param(1, "last_v1", "ours", marks=pytest.mark.oracle_v1),
    pytest.param(1, "ours", "latest", marks=pytest.mark.oracle),
    pytest.param(1, "latest", "ours", marks=pytest.mark.oracle),
    pytest.param(2, "ours", "latest", marks=pytest.mark.oracle),
    pytest.param(2, "latest", "ours", marks=pytest.mark.oracle),
]


@pytest.fixture
def side(request: pytest.FixtureRequest) -> Any:
    def get(name: str) -> Side:
        return Ours() if name == "ours" else request.getfixturevalue(name)

    return get


@pytest.mark.parametrize(("spec", "first", "second"), PAIRS)
def test_there_and_back(tmp_path: Path, side: Any, spec: int, first: str, second: str) -> None:
    root = str(tmp_path / "repo")
    author, other = side(first), side(second)
    author("create", root=root, spec=spec)
    puts = animals(rectilinear=spec == 2)
    start = author("commit", root=root, branch="main", message="zoo", metadata={"n": 1}, puts=puts)
    content = as_content(puts)
    for reader in (author, other):
        assert reader("digest", root=root, snapshot=start) == content_digest(content), reader.name
    tips = [start]
    for number, writer in enumerate((other, author, other)):
        message = f"{number} by {writer.name}"
        changes = change(content, number)
        tip = writer("commit", root=root, branch="main", message=message, **changes)
        writer("ref", root=root, act="create_branch", name=f"branch {number}", target=tip)
        writer("ref", root=root, act="create_tag", name=f"tag-{number}", target=tips[-1])
        tips.append(tip)
        agree(root, tip, content, author, other)
        plain = [s("difference", root=root, before=tips[-2], after=tip) for s in (author, other)]
        assert plain[0] == plain[1]
    other("ref", root=root, act="delete_tag", name="tag-1")
    author("ref", root=root, act="delete_branch", name="branch 0")
    other("ref", root=root, act="reset_branch", name="branch 1", target=tips[0])
    agree(root, tips[-1], content, author, other)


def change(content: dict[str, bytes], number: int) -> dict[str, Any]:
    """Changes of every kind, also made to `content`."""
    wipes = [["deep/level-0/level-1", "names/a-b", "crowd"][number]]
    drops = [f"inline-and-native/c/{number}/{number % 2}"]
    puts = {
        "zarr.json": group_doc(title=f"zoo {number}"),
        f"fresh-{number}/zarr.json": array_doc([3], [1]),
        f"fresh-{number}/c/{number}": payload(f"fresh {number}", 5),
        "scalar/c": payload(f"scalar {number}", 1),
        "inline-and-native/c/7/0": payload(f"big {number}", 3000),
        "inline-and-native/c/6/1": payload(f"small {number}", 3),
        "unwritten/zarr.json": array_doc([10 + 5 * number, 10], [5, 5]),
        f"unwritten/c/{number + 1}/0": payload(f"grown {number}", 25),
    }
    for path in wipes:
        for key in [key for key in content if key.startswith(f"{path}/")]:
            del content[key]
    for key in drops:
        content.pop(key, None)
    content |= as_content(puts)
    return {"wipes": wipes, "drops": drops, "puts": puts}


def agree(root: str, tip: str, content: dict[str, bytes], *sides: Side) -> None:
    """Everybody sees the content meant, and the same refs and histories."""
    for reader in sides:
        found = reader("digest", root=root, snapshot=tip)
        assert found == content_digest(content), reader.name
    seen = [reader("facts", root=root) for reader in sides]
    assert all(other == seen[0] for other in seen[1:])


@pytest.mark.parametrize(("spec", "first", "second"), PAIRS)
def test_sessions_of_one_rebase_over_commits_of_the_other(
    tmp_path: Path, side: Any, spec: int, first: str, second: str
) -> None:
    root = str(tmp_path / "repo")
    author, other = side(first), side(second)
    author("create", root=root, spec=spec)
    puts = {"a/zarr.json": array_doc([6], [1])} | {f"a/c/{n}": payload(str(n), 4) for n in range(6)}
    author("commit", root=root, branch="main", message="base", puts=puts)
    content = as_content(puts)
    for writer, rival in ((author, other), (other, author)):
        ours, theirs = ({"a/c/0": payload(s.name, 9), "a/c/1": "x"} for s in (writer, rival))
        theirs["b-" + rival.name + "/zarr.json"] = group_doc()
        writer("begin", root=root, branch="main", name="late", puts=ours)
        rival("commit", root=root, branch="main", message="sooner", puts=theirs)
        tip = writer("finish", name="late", message="later", how="rebase")
        content |= as_content(theirs) | as_content(ours)
        agree(root, tip, content, author, other)


@pytest.mark.oracle
@pytest.mark.parametrize("who", ["ours", "latest"])
@pytest.mark.parametrize("founder", ["ours", "latest"])
def test_upgraded_by_either_and_used_by_both(
    tmp_path: Path, side: Any, who: str, founder: str
) -> None:
    root = str(tmp_path / "repo")
    author, upgrader = side(founder), side(who)
    author("create", root=root, spec=1, threshold=100)
    puts = animals(rectilinear=False, many=20)
    start = author("commit", root=root, branch="main", message="zoo", metadata={"n": 1}, puts=puts)
    content = as_content(puts)
    author("ref", root=root, act="create_branch", name="dev", target=start)
    author("ref", root=root, act="create_tag", name="kept", target=start)
    author("ref", root=root, act="create_tag", name="gone", target=start)
    author("ref", root=root, act="delete_tag", name="gone")
    both = side("ours"), side("latest")
    before = author("facts", root=root)
    upgrader("upgrade", root=root)
    assert not list(Path(root, "refs").glob("*/ref.json*"))
    for reader in both:
        assert reader("facts", root=root) == before
        assert reader("digest", root=root, snapshot=start) == content_digest(content)
        assert reader("threshold", root=root) == 100
    for number, writer in enumerate((*both, both[0])):
        changes = change(content, number)
        tip = writer("commit", root=root, branch="main", message=str(number), **changes)
        agree(root, tip, content, *both)


@pytest.mark.oracle
def test_both_make_the_same_of_an_upgrade(tmp_path: Path, side: Any) -> None:
    """The synthetic operations log, refs and snapshots are equal but for the upgrade's time."""
    import shutil

    from icechunk.spec.repo.codec import decode_repo

    root, copy = tmp_path / "repo", tmp_path / "copy"
    author, theirs = side("ours"), side("latest")
    author("create", root=str(root), spec=1, threshold=3)
    tips = [
        author(
            "commit",
            root=str(root),
            branch="main",
            message=str(n),
            metadata={"f": 0.5},
            how="empty",
        )
        for n in range(3)
    ]
    author("ref", root=str(root), act="create_branch", name="dev", target=tips[1])
    tips.append(author("commit", root=str(root), branch="dev", message="dev", how="empty"))
    author("ref", root=str(root), act="create_branch", name="also main", target=tips[2])
    for name, target in (("t", tips[0]), ("gone", tips[1]), ("s", tips[3]), ("r", tips[3])):
        author("ref", root=str(root), act="create_tag", name=name, target=target)
    author("ref", root=str(root), act="delete_tag", name="gone")
    shutil.copytree(root, copy)
    author("upgrade", root=str(root))
    theirs("upgrade", root=str(copy))
    mine, other = (decode_repo((folder / "repo").read_bytes()) for folder in (root, copy))
    assert mine.updates[1:] == other.updates[1:]
    assert mine.updates[0].kind == other.updates[0].kind
    for name in ("branches", "tags", "deleted_tags", "snapshots", "status", "metadata"):
        assert getattr(mine, name) == getattr(other, name), name
    assert {k: v for k, v in (mine.config or {}).items() if v is not None} == {
        k: v for k, v in (other.config or {}).items() if v is not None
    }
