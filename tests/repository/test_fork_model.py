"""Merges of forks, compared with a model: all changes are kept, or the merge is refused."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import pytest
import zarr
from hypothesis import event, given, settings
from hypothesis import strategies as st
from zarr.core.sync import sync

import icechunk

SIZE = 4


@dataclass
class Node:
    """A node of the model; `stamps` are the times when cells were last written or removed."""

    uid: int
    attrs: dict[str, int] = field(default_factory=dict)
    size: int | None = None
    cells: dict[int, int] = field(default_factory=dict)
    stamps: dict[int, int] = field(default_factory=dict)

    def changed(self, former: Node) -> bool:
        """Whether the node changed."""
        now, then = ((n.attrs, n.size, n.stamps) for n in (self, former))
        return now != then


State = dict[str, Node]
_numbers = count(1)


def below(state: State, path: str) -> list[str]:
    return [one for one in state if one.startswith(path + "/")]


class Side:
    """A session and its expected content."""

    def __init__(self, session: icechunk.Session, state: State) -> None:
        self.session = session
        self.state = state
        self.started = copy.deepcopy(state)

    def fork(self, travels: bool) -> Side:
        child = self.session.fork()
        if travels:
            child = pickle.loads(pickle.dumps(child))
        return Side(child, copy.deepcopy(self.state))

    def come_home(self) -> None:
        self.session = pickle.loads(pickle.dumps(self.session))

    def act(self, what: str, path: str, number: int) -> None:
        node = self.state.get(path)
        parent = self.state.get(path.rpartition("/")[0])
        if what.startswith("make"):
            free = path.rpartition("/")[0] == "" or (parent is not None and parent.size is None)
            if node is None and free:
                self.make(path, what == "make array")
        elif node is None:
            return
        elif what == "delete":
            sync(self.session.store.delete_dir(path.strip("/")))
            for one in [path, *below(self.state, path)]:
                del self.state[one]
        elif what == "attribute":
            key, value = "xyz"[number % 3], next(_numbers)
            self.opened(path).attrs[key] = value
            node.attrs[key] = value
        elif what == "no attribute":
            if "x" in node.attrs:
                del self.opened(path).attrs["x"]
                del node.attrs["x"]
        elif node.size is None:
            return
        elif what == "overwrite":
            sync(self.session.store.delete_dir(path.strip("/")))
            del self.state[path]
            self.make(path, True)
        elif what == "write" and number < node.size:
            self.opened(path)[number] = value = next(_numbers)
            node.cells[number], node.stamps[number] = value, value
        elif what == "resize":
            self.opened(path).resize((number,))
            for cell in range(number, node.size):
                node.cells.pop(cell, None)
                node.stamps[cell] = -next(_numbers)
            node.size = number

    def make(self, path: str, array: bool) -> None:
        store = self.session.store
        uid = next(_numbers)
        if array:
            zarr.create_array(
                store, name=path[1:], shape=(SIZE,), chunks=(1,), dtype="i4", fill_value=-1
            ).attrs["uid"] = uid
            self.state[path] = Node(uid, {"uid": uid}, SIZE)
        else:
            zarr.create_group(store, path=path[1:])
            self.state[path] = Node(uid)

    def opened(self, path: str) -> Any:
        return zarr.open(self.session.store, path=path[1:], mode="r+")


def seen(session: icechunk.Session) -> dict[str, Any]:
    """Content of a session."""
    found: dict[str, Any] = {}
    for path, node in zarr.open_group(session.store, mode="r").members(max_depth=None):
        array = isinstance(node, zarr.Array)
        cells = np.asarray(node[:]).tolist() if array else None
        found[f"/{path}"] = (dict(node.attrs), cells)
    return found


def expected(state: State) -> dict[str, Any]:
    return {
        path: (
            node.attrs,
            None if node.size is None else [node.cells.get(c, -1) for c in range(node.size)],
        )
        for path, node in state.items()
    }


def three_way(old: State, mine: State, its: State) -> State | None:
    """Merge the changes of both sides; None when they changed the same thing."""
    result = copy.deepcopy(mine)
    places = {node.uid: path for path, node in mine.items()}
    theirs = {node.uid: node for node in its.values()}
    former = {node.uid: node for node in old.values()}
    for uid, before in former.items():
        now = result.get(places.get(uid, ""))
        if uid not in theirs:
            if now is None:
                continue
            if now.changed(before):
                return None
            del result[places[uid]]
        elif theirs[uid].changed(before) and (now is None or not into(now, before, theirs[uid])):
            return None
    for path, node in its.items():
        if node.uid in former or places.get(node.uid) == path:
            continue
        if path not in result:
            result[path] = copy.deepcopy(node)
        elif (result[path].size, result[path].attrs) != (
            node.size,
            node.attrs,
        ) or node.size is not None:
            return None
    for path in result:
        parent = path.rpartition("/")[0]
        if parent and (parent not in result or result[parent].size is not None):
            return None
    return result


def into(now: Node, before: Node, its: Node) -> bool:
    """Merge the changes of another side into a node; return whether they are compatible."""
    for mine, old, new in ((now.attrs, before.attrs, its.attrs),):
        for key in old.keys() | new.keys() | mine.keys():
            was, own, other = old.get(key), mine.get(key), new.get(key)
            if other in (was, own):
                continue
            if own != was:
                return False
            if other is None:
                del mine[key]
            else:
                mine[key] = other
    if its.size not in (before.size, now.size):
        if now.size != before.size:
            return False
        now.size = its.size
    for cell, stamp in its.stamps.items():
        was, own = before.stamps.get(cell), now.stamps.get(cell)
        if stamp == was:
            continue
        if own != was and (own is None or own > 0 or stamp > 0):
            return False  # what both removed is removed
        now.stamps[cell] = stamp
        now.cells.pop(cell, None)
        if stamp > 0:
            now.cells[cell] = its.cells[cell]
    return True


PATHS = st.sampled_from(["/a", "/g", "/g/b", "/n", "/h", "/h/c", "/h/d", "/g/e"])
STEP = st.one_of(
    st.tuples(st.just("write"), PATHS, st.integers(0, 5)),
    st.tuples(st.just("attribute"), PATHS, st.integers(0, 2)),
    st.tuples(st.just("resize"), PATHS, st.sampled_from([1, 2, 4, 6])),
    st.tuples(
        st.sampled_from(["delete", "overwrite", "make array", "make group", "no attribute"]),
        PATHS,
        st.just(0),
    ),
)
STEPS = st.lists(STEP, max_size=3)
FORK = st.tuples(STEPS, st.booleans(), st.booleans())


class Base(NamedTuple):
    """A repository with one commit, and the content of that commit."""

    repo: icechunk.Repository
    commit: str
    state: State


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """The base of every example; each example works on its own branch."""
    folder = tmp_path_factory.mktemp("forks")
    repo = icechunk.Repository.create(icechunk.local_filesystem_storage(folder, durable=False))
    first = Side(repo.writable_session("main"), {})
    zarr.create_group(first.session.store)
    for step in (("make array", "/a"), ("make group", "/g"), ("make array", "/g/b")):
        first.act(*step, 0)
    for path in ("/a", "/g/b"):
        for cell in range(SIZE):
            first.act("write", path, cell)
    return Base(repo, first.session.commit("base"), first.state)


def begun(base: Base) -> Side:
    """A session with nodes of its base and new nodes."""
    branch = f"b{next(_numbers)}"
    base.repo.create_branch(branch, base.commit)
    side = Side(base.repo.writable_session(branch), copy.deepcopy(base.state))
    for step in (("make array", "/n"), ("make group", "/h"), ("make array", "/h/c")):
        side.act(*step, 0)
    for path in ("/n", "/h/c"):
        for cell in range(2):
            side.act("write", path, cell)
    return side


def check_commit(base: Base, side: Side) -> None:
    """Commit, and compare the snapshot with the model."""
    commit = side.session.commit("all", allow_empty=True)
    assert seen(base.repo.readonly_session(snapshot_id=commit)) == expected(side.state)


def check_merge(side: Side, *others: Side) -> bool:
    """Merge, and compare the outcome with the model."""
    wanted: State | None = side.state
    for other in others:
        wanted = None if wanted is None else three_way(other.started, wanted, other.state)
    before = seen(side.session)
    sessions = [other.session for other in others]
    if wanted is None:
        with pytest.raises(icechunk.ConflictError) as caught:
            side.session.merge(*sessions)
        assert caught.value.kind == icechunk.ErrorKind.MERGE_FAILED
        assert seen(side.session) == before
        return False
    side.session.merge(*sessions)
    side.state = wanted
    assert seen(side.session) == expected(wanted)
    return True


@settings(deadline=None)
@given(STEPS, st.lists(FORK, min_size=1, max_size=3), STEPS, st.randoms(), st.booleans())
def test_forks_of_a_session_that_made_nodes(
    base: Base, first: Any, forks: Any, later: Any, order: Any, at_once: bool
) -> None:
    side = begun(base)
    for step in first:
        side.act(*step)
    children = []
    for steps, goes, comes in forks:
        child = side.fork(goes)
        for step in steps:
            child.act(*step)
        if comes:
            child.come_home()
        children.append(child)
    for step in later:
        side.act(*step)
    order.shuffle(children)
    merged = 0
    if at_once:
        merged += check_merge(side, *children)
    else:
        for child in children:
            merged += check_merge(side, child)
    event(f"merged {merged}")
    check_commit(base, side)


@settings(deadline=None)
@given(STEPS, STEPS, STEPS)
def test_forks_of_forks(base: Base, outer: Any, inner: Any, meanwhile: Any) -> None:
    side = begun(base)
    child = side.fork(True)
    for step in outer:
        child.act(*step)
    grandchild = child.fork(False)
    for step in inner:
        grandchild.act(*step)
    for step in meanwhile:
        child.act(*step)
    check_merge(child, grandchild)
    check_merge(side, child)
    check_commit(base, side)
