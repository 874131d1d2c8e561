"""Random clicks: the result equals what was displayed, and what the script does."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from icechunk import Repository, Session
from tests.widgets.scenes import GRID, array, climate, values
from tests.widgets.watched import Watched

KIND = "ChunkDoubleUpdate"
RUNS = st.tuples(st.integers(0, 7), st.integers(1, 8)).map(list)
MOVES = st.lists(
    st.one_of(
        st.sampled_from([("undo",), ("redo",)]),
        st.tuples(st.just("decide"), st.sampled_from(["ours", "theirs", "base", None]), RUNS),
        st.tuples(st.just("merge"), st.sampled_from(["ours", "theirs", None]), RUNS),
        st.tuples(st.just("rule"), st.sampled_from(["merge-where-apart", "mine-where-close"])),
        st.tuples(st.just("keys"), st.sampled_from(["ours", "theirs", "base"])),
    ),
    max_size=12,
)


def scene(two_commits: bool) -> tuple[Repository, Session, dict[str, np.ndarray]]:
    """Both sides changed cells of the same chunks, some of them the same, and one attribute."""
    repo = climate()
    first = repo.writable_session("main")
    array(first).attrs["units"] = "K"
    first.commit("units")
    mine, other = repo.writable_session("main"), repo.writable_session("main")
    array(mine)[:, 1:5, :4] = -2
    array(mine)[0, 0, 0] = -2
    array(mine).attrs.update(units="mine", note="mine")
    array(other)[:2, :3, :4] = -1
    array(other).attrs.update(units="theirs", history="theirs")
    other.commit("first")
    other = repo.writable_session("main")
    array(other)[2:, 4:, 2:] = -1
    if two_commits:
        array(other)[2, 1, 1] = -1
    other.commit("second")
    tip = repo.readonly_session("main")
    sides = {
        "base": np.arange(192.0).reshape(4, 6, 8),
        "ours": np.asarray(array(mine, mode="r")[:]),
        "theirs": np.asarray(array(tip, mode="r")[:]),
    }
    return repo, mine, sides


def walk_through(resolver: Watched, walk: list[tuple[Any, ...]]) -> None:
    for name, *given_ in walk:
        if name in ("undo", "redo"):
            resolver.ask(name)
        elif name == "decide":
            choice, runs = given_
            resolver.ask("decide", path="/SST", type=KIND, choice=choice, runs=runs)
        elif name == "merge":
            both, runs = given_
            resolver.ask("merge", path="/SST", both=both, runs=runs)
        elif name == "rule":
            resolver.ask("rule", path="/SST", rule=given_[0], limit=100.0, apply=True)
        else:
            keys = {"/attributes/units": given_[0]}
            resolver.decide("/SST", "merge", type="ZarrMetadataDoubleUpdate", keys=keys)


def shown(resolver: Watched) -> np.ndarray:
    _, (raw,) = resolver.ask("chunk_map", path="/SST")
    return np.frombuffer(raw, np.uint8)


def outcome(sides: dict[str, np.ndarray], cells: np.ndarray) -> np.ndarray:
    """The values that the map of decisions promises."""
    base, ours, theirs = (sides[name] for name in ("base", "ours", "theirs"))
    mine, its = ours != base, theirs != base
    merged = {
        7: np.where(mine, ours, theirs),
        8: np.where(mine & ~its, ours, theirs),
    }
    wanted = {0: base, 2: ours, 3: theirs, 4: base, 5: ours, 6: theirs, **merged}
    made = base.copy()
    for (t, y, x), code in np.ndenumerate(cells.reshape(GRID)):
        part = np.s_[2 * t : 2 * t + 2, 3 * y : 3 * y + 3, 4 * x : 4 * x + 4]
        made[part] = wanted[int(code)][part]
    return made


@settings(max_examples=25)
@given(MOVES, st.sampled_from(["ours", "theirs", "base"]), st.booleans())
def test_what_is_applied_is_what_was_shown(
    walk: list[tuple[Any, ...]], rest: str, two_commits: bool
) -> None:
    repo, mine, sides = scene(two_commits)
    resolver = Watched(mine)
    resolver.decide("/SST", "ours", type="ChunksUpdatedInUpdatedArray")
    resolver.decide(
        "/SST", "merge", type="ZarrMetadataDoubleUpdate", keys={"/attributes/units": rest}
    )
    walk_through(resolver, walk)
    if resolver.undecided:  # the walk may have taken the first decisions back
        resolver.decide("/SST", "ours", type="ChunksUpdatedInUpdatedArray")
        keys = {"/attributes/units": rest}
        resolver.decide("/SST", "merge", type="ZarrMetadataDoubleUpdate", keys=keys)
    for place in np.flatnonzero(shown(resolver) == 1).tolist():
        resolver.ask("decide", path="/SST", type=KIND, choice=rest, runs=[place, 1])
    cells, program, tip = shown(resolver), resolver.script(), repo.lookup_branch("main")
    node = next(one for one in resolver.decisions if one["type"] == "ZarrMetadataDoubleUpdate")
    resolver.complete("merged")
    expected = outcome(sides, cells)
    np.testing.assert_array_equal(values(repo), expected, err_msg=str(cells))
    units = {"ours": "mine", "theirs": "theirs", "base": "K"}[node["keys"]["/attributes/units"]]
    attributes = {"units": units, "note": "mine", "history": "theirs"}
    assert dict(array(repo.readonly_session("main"), mode="r").attrs) == attributes

    twin, session, _ = scene(two_commits)
    exec(program.replace(tip, twin.lookup_branch("main")), {"session": session})
    np.testing.assert_array_equal(values(twin), expected)
    assert dict(array(twin.readonly_session("main"), mode="r").attrs) == attributes
