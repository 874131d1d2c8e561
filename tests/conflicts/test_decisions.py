from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.overlay import TreeView
from icechunk.conflicts import (
    CHOICES,
    Conflict,
    ConflictType,
    Decision,
    DecisionSolver,
    Patched,
    Unsolvable,
    detect,
)
from icechunk.ground.errors import IcechunkError, InvalidInputError
from icechunk.ground.ids import ObjectId
from icechunk.model.nodes import NodeTable
from icechunk.model.txlog import Move, TransactionLog
from tests.conflicts.hierarchies import (
    Person,
    Repository,
    array_document,
    edited,
    group_document,
    log_of_chunks,
    payload,
)

Entry = dict[str, Any]


@pytest.fixture
def repo() -> Repository:
    return Repository()


def entry(path: str, kind: str, choice: str, **more: Any) -> Entry:
    return {"path": path, "type": kind, "choice": choice, **more}


def solve(ours: Person, theirs: Person, *entries: Entry) -> Patched | Unsolvable:
    log, nodes = theirs.commit()
    return DecisionSolver(entries).solve(log, nodes, ours.changes, ours)


def patched(ours: Person, theirs: Person, *entries: Entry) -> tuple[ChangeSet, TreeView]:
    """The changes after the solver, and the hierarchy that a commit of them would have."""
    answer = solve(ours, theirs, *entries)
    assert isinstance(answer, Patched), answer
    _, nodes = theirs.commit()
    return answer.changes, TreeView(nodes, answer.changes)


def left(ours: Person, theirs: Person, *entries: Entry) -> list[tuple[str, str]]:
    answer = solve(ours, theirs, *entries)
    assert isinstance(answer, Unsolvable)
    return [(c.conflict_type.name, c.path) for c in answer.conflicts]


# chunks


def test_each_chunk_goes_its_own_way(repo: Repository) -> None:
    ours, theirs = repo.person(), repo.person()
    both = [(0, 0), (0, 1), (1, 0), (1, 3)]
    ours.write("/a", *both, (3, 3))
    theirs.write("/a", *both, data=b"theirs")
    changes, _ = patched(
        ours,
        theirs,
        entry("/a", "ChunkDoubleUpdate", "theirs"),
        entry("/a", "ChunkDoubleUpdate", "base", boxes=[[[1, 2], [0, 4]]]),
        entry("/a", "ChunkDoubleUpdate", "ours", chunks=[[0, 1]]),
    )
    edits = changes.chunks[repo.id("/a")]
    assert edited(changes, repo.id("/a")) == {(0, 1), (1, 0), (1, 3), (3, 3)}
    assert payload(edits.find((0, 1))) == b"ours"
    assert payload(edits.find((1, 0))) == b"base"
    deleted = edits.find((1, 3))  # the base had no such chunk
    assert deleted is not None
    assert deleted.kind == 0
    assert payload(edits.find((3, 3))) == b"ours"
    assert ours.edited("/a") == {*both, (3, 3)}


def test_chunks_nobody_decided_are_what_is_left(repo: Repository) -> None:
    ours, theirs = repo.person(), repo.person()
    for person in (ours, theirs):
        person.write("/a", (0, 0), (0, 1), (2, 2))
        person.write("/g/b", (1,))
    answer = solve(
        ours,
        theirs,
        entry("/a", "ChunkDoubleUpdate", "ours", runs=[0, 1]),
        entry("/a", "ChunkDoubleUpdate", "theirs", chunks=[[2, 2]]),
    )
    assert answer == Unsolvable(
        [
            Conflict(ConflictType.ChunkDoubleUpdate, "/a", [[0, 1]]),
            Conflict(ConflictType.ChunkDoubleUpdate, "/g/b", [[1]]),
        ]
    )


coordinate = st.tuples(st.integers(0, 3), st.integers(0, 3))
choice = st.sampled_from(["ours", "theirs", "base"])


def _clash(coords: set[tuple[int, int]]) -> tuple[Repository, Person, TransactionLog]:
    repo = Repository()
    ours = repo.person()
    ours.write("/a", *coords)
    ours.write("/a", (3, 3), data=b"alone")
    return repo, ours, log_of_chunks(repo.id("/a"), list(coords), 2)


inner = st.sets(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1)


@given(inner)
def test_law_ours_changes_nothing(coords: set[tuple[int, int]]) -> None:
    repo, ours, log = _clash(coords)
    solver = DecisionSolver([entry("/a", "ChunkDoubleUpdate", "ours")])
    answer = solver.solve(log, repo.nodes, ours.changes, ours)
    assert isinstance(answer, Patched)
    edits, before = answer.changes.chunks[repo.id("/a")], ours.changes.chunks[repo.id("/a")]
    assert edited(answer.changes, repo.id("/a")) == ours.edited("/a")
    for coords_ in ours.edited("/a"):
        assert payload(edits.find(coords_)) == payload(before.find(coords_))


@given(inner)
def test_law_theirs_leaves_no_common_chunk(coords: set[tuple[int, int]]) -> None:
    repo, ours, log = _clash(coords)
    solver = DecisionSolver([entry("/a", "ChunkDoubleUpdate", "theirs")])
    answer = solver.solve(log, repo.nodes, ours.changes, ours)
    assert isinstance(answer, Patched)
    assert edited(answer.changes, repo.id("/a")) == {(3, 3)}
    assert detect(log, repo.nodes, answer.changes, ours) == []


@given(st.dictionaries(coordinate.filter(lambda c: c != (3, 3)), choice, min_size=1))
def test_law_a_partition_is_carried_out_exactly(
    decided: dict[tuple[int, int], str],
) -> None:
    repo, ours, log = _clash(set(decided))
    node_id = repo.id("/a")
    by_choice = {
        name: [list(coords) for coords, chosen in decided.items() if chosen == name]
        for name in ("ours", "theirs", "base")
    }
    solver = DecisionSolver(
        entry("/a", "ChunkDoubleUpdate", name, chunks=chunks) for name, chunks in by_choice.items()
    )
    answer = solver.solve(log, repo.nodes, ours.changes, ours)
    assert isinstance(answer, Patched)
    edits = answer.changes.chunks[node_id]
    for coords, chosen in decided.items():
        place = edits.find(coords)
        if chosen == "theirs":
            assert place is None
        elif chosen == "ours":
            assert payload(place) == b"ours"
        else:
            assert place is not None
            assert payload(place) == repo.chunks[node_id].get(coords)


@given(
    inner,
    st.lists(st.tuples(choice, st.integers(0, 11), st.integers(0, 6)), max_size=4),
)
def test_law_the_last_word_wins_and_the_rest_is_left(
    coords: set[tuple[int, int]], runs: list[tuple[str, int, int]]
) -> None:
    repo, ours, log = _clash(coords)
    expected: dict[tuple[int, int], str] = {}
    for chosen, start, length in runs:
        for flat in range(start, start + length):
            if (chunk := (flat // 4, flat % 4)) in coords:
                expected[chunk] = chosen
    solver = DecisionSolver(
        entry("/a", "ChunkDoubleUpdate", chosen, runs=[start, length])
        for chosen, start, length in runs
    )
    answer = solver.solve(log, repo.nodes, ours.changes, ours)
    undecided = sorted(coords - set(expected))
    if undecided:
        assert answer == Unsolvable(
            [Conflict(ConflictType.ChunkDoubleUpdate, "/a", [list(c) for c in undecided])]
        )
        return
    assert isinstance(answer, Patched)
    kept = edited(answer.changes, repo.id("/a"))
    assert kept == {c for c in coords if expected[c] != "theirs"} | {(3, 3)}


def test_many_chunks_go_back_to_the_base() -> None:
    repo = Repository()
    ours = repo.person()
    coords = [(i, j) for i in range(4) for j in range(4)]
    ours.write("/a", *coords)
    log = log_of_chunks(repo.id("/a"), coords, 2)
    solver = DecisionSolver([entry("/a", "ChunkDoubleUpdate", "base")])
    answer = solver.solve(log, repo.nodes, ours.changes, ours)
    assert isinstance(answer, Patched)
    table = answer.changes.chunks[repo.id("/a")].table()
    assert len(table) == 16
    assert int(np.count_nonzero(table.kind == 0)) == 4


# metadata


def _metadata_clash(repo: Repository) -> tuple[Person, Person]:
    ours, theirs = repo.person(), repo.person()
    ours.describe("/a", array_document((4, 4), who="us"))
    theirs.describe("/a", array_document((6, 4), who="them"))
    return ours, theirs


def test_metadata_of_either_side(repo: Repository) -> None:
    ours, theirs = _metadata_clash(repo)
    kind = "ZarrMetadataDoubleUpdate"
    assert left(ours, theirs) == [(kind, "/a")]
    kept, _ = patched(ours, theirs, entry("/a", kind, "ours"))
    assert kept.updated == ours.changes.updated
    dropped, view = patched(ours, theirs, entry("/a", kind, "theirs"))
    assert dropped.updated == {}
    assert view.get("/a") == theirs.get("/a")


def test_metadata_of_ones_own_making(repo: Repository) -> None:
    ours, theirs = _metadata_clash(repo)
    document = json.loads(array_document((6, 4), who="both"))
    decision = entry("/a", "ZarrMetadataDoubleUpdate", "custom", metadata=document)
    changes, view = patched(ours, theirs, decision)
    merged = view.get("/a")
    assert merged is not None
    assert json.loads(merged.user_data) == document
    assert merged.array is not None
    assert merged.array.num_chunks == (6, 4)
    assert changes.updated[repo.id("/a")].id == repo.id("/a")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"zarr_format": 2}, "zarr_format"),
        (json.loads(group_document()), "another kind of node"),
        (json.loads(array_document((4,))), "another kind of node"),
    ],
)
def test_a_custom_document_must_describe_the_node(
    repo: Repository, document: Entry, message: str
) -> None:
    ours, theirs = _metadata_clash(repo)
    with pytest.raises(InvalidInputError, match=message):
        solve(ours, theirs, entry("/a", "ZarrMetadataDoubleUpdate", "custom", metadata=document))


def test_our_chunks_of_an_array_they_enlarged(repo: Repository) -> None:
    ours, theirs = repo.person(), repo.person()
    ours.write("/a", (3, 3))
    theirs.describe("/a", array_document((8, 4)))
    kind = "ChunksUpdatedInUpdatedArray"
    assert left(ours, theirs) == [(kind, "/a")]
    changes, view = patched(ours, theirs, entry("/a", kind, "ours"))
    edits = changes.chunks[repo.id("/a")]
    assert payload(edits.find((3, 3))) == b"ours"
    assert edits.num_chunks == (8, 4)
    edits.set_inline((7, 3), b"later")  # the edits go on in the new grid
    assert payload(edits.find((7, 3))) == b"later"
    assert edited(changes, repo.id("/a")) == {(3, 3), (7, 3)}
    dropped, _ = patched(ours, theirs, entry("/a", kind, "theirs"))
    assert dropped.is_empty
    node = view.get("/a")
    assert node is not None
    assert node.array is not None
    assert node.array.shape == (8, 4)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (array_document((3, 4)), "it became smaller"),
        (array_document((4, 4), (2, 2)), "chunk shape, data type or codecs differ"),
        (array_document((4, 4), data_type="float64"), "chunk shape, data type or codecs differ"),
    ],
)
def test_our_chunks_must_still_fit(repo: Repository, document: bytes, message: str) -> None:
    ours, theirs = repo.person(), repo.person()
    ours.write("/a", (3, 3))
    theirs.describe("/a", document)
    with pytest.raises(InvalidInputError, match=message):
        solve(ours, theirs, entry("/a", "ChunksUpdatedInUpdatedArray", "ours"))


def test_our_deletions_outside_a_smaller_array_do_not_matter(repo: Repository) -> None:
    ours, theirs = repo.person(), repo.person()
    ours.erase("/a", (3, 3))
    ours.write("/a", (0, 0))
    theirs.describe("/a", array_document((3, 4)))
    changes, _ = patched(ours, theirs, entry("/a", "ChunksUpdatedInUpdatedArray", "ours"))
    assert edited(changes, repo.id("/a")) == {(0, 0)}


def test_our_metadata_saves_chunks_that_would_not_fit_theirs(repo: Repository) -> None:
    ours, theirs = repo.person(), repo.person()
    ours.describe("/a", array_document((8, 4)))
    ours.write("/a", (7, 3))
    theirs.describe("/a", array_document((3, 4)))
    decisions = [
        entry("/a", "ChunksUpdatedInUpdatedArray", "ours"),
        entry("/a", "ZarrMetadataDoubleUpdate", "ours"),
    ]
    changes, _ = patched(ours, theirs, *decisions)
    assert edited(changes, repo.id("/a")) == {(7, 3)}
    with pytest.raises(InvalidInputError, match="it became smaller"):
        solve(ours, theirs, *decisions, entry("/a", "ZarrMetadataDoubleUpdate", "theirs"))


# deleted on one side


def test_our_changes_of_what_they_deleted_can_only_go(repo: Repository) -> None:
    ours, theirs = repo.person(), repo.person()
    theirs.delete("/a")
    theirs.delete("/g")
    ours.describe("/a", array_document((4, 4), note=1))
    ours.write("/a", (0, 0))
    ours.describe("/g", group_document(note=1))
    ours.write("/g/b", (0,))
    decisions = [
        entry("/a", "ZarrMetadataUpdateOfDeletedArray", "theirs"),
        entry("/a", "ChunksUpdatedInDeletedArray", "theirs"),
        entry("/g", "ZarrMetadataUpdateOfDeletedGroup", "theirs"),
        entry("/g/b", "ChunksUpdatedInDeletedArray", "theirs"),
    ]
    changes, _ = patched(ours, theirs, *decisions)
    assert changes.is_empty
    assert left(ours, theirs, *decisions[1:]) == [("ZarrMetadataUpdateOfDeletedArray", "/a")]


def test_our_delete_stays_or_goes(repo: Repository) -> None:
    ours, theirs = repo.person(), repo.person()
    ours.delete("/a")
    theirs.write("/a", (0, 0))
    kind = "DeleteOfUpdatedArray"
    kept, view = patched(ours, theirs, entry("/a", kind, "ours"))
    assert kept.deleted == ours.changes.deleted
    assert view.get("/a") is None
    again, view = patched(ours, theirs, entry("/a", kind, "theirs"))
    assert again.is_empty
    assert view.get("/a") is not None


def test_an_array_that_lives_again_brings_its_groups_along(repo: Repository) -> None:
    ours, theirs = repo.person(), repo.person()
    ours.delete("/g")
    theirs.write("/g/b", (0,))
    _, view = patched(ours, theirs, entry("/g/b", "DeleteOfUpdatedArray", "theirs"))
    assert view.get("/g") is not None
    assert view.get("/g/b") is not None
    assert view.get("/g/h") is None


def test_a_group_that_lives_again_brings_what_it_held(repo: Repository) -> None:
    ours, theirs = repo.person(), repo.person()
    ours.delete("/g")
    theirs.describe("/g", group_document(note=1))
    group = entry("/g", "DeleteOfUpdatedGroup", "theirs")
    changes, _ = patched(ours, theirs, group)
    assert changes.is_empty
    # but not the nodes that are in question themselves
    theirs.write("/g/b", (0,))
    assert left(ours, theirs, group) == [("DeleteOfUpdatedArray", "/g/b")]
    _, view = patched(ours, theirs, group, entry("/g/b", "DeleteOfUpdatedArray", "ours"))
    assert view.get("/g/b") is None
    assert view.get("/g/h") is not None


def test_a_node_that_lives_again_where_we_made_another(repo: Repository) -> None:
    ours, theirs = repo.person(), repo.person()
    ours.delete("/a")
    ours.make("/a", array_document((2,)))
    theirs.write("/a", (0, 0))
    again = entry("/a", "DeleteOfUpdatedArray", "theirs")
    kind = "NewNodeConflictsWithExistingNode"
    assert left(ours, theirs, again) == [(kind, "/a")]
    changes, _ = patched(ours, theirs, again, entry("/a", kind, "theirs"))
    assert changes.is_empty
    renamed, view = patched(ours, theirs, again, entry("/a", kind, "rename", new_path="/a2"))
    assert list(renamed.new) == ["/a2"]
    assert view.get("/a") == repo.nodes.get("/a")


# new nodes


def _new_clash(repo: Repository) -> tuple[Person, Person]:
    ours, theirs = repo.person(), repo.person()
    ours.make("/new")
    ours.make("/new/x", array_document((2,)))
    ours.write("/new/x", (1,))
    theirs.make("/new", group_document(who="them"))
    return ours, theirs


KIND = "NewNodeConflictsWithExistingNode"


def test_their_group_takes_in_our_nodes(repo: Repository) -> None:
    ours, theirs = _new_clash(repo)
    changes, view = patched(ours, theirs, entry("/new", KIND, "theirs"))
    assert list(changes.new) == ["/new/x"]
    assert view.get("/new") == theirs.get("/new")
    assert edited(changes, ours.node("/new/x").id) == {(1,)}


def test_our_group_moves_away_with_all_it_holds(repo: Repository) -> None:
    ours, theirs = _new_clash(repo)
    changes, view = patched(ours, theirs, entry("/new", KIND, "rename", new_path="/g/mine"))
    assert sorted(changes.new) == ["/g/mine", "/g/mine/x"]
    assert view.get("/new") == theirs.get("/new")
    assert view.children("/g/mine") == ["x"]
    assert sorted(view.children("/g")) == ["b", "h", "mine"]
    array = view.get("/g/mine/x")
    assert array is not None
    assert edited(changes, array.id) == {(1,)}
    assert sorted(ours.changes.new) == ["/new", "/new/x"]


@pytest.mark.parametrize(
    ("new_path", "message"),
    [
        ("/g", "`/g` exists already"),
        ("/new/deeper", "itself or below it"),
        ("/nowhere/new", "there is no group `/nowhere`"),
        ("/a/new", "there is no group `/a`"),
    ],
)
def test_a_new_path_must_be_free_and_in_a_group(
    repo: Repository, new_path: str, message: str
) -> None:
    ours, theirs = _new_clash(repo)
    with pytest.raises(InvalidInputError, match=message):
        solve(ours, theirs, entry("/new", KIND, "rename", new_path=new_path))


def test_our_nodes_below_their_array(repo: Repository) -> None:
    ours, theirs = repo.person(), repo.person()
    for path in ("/p", "/p/x", "/p/x/y"):
        ours.make(path)
    theirs.make("/p", array_document((2,)))
    below = "NewNodeInInvalidGroup"
    assert left(ours, theirs) == [(KIND, "/p"), (below, "/p"), (below, "/p")]
    theirs_wins = [entry("/p", KIND, "theirs"), entry("/p", below, "theirs")]
    changes, _ = patched(ours, theirs, *theirs_wins)
    assert changes.is_empty
    moved, _ = patched(ours, theirs, entry("/p", KIND, "rename", new_path="/q"))
    assert sorted(moved.new) == ["/q", "/q/x", "/q/x/y"]
    split, _ = patched(ours, theirs, theirs_wins[0], entry("/p", below, "rename", new_path="/g/h"))
    assert sorted(split.new) == ["/g/h/x", "/g/h/x/y"]


# what cannot be decided


def test_a_move_stops_every_decision(repo: Repository) -> None:
    ours = repo.person()
    ours.write("/a", (0, 0))
    log = TransactionLog(id=ObjectId(bytes(12)), moved=(Move("/a", "/z", repo.id("/a"), True),))
    solver = DecisionSolver([entry("/a", "ChunkDoubleUpdate", "ours")])
    assert solver.solve(log, repo.nodes, ours.changes, ours) == Unsolvable(
        [Conflict(ConflictType.MoveOperationCannotBeRebased, "")]
    )


def test_without_conflicts_the_changes_pass_and_decisions_are_ignored(repo: Repository) -> None:
    ours, theirs = repo.person(), repo.person()
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
    ours, theirs = repo.person(), repo.person()
    for person in (ours, theirs):
        person.write("/a", (0, 0))
        person.describe("/a", array_document((4, 4), who=id(person)))
        person.make("/new")
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
        (entry("/a", KIND, "rename"), "`new_path`, a string"),
        (entry("/a", KIND, "theirs", new_path="/b"), "`new_path`, a string"),
        (entry("/a", KIND, "rename", new_path=3), "`new_path` must be a string"),
        (entry("/a", KIND, "rename", new_path="b"), "start with a `/`"),
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
    ours, theirs = repo.person(), repo.person()
    for person in (ours, theirs):
        person.write("/a", (0, 0))
    with pytest.raises(IcechunkError, match="1 dimensions, the array has 2"):
        solve(ours, theirs, entry("/a", "ChunkDoubleUpdate", "ours", chunks=[[0]]))


def test_the_view_of_their_commit_is_a_hierarchy(repo: Repository) -> None:
    theirs = repo.person()
    theirs.make("/new")
    _, nodes = theirs.commit()
    assert isinstance(nodes, NodeTable)
    assert nodes.get("/new") is not None
