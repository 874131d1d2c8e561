"""Both directions with early releases of the reference library, while they can be installed.

Releases up to 1.1.2 do not find nodes again whose names sort between those of another node and its
children (``a-b`` beside ``a/b``), not even their own; what they wrote about such nodes is intact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop.actions import content_digest
from tests.interop.sides import Ours, Side, Theirs
from tests.interop.test_zoo import agree, change
from tests.interop.zoo import animals, as_content
from tests.oracle import EARLY_V1, EARLY_V2

pytestmark = [pytest.mark.oracle_old, pytest.mark.slow]

RELEASES = [(EARLY_V1, 1), (EARLY_V2, 1), (EARLY_V2, 2)]
FINDS_ALL_NAMES = {EARLY_V2}


@pytest.fixture(scope="module")
def early() -> Iterator[Callable[[str], Theirs]]:
    """One process per early release."""
    started: dict[str, Theirs] = {}

    def get(release: str) -> Theirs:
        if release not in started:
            started[release] = Theirs(release)
        return started[release]

    yield get
    for side in started.values():
        side.__exit__(None, None, None)


def content_for(release: str) -> dict[str, str]:
    puts = animals(rectilinear=False, many=20)
    if release in FINDS_ALL_NAMES:
        return puts
    return {k: v for k, v in puts.items() if not k.startswith("names/a") or "names/a/" in k}


@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.parametrize(("release", "spec"), RELEASES)
def test_there_and_back(
    tmp_path: Path,
    early: Callable[[str], Theirs],
    release: str,
    spec: int,
    ours_first: bool,
) -> None:
    root = str(tmp_path / "repo")
    sides: list[Side] = [Ours(), early(release)]
    author, other = sides if ours_first else sides[::-1]
    author("create", root=root, spec=spec)
    puts = content_for(release)
    tip = author("commit", root=root, branch="main", message="zoo", metadata={"n": 0.5}, puts=puts)
    content = as_content(puts)
    agree(root, tip, content, *sides)
    for number, writer in enumerate((other, author)):
        before, changes = tip, change(content, number)
        tip = writer("commit", root=root, branch="main", message=writer.name, **changes)
        writer("ref", root=root, act="create_branch", name=f"branch {number}", target=tip)
        writer("ref", root=root, act="create_tag", name=f"tag-{number}", target=before)
        agree(root, tip, content, *sides)
        seen = [side("difference", root=root, before=before, after=tip) for side in sides]
        assert seen[0] == seen[1]
    other("ref", root=root, act="delete_tag", name="tag-1")
    if spec == 2:
        moves = [["/scalar", "/unwritten-no-more"]]
        tip = other("move", root=root, branch="main", moves=moves, message="moved")
        content = {k.replace("scalar/", "unwritten-no-more/"): v for k, v in content.items()}
        agree(root, tip, content, *sides)
    for writer in (other, author):
        writer("expire", root=root)
        writer("collect", root=root)
        agree(root, tip, content, *sides)


def test_names_that_their_author_does_not_find(
    tmp_path: Path, early: Callable[[str], Theirs]
) -> None:
    root = str(tmp_path / "repo")
    theirs, ours = early(EARLY_V1), Ours()
    theirs("create", root=root, spec=1)
    puts = animals(rectilinear=False, many=3)
    tip = theirs("commit", root=root, branch="main", message="zoo", puts=puts)
    wanted = content_digest(as_content(puts))
    assert ours("digest", root=root, snapshot=tip) == wanted
    ours("upgrade", root=root)
    assert ours("digest", root=root, snapshot=tip) == wanted
    more = {"names/a-b/more/zarr.json": puts["names/a-b/zarr.json"]}
    tip = ours("commit", root=root, branch="main", message="more", puts=more)
    wanted = content_digest(as_content(puts) | as_content(more))
    assert ours("digest", root=root, snapshot=tip) == wanted
