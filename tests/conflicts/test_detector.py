from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.conflicts import Conflict, ConflictDetector, ConflictType, Patched, Unsolvable, detect
from icechunk.core.ids import ObjectId
from icechunk.spec.transaction_log.log import Move, TransactionLog
from tests.conflicts.hierarchies import (
    Repository,
    Writer,
    array_document,
    group_document,
    log_of_chunks,
)
from tests.oracle import run_reference


@pytest.fixture
def repo() -> Repository:
    return Repository()


def found(ours: Writer, theirs: Writer) -> list[tuple[str, str]]:
    log, nodes = theirs.commit()
    return [(c.conflict_type.name, c.path) for c in detect(log, nodes, ours.changes, ours)]


def test_changes_of_different_things_do_not_conflict(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    theirs.write("/a", (0, 0), (1, 1))
    theirs.make("/new", GROUP_OF_THEIRS)
    theirs.describe("/g", group_document(who="them"))
    ours.write("/a", (0, 1))
    ours.make("/mine", array_document((2,)))
    ours.write("/mine", (0,))
    ours.describe("/g/h", group_document(who="us"))
    assert found(ours, theirs) == []


GROUP_OF_THEIRS = group_document(who="them")


def test_a_new_node_meets_theirs(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    theirs.make("/g/x", array_document((2,)))
    ours.make("/g/x")
    assert found(ours, theirs) == [("NewNodeConflictsWithExistingNode", "/g/x")]


def test_deleting_and_making_again_over_an_untouched_node_is_fine(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    theirs.write("/g/b", (0,))
    ours.delete("/a")
    ours.make("/a", array_document((2,)))
    assert found(ours, theirs) == []


def test_deleting_and_making_again_over_a_changed_node_is_a_conflict(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    theirs.write("/a", (0, 0))
    ours.delete("/a")
    ours.make("/a", array_document((2,)))
    assert found(ours, theirs) == [("DeleteOfUpdatedArray", "/a")]


def test_what_both_deleted_and_made_again_is_not_lost_silently(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    for writer in (ours, theirs):
        writer.delete("/a")
        writer.make("/a", array_document((2,)))
    assert found(ours, theirs) == [("NewNodeConflictsWithExistingNode", "/a")]


def test_new_nodes_below_their_array_name_the_array_once_each(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    theirs.make("/p", array_document((2,)))
    ours.make("/p/x/y")
    ours.make("/p/x")
    assert found(ours, theirs) == [("NewNodeInInvalidGroup", "/p")] * 2


def test_metadata_of_both(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    for writer in (ours, theirs):
        writer.describe("/g", group_document(who=id(writer)))
        writer.describe("/a", array_document((4, 4), who=id(writer)))
        writer.describe("/", group_document(who=id(writer)))
    assert found(ours, theirs) == [
        ("ZarrMetadataDoubleUpdate", "/a"),
        ("ZarrMetadataDoubleUpdate", "/"),
        ("ZarrMetadataDoubleUpdate", "/g"),
    ]


def test_changes_of_what_they_deleted(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    theirs.delete("/a")
    theirs.delete("/g")
    ours.describe("/a", array_document((4, 4), note=1))
    ours.describe("/g", group_document(note=1))
    ours.write("/g/b", (1,))
    assert found(ours, theirs) == [
        ("ZarrMetadataUpdateOfDeletedArray", "/a"),
        ("ZarrMetadataUpdateOfDeletedGroup", "/g"),
        ("ChunksUpdatedInDeletedArray", "/g/b"),
    ]


def test_chunks_of_an_array_whose_metadata_they_changed(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    theirs.describe("/a", array_document((4, 4), units="K"))
    ours.write("/a", (0, 0))
    assert found(ours, theirs) == [("ChunksUpdatedInUpdatedArray", "/a")]
    # the other way round is no conflict
    assert found(theirs, ours) == []


def test_common_chunks_are_listed_in_order_deletions_included(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    theirs.write("/a", (3, 3), (1, 2), (0, 0))
    theirs.erase("/a", (2, 1))
    ours.write("/a", (2, 1), (3, 3), (3, 0))
    ours.erase("/a", (0, 0))
    log, nodes = theirs.commit()
    (conflict,) = detect(log, nodes, ours.changes, ours)
    assert conflict == Conflict(ConflictType.ChunkDoubleUpdate, "/a", [[0, 0], [2, 1], [3, 3]])


def test_deletes_of_what_they_changed(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    theirs.write("/g/b", (1,))
    theirs.describe("/a", array_document((4, 4), note=1))
    theirs.describe("/g", group_document(note=1))
    ours.delete("/a")
    ours.delete("/g")
    assert found(ours, theirs) == [
        ("DeleteOfUpdatedArray", "/a"),
        ("DeleteOfUpdatedArray", "/g/b"),
        ("DeleteOfUpdatedGroup", "/g"),
    ]


def test_both_delete_and_one_adds_to_a_deleted_group(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    theirs.delete("/a")
    theirs.delete("/g")
    ours.delete("/a")
    assert found(ours, theirs) == found(theirs, ours) == []
    ours.make("/g/new")
    ours.make("/g/h/new")
    ours.make("/g/h/new/deeper")
    assert found(ours, theirs) == [
        ("NewNodeInInvalidGroup", "/g/h"),
        ("NewNodeInInvalidGroup", "/g/h"),
        ("NewNodeInInvalidGroup", "/g"),
    ]
    assert found(theirs, ours) == [("DeleteOfUpdatedGroup", "/g"), ("DeleteOfUpdatedGroup", "/g/h")]


def test_a_group_that_one_made_again_takes_what_the_other_made_in_it(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    theirs.delete("/g")
    theirs.make("/g")
    ours.make("/g/new")
    assert found(ours, theirs) == found(theirs, ours) == []
    theirs.delete("/g")
    theirs.make("/g", array_document((2,)))
    assert found(ours, theirs) == [("NewNodeInInvalidGroup", "/g")]
    assert found(theirs, ours) == [("DeleteOfUpdatedGroup", "/g")]


def test_chunks_removed_by_a_resize(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    for shape in ((4, 2), (4, 4)):  # made smaller, and larger again, by metadata alone
        ours.describe("/a", array_document(shape))
        theirs.write("/a", (0, 0), (0, 3))
        log, nodes = theirs.commit()
        (conflict,) = detect(log, nodes, ours.changes, ours)
        assert conflict == Conflict(ConflictType.ChunkDoubleUpdate, "/a", [[0, 3]])


def test_logs_that_do_not_name_what_a_resize_removed(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    theirs.describe("/a", array_document((4, 2)))
    ours.write("/a", (0, 0), (0, 3))
    ours.erase("/a", (1, 3))
    log, nodes = theirs.commit()
    assert log.updated_chunks == {}
    assert detect(log, nodes, ours.changes, ours) == [
        Conflict(ConflictType.ChunksUpdatedInUpdatedArray, "/a"),
        Conflict(ConflictType.ChunkDoubleUpdate, "/a", [[0, 3]]),
    ]


def test_a_move_of_theirs_ends_the_search(repo: Repository) -> None:
    ours = repo.writer()
    ours.write("/a", (0, 0))
    log = TransactionLog(
        id=ObjectId(bytes(12)),
        deleted_arrays=frozenset([repo.id("/a")]),
        moved=(Move("/a", "/z", repo.id("/a"), True),),
    )
    assert detect(log, repo.nodes, ours.changes, ours) == [
        Conflict(ConflictType.MoveOperationCannotBeRebased, "")
    ]


def test_an_array_whose_edits_were_all_dropped_conflicts_with_nothing(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    ours.write("/a", (0, 0))
    ours.changes.edits(ours.node("/a")).drop(np.array([[0, 0]], np.uint32))
    theirs.delete("/a")
    assert found(ours, theirs) == []


def test_scalar_arrays_conflict_in_their_only_chunk() -> None:
    repo = Repository()
    ours, theirs = repo.writer(), repo.writer()
    # a 0-d array made by an earlier commit
    made = ours.make("/s", array_document(()))
    _, nodes = ours.commit()
    ours, theirs = Writer(nodes, {}), Writer(nodes, {})
    ours.write("/s", ())
    theirs.write("/s", ())
    log, after = theirs.commit()
    assert log.updated_chunks[made.id].shape == (1, 0)
    (conflict,) = detect(log, after, ours.changes, ours)
    assert conflict.conflicted_chunks == [[]]


coordinate = st.tuples(st.integers(0, 3), st.integers(0, 3))


@given(st.lists(coordinate), st.lists(coordinate))
def test_common_chunks_are_the_intersection(
    mine: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    repo = Repository()
    ours = repo.writer()
    ours.write("/a", *mine)
    log = log_of_chunks(repo.id("/a"), list(other), 2)
    conflicts = detect(log, repo.nodes, ours.changes, ours)
    expected = sorted(set(mine) & set(other))
    assert [c.conflicted_chunks for c in conflicts] == (
        [[list(coords) for coords in expected]] if expected else []
    )


def test_a_million_common_chunks_stay_an_array() -> None:
    repo = Repository()
    ours = repo.writer()
    shape = (1000, 1000)
    ours.describe("/a", array_document(shape))
    ours.changes.updated.clear()
    node = ours.node("/a")
    rows = np.stack(np.unravel_index(np.arange(10**6), shape), axis=1).astype(np.uint32)
    from icechunk.changes.chunk_edits import ChunkEdits
    from icechunk.spec.manifest.chunk_table import NATIVE, ChunkTable

    edits = ours.changes.chunks[node.id] = ChunkEdits(shape)
    edits.extend(
        ChunkTable.from_columns(
            rows,
            np.full(len(rows), NATIVE, np.uint8),
            np.zeros((len(rows), 12), np.uint8),
            None,
            np.ones(len(rows), np.uint64),
        )
    )
    log = TransactionLog(id=ObjectId(bytes(12)), updated_chunks={node.id: rows[::2]})
    (conflict,) = detect(log, repo.nodes, ours.changes, ours)
    assert conflict.num_chunks == 500_000
    assert conflict.chunk_array is not None
    assert np.array_equal(conflict.chunk_array, rows[::2])


def test_the_detector_lets_pass_or_reports_everything(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    ours.write("/a", (0, 0))
    theirs.write("/a", (1, 1))
    log, nodes = theirs.commit()
    assert ConflictDetector().solve(log, nodes, ours.changes, ours) == Patched(ours.changes)
    theirs.write("/a", (0, 0))
    log, nodes = theirs.commit()
    assert ConflictDetector().solve(log, nodes, ours.changes, ours) == Unsolvable(
        [Conflict(ConflictType.ChunkDoubleUpdate, "/a", [[0, 0]])]
    )


@pytest.mark.oracle
def test_kinds_and_their_order_are_those_of_the_reference_library() -> None:
    theirs_says = run_reference(
        """
        import icechunk, zarr
        repo = icechunk.Repository.create(icechunk.in_memory_storage())
        s = repo.writable_session("main")
        zarr.group(s.store)
        for name in "abcdef":
            zarr.create_array(s.store, name=name, shape=(4, 4), chunks=(1, 1), dtype="i4")
        for name in ("ga", "gb", "gc"):
            zarr.create_group(s.store, path=name)
        s.commit("base")
        theirs, ours = repo.writable_session("main"), repo.writable_session("main")
        t, o = zarr.open_group(theirs.store), zarr.open_group(ours.store)
        t.create_group("new"); o.create_group("new")
        t.create_array("p", shape=(1,), dtype="i4"); zarr.create_group(ours.store, path="p/x")
        for g in (t, o):
            g["a"].attrs["k"] = str(g)
            g["ga"].attrs["k"] = str(g)
            g["d"][1:3, :2] = 7
        del t["b"], t["gb"], t["c"]
        o["b"].attrs["k"] = 1
        o["gb"].attrs["k"] = 1
        o["c"][0, 0] = 1
        o["a"][0, 0] = 1
        t["e"][0, 0] = 1
        t["gc"].attrs["k"] = 1
        del o["e"], o["gc"]
        theirs.commit("theirs")
        try:
            ours.rebase(icechunk.ConflictDetector())
        except icechunk.RebaseFailedError as error:
            result = [[repr(c.conflict_type), c.path, c.conflicted_chunks] for c in error.conflicts]
        """
    )
    repo = Repository()
    maker = repo.writer()
    for name in "bcdef":
        maker.make(f"/{name}", array_document((4, 4)))
    for name in ("ga", "gb", "gc"):
        maker.make(f"/{name}")
    _, nodes = maker.commit()
    ours, theirs = Writer(nodes, {}), Writer(nodes, {})
    theirs.make("/new")
    theirs.make("/p", array_document((1,)))
    for path in ("/new", "/p", "/p/x"):
        ours.make(path)
    for writer in (ours, theirs):
        writer.describe("/a", array_document((4, 4), k=id(writer)))
        writer.describe("/ga", group_document(k=id(writer)))
        writer.write("/d", (1, 0), (1, 1), (2, 0), (2, 1))
    for path in ("/b", "/gb", "/c"):
        theirs.delete(path)
    ours.describe("/b", array_document((4, 4), k=1))
    ours.describe("/gb", group_document(k=1))
    ours.write("/c", (0, 0))
    ours.write("/a", (0, 0))
    theirs.write("/e", (0, 0))
    theirs.describe("/gc", group_document(k=1))
    ours.delete("/e")
    ours.delete("/gc")
    log, after = theirs.commit()
    found = [
        [c.conflict_type.name, c.path, c.conflicted_chunks]
        for c in detect(log, after, ours.changes, ours)
    ]
    # within one kind the reference's order is that of a hash table
    assert [kind for kind, _, _ in found] == [kind for kind, _, _ in theirs_says]
    assert sorted(map(repr, found)) == sorted(map(repr, theirs_says))
    assert len({kind for kind, _, _ in found}) == 10


def test_nodes_below_an_array_that_the_other_deleted(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    theirs.delete("/a")
    ours.make("/a/below")
    assert found(ours, theirs) == [("NewNodeInInvalidGroup", "/a")]
    assert found(theirs, ours) == [("DeleteOfUpdatedArray", "/a")]
