"""Cherry-picks and reverts."""

from __future__ import annotations

import pytest

from icechunk import Repository
from icechunk.core.errors import InvalidInputError, MergeConflictError
from icechunk.spec.repo.lineage import LINEAGE_KEY
from tests.merging.worlds import branches, commit, new_repo, tree, values, write


@pytest.fixture
def repo() -> Repository:
    return new_repo()


@pytest.mark.parametrize("spec_version", [1, 2])
def test_several_commits_in_order(spec_version: int) -> None:
    repo = new_repo(spec_version)
    repo.create_branch("f", repo.lookup_branch("main"))
    ids = [commit(repo, "f", write(2 * n, 2 * n + 2, n + 5), f"c{n}") for n in range(3)]
    results = repo.cherry_pick([ids[2], ids[0]])
    assert [one.outcome for one in results] == ["merged", "merged"]
    assert values(repo) == [5, 5, 1, 1, 7, 7, 1, 1]
    log = list(repo.ancestry(branch="main"))[:2]
    assert [one.message for one in log] == ["c0", "c2"]
    assert log[0].metadata[LINEAGE_KEY]["of"] == [ids[0]]


def test_a_second_pick_is_empty(repo: Repository) -> None:
    source, _ = branches(repo, write(0, 2, 5), write(4, 6, 7))
    tip = repo.cherry_pick(source)[0].snapshot_id
    assert repo.cherry_pick(source)[0].outcome == "up-to-date"
    assert repo.lookup_branch("main") == tip
    assert repo.merge("f").changes.is_empty()


def test_pick_then_revert_is_the_identity(repo: Repository) -> None:
    source, target = branches(repo, write(0, 2, 5), write(4, 6, 7))
    picked = repo.cherry_pick(source)[0].snapshot_id
    repo.revert(picked)
    assert tree(repo, branch="main") == tree(repo, snapshot_id=target)
    message = next(iter(repo.ancestry(branch="main"))).message
    assert message == f'Revert "source"\n\nThis reverts commit {picked}.'


def test_nothing_is_laid_when_one_conflicts(repo: Repository) -> None:
    repo.create_branch("f", repo.lookup_branch("main"))
    ids = [commit(repo, "f", write(0, 2, 5)), commit(repo, "f", write(4, 6, 6))]
    target = commit(repo, "main", write(4, 6, 7))
    with pytest.raises(MergeConflictError) as caught:
        repo.cherry_pick(ids)
    assert caught.value.sources == [ids[1]]
    assert repo.lookup_branch("main") == target
    found = repo.cherry_pick(ids, dry_run=True)
    assert [one.outcome for one in found] == ["merged", "conflicts"]
    repo.cherry_pick(ids, prefer="source")
    assert values(repo) == [5, 5, 1, 1, 6, 6, 1, 1]


@pytest.mark.parametrize(
    ("parent", "expected"), [(1, [1, 1, 1, 1, 7, 7, 1, 1]), (2, [5, 5] + [1] * 6)]
)
def test_a_merge_is_reverted_by_parent(repo: Repository, parent: int, expected: list[int]) -> None:
    branches(repo, write(0, 2, 5), write(4, 6, 7))
    merged = repo.merge("f").snapshot_id
    commit(repo, "main", write(6, 8, 1))
    repo.revert(merged, parent=parent)
    assert values(repo) == expected


def test_refused(repo: Repository) -> None:
    first = list(repo.ancestry(branch="main"))[-1].id
    with pytest.raises(InvalidInputError, match="first commit"):
        repo.revert(first)
    with pytest.raises(InvalidInputError, match="no parent 2"):
        repo.revert("main", parent=2)


def test_squash_refuses_what_is_no_ancestor(repo: Repository) -> None:
    source, target = branches(repo, write(0, 2, 5), write(4, 6, 7))
    with pytest.raises(InvalidInputError, match="not in the history"):
        repo.squash("main", source, "no")
    with pytest.raises(InvalidInputError, match="nothing to squash"):
        repo.squash("main", target, "no")
    assert repo.lookup_branch("main") == target
