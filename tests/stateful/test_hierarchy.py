"""Zarr's own state machine over an Icechunk store, with a session's life in between.

Commits, amended commits, discarded changes, reopened repositories, moves and shifts interleave with
whatever Zarr does to groups and arrays; a plain store with the same operations is the model.
"""

from __future__ import annotations

import hypothesis.extra.numpy as npst
import hypothesis.strategies as st
import pytest
import zarr
from hypothesis import note
from hypothesis.stateful import initialize, precondition, rule
from zarr.storage import MemoryStore
from zarr.testing.stateful import ZarrHierarchyStateMachine

import icechunk
from icechunk.testing.invariants import (
    assert_list_dir_equal,
    assert_moves_sorted_by_final_path,
)
from icechunk.testing.models import GroupNode, ModelStore
from icechunk.testing.strategies import repository_configs, splitting_configs
from icechunk.testing.trees import invalid_move, valid_move
from icechunk.testing.utils import update_paths_after_move
from tests.stateful.effort import searched


class HierarchyMachine(ZarrHierarchyStateMachine):
    """One branch, one session at a time."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.model = ModelStore()
        zarr.group(store=self.model)

    @initialize(
        version=st.sampled_from([1, 2]),
        inline=st.sampled_from([0, 8, 512]),
        skip=st.sampled_from([None, True]),
        data=st.data(),
    )
    def init_store(self, version: int, inline: int, skip: bool | None, data: st.DataObject) -> None:
        self.storage = icechunk.in_memory_storage()
        config = data.draw(repository_configs(inline_chunk_threshold_bytes=st.just(inline)))
        config.skip_unchanged_chunks = skip
        self.repo = icechunk.Repository.create(self.storage, config, spec_version=version)
        self._checkout()
        zarr.group(store=self.store)
        self._commit("a root")
        self._remember()

    def _checkout(self) -> None:
        self.session = self.repo.writable_session("main")
        self.store = self.session.store

    def _commit(self, message: str) -> None:
        self.session.commit(message, allow_empty=True)
        self.tip_moved = False
        self._checkout()

    def _remember(self) -> None:
        """What a session that begins here sees."""
        self.saved = self._sync(self.model.copy()), set(self.all_arrays), set(self.all_groups)

    # -- a session's life ------------------------------------------------------------------------

    @rule()
    def commit(self) -> None:
        self._commit("as it is")
        self._remember()

    @precondition(lambda self: self.repo.spec_version == 2)
    @rule()
    def amend(self) -> None:
        if self.tip_moved:  # only a rearrange session may replace such a commit
            with pytest.raises(icechunk.SessionStateError, match="rearrange"):
                self.session.amend("amended", allow_empty=True)
            return
        self.session.amend("amended", allow_empty=True)
        self._checkout()
        self._remember()

    @rule(how=st.sampled_from(["same store", "new session", "reopen"]))
    def discard(self, how: str) -> None:
        if how == "same store":
            self.session.discard_changes()
            assert not self.session.has_uncommitted_changes
        else:
            if how == "reopen":
                self.repo = icechunk.Repository.open(self.storage)
            self._checkout()
        model, arrays, groups = self.saved
        self.model = self._sync(model.copy())
        self.all_arrays, self.all_groups = set(arrays), set(groups)

    @precondition(lambda self: bool(self.all_arrays))
    @rule(data=st.data())
    def split_manifests(self, data: st.DataObject) -> None:
        """From here on manifests are split in another way."""
        self._commit("before another configuration")
        self._remember()
        arrays = [zarr.open_array(self.model, path=path) for path in sorted(self.all_arrays)]
        splitting = data.draw(splitting_configs(arrays=arrays))
        config = icechunk.RepositoryConfig(manifest=icechunk.ManifestConfig(splitting=splitting))
        self.repo = self.repo.reopen(config)
        if data.draw(st.booleans(), label="rewrite"):
            self.repo.rewrite_manifests("split", branch="main")
        self._checkout()

    @precondition(lambda self: self.repo.spec_version == 2)
    @precondition(lambda self: bool(self.all_arrays or self.all_groups))
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        self._commit("before a move")
        nodes = self.all_arrays | self.all_groups
        pool = {name for path in nodes for name in path.split("/")}
        session = self.repo.rearrange_session("main")
        if data.draw(st.booleans(), label="a wrong move first"):
            source, target, pattern = data.draw(invalid_move(nodes, self.all_arrays, pool))
            with pytest.raises(icechunk.IcechunkError, match=pattern):
                session.move(source, target)
        source, target = data.draw(valid_move(nodes, self.all_groups, pool))
        note(f"moving {source} to {target}")
        session.move(source, target)
        assert_moves_sorted_by_final_path(session.status().moved_nodes)
        session.commit("a move")
        self._sync(self.model.move(source, target))
        self.all_arrays, self.all_groups = update_paths_after_move(
            source[1:], target[1:], self.all_arrays, self.all_groups
        )
        self.tip_moved = True
        self._checkout()
        self._remember()

    @precondition(lambda self: bool(self.all_arrays))
    @rule(data=st.data())
    def shift(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.all_arrays)))
        array = zarr.open_array(self.model, path=path)
        grid = array.cdata_shape
        offset = tuple(data.draw(st.integers(-count - 1, count + 1)) for count in grid)
        note(f"shifting {path} with {grid} chunks by {offset}")
        self.session.shift_array(f"/{path}", offset)
        self._sync(self.model.shift_array(path, offset, grid))

    # -- what Zarr's machine leaves out ----------------------------------------------------------

    @precondition(lambda self: bool(self.all_groups))
    @rule(data=st.data())
    def check_list_dir(self, data: st.DataObject) -> None:
        path = self.draw_directory(data)
        assert_list_dir_equal(
            path,
            list(self._sync_iter(self.model.list_dir(path))),
            list(self._sync_iter(self.store.list_dir(path))),
        )

    @precondition(lambda self: bool(self.all_arrays or self.all_groups))
    @rule(data=st.data())
    def delete_dir(self, data: st.DataObject) -> None:
        path = self.draw_directory(data).rstrip("/")
        note(f"delete_dir of {path}")
        self._sync(self.model.delete_dir(path))
        self._sync(self.store.delete_dir(path))
        for known in (self.all_arrays, self.all_groups):
            known -= {node for node in known if node == path or node.startswith(f"{path}/")}

    @rule()
    def compare_trees(self) -> None:
        trees = [GroupNode.from_store(store) for store in (self.store, self.model)]
        assert sorted(trees[0].nodes()) == sorted(trees[1].nodes())
        assert sorted(self._sync_iter(self.store.list())) == sorted(
            self._sync_iter(self.model.list())
        )
        for path in self.all_arrays:
            ours = zarr.open_array(self.store, path=path)
            theirs = zarr.open_array(self.model, path=path)
            assert (ours.shape, ours.chunks) == (theirs.shape, theirs.chunks)
            # Counted in shards or in their parts, as this version of Zarr does it.
            assert ours.nchunks_initialized == theirs.nchunks_initialized, path

    @precondition(lambda self: bool(self.all_arrays))
    @rule(data=st.data())
    def fill_array(self, data: st.DataObject) -> None:
        """A fill value is stored as a missing chunk."""
        path = data.draw(st.sampled_from(sorted(self.all_arrays)))
        model = zarr.open_array(self.model, path=path)
        value = data.draw(st.one_of(st.just(model.fill_value), npst.from_dtype(model.dtype)))
        model[...] = value
        zarr.open_array(self.store, path=path)[...] = value


TestHierarchy = searched(HierarchyMachine, runs=15, steps=25)
# Zarr's machine draws data types that Zarr warns of.
TestHierarchy.pytestmark.append(
    pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
)
