"""Decisions about nodes: their metadata, deletions, names."""

from __future__ import annotations

import json

import pytest

from icechunk.core.errors import InvalidInputError
from tests.conflicts.deciding import Entry, entry, left, patched, solve
from tests.conflicts.hierarchies import (
    Repository,
    Writer,
    array_document,
    edited,
    group_document,
    payload,
)


def _metadata_clash(repo: Repository) -> tuple[Writer, Writer]:
    ours, theirs = repo.writer(), repo.writer()
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


def test_custom_metadata(repo: Repository) -> None:
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
    ours, theirs = repo.writer(), repo.writer()
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
    ours, theirs = repo.writer(), repo.writer()
    ours.write("/a", (3, 3))
    theirs.describe("/a", document)
    with pytest.raises(InvalidInputError, match=message):
        solve(ours, theirs, entry("/a", "ChunksUpdatedInUpdatedArray", "ours"))


def test_our_deletions_outside_a_smaller_array_do_not_matter(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    ours.erase("/a", (3, 3))
    ours.write("/a", (0, 0))
    theirs.describe("/a", array_document((3, 4)))
    changes, _ = patched(ours, theirs, entry("/a", "ChunksUpdatedInUpdatedArray", "ours"))
    assert edited(changes, repo.id("/a")) == {(0, 0), (3, 3)}


def test_our_metadata_saves_chunks_that_would_not_fit_theirs(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
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


def test_our_changes_of_what_they_deleted_can_only_be_dropped(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
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


def test_our_delete_is_kept_or_dropped(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    ours.delete("/a")
    theirs.write("/a", (0, 0))
    kind = "DeleteOfUpdatedArray"
    kept, view = patched(ours, theirs, entry("/a", kind, "ours"))
    assert kept.deleted == ours.changes.deleted
    assert view.get("/a") is None
    again, view = patched(ours, theirs, entry("/a", kind, "theirs"))
    assert again.is_empty
    assert view.get("/a") is not None


def test_undeleting_an_array_undeletes_its_groups(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    ours.delete("/g")
    theirs.write("/g/b", (0,))
    _, view = patched(ours, theirs, entry("/g/b", "DeleteOfUpdatedArray", "theirs"))
    assert view.get("/g") is not None
    assert view.get("/g/b") is not None
    assert view.get("/g/h") is None


def test_undeleting_a_group_undeletes_what_is_below(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
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


def test_undeleting_a_node_where_we_made_another(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
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


def _new_clash(repo: Repository) -> tuple[Writer, Writer]:
    ours, theirs = repo.writer(), repo.writer()
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
    ours, theirs = repo.writer(), repo.writer()
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


def test_our_nodes_in_a_group_that_they_deleted(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    ours.make("/g/h/x")
    ours.make("/g/h/x/y")
    theirs.delete("/g")
    kind = "NewNodeInInvalidGroup"
    assert left(ours, theirs) == [(kind, "/g/h")] * 2
    dropped, _ = patched(ours, theirs, entry("/g/h", kind, "theirs"))
    assert dropped.is_empty
    moved, _ = patched(ours, theirs, entry("/g/h", kind, "rename", new_path="/"))
    assert sorted(moved.new) == ["/x", "/x/y"]
    with pytest.raises(InvalidInputError, match="there is no group `/q`"):
        solve(ours, theirs, entry("/g/h", kind, "rename", new_path="/q"))


def test_their_nodes_in_a_group_that_we_deleted(repo: Repository) -> None:
    ours, theirs = repo.writer(), repo.writer()
    ours.delete("/g")
    theirs.make("/g/h/x")
    kind = "DeleteOfUpdatedGroup"
    assert left(ours, theirs) == [(kind, "/g/h")]
    gone, view = patched(ours, theirs, entry("/g/h", kind, "ours"))
    assert all(view.get(path) is None for path in ("/g", "/g/h", "/g/h/x"))
    assert {node.path for node in gone.deleted.values()} == {"/g", "/g/b", "/g/h", "/g/h/x"}
    _, view = patched(ours, theirs, entry("/g/h", kind, "theirs"))
    assert all(view.get(path) is not None for path in ("/g", "/g/h", "/g/h/x"))
    assert view.get("/g/b") is None
