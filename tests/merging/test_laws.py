"""Laws of merging, on random histories with nested groups, resizes, moves and deletions."""

from __future__ import annotations

import contextlib
import random

import pytest
import zarr

import icechunk
from icechunk import IcechunkError, Repository
from icechunk.core.errors import MergeConflictError
from icechunk.core.ids import parse_object_id
from icechunk.merging.result import MergeResult
from tests.merging.worlds import commit, tree

NAMES = "abcxyz"
Outcome = MergeResult | MergeConflictError


def edit_once(root: zarr.Group, rng: random.Random) -> None:
    """One random edit; impossible ones do nothing."""
    nodes = [node for _, node in root.members(max_depth=None)]
    paths = [path for path, _ in root.members(max_depth=None)]
    arrays = [node for node in nodes if isinstance(node, zarr.Array)]
    groups = [root, *(node for node in nodes if isinstance(node, zarr.Group))]
    choice = rng.random()
    if choice < 0.35 and arrays:
        array, start = rng.choice(arrays), rng.randrange(9)
        array[start : start + rng.randint(1, 3)] = rng.randint(1, 3)
    elif choice < 0.5 and arrays:
        rng.choice(arrays).resize((rng.randint(0, 9),))
    elif choice < 0.62 and nodes:
        rng.choice(nodes).attrs[rng.choice("kl")] = rng.randint(0, 2)
    elif choice < 0.72 and paths:
        del root[rng.choice(paths)]
    elif choice < 0.85:
        made = rng.choice(groups).create_array(
            rng.choice(NAMES), shape=(rng.randint(1, 8),), chunks=(2,), dtype="i4", fill_value=0
        )
        made[:] = rng.randint(1, 3)
    else:
        rng.choice(groups).create_group(rng.choice(NAMES))


def move_once(repo: Repository, branch: str, rng: random.Random) -> None:
    session = repo.rearrange_session(branch)
    members = list(zarr.open_group(session.store, mode="r").members(max_depth=None))
    groups = ["", *(f"/{path}" for path, node in members if isinstance(node, zarr.Group))]
    if members:
        with contextlib.suppress(IcechunkError):
            target = f"{rng.choice(groups)}/{rng.choice(NAMES)}"
            session.move(f"/{rng.choice(members)[0]}", target)
            session.commit("move")


def commits(repo: Repository, branch: str, rng: random.Random, count: int) -> None:
    for _ in range(count):
        if rng.random() < 0.15:
            move_once(repo, branch, rng)
            continue
        session = repo.writable_session(branch)
        root = zarr.open_group(session.store, mode="a")
        for _ in range(rng.randint(1, 3)):
            with contextlib.suppress(ValueError, KeyError, IcechunkError):
                edit_once(root, rng)
        if session.has_uncommitted_changes:
            session.commit("edit")


def check_log(repo: Repository, before: str, after: str) -> None:
    """The log of a merge is the difference to its first parent; no node lacks a parent group."""
    log = repo.diff(from_snapshot_id=before, to_snapshot_id=after)
    states = repo.diff(from_snapshot_id=before, to_snapshot_id=after, any_states=True)
    for name in ("new_arrays", "new_groups", "deleted_arrays", "deleted_groups", "updated_groups"):
        assert getattr(log, name) == getattr(states, name)
    assert sorted(log.moved_nodes) == sorted(states.moved_nodes)
    for path, chunks in states.updated_chunks.items():
        named = {tuple(chunk) for chunk in log.updated_chunks.get(path, ())}
        assert {tuple(chunk) for chunk in chunks} <= named
    nodes = repo._ctx.files.snapshot(parse_object_id(after)).nodes
    for node in nodes:
        if node.path != "/":
            parent = nodes.get(node.path.rpartition("/")[0] or "/")
            assert parent is not None
            assert not parent.is_array


class History:
    """Two branches that started from one state."""

    def __init__(self, seed: int, spec_version: int) -> None:
        rng = random.Random(seed)
        self.repo = Repository.create(icechunk.in_memory_storage(), spec_version=spec_version)
        session = self.repo.writable_session("main")
        zarr.group(session.store)
        self.base = session.commit("root")
        if spec_version == 1:
            rng.random = lambda: random.Random.random(rng) * 0.84 + 0.16  # type: ignore[method-assign]
        commits(self.repo, "main", rng, 4)
        self.base = self.repo.lookup_branch("main")
        self.repo.create_branch("f", self.base)
        commits(self.repo, "main", rng, rng.randint(0, 3))
        commits(self.repo, "f", rng, rng.randint(0, 3))
        self.main, self.f = self.repo.lookup_branch("main"), self.repo.lookup_branch("f")

    def merge(self, source: str, target: str, branch: str, prefer: str | None = None) -> Outcome:
        """Merge a state into a new branch at another; a refusal must change nothing."""
        self.repo.create_branch(branch, target)
        try:
            result = self.repo.merge(source, into=branch, prefer=prefer)
        except MergeConflictError as error:
            assert self.repo.lookup_branch(branch) == target
            return error
        if result.outcome == "merged":
            check_log(self.repo, target, result.snapshot_id)
        return result

    def tree(self, branch: str) -> dict[str, tuple[object, ...]]:
        return tree(self.repo, branch=branch)


@pytest.mark.parametrize("spec_version", [1, 2])
@pytest.mark.parametrize("seed", [*range(40), 1110, 1425])
def test_laws(seed: int, spec_version: int) -> None:
    history = History(seed, spec_version)
    one = history.merge(history.f, history.main, "into-main")
    two = history.merge(history.main, history.f, "into-f")
    # Symmetry: what conflicts one way conflicts the other way.
    assert isinstance(one, MergeConflictError) == isinstance(two, MergeConflictError)
    if isinstance(one, MergeConflictError):
        for prefer in ("source", "target"):
            decided = history.merge(history.f, history.main, prefer, prefer)
            assert isinstance(decided, MergeResult)
        return
    merged = history.tree("into-main")
    assert merged == history.tree("into-f")
    base = tree(history.repo, snapshot_id=history.base)
    if base == history.tree("main"):
        assert merged == history.tree("f")
    if base == history.tree("f"):
        assert merged == history.tree("main")
    # Merging again, or merging with itself, changes nothing.
    assert history.repo.merge("into-main", into="into-f").outcome in ("up-to-date", "merged")
    assert history.tree("into-f") == merged


@pytest.mark.parametrize("seed", range(100, 115))
def test_squash_pick_and_revert(seed: int) -> None:
    history = History(seed, 2)
    repo = history.repo
    if history.f == history.base:
        history.f = commit(repo, "f", lambda root: root.attrs.update(k=1))
    before = history.tree("f")
    repo.create_branch("squashed", history.f)
    tip = repo.squash("squashed", history.base, "one commit")
    assert history.tree("squashed") == before
    check_log(repo, history.base, tip)
    # Picking the one commit onto its parent is the same commit; reverting it is the identity.
    repo.create_branch("picked", history.base)
    repo.cherry_pick(tip, onto="picked")
    assert history.tree("picked") == before
    results = repo.revert(repo.lookup_branch("picked"), on="picked")
    assert [one.conflicts for one in results] == [[]]
    assert history.tree("picked") == tree(repo, snapshot_id=history.base)
