from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icechunk import Conflict, ConflictType, Diff, InvalidInputError
from icechunk.conflicts import CHOICES
from icechunk_widgets.arrays.chunk_refs import flat, in_runs, runs_of
from icechunk_widgets.resolver.conflict_entry import CODE, TITLES, Entry
from icechunk_widgets.resolver.conflict_plan import ConflictPlan
from icechunk_widgets.resolver.node_conflict import MEANINGS

GRID = (2, 3)
COORDS = [[0, 0], [0, 2], [1, 0], [1, 1]]  # positions 0, 2, 3, 4


def chunks(path: str = "/a") -> Entry:
    coords = np.array(COORDS, np.uint32)
    return Entry(0, Conflict.of_chunks(path, coords), grid=GRID)


def node(kind: ConflictType, path: str = "/a", number: int = 1) -> Entry:
    return Entry(number, Conflict(kind, path))


def test_counters_and_small_state() -> None:
    plan = ConflictPlan([chunks(), node(ConflictType.ZarrMetadataDoubleUpdate)])
    assert (plan.total, plan.undecided) == (5, 5)
    assert plan.decide(plan.entries[0], "ours", runs=[0, 3]) == 2
    assert plan.decide(plan.entries[1], "theirs") == 1
    assert plan.summary() == {
        "undecided": 2,
        "total": 5,
        "can_undo": True,
        "can_redo": False,
        "conflicts": [
            {"key": 0, "undecided": 2, "choice": None},
            {"key": 1, "undecided": 0, "choice": "theirs"},
        ],
    }
    rows = plan.rows()
    assert [row["kind"] for row in rows] == ["chunks", "node"]
    assert rows[1]["choices"] == ["ours", "theirs"]


def test_runs_touch_conflicting_chunks_only() -> None:
    plan = ConflictPlan([chunks()])
    entry = plan.entries[0]
    assert plan.decide(entry, "theirs", runs=[1, 1]) == 0
    assert not plan.can_undo
    plan.decide(entry, "theirs", runs=[3, 100])
    assert entry.states.tolist() == [1, 1, 3, 3]
    plan.decide(entry, None, runs=[4, 1])
    assert entry.states.tolist() == [1, 1, 3, 1]


@pytest.mark.parametrize("runs", [[1], [[1, 2]], ["a", "b"], [-1, 2], [0.5, 1], [2**62, 1]])
def test_odd_runs_are_refused(runs: object) -> None:
    plan = ConflictPlan([chunks()])
    with pytest.raises(ValueError, match="runs"):
        plan.decide(plan.entries[0], "ours", runs=runs)  # type: ignore[arg-type]


def test_listed_chunks_must_be_in_conflict() -> None:
    plan = ConflictPlan([chunks()])
    entry = plan.entries[0]
    plan.decide(entry, "base", chunks=[(1, 1), (0, 0), (0, 0)])
    assert entry.states.tolist() == [4, 1, 1, 4]
    for odd in ([0, 1], [9, 9], [0], [-1, 0]):
        with pytest.raises(InvalidInputError):
            plan.decide(entry, "base", chunks=[odd])


def test_only_what_is_offered_can_be_chosen() -> None:
    plan = ConflictPlan([node(ConflictType.DeleteOfUpdatedArray)])
    with pytest.raises(InvalidInputError, match="'ours' or 'theirs'"):
        plan.decide(plan.entries[0], "base")
    moves = ConflictPlan([node(ConflictType.MoveOperationCannotBeRebased, "")])
    with pytest.raises(InvalidInputError, match="no choices"):
        moves.decide(moves.entries[0], "theirs")
    assert moves.undecided == 1


def test_finding_a_conflict() -> None:
    plan = ConflictPlan([chunks(), node(ConflictType.ZarrMetadataDoubleUpdate)])
    assert plan.find("/a", "ChunkDoubleUpdate") is plan.entries[0]
    assert plan.find("/a", ConflictType.ZarrMetadataDoubleUpdate) is plan.entries[1]
    with pytest.raises(InvalidInputError, match="2 conflicts"):
        plan.find("/a")
    with pytest.raises(InvalidInputError, match="no conflict"):
        plan.find("/b")


def test_dropping_our_chunks_settles_them() -> None:
    plan = ConflictPlan([chunks(), node(ConflictType.ChunksUpdatedInUpdatedArray)])
    plan.decide(plan.entries[1], "theirs")
    assert plan.undecided == 0
    assert (plan.shown(plan.entries[0]) == CODE["theirs"]).all()
    assert plan.decisions()[0]["choice"] == "theirs"
    plan.undo()
    assert plan.undecided == 5


def test_decisions_name_their_chunks_and_grid() -> None:
    plan = ConflictPlan([chunks()])
    plan.decide(plan.entries[0], "theirs")
    assert plan.decisions() == [
        {
            "path": "/a",
            "type": "ChunkDoubleUpdate",
            "choice": "theirs",
            "runs": [0, 1, 2, 3],
            "grid": [2, 3],
        }
    ]


def test_every_kind_has_a_title() -> None:
    assert set(TITLES) == set(ConflictType) == set(CHOICES)


def test_kinds_of_merges_explain_their_choices() -> None:
    merging = {kind for kind in ConflictType if int(kind) > 100}
    assert len(merging) == 8
    assert merging <= set(MEANINGS)
    for kind in merging:
        row = node(kind).payload(1)
        assert row["choices"] == ["ours", "theirs"], kind
        # They have no "I" and "they": a merge does not know which side did what.
        assert not {"I", "They", "Mine", "Theirs"} & set(f"{row['title']} {MEANINGS[kind]}".split())


def test_node_decisions_carry_over_unless_they_were_touched() -> None:
    kind = ConflictType.ZarrMetadataDoubleUpdate
    old, new = ConflictPlan([node(kind)]), ConflictPlan([node(kind)])
    old.decide(old.entries[0], "ours")
    assert new.carry_over(old, Diff(updated_arrays={"/a"})) == 0
    assert new.carry_over(old, Diff(updated_arrays={"/b"})) == 1
    assert new.entries[0].choice == "ours"
    changed = ConflictPlan([Entry(0, Conflict(kind, "/a"), metadata=b"other")])
    assert changed.carry_over(old, Diff()) == 0


@given(st.lists(st.integers(0, 40), unique=True))
def test_runs_there_and_back(positions: list[int]) -> None:
    held = np.array(sorted(positions), np.int64)
    runs = runs_of(held)
    everything = np.arange(50)
    assert everything[in_runs(everything, runs)].tolist() == held.tolist()
    assert len(runs) <= 2 * len(held)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8))))
def test_overlapping_runs_in_any_order(pairs: list[tuple[int, int]]) -> None:
    everything = np.arange(50)
    wanted = {p for start, length in pairs for p in range(start, start + length)}
    hit = in_runs(everything, [number for pair in pairs for number in pair])
    assert set(everything[hit].tolist()) == wanted


def test_flat_positions() -> None:
    assert flat(np.array(COORDS, np.uint32), GRID).tolist() == [0, 2, 3, 4]
    assert flat(np.empty((1, 0), np.uint32), ()).tolist() == [0]


steps = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["ours", "theirs", "base", None]),
            st.one_of(st.none(), st.tuples(st.integers(0, 5), st.integers(0, 6)).map(list)),
        ),
        st.sampled_from(["undo", "redo"]),
    ),
    max_size=25,
)


@settings(max_examples=200)
@given(steps)
def test_undo_and_redo_follow_a_plain_model(walk: list[object]) -> None:
    plan = ConflictPlan([chunks()])
    entry = plan.entries[0]
    past, future, now = [], [], [1, 1, 1, 1]
    for step in walk:
        if step == "undo":
            assert plan.undo() == bool(past)
            if past:
                future.append(now)
                now = past.pop()
        elif step == "redo":
            assert plan.redo() == bool(future)
            if future:
                past.append(now)
                now = future.pop()
        else:
            choice, runs = step  # type: ignore[misc]
            low, high = (0, 99) if runs is None else (runs[0], runs[0] + runs[1])
            after = [
                CODE[choice] if low <= place < high else state
                for place, state in zip([0, 2, 3, 4], now, strict=True)
            ]
            plan.decide(entry, choice, runs=runs)
            if after != now:
                past.append(now)
                future, now = [], after
        assert entry.states.tolist() == now
        assert plan.undecided == now.count(1)
