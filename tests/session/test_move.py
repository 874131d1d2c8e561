"""Rearrange sessions: allowed moves, refused moves, and commits of moves."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import icechunk
from tests.repositories import edit, grid_array, read, remove


def a_tree(spec_version: int = 2) -> icechunk.Repository:
    """A repository with the groups /g, /g/k and /h, and the array /g/a."""
    repo = icechunk.Repository.create(icechunk.in_memory_storage(), spec_version=spec_version)
    session = repo.writable_session("main")
    for path in ("/", "/g", "/h", "/g/k"):
        zarr.create_group(session.store, path=path)
    grid_array(session.store, "g/a")
    session.commit("a tree")
    return repo


def paths(session: icechunk.Session) -> set[str]:
    return {node.path for node in session.nodes()}


def test_a_rearrange_session_says_what_it_is():
    session = a_tree().rearrange_session("main")
    assert session.mode is icechunk.SessionMode.rearrange
    assert not session.read_only
    assert session.branch == "main"
    assert not session.has_uncommitted_changes


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [
        ("g/a", "/x", "invalid-path"),
        ("/g/a", "x", "invalid-path"),
        ("/g/a", "", "invalid-path"),
        ("", "/x", "invalid-path"),
        ("/g/a", "/h/../b", "invalid-path"),
        ("/g/a", "/h/", "invalid-path"),
        ("/g/a", "/h//b", "invalid-path"),
        ("/g/", "/z", "node-not-found"),
        ("/nope", "/z", "node-not-found"),
        ("/nope", "/nope", "node-not-found"),
        ("/g", "/g", "move-into-self-or-descendant"),
        ("/g", "/g/k/x", "move-into-self-or-descendant"),
        ("/", "/x", "move-into-self-or-descendant"),
        ("/g", "/h", "move-wont-overwrite"),
        ("/g", "/", "move-wont-overwrite"),
        ("/g/a", "/zz/a", "move-destination-parent-missing"),
        ("/g/k", "/g/a/k", "move-destination-parent-not-group"),
    ],
)
def test_moves_that_cannot_be_made(source, target, kind):
    session = a_tree().rearrange_session("main")
    with pytest.raises(icechunk.IcechunkError) as caught:
        session.move(source, target)
    assert caught.value.kind == kind
    assert not session.has_uncommitted_changes


@pytest.mark.parametrize(
    ("source", "target", "fragment"),
    [
        ("/g", "/g/k/x", "into itself or its own descendant"),
        ("/g", "/h", "overwrite existing node"),
        ("/g/a", "/zz/a", "destination's parent group"),
        ("/nope", "/z", "node not found"),
        ("g", "/z", "could not create path"),
        ("/g/k", "/g/a/k", "is an array, not a group"),
    ],
)
def test_messages_hold_what_the_models_of_icechunk_look_for(source, target, fragment):
    with pytest.raises(icechunk.IcechunkError, match=fragment):
        a_tree().rearrange_session("main").move(source, target)


def test_a_subtree_moves_with_its_data_and_ids():
    repo = a_tree()
    before = repo.readonly_session("main")
    ids = {path: before.get_node_id(path) for path in ("/g", "/g/a", "/g/k")}
    session = repo.rearrange_session("main")
    session.move("/g", "/h/G")
    assert paths(session) == {"/", "/h", "/h/G", "/h/G/a", "/h/G/k"}
    np.testing.assert_array_equal(read(session, "h/G/a"), read(before, "g/a"))
    session.commit("moved")
    after = repo.readonly_session("main")
    np.testing.assert_array_equal(read(after, "h/G/a"), read(before, "g/a"))
    assert after.get_node_id("/h/G") == ids["/g"]
    assert after.get_node_id("/h/G/a") == ids["/g/a"]
    with pytest.raises(icechunk.NodeNotFoundError):
        after.get_node_id("/g")


def test_moves_compose_and_swap():
    repo = a_tree()
    session = repo.rearrange_session("main")
    session.move("/g", "/tmp")
    session.move("/h", "/g")
    session.move("/tmp", "/h")
    assert session.status().moved_nodes == [
        ("/h", "/g"),
        ("/g", "/h"),
        ("/g/a", "/h/a"),
        ("/g/k", "/h/k"),
    ]
    assert str(session.status()).startswith("Nodes moved/renamed:\n    /h -> /g\n")
    base = session.snapshot_id
    session.commit("swapped")
    diff = repo.diff(from_snapshot_id=base, to_branch="main")
    assert diff.moved_nodes == [
        ("/h", "/g"),
        ("/g", "/h"),
        ("/g/a", "/h/a"),
        ("/g/k", "/h/k"),
    ]


def test_moves_that_cancel_out_commit_an_empty_log():
    repo = a_tree()
    session = repo.rearrange_session("main")
    session.move("/g", "/G")
    session.move("/G", "/g")
    assert session.status().moved_nodes == []
    assert session.has_uncommitted_changes
    base = session.snapshot_id
    session.commit("nothing moved")
    assert repo.diff(from_snapshot_id=base, to_branch="main").is_empty()


def test_only_moves_in_a_rearrange_session_and_only_there():
    repo = a_tree()
    session = repo.rearrange_session("main")
    with pytest.raises(icechunk.SessionStateError) as caught:
        zarr.create_group(session.store, path="new")
    assert caught.value.kind == "rearrange-session-only"
    with pytest.raises(icechunk.SessionStateError) as caught:
        session.shift_array("/g/a", (1, 0))
    assert caught.value.kind == "rearrange-session-only"
    with pytest.raises(icechunk.SessionStateError) as caught:
        repo.writable_session("main").move("/g", "/x")
    assert caught.value.kind == "non-rearrange-session"
    with pytest.raises(icechunk.ReadOnlyError) as read_only:
        repo.readonly_session("main").move("/g", "/x")
    assert read_only.value.kind == "read-only-session"
    with pytest.raises(icechunk.SessionStateError) as caught:
        repo.writable_session("main").merge(session)
    assert caught.value.kind == "rearrange-session-only"


def test_discarded_moves_are_gone():
    session = a_tree().rearrange_session("main")
    session.move("/g", "/x")
    session.discard_changes()
    assert "/g" in paths(session)
    with pytest.raises(icechunk.SessionStateError, match="no changes made"):
        session.commit("nothing")


def test_the_feature_flag_is_asked_at_the_start_and_at_the_commit():
    repo = a_tree()
    session = repo.rearrange_session("main")
    session.move("/g", "/x")
    repo.set_feature_flag("move_node", False)
    for attempt in (lambda: session.commit("late"), lambda: repo.rearrange_session("main")):
        with pytest.raises(icechunk.SessionStateError) as caught:
            attempt()
        assert caught.value.kind == "feature-flag-disabled"
    repo.set_feature_flag("move_node", None)
    session.commit("now")
    assert "/x" in paths(repo.readonly_session("main"))


def test_spec_1_moves_nothing():
    with pytest.raises(icechunk.FormatError) as caught:
        a_tree(spec_version=1).rearrange_session("main")
    assert caught.value.kind == "unsupported-spec-version"


def test_moves_pass_over_changes_that_are_not_in_their_way():
    repo = a_tree()
    session = repo.rearrange_session("main")
    session.move("/g", "/h/g")
    other = repo.writable_session("main")
    edit(other, np.s_[0, 0], 9, "g/a")
    zarr.create_group(other.store, path="g/new")
    other.commit("theirs")
    session.commit("moved", rebase_with=icechunk.ConflictDetector())
    after = repo.readonly_session("main")
    assert {"/h/g/new", "/h/g/a"} <= paths(after)
    assert "/g/new" not in paths(after)
    assert read(after, "h/g/a")[0, 0] == 9


@pytest.mark.parametrize("their", ["made the target", "deleted the source"])
def test_moves_never_bury_what_others_made(their):
    repo = a_tree()
    session = repo.rearrange_session("main")
    session.move("/g/a", "/h/a")
    other = repo.writable_session("main")
    if their == "made the target":
        zarr.create_group(other.store, path="h/a")
    else:
        remove(other, "g")
    other.commit("theirs")
    with pytest.raises(icechunk.RebaseFailedError) as caught:
        session.commit("moved", rebase_with=icechunk.BasicConflictSolver())
    (conflict,) = caught.value.conflicts
    assert conflict.conflict_type is icechunk.ConflictType.MoveOperationCannotBeRebased
    assert session.status().moved_nodes == [("/g/a", "/h/a")]


NAMES = st.sampled_from(["a", "b", "c", "d"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))


@given(st.lists(st.tuples(PATHS, PATHS), max_size=12))
def test_any_moves_keep_every_node_and_come_back_as_seen(moves):
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    for path in ("/", "/a", "/b", "/a/c", "/a/c/d", "/b/d"):
        zarr.create_group(session.store, path=path)
    session.commit("made")
    mover = repo.rearrange_session("main")
    ids = {node.id for node in mover._transaction.tree}
    for source, target in moves:
        try:
            mover.move(source, target)
        except icechunk.IcechunkError:
            continue
    seen = {node.path: node.id for node in mover._transaction.tree}
    assert set(seen.values()) == ids
    if not mover.has_uncommitted_changes:
        return
    base, status = mover.snapshot_id, mover.status()
    mover.commit("moved")
    after = {node.path: node.id for node in repo.readonly_session("main")._transaction.tree}
    assert after == seen
    assert repo.diff(from_snapshot_id=base, to_branch="main") == status
