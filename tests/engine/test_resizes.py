"""Resizes: what they remove is in the log, and a rebase keeps what both sides wrote."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.core.buffer.cpu import Buffer

import icechunk
from icechunk import (
    BasicConflictSolver,
    ConflictDetector,
    ConflictSolver,
    DecisionSolver,
    InvalidInputError,
    RebaseFailedError,
    Repository,
    Session,
    VersionSelection,
)
from tests.oracle import run_reference

SCRIPT = """
import asyncio, warnings
import icechunk, zarr
warnings.simplefilter("ignore")

def array(session):
    return zarr.open_array(session.store, path="a", mode="r+")

def act(session, step):
    what, *rest = step
    if what == "resize":
        array(session).resize((rest[0],))
    elif what == "write" and rest[0] < array(session).shape[0]:
        array(session)[rest[0] : rest[0] + 2] = rest[1]
    elif what == "attrs":
        array(session).attrs["x"] = rest[0]
    elif what == "shift":
        session.shift_array("/a", (rest[0],))
    elif what == "delete":
        asyncio.run(session.store.delete_dir("a"))
    elif what == "make":
        made = zarr.create_array(session.store, name="b", shape=(8,), chunks=(2,), dtype="i4")
        made[:] = 1
        made.resize((4,))

def plain(diff):
    names = ("new_arrays", "updated_arrays", "deleted_arrays")
    return {
        **{name: sorted(getattr(diff, name)) for name in names},
        "chunks": {path: sorted(rows) for path, rows in dict(diff.updated_chunks).items()},
    }

def values(session):
    try:
        return zarr.open_array(session.store, path="a", mode="r")[:].tolist()
    except Exception:
        return None

def story(mine, theirs, amend):
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    made = zarr.create_array(
        session.store, name="a", shape=(8,), chunks=(2,), dtype="i4", fill_value=-1
    )
    made[:] = 1
    base = session.commit("base")
    ours, other = repo.writable_session("main"), repo.writable_session("main")
    for step in theirs:
        act(other, step)
    their_tip = other.commit("theirs", allow_empty=True)
    for step in mine:
        act(ours, step)
    result = {"status": plain(ours.status()), "log": plain(repo.diff(
        from_snapshot_id=base, to_snapshot_id=their_tip)), "theirs": values(other)}
    try:
        ours.rebase(icechunk.ConflictDetector())
    except icechunk.RebaseFailedError as error:
        result["conflicts"] = sorted(
            [str(c.conflict_type), c.path, sorted(c.conflicted_chunks or [])]
            for c in error.conflicts
        )
        return result
    if amend:
        ours.amend("both", allow_empty=True)
    else:
        ours.commit("both", allow_empty=True)
    result["values"] = values(repo.readonly_session("main"))
    tip = repo.lookup_branch("main")
    result["all"] = plain(repo.diff(from_snapshot_id=base, to_snapshot_id=tip))
    return result

result = [story(*one) for one in stories]
"""
SHRINK, GROW, LOW, HIGH = ["resize", 4], ["resize", 12], ["write", 0, 5], ["write", 6, 5]
SIDES: dict[str, list[list[Any]]] = {
    "nothing": [],
    "shrink": [SHRINK],
    "to nothing": [["resize", 0]],
    "shrink and grow": [SHRINK, ["resize", 8]],
    "write, shrink": [HIGH, SHRINK],
    "shrink, grow, write": [SHRINK, GROW, ["write", 4, 6]],
    "grow, write, shrink, grow": [GROW, ["write", 10, 6], SHRINK, GROW],
    "grow, write": [GROW, ["write", 10, 6]],
    "write low": [LOW],
    "write high": [HIGH],
    "attrs": [["attrs", 1]],
    "shift": [["shift", 1]],
    "shrink, shift": [SHRINK, ["shift", 1]],
    "delete": [["delete"]],
    "another": [["make"]],
}
STORIES = [
    (mine, theirs, amend)
    for number, mine in enumerate(SIDES.values())
    for theirs in SIDES.values()
    for amend in (number % 2 == 1,)
]


def run(stories: list[Any]) -> list[dict[str, Any]]:
    scope: dict[str, Any] = {"stories": stories}
    exec(SCRIPT, scope)
    found: list[dict[str, Any]] = json.loads(json.dumps(scope["result"]))
    return found


@pytest.mark.oracle
def test_logs_and_rebases_are_those_of_the_reference() -> None:
    reference = run_reference("stories = args[0]\n" + SCRIPT, STORIES)
    for story, mine, its in zip(STORIES, run(STORIES), reference, strict=True):
        assert mine == its, story


def test_what_a_resize_removes_is_in_the_log() -> None:
    removed = {"/a": [[2], [3]]}
    for name in ("shrink", "shrink and grow", "write, shrink"):
        (found,) = run([(SIDES[name], [], False)])
        assert found["status"]["chunks"] == found["all"]["chunks"] == removed
        (amended,) = run([(SIDES[name], SIDES["write low"], True)])
        assert amended["all"]["chunks"] == {"/a": [[0], [2], [3]]}


def test_a_chunk_that_a_shrink_cuts_is_a_conflict_with_its_write() -> None:
    """Chunk 2 holds cells 4 and 5: the smaller array keeps the chunk and drops cell 5."""
    cut, write = ["resize", 5], ["write", 4, 5]
    (ours,) = run([([cut], [write], False)])
    assert ours["conflicts"] == [["Chunk double update", "/a", [[2]]]]
    (theirs,) = run([([write], [cut], False)])
    assert theirs["conflicts"] == [
        ["Chunk double update", "/a", [[2]]],
        ["Chunks updated in updated array", "/a", []],
    ]
    for shape, whole in ((5, ["write", 2, 5]), (6, write)):
        (found,) = run([([["resize", shape]], [whole], False)])
        assert found["values"][whole[1]] == 5
    (grown,) = run([([cut, ["resize", 8]], [write], False)])
    assert grown["values"] == [1, 1, 1, 1, 5, 5, -1, -1]


@pytest.mark.oracle
def test_the_reference_drops_cells_of_a_chunk_that_a_shrink_cuts() -> None:
    stories = [([["resize", 5]], [["write", 4, 5]], False)]
    (found,) = run_reference("stories = args[0]\n" + SCRIPT, stories)
    assert found["values"] == [1, 1, 1, 1, 5]


def test_a_shrink_over_a_write_beyond_is_a_conflict() -> None:
    for name in ("shrink", "shrink and grow"):
        (found,) = run([(SIDES[name], SIDES["write high"], False)])
        assert found["conflicts"] == [["Chunk double update", "/a", [[3]]]]


@pytest.fixture
def repo() -> Repository:
    return a_row(8)


def a_row(size: int, chunk: int = 1) -> Repository:
    """An array ``/a`` of ones, by default in chunks of one element."""
    repo = Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    zarr.create_array(
        session.store, name="a", shape=(size,), chunks=(chunk,), dtype="i4", fill_value=-1
    )[:] = 1
    session.commit("base")
    return repo


def row(session: Session) -> zarr.Array[Any]:
    return zarr.open_array(session.store, path="a", mode="r+")


def values(repo: Repository) -> list[int]:
    array = zarr.open_array(repo.readonly_session("main").store, path="a", mode="r")
    return np.asarray(array[:]).tolist()


def describe(session: Session, size: int) -> None:
    """Change the shape by metadata alone: the chunks outside are not deleted."""
    document = json.loads(session.store.get_sync("a/zarr.json").to_bytes())
    text = json.dumps({**document, "shape": [size]}).encode()
    session.store.set_sync("a/zarr.json", Buffer.from_bytes(text))


def zarr_resize(session: Session, size: int) -> None:
    row(session).resize((size,))


RESIZES = pytest.mark.parametrize("resize", [zarr_resize, describe])
SOLVERS = pytest.mark.parametrize(
    "solver",
    [
        BasicConflictSolver(on_chunk_conflict=VersionSelection.UseTheirs),
        DecisionSolver([{"path": "/a", "type": "ChunkDoubleUpdate", "choice": "theirs"}]),
    ],
    ids=["basic", "decisions"],
)


@RESIZES
@SOLVERS
def test_their_chunk_stays_where_our_array_grew_again(
    repo: Repository, resize: Any, solver: ConflictSolver
) -> None:
    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    row(theirs)[6] = 5
    theirs.commit("beyond")
    resize(ours, 4)
    resize(ours, 10)
    row(ours)[9] = 7
    ours.rebase(solver)
    assert np.asarray(row(ours)[:]).tolist() == [1, 1, 1, 1, -1, -1, 5, -1, -1, 7]
    ours.commit("ours")
    assert values(repo) == [1, 1, 1, 1, -1, -1, 5, -1, -1, 7]


@RESIZES
@SOLVERS
def test_their_chunk_has_no_place_in_our_smaller_array(
    repo: Repository, resize: Any, solver: ConflictSolver
) -> None:
    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    row(theirs)[6] = 5
    theirs.commit("beyond")
    resize(ours, 4)
    with pytest.raises((RebaseFailedError, InvalidInputError)) as caught:
        ours.rebase(solver)
    if isinstance(caught.value, RebaseFailedError):
        assert [c.conflicted_chunks for c in caught.value.conflicts] == [[[6]]]
    else:
        assert "no place" in str(caught.value)
    ours.rebase(BasicConflictSolver(on_chunk_conflict=VersionSelection.UseOurs))
    ours.commit("ours")
    assert values(repo) == [1, 1, 1, 1]


@RESIZES
@SOLVERS
def test_their_chunk_would_be_cut_by_our_smaller_array(resize: Any, solver: ConflictSolver) -> None:
    repo = a_row(8, chunk=2)
    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    row(theirs)[4:6] = 5
    theirs.commit("in the chunk that is cut")
    row(ours)[4] = 7
    resize(ours, 5)
    with pytest.raises((RebaseFailedError, InvalidInputError)) as caught:
        ours.rebase(solver)
    if isinstance(caught.value, RebaseFailedError):
        assert [c.conflicted_chunks for c in caught.value.conflicts] == [[[2]]]
    else:
        assert "no place" in str(caught.value)
    ours.rebase(BasicConflictSolver(on_chunk_conflict=VersionSelection.UseOurs))
    ours.commit("ours")
    assert values(repo) == [1, 1, 1, 1, 7]


@RESIZES
def test_our_chunks_over_their_smaller_array(repo: Repository, resize: Any) -> None:
    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    resize(theirs, 4)
    theirs.commit("smaller")
    row(ours)[[0, 6]] = 5
    with pytest.raises(RebaseFailedError) as caught:
        ours.rebase(ConflictDetector())
    kinds = [(c.conflict_type.name, c.conflicted_chunks) for c in caught.value.conflicts]
    assert kinds == [("ChunksUpdatedInUpdatedArray", None), ("ChunkDoubleUpdate", [[6]])]
    keep = {"path": "/a", "type": "ChunksUpdatedInUpdatedArray", "choice": "ours"}
    theirs_there = {"path": "/a", "type": "ChunkDoubleUpdate", "choice": "theirs"}
    ours.rebase(DecisionSolver([keep, theirs_there]))
    ours.commit("ours")
    assert values(repo) == [5, 1, 1, 1]


def test_their_chunk_and_their_metadata(repo: Repository) -> None:
    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    row(theirs)[6] = 5
    row(theirs).attrs["x"] = 1
    theirs.commit("beyond")
    zarr_resize(ours, 4)
    kinds = ("ChunkDoubleUpdate", "ZarrMetadataDoubleUpdate", "ChunksUpdatedInUpdatedArray")
    ours.rebase(DecisionSolver([{"path": "/a", "type": k, "choice": "theirs"} for k in kinds]))
    ours.commit("theirs", allow_empty=True)
    assert values(repo) == [1, 1, 1, 1, 1, 1, 5, 1]


def test_their_metadata_instead_of_our_smaller_array(repo: Repository) -> None:
    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    row(theirs).attrs["x"] = 1
    theirs.commit("attributes")
    describe(ours, 4)
    row(ours)[0] = 5
    kinds = {"ZarrMetadataDoubleUpdate": "theirs", "ChunksUpdatedInUpdatedArray": "ours"}
    ours.rebase(DecisionSolver([{"path": "/a", "type": k, "choice": c} for k, c in kinds.items()]))
    ours.commit("ours")
    assert values(repo) == [5, 1, 1, 1, 1, 1, 1, 1]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 8), st.sets(st.integers(0, 7)), st.booleans())
def test_no_cell_vanishes_in_a_rebase_of_or_over_a_shrink(
    size: int, cells: set[int], ours_shrinks: bool
) -> None:
    repo = a_row(8, chunk=3)
    first, second = repo.writable_session("main"), repo.writable_session("main")
    shrinking, writing = (second, first) if ours_shrinks else (first, second)
    zarr_resize(shrinking, size)
    for cell in cells:
        row(writing)[cell] = 5
    first.commit("first", allow_empty=True)
    try:
        second.rebase(ConflictDetector())
    except RebaseFailedError:
        assert cells
        return
    second.commit("second", allow_empty=True)
    assert values(repo) == [5 if cell in cells else 1 for cell in range(size)]
    assert size == 8 or all(cell < size for cell in cells)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 5)),
        st.tuples(st.just("resize"), st.sampled_from([0, 2, 3, 4, 5])),
        st.tuples(st.just("delete"), st.integers(0, 5)),
    ),
    max_size=4,
)


class Side:
    """A session and what it should hold: cells, and which of them it changed or removed."""

    def __init__(self, session: Session, cells: list[int], value: int) -> None:
        self.session, self.cells, self.value = session, list(cells), value
        self.touched: set[int] = set()
        self.size = len(cells)

    def act(self, what: str, place: int) -> None:
        if what == "resize":
            self.touched |= set(range(place, len(self.cells)))
            self.cells = [*self.cells[:place], *[-1] * (place - len(self.cells))]
            row(self.session).resize((place,))
        elif place < len(self.cells):
            self.cells[place] = self.value if what == "write" else -1
            row(self.session)[place] = self.cells[place]
            self.touched.add(place)


@settings(deadline=None)
@given(STEPS, STEPS, st.booleans(), st.booleans())
def test_a_rebase_keeps_what_both_did_or_is_refused(
    mine: Any, its: Any, split: bool, skip: bool
) -> None:
    repo = a_row(4)
    if skip:
        repo = Repository.open(repo.storage, icechunk.RepositoryConfig(skip_unchanged_chunks=True))
    ours = Side(repo.writable_session("main"), [1] * 4, 7)
    theirs = Side(repo.writable_session("main"), [1] * 4, 5)
    for step in mine:
        ours.act(*step)
    for step in its:
        theirs.act(*step)
        if split:
            theirs.session.commit("step", allow_empty=True)
            theirs.session = repo.writable_session("main")
    theirs.session.commit("theirs", allow_empty=True)
    try:
        ours.session.rebase(ConflictDetector())
    except RebaseFailedError:
        assert np.asarray(row(ours.session)[:]).tolist() == ours.cells or split
        return
    ours.session.commit("ours", allow_empty=True)
    base = [1] * 4
    merged = theirs.cells if len(theirs.cells) != 4 else ours.cells
    expected = [-1] * len(merged)
    for place in range(len(merged)):
        for side in (ours.cells, theirs.cells):
            former = base[place] if place < 4 else -1
            if place < len(side) and side[place] != former:
                expected[place] = side[place]
                break
        else:
            expected[place] = base[place] if place < 4 else -1
    assert values(repo) == expected
    assert skip or not (ours.touched & theirs.touched)
