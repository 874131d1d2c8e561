"""Decisions as values and in files, and what they do not touch."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from icechunk.conflicts import (
    CHOICES,
    Conflict,
    ConflictType,
    Decision,
    DecisionSolver,
    Unsolvable,
)
from icechunk.core.errors import IcechunkError, InvalidInputError
from icechunk.core.ids import ObjectId
from icechunk.spec.snapshot.nodes import NodeTable
from icechunk.spec.transaction_log.log import Move, TransactionLog
from tests.conflicts.deciding import Entry, entry, patched, solve
from tests.conflicts.hierarchies import (
    Repository,
    array_document,
    group_document,
)


def test_a_move_stops_every_decision(repo: Repository) -> None:
    ours = repo.writer()
    ours.write("/a", (0, 0))
    log = TransactionLog(id=ObjectId(bytes(12)), moved=(Move("/a", "/z", repo.id("/a"), True),))
    solver = DecisionSolver([entry("/a", "ChunkDoubleUpdate", "ours")])
    assert solver.solve(log, repo.nodes, ours.changes, ours) == Unsolvable(
        [Conflict(ConflictType.MoveOperationCannotBeRebased, "")]
    )


def test_without_conflicts_the_changes_pass_and_decisions_are_ignored(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    ours.write("/a", (0, 0))
    changes, _ = patched(ours, theirs, entry("/nowhere", "ChunkDoubleUpdate", "theirs"))
    assert changes is ours.changes


def test_no_decision_edits_our_changes_in_place() -> None:
    every = [
        (kind, chosen)
        for kind, choices in CHOICES.items()
        for chosen in choices
        if chosen in ("ours", "theirs", "base")
    ]
    paths = ["/a", "/g", "/g/b", "/new"]
    repo = Repository()
    ours, theirs = repo.writer(), repo.writer()
    for writer in (ours, theirs):
        writer.write("/a", (0, 0))
        writer.describe("/a", array_document((4, 4), who=id(writer)))
        writer.make("/new")
    theirs.describe("/g", group_document(note=1))
    theirs.write("/g/b", (1,))
    ours.delete("/g")
    log, nodes = theirs.commit()
    before = pickle.dumps(ours.changes)
    for chosen in ("ours", "theirs", "base"):
        solver = DecisionSolver(
            entry(path, kind.name, name) for kind, name in every for path in paths if name == chosen
        )
        solver.solve(log, nodes, ours.changes, ours)
        assert pickle.dumps(ours.changes) == before


# the decisions themselves


EXAMPLES: list[Entry] = [
    entry("/a", "ChunkDoubleUpdate", "base", chunks=[[0, 1]]),
    entry("/a", "ChunkDoubleUpdate", "ours", runs=[0, 4], grid=[4, 4]),
    entry("/a", "ChunkDoubleUpdate", "theirs", boxes=[[[0, 1], [0, 4]]]),
    entry("/a", "ChunkDoubleUpdate", "theirs"),
    entry("/a", "ZarrMetadataDoubleUpdate", "custom", metadata={"zarr_format": 3}),
    entry("/n", "NewNodeConflictsWithExistingNode", "rename", new_path="/m"),
]


def test_decisions_come_back_from_json_files_and_pickles(tmp_path: Path) -> None:
    solver = DecisionSolver(EXAMPLES)
    assert [decision.to_dict() for decision in solver.decisions] == EXAMPLES
    assert DecisionSolver.from_json(solver.to_json()) == solver
    assert DecisionSolver.from_json(json.dumps(EXAMPLES)) == solver
    assert DecisionSolver(solver.decisions) == solver
    assert pickle.loads(pickle.dumps(solver)) == solver
    assert eval(repr(solver)) == solver
    solver.save(tmp_path / "decisions.json")
    assert DecisionSolver.load(tmp_path / "decisions.json") == solver
    assert solver != DecisionSolver(EXAMPLES[1:])


def test_a_type_may_be_the_enum_or_an_older_name() -> None:
    kind = ConflictType.ZarrMetadataDoubleUpdate
    for given_type in (kind, "UserAttributesDoubleUpdate"):
        made = Decision.from_dict({"path": "/", "type": given_type, "choice": "ours"})
        assert made.type is kind


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("theirs", r"decisions\[1\]: must be an object"),
        ({"type": "ChunkDoubleUpdate", "choice": "ours"}, r"\[1\]: `path` must be a string"),
        ({"path": "/a", "choice": "ours"}, r"\[1\]: `type` is None; it must be one of NewNode"),
        (entry("/a", "Chunks", "ours"), r"\[1\]: `type` is 'Chunks'; it must be one of"),
        (entry("/a", "ChunkDoubleUpdate", "mine"), "'ours' or 'theirs' or 'base'"),
        (entry("/a", "DeleteOfUpdatedArray", "base"), "must be 'ours' or 'theirs'"),
        (entry("", "MoveOperationCannotBeRebased", "ours"), "nothing can be decided"),
        (entry("a", "ChunkDoubleUpdate", "ours"), "start with a `/`"),
        (entry("/a", "ChunkDoubleUpdate", "ours", chunk=[[0]]), "unknown `chunk`; known are"),
        (entry("/a", "DeleteOfUpdatedArray", "ours", runs=[0, 1]), "leave out the chunks"),
        (entry("/a", "ZarrMetadataDoubleUpdate", "custom"), "`metadata`, an object"),
        (entry("/a", "ZarrMetadataDoubleUpdate", "ours", metadata={}), "`metadata`, an object"),
        (entry("/a", "ZarrMetadataDoubleUpdate", "custom", metadata=[]), "`metadata` must be"),
        (entry("/a", "NewNodeConflictsWithExistingNode", "rename"), "`new_path`, a string"),
        (
            entry("/a", "NewNodeConflictsWithExistingNode", "theirs", new_path="/b"),
            "`new_path`, a string",
        ),
        (
            entry("/a", "NewNodeConflictsWithExistingNode", "rename", new_path=3),
            "`new_path` must be a string",
        ),
        (
            entry("/a", "NewNodeConflictsWithExistingNode", "rename", new_path="b"),
            "start with a `/`",
        ),
        (entry("/a", "ChunkDoubleUpdate", "ours", runs=[1]), r"\[1\]: `runs` has 1 numbers"),
    ],
)
def test_a_wrong_entry_is_named_with_what_is_allowed(wrong: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        DecisionSolver([EXAMPLES[0], wrong])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ('{"version": 9, "decisions": []}', "version 9"),
        ('{"version": 1}', "must be a list"),
        ("3", "must be a list"),
    ],
)
def test_a_wrong_file_is_explained(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        DecisionSolver.from_json(text)


def test_chunks_of_another_rank_are_refused_when_they_meet_the_array(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    for writer in (ours, theirs):
        writer.write("/a", (0, 0))
    with pytest.raises(IcechunkError, match="1 dimensions, the array has 2"):
        solve(ours, theirs, entry("/a", "ChunkDoubleUpdate", "ours", chunks=[[0]]))


def test_the_view_of_their_commit_is_a_hierarchy(repo: Repository) -> None:
    theirs = repo.writer()
    theirs.make("/new")
    _, nodes = theirs.commit()
    assert isinstance(nodes, NodeTable)
    assert nodes.get("/new") is not None
