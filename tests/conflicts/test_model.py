from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

from icechunk.conflicts import (
    Conflict,
    ConflictReport,
    ConflictSolver,
    ConflictType,
    VersionSelection,
)
from tests.oracle import run_reference


def test_conflict_types_are_the_numbers_1_to_11_with_readable_names() -> None:
    numbers = [int(kind) for kind in ConflictType]
    assert numbers[:11] == list(range(1, 12))
    assert min(numbers[11:]) > 100, "kinds that only merges report"
    assert ConflictType(6) is ConflictType.ChunkDoubleUpdate
    assert repr(ConflictType.ChunkDoubleUpdate) == "ChunkDoubleUpdate"
    assert str(ConflictType.NewNodeInInvalidGroup) == "New node in invalid group"
    assert ConflictType.ChunkDoubleUpdate != 6  # an Enum, not an int, for callers of any release
    assert ConflictType.UserAttributesDoubleUpdate is ConflictType.ZarrMetadataDoubleUpdate
    assert (
        ConflictType.UserAttributesUpdateOfDeletedNode
        is ConflictType.ZarrMetadataUpdateOfDeletedArray
    )


def test_an_unknown_conflict_type_says_so() -> None:
    with pytest.raises(ValueError, match="Invalid ConflictType value: 12"):
        ConflictType(12)
    with pytest.raises(TypeError, match="'str' object cannot be interpreted as an integer"):
        ConflictType("ChunkDoubleUpdate")


def test_version_selection_has_numbers_and_executable_reprs() -> None:
    assert [int(choice) for choice in VersionSelection] == [0, 1, 2]
    assert str(VersionSelection.UseOurs) == repr(VersionSelection.UseOurs)
    assert eval(repr(VersionSelection.Fail)) is VersionSelection.Fail
    assert VersionSelection.Fail != 0


def test_chunks_are_a_list_and_an_array_whichever_was_given() -> None:
    listed = Conflict(ConflictType.ChunkDoubleUpdate, "/a", ((0, 1), (2, 3)))
    array = Conflict.of_chunks("/a", np.array([[0, 1], [2, 3]], np.uint32))
    for conflict in (listed, array):
        assert conflict.conflicted_chunks == [[0, 1], [2, 3]]
        assert conflict.chunk_array is not None
        assert conflict.chunk_array.dtype == np.uint32
        assert conflict.num_chunks == 2
        assert json.loads(json.dumps(conflict.to_dict()))["chunks"] == [[0, 1], [2, 3]]
    assert listed == array
    assert hash(listed) == hash(array)
    assert listed != Conflict(ConflictType.ChunkDoubleUpdate, "/a", [[0, 1]])
    assert listed != Conflict(ConflictType.ChunkDoubleUpdate, "/b", [[0, 1], [2, 3]])
    plain = Conflict(ConflictType.DeleteOfUpdatedArray, "/a")
    assert plain.conflicted_chunks is None
    assert plain.chunk_array is None
    assert plain.num_chunks == 0
    assert plain != listed
    assert plain == Conflict(ConflictType.DeleteOfUpdatedArray, "/a")


def test_a_conflict_of_a_scalar_array_has_one_chunk_without_coordinates() -> None:
    conflict = Conflict(ConflictType.ChunkDoubleUpdate, "/a", [[]])
    assert conflict.chunk_array is not None
    assert conflict.chunk_array.shape == (1, 0)


def test_conflicts_pickle_and_copy() -> None:
    for conflict in (
        Conflict(ConflictType.ChunkDoubleUpdate, "/a", [[1]]),
        Conflict.of_chunks("/a", np.array([[1]], np.uint32)),
        Conflict(ConflictType.MoveOperationCannotBeRebased, ""),
    ):
        assert pickle.loads(pickle.dumps(conflict)) == conflict
        assert copy.deepcopy(conflict) == conflict


def test_wrong_arguments_of_a_conflict_are_type_errors() -> None:
    with pytest.raises(TypeError, match="'int' object is not an instance of 'ConflictType'"):
        Conflict(1, "/a")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'int' object is not an instance of 'str'"):
        Conflict(ConflictType.ChunkDoubleUpdate, 2)  # type: ignore[arg-type]


def test_the_repr_of_a_million_chunks_stays_short() -> None:
    coords = np.zeros((1_000_000, 3), np.uint32)
    text = repr(Conflict.of_chunks("/a", coords))
    assert len(text) < 20_000
    assert "999000 more]" in text


def test_a_solver_needs_a_solve_method() -> None:
    with pytest.raises(TypeError):
        ConflictSolver()  # type: ignore[abstract]


def test_a_report_is_json_and_as_long_as_its_conflicts() -> None:
    clean = ConflictReport("main", "A", "A", None, [])
    assert len(clean) == 0
    report = ConflictReport(
        "main", "A", "C", "B", [Conflict(ConflictType.ChunkDoubleUpdate, "/a", [[0]])]
    )
    assert len(report) == 1
    assert json.loads(json.dumps(report.to_dict())) == {
        "branch": "main",
        "base": "A",
        "tip": "C",
        "snapshot": "B",
        "conflicts": [{"type": "ChunkDoubleUpdate", "path": "/a", "chunks": [[0]]}],
    }


@pytest.mark.oracle
def test_reprs_and_names_are_those_of_the_reference_library() -> None:
    theirs = run_reference(
        """
        from icechunk import Conflict, ConflictType, VersionSelection
        kinds = [ConflictType(n) for n in range(1, 12)]
        result = {
            "kinds": [[repr(k), str(k)] for k in kinds],
            "conflicts": [
                repr(Conflict(kinds[5], "/a", [[0, 1], [2, 3]])),
                repr(Conflict(kinds[0], "/a")),
            ],
            "versions": [repr(getattr(VersionSelection, n)) for n in ("Fail", "UseOurs")],
        }
        """
    )
    assert theirs["kinds"] == [[repr(kind), str(kind)] for kind in ConflictType if int(kind) < 100]
    assert theirs["conflicts"] == [
        repr(Conflict(ConflictType.ChunkDoubleUpdate, "/a", [[0, 1], [2, 3]])),
        repr(Conflict(ConflictType.NewNodeConflictsWithExistingNode, "/a")),
    ]
    assert theirs["versions"] == [repr(VersionSelection.Fail), repr(VersionSelection.UseOurs)]
