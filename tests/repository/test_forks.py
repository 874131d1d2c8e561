"""Forks are pickled and merged back, and never overwrite each other silently."""

from __future__ import annotations

import multiprocessing
import threading

import numpy as np
import pytest
import zarr

import icechunk
from tests.repositories import edit, grid_array, read, storage_of, with_grid


@pytest.fixture(params=["memory", "local"])
def repo(request, tmp_path):
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    return with_grid(storage_of(request.param, tmp_path), config)[0]


def test_a_fork_is_merged_back(repo):
    session = repo.writable_session("main")
    edit(session, np.s_[0:2, 0:4], 1)
    fork = session.fork()
    assert read(fork)[0, 0] == 1
    assert not fork.has_uncommitted_changes
    edit(fork, np.s_[2:4, 0:4], 2)
    zarr.create_array(fork.store, name="b", shape=3, chunks=2, dtype="i4")[:] = 5
    assert read(session)[2, 0] != 2
    session.merge(fork)
    session.merge(fork)  # again: nothing new
    session.commit("both")
    cells = read(repo.readonly_session("main"))
    assert (cells[0, 0], cells[2, 0]) == (1, 2)
    assert (read(repo.readonly_session("main"), "b") == 5).all()


def test_forks_cannot_commit_or_be_made_of_read_only_sessions(repo):
    fork = repo.writable_session("main").fork()
    for call in (lambda: fork.commit("no"), lambda: fork.rebase(icechunk.ConflictDetector())):
        with pytest.raises(icechunk.SessionStateError) as caught:
            call()
        assert caught.value.kind == icechunk.ErrorKind.COMMIT_NOT_ALLOWED
    with pytest.raises(icechunk.SessionStateError) as caught:
        repo.readonly_session("main").fork()
    assert caught.value.kind == icechunk.ErrorKind.CANNOT_FORK_READ_ONLY_SESSION
    with pytest.raises(icechunk.SessionStateError) as caught:
        fork.merge(repo.writable_session("main"))
    assert caught.value.kind == icechunk.ErrorKind.MERGE_NOT_ALLOWED


def test_two_forks_that_wrote_one_chunk_are_refused(repo):
    session = repo.writable_session("main")
    one, two = session.fork(), session.fork()
    edit(one, np.s_[0, 0], 1)
    edit(two, np.s_[0, 1], 2)
    session.merge(one)
    with pytest.raises(icechunk.ConflictError, match=r"/a: \[0, 0\]") as caught:
        session.merge(two)
    assert caught.value.kind == icechunk.ErrorKind.MERGE_FAILED
    assert read(session)[0, 0] == 1


@pytest.mark.parametrize("inline", [0, 512], ids=["native", "inline"])
@pytest.mark.parametrize("kind", ["memory", "local"])
def test_what_two_forks_wrote_alike_is_no_conflict(kind, inline, tmp_path):
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=inline)
    repo = with_grid(storage_of(kind, tmp_path), config)[0]
    session = repo.writable_session("main")
    one, two = session.fork(), session.fork()
    for number, fork in enumerate((one, two)):
        edit(fork, np.s_[0:2], 7)
        edit(fork, np.s_[2 + 2 * number, 0], 1)
    mine = [one.chunk_type("/a", [0, at]) for at in (0, 1)]
    session.merge(one, two)
    places = {
        tuple(coords): place
        for batch in one.store.array_chunk_iterator("/a")
        for coords, place in zip(batch[0].tolist(), batch[2], strict=True)
    }
    for batch in session.store.array_chunk_iterator("/a"):
        for coords, place in zip(batch[0].tolist(), batch[2], strict=True):
            if coords[0] == 0:
                assert place == places[tuple(coords)]  # one reference is kept: the receiver's
    assert [session.chunk_type("/a", [0, at]) for at in (0, 1)] == mine
    session.commit("alike")
    cells = read(repo.readonly_session("main"))
    assert (cells[0:2] == 7).all()
    assert (cells[2, 0], cells[4, 0]) == (1, 1)


def test_equal_bytes_are_no_conflict_however_they_are_stored(tmp_path):
    storage = storage_of("local", tmp_path)
    with_grid(storage, icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0))
    native, inline = (
        icechunk.Repository.open(storage, icechunk.RepositoryConfig(inline_chunk_threshold_bytes=t))
        for t in (0, 512)
    )
    session = native.writable_session("main")
    one, two = session.fork(), inline.writable_session("main")
    for writer in (one, two):
        edit(writer, np.s_[0:2], 7)
    session.merge(one, two)
    edit(two, np.s_[0, 0], 8)
    with pytest.raises(icechunk.ConflictError, match=r"chunks of /a: \[0, 0\]\. "):
        session.merge(two)


def resize(session: icechunk.Session, *shapes: tuple[int, ...]) -> None:
    for shape in shapes:
        zarr.open_array(session.store, path="a", mode="r+").resize(shape)


@pytest.mark.parametrize("shapes", [[(2, 8)], [(2, 8), (6, 8)]], ids=["smaller", "and larger"])
@pytest.mark.parametrize("first", [0, 1])
def test_what_one_wrote_where_the_other_made_the_array_smaller(repo, first, shapes):
    session = repo.writable_session("main")
    forks = [session.fork(), session.fork()]
    resize(forks[0], *shapes)
    edit(forks[1], np.s_[5, 7], 1)
    session.merge(forks[first])
    with pytest.raises(icechunk.ConflictError, match=r"made /a smaller.*\[2, 1\]") as caught:
        session.merge(forks[1 - first])
    assert caught.value.kind == icechunk.ErrorKind.MERGE_FAILED
    session.merge(forks[1 - first], last_wins=True)


def test_resizes_that_lose_nothing_of_the_others(repo):
    session = repo.writable_session("main")
    edit(session, np.s_[4:6], 3)
    one, two, three = session.fork(), session.fork(), session.fork()
    resize(one, (2, 8))  # it saw what was written beyond
    edit(two, np.s_[0, 0], 1)
    session.merge(one, two)
    assert read(session).shape == (2, 8)
    resize(three, (10, 8))
    with pytest.raises(icechunk.ConflictError, match="metadata of /a"):
        session.merge(three)
    session.commit("smaller")

    session = repo.writable_session("main")
    one, two = session.fork(), session.fork()
    for number, fork in enumerate((one, two)):
        resize(fork, (6, 8))  # both grow alike, and fill parts of their own
        edit(fork, np.s_[2 + 2 * number : 4 + 2 * number], number)
    session.merge(one, two)
    session.commit("grown")
    assert read(repo.readonly_session("main"))[2:, 0].tolist() == [0, 0, 1, 1]

    session = repo.writable_session("main")
    resize(session, (4, 8))
    fork = session.fork()
    resize(fork, (6, 8))
    edit(fork, np.s_[4:6], 9)
    session.merge(fork)
    assert read(session)[:, 0].tolist()[2:] == [0, 0, 9, 9]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("made", [False, True], ids=["committed", "made by the session"])
def test_a_write_to_a_chunk_that_a_smaller_shape_cuts(repo, first, made):
    session = repo.writable_session("main")
    path = "a"
    if made:
        path = "mine"
        grid_array(session.store, path)
    forks = [session.fork(), session.fork()]
    zarr.open_array(forks[0].store, path=path, mode="r+").resize((5, 8))
    edit(forks[1], np.s_[5, 0], 1, path)  # a cell that is gone, in a chunk that stays
    session.merge(forks[first])
    with pytest.raises(icechunk.ConflictError, match=rf"made /{path} smaller.*\[2, 0\]"):
        session.merge(forks[1 - first])


def overwrite(store) -> None:
    store.delete_sync("mine/zarr.json")
    grid_array(store, "mine")


OUTCOMES = {
    "attributes": lambda store: zarr.open_array(store, path="mine").attrs.update(x=1),
    "other attributes": lambda store: zarr.open_array(store, path="mine").attrs.update(y=2),
    "smaller": lambda store: zarr.open_array(store, path="mine").resize((4, 8)),
    "low": lambda store: zarr.open_array(store, path="mine").__setitem__((0, 0), 5),
    "high": lambda store: zarr.open_array(store, path="mine").__setitem__((5, 0), 5),
    "delete": lambda store: store.delete_sync("mine/zarr.json"),
    "overwrite": overwrite,
    "delete the group": lambda store: store.delete_sync("g/zarr.json"),
    "in the group": lambda store: zarr.create_group(store, path="g/below"),
}
REFUSED = {
    ("smaller", "high"),
    *(("delete", what) for what in ("attributes", "other attributes", "smaller", "low", "high")),
    *(("overwrite", what) for what in ("attributes", "other attributes", "smaller", "low", "high")),
    ("delete the group", "in the group"),
}


@pytest.mark.parametrize("last_wins", [False, True])
@pytest.mark.parametrize("one", OUTCOMES)
@pytest.mark.parametrize("two", OUTCOMES)
def test_two_forks_of_a_session_that_made_the_nodes(one, two, last_wins):
    repo, _ = with_grid(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    grid_array(session.store, "mine")
    zarr.create_group(session.store, path="g")
    forks = [session.fork(), session.fork()]
    OUTCOMES[one](forks[0].store)
    OUTCOMES[two](forks[1].store)
    session.merge(forks[0], last_wins=last_wins)
    refused = (one, two) in REFUSED or (two, one) in REFUSED or one == two == "overwrite"
    if one == two and one in ("attributes", "other attributes", "smaller", "delete"):
        refused = False  # the same change
    if refused and not (last_wins and {one, two} == {"smaller", "high"}):
        with pytest.raises(icechunk.ConflictError) as caught:
            session.merge(forks[1], last_wins=last_wins)
        assert caught.value.kind == icechunk.ErrorKind.MERGE_FAILED
        return
    session.merge(forks[1], last_wins=last_wins)
    session.commit("both", allow_empty=True)
    after = zarr.open_group(repo.readonly_session("main").store, mode="r")
    done = {one, two}
    assert ("mine" in after) == ("delete" not in done or done == {"delete", "overwrite"})
    assert ("g" in after) == ("delete the group" not in done)
    assert ("g/below" in after) == ("in the group" in done)
    if "mine" in after:
        array = after["mine"]
        wanted = {"attributes": {"x": 1}, "other attributes": {"y": 2}}
        expected: dict[str, int] = {}
        for what in done & wanted.keys():
            expected.update(wanted[what])
        assert dict(array.attrs) == expected
        assert array.shape == ((4, 8) if "smaller" in done else (6, 8))
        if "low" in done:
            assert array[0, 0] == 5
        if "high" in done and "smaller" not in done:
            assert array[5, 0] == 5


def test_a_fork_goes_on_from_what_it_saw(repo):
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 1)
    grid_array(session.store, "mine")
    zarr.open_array(session.store, path="a", mode="r+").attrs["x"] = 1
    fork = session.fork()
    zarr.open_array(fork.store, path="a", mode="r+").attrs["x"] = 2
    fork.store.delete_sync("mine/zarr.json")
    session.merge(fork)
    assert zarr.open_array(session.store, path="a", mode="r").attrs["x"] == 2
    assert session.store.get_sync("mine/zarr.json") is None
    later = session.fork()
    later.store.delete_sync("a/zarr.json")
    session.merge(later)
    assert session.status().deleted_arrays == {"/a"}
    session.commit("no array left")
    assert list(zarr.open_group(repo.readonly_session("main").store, mode="r").arrays()) == []


def test_deleting_what_the_session_went_on_with_is_refused(repo):
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 1)
    fork = session.fork()
    fork.store.delete_sync("a/zarr.json")
    edit(session, np.s_[0, 1], 2)
    with pytest.raises(icechunk.ConflictError, match="one deleted /a"):
        session.merge(fork)


@pytest.mark.parametrize("wrong", ["x", None, 3])
def test_only_sessions_are_merged(repo, wrong):
    with pytest.raises(TypeError, match="Session"):
        repo.writable_session("main").merge(wrong)


def test_one_difference_among_equal_chunks_is_named(repo):
    session = repo.writable_session("main")
    one, two = session.fork(), session.fork()
    for fork in (one, two):
        edit(fork, np.s_[...], 7)
    edit(two, np.s_[5, 7], 8)
    with pytest.raises(icechunk.ConflictError, match=r"chunks of /a: \[2, 1\]\. "):
        session.merge(one, two)
    assert not session.has_uncommitted_changes
    session.merge(one, two, last_wins=True)
    assert read(session)[5, 7] == 8


def test_merging_while_the_session_is_written_to(repo):
    session = repo.writable_session("main")
    forks = [session.fork() for _ in range(8)]
    for fork in forks:
        edit(fork, np.s_[0:2], 7)
    stop = threading.Event()
    written = []

    def write() -> None:
        while not stop.is_set():
            edit(session, np.s_[5, 7], len(written))
            written.append(None)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for fork in forks:
            session.merge(fork)
    finally:
        stop.set()
        writer.join(30)
    assert read(session)[0, 0] == 7
    assert read(session)[5, 7] == len(written) - 1


def test_a_fork_may_write_over_what_it_saw(repo):
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 1)
    fork = session.fork()
    edit(fork, np.s_[0, 0], 2)
    session.merge(fork)
    assert read(session)[0, 0] == 2
    later = session.fork()
    edit(later, np.s_[0, 0], 3)
    edit(session, np.s_[0, 1], 4)  # the parent went on after giving the fork out
    with pytest.raises(icechunk.ConflictError):
        session.merge(later)


def test_a_fork_of_an_older_base_is_refused(repo):
    old = repo.writable_session("main").fork()
    edit(old, np.s_[0, 0], 1)
    session = repo.writable_session("main")
    edit(session, np.s_[0, 0], 2)
    session.commit("newer")
    with pytest.raises(icechunk.ConflictError, match="undone silently"):
        repo.writable_session("main").merge(old)


def test_nodes_made_or_changed_on_both_sides(repo):
    session = repo.writable_session("main")
    one, two, three = session.fork(), session.fork(), session.fork()
    for fork in (one, two):
        zarr.create_array(fork.store, name="new", shape=1, dtype="i4")
    zarr.open_array(three.store, path="a", mode="r+").attrs["x"] = 1
    session.merge(one)
    with pytest.raises(icechunk.ConflictError, match="both created /new"):
        session.merge(two)
    edit(session, np.s_[0, 0], 4)
    session.merge(three)
    assert zarr.open_array(session.store, path="a", mode="r").attrs["x"] == 1


def fill(arguments):
    fork, row = arguments
    zarr.open_array(fork.store, path="a", mode="r+")[2 * row : 2 * row + 2] = row + 100
    return fork


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forks_in_processes(tmp_path, method):
    config = icechunk.RepositoryConfig(inline_chunk_threshold_bytes=0)
    repo, _ = with_grid(icechunk.local_filesystem_storage(tmp_path / "r"), config)
    session = repo.writable_session("main")
    context = multiprocessing.get_context(method)
    # a fork is cheap; the other methods import everything again in each process
    with context.Pool(2 if method == "fork" else 1) as pool:
        forks = pool.map(fill, [(session.fork(), row) for row in range(3)])
    session.merge(*forks)
    session.commit("three workers")
    cells = read(icechunk.Repository.open(repo.storage).readonly_session("main"))
    for row in range(3):
        assert (cells[2 * row : 2 * row + 2] == row + 100).all()
