from __future__ import annotations

from typing import Any

import pytest

from icechunk.changes.change_set import ChangeSet
from icechunk.conflicts import (
    BasicConflictSolver,
    Conflict,
    ConflictType,
    Patched,
    Unsolvable,
    VersionSelection,
)
from tests.conflicts.hierarchies import (
    Repository,
    Writer,
    array_document,
    edited,
    group_document,
)


@pytest.fixture
def repo() -> Repository:
    return Repository()


def solve(ours: Writer, theirs: Writer, **rules: Any) -> Patched | Unsolvable:
    log, nodes = theirs.commit()
    return BasicConflictSolver(**rules).solve(log, nodes, ours.changes, ours)


def patched(ours: Writer, theirs: Writer, **rules: Any) -> ChangeSet:
    answer = solve(ours, theirs, **rules)
    assert isinstance(answer, Patched)
    return answer.changes


def test_ours_is_the_default_and_leaves_our_changes_alone(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    ours.write("/a", (0, 0), (1, 1))
    theirs.write("/a", (0, 0))
    assert patched(ours, theirs) is ours.changes
    assert ours.edited("/a") == {(0, 0), (1, 1)}


def test_theirs_drops_exactly_the_common_chunks_from_a_copy(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    ours.write("/a", (0, 0), (1, 1), (2, 2))
    ours.write("/g/b", (0,))
    theirs.write("/a", (0, 0), (2, 2), (3, 3))
    changes = patched(ours, theirs, on_chunk_conflict=VersionSelection.UseTheirs)
    assert edited(changes, repo.id("/a")) == {(1, 1)}
    assert edited(changes, repo.id("/g/b")) == {(0,)}
    assert ours.edited("/a") == {(0, 0), (1, 1), (2, 2)}


def test_an_array_that_loses_all_its_edits_stays_a_change(repo: Repository) -> None:
    # as in other implementations: the commit that follows is not refused as empty
    ours, theirs = repo.writer(), repo.writer()
    ours.write("/a", (0, 0))
    theirs.write("/a", (0, 0))
    changes = patched(ours, theirs, on_chunk_conflict=VersionSelection.UseTheirs)
    assert repo.id("/a") in changes.chunks
    assert len(changes.chunks[repo.id("/a")]) == 0
    assert not changes.is_empty


def test_fail_reports_the_chunks(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    ours.write("/a", (0, 0))
    theirs.write("/a", (0, 0))
    answer = solve(ours, theirs, on_chunk_conflict=VersionSelection.Fail)
    assert answer == Unsolvable([Conflict(ConflictType.ChunkDoubleUpdate, "/a", [[0, 0]])])


def test_deletes_of_changed_nodes_go_ahead_unless_configured_otherwise(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    ours.delete("/a")
    ours.delete("/g/h")
    theirs.write("/a", (0, 0))
    theirs.describe("/g/h", group_document(note=1))
    assert patched(ours, theirs) is ours.changes
    both = [
        Conflict(ConflictType.DeleteOfUpdatedArray, "/a"),
        Conflict(ConflictType.DeleteOfUpdatedGroup, "/g/h"),
    ]
    for rule in ("fail_on_delete_of_updated_array", "fail_on_delete_of_updated_group"):
        assert solve(ours, theirs, **{rule: True}) == Unsolvable(both)


def test_one_conflict_that_no_rule_covers_reports_all_and_applies_none(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    for writer in (ours, theirs):
        writer.write("/a", (0, 0))
        writer.make("/new")
    answer = solve(ours, theirs, on_chunk_conflict=VersionSelection.UseTheirs)
    assert isinstance(answer, Unsolvable)
    assert [c.conflict_type for c in answer.conflicts] == [
        ConflictType.NewNodeConflictsWithExistingNode,
        ConflictType.ChunkDoubleUpdate,
    ]
    assert ours.edited("/a") == {(0, 0)}


def test_attributes_are_decided_only_when_asked_and_only_attributes(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    ours.describe("/a", array_document((4, 4), who="us"))
    theirs.describe("/a", array_document((4, 4), who="them"))
    conflict = Conflict(ConflictType.ZarrMetadataDoubleUpdate, "/a")
    assert solve(ours, theirs) == Unsolvable([conflict])
    fail = VersionSelection.Fail
    assert solve(ours, theirs, on_user_attributes_conflict=fail) == Unsolvable([conflict])

    kept = patched(ours, theirs, on_user_attributes_conflict=VersionSelection.UseOurs)
    assert b"us" in kept.updated[repo.id("/a")].user_data
    dropped = patched(ours, theirs, on_user_attributes_conflict=VersionSelection.UseTheirs)
    assert repo.id("/a") not in dropped.updated
    assert repo.id("/a") in ours.changes.updated

    theirs.describe("/a", array_document((5, 4), who="them"))
    for choice in (VersionSelection.UseOurs, VersionSelection.UseTheirs):
        answer = solve(ours, theirs, on_user_attributes_conflict=choice)
        assert answer == Unsolvable([conflict])


def test_arguments_are_keywords_of_the_right_type() -> None:
    with pytest.raises(TypeError):
        BasicConflictSolver(VersionSelection.Fail)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'int' object is not an instance of 'VersionSelection'"):
        BasicConflictSolver(on_chunk_conflict=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        BasicConflictSolver(on_everything=VersionSelection.UseOurs)  # type: ignore[call-arg]


def test_a_group_is_deleted_with_what_they_made_in_it(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    ours.delete("/g")
    theirs.make("/g/h/x")
    changes = patched(ours, theirs)
    assert "/g/h/x" in {node.path for node in changes.deleted.values()}
    assert "/g/h/x" not in {node.path for node in ours.changes.deleted.values()}
    conflict = Conflict(ConflictType.DeleteOfUpdatedGroup, "/g/h")
    assert solve(ours, theirs, fail_on_delete_of_updated_group=True) == Unsolvable([conflict])
