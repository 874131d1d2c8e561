"""The drawn history: where lines go, what the rows say, and that texts stay texts."""

from __future__ import annotations

import re
from xml.etree import ElementTree as xml

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import icechunk
from icechunk.display.graph import AncestryGraph
from icechunk.display.lanes import GraphCommit, arrange

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*commits, branches=(), tags=(), plain=True) -> AncestryGraph:
    """A graph of (id, parent, further parents...); the message is the id."""
    return AncestryGraph(
        [GraphCommit(one, parent, one, tuple(others)) for one, parent, *others in commits],
        dict(branches),
        dict(tags),
        plain=plain,
    )


def test_one_branch():
    graph = drawn(("b", "a"), ("a", None), branches={"main": "b", "dev": "a"}, tags={"v1": "a"})
    assert str(graph) == repr(graph) == "● b (main) b\n│ \n● a (dev, v1) a\n"


def test_branches_join_where_they_began():
    graph = drawn(
        ("y", "m1"),
        ("m3", "m2"),
        ("d2", "d1"),
        ("x", "d1"),
        ("m2", "m1"),
        ("d1", "m1"),
        ("m1", None),
        branches={"main": "m3", "dev": "d2", "x": "x", "y": "y", "same": "m3"},
        tags={"t": "d1"},
    )
    assert str(graph).splitlines() == [
        "      ● y (y) y",
        "      │ ",
        "●     │ m3 (main, same) m3",
        "│     │ ",
        "│ ●   │ d2 (dev) d2",
        "│ │   │ ",
        "│ │ ● │ x (x) x",
        "│ │ │ │ ",
        "● │ │ │ m2 m2",
        "│ │ │ │ ",
        "│ ●─╯ │ d1 (t) d1",
        "│ │   │ ",
        "●─╯───╯ m1 m1",
    ]


def test_lanes_without_a_common_row_share_a_column():
    graph = drawn(
        ("m3", "m2"),
        ("late", "m2"),
        ("m2", "m1"),
        ("early", "m1"),
        ("m1", None),
        branches={"main": "m3", "early": "early", "late": "late"},
    )
    assert [line[:4] for line in str(graph).splitlines()[::2]] == [
        "●   ",
        "│ ● ",
        "●─╯ ",
        "│ ● ",
        "●─╯ ",
    ]


def graph_of(*commits, **refs) -> list[str]:
    """The characters before the ids, one line per commit."""
    held = drawn(*commits, **refs)
    width = 2 * held._layout.width
    return [line[:width].rstrip() for line in str(held).splitlines()[::2]]


def test_a_merge_has_a_line_to_each_parent():
    history = [("f1", "r"), ("m1", "r"), ("r", None)]
    merged = [("M", "m1", "f1"), *history]
    assert graph_of(*merged, branches={"main": "M"}) == ["●─╮", "│ ●", "● │", "●─╯"]
    # The branch went on since: its line passes the merge.
    later = [("f2", "f1"), *merged]
    rows = ["  ●", "●─┤", "│ ●", "● │", "●─╯"]
    assert graph_of(*later, branches={"main": "M", "f": "f2"}) == rows
    # The other way round: main, further left, is merged into a branch.
    back = [("F", "f1", "m1"), *history]
    assert graph_of(*back, branches={"main": "m1", "f": "F"}) == ["╭─●", "│ ●", "● │", "●─╯"]


def test_a_merge_of_a_commit_in_the_middle_of_a_line_below_has_a_line_of_its_own():
    commits = [("F", "f1", "m1"), ("m2", "m1"), ("f1", "r"), ("m1", "r"), ("r", None)]
    assert graph_of(*commits, branches={"main": "m2", "f": "F"}) == [
        "  ●─╮",
        "● │ │",
        "│ ● │",
        "●─│─╯",
        "●─╯",
    ]


def test_a_merge_of_several_branches_and_an_expired_one():
    commits = [("M", "m", "a", "b", "GONE56789"), ("a", "m"), ("b", "m"), ("m", None)]
    assert graph_of(*commits, branches={"main": "M"}) == ["●─╮─╮", "│ ● │", "│ │ ●", "●─╯─╯"]
    assert "M (main) [merged GONE5678, expired] M" in str(drawn(*commits, branches={"main": "M"}))
    assert graph_of(("M", "m", "GONE"), ("m", None), branches={"main": "M"}) == ["●╌", "●"]


def test_the_picture_has_a_curve_for_every_parent_of_a_merge():
    commits = [("M", "m1", "f1"), ("f1", "r"), ("m1", "r"), ("r", None)]
    root = xml.fromstring(drawn(*commits, branches={"main": "M"})._repr_svg_())
    paths = [path.get("d") for path in root.iter(f"{SVG}path")]
    assert paths == [
        "M 15 15 V 99",
        "M 35 43 V 71 C 35 85, 15 85, 15 99",
        "M 15 15 C 15 29, 35 29, 35 43",
    ]


def test_a_lane_whose_parent_is_not_listed_goes_on_to_the_end():
    layout = arrange([GraphCommit("x", "older", ""), GraphCommit("y", None, "")], [])
    assert [layout.text(row) for row in range(2)] == ["●", "│ ●"]


def test_the_graph_of_a_repository_has_the_commits_reachable_from_its_refs():
    repo = icechunk.Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    zarr.create_group(session.store)
    first = session.commit("first\nwith a body")
    loose = repo.writable_session("main").flush("not drawn")
    repo.create_branch("dev", first)
    session = repo.writable_session("dev")
    array = zarr.create_array(session.store, name="a", shape=(2,), chunks=(1,), dtype="i4")
    array[:] = np.arange(2)
    second = session.commit("x" * 100)
    repo.create_tag("v1", first)
    text = str(repo.ancestry_graph(plain=True))
    assert text.splitlines() == [
        f"  ● {second[:8]} (dev) {'x' * 57}...",
        "  │ ",
        f"●─╯ {first[:8]} (main, v1) first",
        "│   ",
        "●   1CECHNKR Repository initialized",
    ]
    assert loose[:8] not in text
    assert len(repo.ancestry_graph(branch="main")) == 2
    assert str(repo.ancestry_graph(tag="v1", plain=True)).startswith(f"● {first[:8]} (main, v1)")
    assert str(repo.ancestry_graph(snapshot_id=loose, plain=True)).startswith(f"● {loose[:8]} not")
    with pytest.raises(ValueError, match="Must provide one of"):
        repo.ancestry_graph(branch="main", tag="v1")
    with pytest.raises(icechunk.RefNotFoundError):
        repo.ancestry_graph(branch="nope")


def test_plain_text_differs_in_colours_only():
    args = {"branches": {"main": "c", "dev": "b"}, "tags": {"t": "a"}}
    commits = (("c", "a"), ("b", "a"), ("a", None))
    coloured = str(drawn(*commits, plain=False, **args))
    assert "\x1b[38;2;183;228;0m●\x1b[0m" in coloured
    assert "\x1b[1m\x1b[3m\x1b[38;2;94;196;247mt\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == str(drawn(*commits, **args))


TEXTS = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from("<>&\"'\x1b\x00\x07\n\r\u2028")),
    max_size=20,
)


@given(message=TEXTS, branch=TEXTS, tag=TEXTS)
def test_no_text_is_markup_or_a_terminal_command(message, branch, tag):
    graph = AncestryGraph(
        [GraphCommit("A" * 20, None, message)], {branch: "A" * 20}, {tag: "A" * 20}, plain=True
    )
    assert str(graph).count("\n") == 1
    assert "\x1b" not in str(graph)
    root = xml.fromstring(graph._repr_svg_())
    assert {one.tag for one in root.iter()} <= {
        f"{SVG}{t}" for t in ("svg", "path", "circle", "text", "tspan")
    }
    (text,) = root.iter(f"{SVG}text")
    assert "".join(text.itertext()) == str(graph)[2:-1]


@given(st.data())
def test_lines_of_merges_share_no_column_with_others(data):
    count = data.draw(st.integers(2, 12))
    ids = [f"{number:020d}" for number in range(count)]
    older = [st.sampled_from(ids[:n] or [None]) for n in range(count)]
    commits = [GraphCommit(ids[0], None, "m")]
    for n in range(1, count):
        others = data.draw(st.sets(older[n], max_size=2))
        commits.insert(0, GraphCommit(ids[n], data.draw(older[n]), "m", tuple(others)))
    layout = arrange(commits, data.draw(st.lists(st.sampled_from(ids), max_size=4)))
    rows = {commit.id: row for row, commit in enumerate(commits)}
    for row in range(count):
        columns = [lane.column for lane in layout.lanes if lane.begin <= row <= lane.end]
        assert len(columns) == len(set(columns))
        assert layout.text(row).count("●") == 1
        for other in commits[row].others:
            own = layout.lane_of_row[row]
            leading = {layout.lanes[number] for number in (own, *layout.merges.get(row, ()))}
            parent = layout.lanes[layout.lane_of_row[rows[other]]]
            assert any(lane == parent or lane.joins == rows[other] for lane in leading)
            assert all(lane.begin <= row < lane.end for lane in leading - {layout.lanes[own]})


@given(st.data())
def test_every_commit_has_one_dot_and_every_lane_joins_to_the_left(data):
    count = data.draw(st.integers(1, 12))
    ids = [f"{number:020d}" for number in range(count)]
    commits = [
        GraphCommit(ids[n], None if n == 0 else ids[data.draw(st.integers(0, n - 1))], "m")
        for n in range(count)
    ][::-1]
    tips = data.draw(st.lists(st.sampled_from(ids), max_size=5))
    layout = arrange(commits, tips)
    assert len(layout.lane_of_row) == count
    for number, lane in enumerate(layout.lanes):
        assert layout.lane_of_row[lane.top] == layout.lane_of_row[lane.bottom] == number
        if lane.joins is not None:
            assert layout.lane_of_row[lane.joins] < number
            assert lane.joins > lane.bottom
            assert lane.column > layout.lanes[layout.lane_of_row[lane.joins]].column
    for row in range(count):
        columns = [lane.column for lane in layout.lanes if lane.top <= row <= lane.end]
        assert len(columns) == len(set(columns))
    graph = AncestryGraph(commits, {f"b{n}": tip for n, tip in enumerate(tips)}, {}, plain=True)
    rows = str(graph).splitlines()[::2]
    width = 2 * layout.width
    assert all(row[:width].count("●") == 1 for row in rows)
