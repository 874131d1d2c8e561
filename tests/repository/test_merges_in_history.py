"""Merges in what lists and draws a history: all parents, and those that expired."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import pytest
import zarr

from icechunk import Repository
from tests.merging.worlds import branches, new_repo, write

BOTH = pytest.mark.parametrize("spec_version", [1, 2])
LATER = datetime.now(UTC) + timedelta(days=1)


def merged(spec_version: int) -> tuple[Repository, str, str]:
    """A repository with one merge, whose source branch is deleted, and both parents."""
    repo = new_repo(spec_version=spec_version)
    branches(repo, write(0, 1, 5), write(4, 5, 6))
    first, second = repo.lookup_branch("main"), repo.lookup_branch("f")
    repo.merge("f")
    repo.delete_branch("f")
    return repo, first, second


def graph(repo: Repository) -> list[str]:
    return str(repo.ancestry_graph(plain=True)).splitlines()[::2]


@BOTH
def test_all_parents_are_listed_first_parent_first(spec_version: int) -> None:
    repo, first, second = merged(spec_version)
    tip, before, *_ = repo.ancestry(branch="main")
    assert tip.parents == [first, second]
    assert tip.lineage is not None
    assert (tip.lineage["kind"], tip.lineage["source"]) == ("merge", "f")
    assert pickle.loads(pickle.dumps(tip)).parents == [first, second]
    assert before.id == first
    assert before.parents == [before.parent_id]
    assert before.lineage is None
    assert [*repo.ancestry(branch="main")][-1].parents == []

    table = repo.commit_table()
    assert table.merges == {table.find(tip.id): (table.find(second),)}


@BOTH
def test_commits_that_only_a_merge_reaches_are_drawn_until_they_are_collected(
    spec_version: int,
) -> None:
    repo, _, second = merged(spec_version)
    tip = repo.lookup_branch("main")
    assert second in {one.id for one in repo.history()["commits"]}
    lines = graph(repo)
    assert lines[0].startswith(f"●─╮ {tip[:8]} (main) Merge branch 'f' into main")
    assert [line for line in lines if second[:8] in line]
    assert lines[-2].startswith("●─╯")

    repo.garbage_collect(LATER)
    lines = graph(repo)
    assert lines[0].startswith(f"●╌{tip[:8]} (main) [merged {second[:8]}, expired]")
    assert not [line for line in lines[1:] if second[:8] in line]
    table = repo.commit_table()
    assert table.merges == {table.find(tip): (-1,)}
    assert repo.lookup_snapshot(tip).parents[1] == second


@BOTH
def test_stashes_are_neither_drawn_nor_listed(spec_version: int) -> None:
    repo = new_repo(spec_version=spec_version)
    before = graph(repo)
    session = repo.writable_session("main")
    write(0, 1, 5)(zarr.open_group(session.store))
    session.stash("later")
    assert graph(repo) == before
    assert set(repo.commit_table().branches) == {"main"}
    assert len(repo.history()["commits"]) == len(before)
