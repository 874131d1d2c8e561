"""Decisions about chunks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from icechunk.conflicts import (
    Conflict,
    ConflictType,
    DecisionSolver,
    Patched,
    Unsolvable,
    detect,
)
from icechunk.spec.transaction_log.log import TransactionLog
from tests.conflicts.deciding import entry, patched, solve
from tests.conflicts.hierarchies import (
    Repository,
    Writer,
    edited,
    log_of_chunks,
    payload,
)


def test_each_chunk_has_a_decision_of_its_own(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
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


def test_chunks_without_a_decision_are_left(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    for writer in (ours, theirs):
        writer.write("/a", (0, 0), (0, 1), (2, 2))
        writer.write("/g/b", (1,))
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


def _clash(coords: set[tuple[int, int]]) -> tuple[Repository, Writer, TransactionLog]:
    repo = Repository()
    ours = repo.writer()
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
def test_law_the_last_decision_counts_and_the_rest_is_left(
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
    ours = repo.writer()
    coords = [(i, j) for i in range(4) for j in range(4)]
    ours.write("/a", *coords)
    log = log_of_chunks(repo.id("/a"), coords, 2)
    solver = DecisionSolver([entry("/a", "ChunkDoubleUpdate", "base")])
    answer = solver.solve(log, repo.nodes, ours.changes, ours)
    assert isinstance(answer, Patched)
    table = answer.changes.chunks[repo.id("/a")].table()
    assert len(table) == 16
    assert int(np.count_nonzero(table.kind == 0)) == 4
