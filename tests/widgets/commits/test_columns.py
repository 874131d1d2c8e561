from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import icechunk
from icechunk.core.ids import new_object_id
from icechunk.spec.repo.codec import encode_repo
from icechunk.spec.repo.refs import Refs
from icechunk.spec.repo.snapshot_table import SnapshotRecord, SnapshotTable
from icechunk_widgets.commits.columns import EXPIRED, NOT_LISTED, ROOT, commit_row, listing
from icechunk_widgets.history.widget import History
from tests.widgets.scenes import array, climate, commit_value

HOUR = 3_600_000_000


def long_history(path: Path, count: int) -> icechunk.Repository:
    """A repository of many commits, every fiftieth beside the main line."""
    repo = icechunk.Repository.create(icechunk.local_filesystem_storage(str(path)))
    state = repo._ctx.ref_store.state()
    records = [next(iter(state.snapshots))]
    tip = records[0].id
    for number in range(count):
        at = records[0].flushed_at + (number + 1) * HOUR
        author = {"author": ("Ana", "Tom", "Priya")[number % 3]}
        record = SnapshotRecord(new_object_id(), tip, at, f"Append hour {number}", author)
        records.append(record)
        if number % 50 != 7:
            tip = record.id
    branches = {"main": tip, "side": records[58].id}
    state = replace(state, snapshots=SnapshotTable.from_records(records), branches=Refs(branches))
    repo.storage.put("repo", encode_repo(state))
    return repo


def test_columns_say_what_the_rows_say() -> None:
    repo = climate()
    for number in range(5):
        commit_value(repo, 0, number, f"step {number}")
    tip = repo.lookup_branch("main")
    repo.create_branch("dev", list(repo.ancestry(branch="main"))[2].id)
    session = repo.writable_session("dev")
    session.commit("on dev", allow_empty=True)
    held = listing(repo)
    ids = [bytes(letters).decode() for letters in held.ids()]
    rows = [commit_row(held[place]) for place in range(len(held))]
    assert [row["id"] for row in rows] == ids
    assert [row["id"] for row in rows] == [info.id for info in repo.history()["commits"]]
    parents = [None if at == ROOT else ids[at] for at in held.parents]
    assert parents == [row["parent"] for row in rows]
    written = [info.written_at.timestamp() * 1000 for info in repo.history()["commits"]]
    assert held.times() == pytest.approx(written, abs=0.01)
    one_line = listing(repo, tip)
    assert "on dev" not in [one_line[place].message for place in range(len(one_line))]
    assert one_line.version != held.version
    cut = listing(repo, limit=3)
    assert cut.truncated
    assert cut.parents[-1] == NOT_LISTED


def test_a_parent_with_a_clock_ahead_stands_below_its_child() -> None:
    root, early, late = new_object_id(), new_object_id(), new_object_id()
    records = [
        SnapshotRecord(root, None, 3 * HOUR, "root, by a clock ahead"),
        SnapshotRecord(early, root, 1 * HOUR, "child"),
        SnapshotRecord(late, root, 2 * HOUR, "other child"),
    ]
    from icechunk_widgets.commits.columns import _children_first

    table = SnapshotTable.from_records(records)
    rows = np.argsort(-table.flushed_at, kind="stable")
    ordered = [table.message_of(int(row)) for row in _children_first(rows, table.parents, {})]
    assert ordered == ["other child", "child", "root, by a clock ahead"]


def test_search_finds_messages_authors_ids_and_names(tmp_path: Path) -> None:
    repo = long_history(tmp_path, 300)
    held = listing(repo)
    rows = [commit_row(held[place]) for place in range(len(held))]

    def found(text: str) -> list[int]:
        return [int(place) for place in held.search(text)]

    assert found("HOUR 29") == [n for n, row in enumerate(rows) if "hour 29" in row["message"]]
    assert found("priya") == [n for n, row in enumerate(rows) if row["author"] == "Priya"]
    assert found(rows[7]["id"][2:12].lower()) == [7]
    assert found("side") == [held.place(held.branches["side"])]
    assert found("") == []
    assert found("nothing like it") == []
    again = listing(climate())  # its metadata were never in a file
    assert [again[int(place)].message for place in again.search("ana")] == ["base"]


def test_a_hundred_thousand_commits(tmp_path: Path) -> None:
    widget = History(long_history(tmp_path, 100_000))
    start = time.process_time()
    reply, buffers = widget.respond({"id": 1, "method": "history", "params": {}})
    took = time.process_time() - start
    assert reply["ok"], reply
    held = reply["result"]
    assert held["count"] == len(buffers[0]) // 20 > 98_000
    assert len(held["commits"]) == 200
    assert sum(map(len, buffers)) < 4_000_000
    assert took < 1.5  # CPU time; usually a third of a second
    start = time.process_time()
    params = {"text": "hour 99", "version": held["version"]}
    reply, buffers = widget.respond({"id": 2, "method": "search", "params": params})
    assert time.process_time() - start < 1.5
    places = np.frombuffer(buffers[0], np.uint32)
    wanted = [widget._held[int(place)].id for place in places[:3]]  # type: ignore[index]
    reply, _ = widget.respond({"id": 3, "method": "rows", "params": {"ids": wanted}})
    assert all("hour 99" in row["message"] for row in reply["result"])
    stale = {"text": "hour", "version": "of yesterday"}
    reply, buffers = widget.respond({"id": 4, "method": "search", "params": stale})
    assert reply["result"] == {"current": False}
    assert len(buffers[0]) == 0


def merged() -> tuple[icechunk.Repository, str, str]:
    """A merge whose source branch is deleted, and both of its parents."""
    repo = climate()
    repo.create_branch("side", repo.lookup_branch("main"))
    session = repo.writable_session("side")
    array(session)[0] = 1.0
    side = session.commit("on side")
    main = commit_value(repo, -1, 2.0, "on main")
    repo.merge("side")
    repo.delete_branch("side")
    return repo, main, side


def test_merges_have_an_edge_to_every_parent() -> None:
    repo, main, side = merged()
    held = listing(repo)
    assert held[0].message == "Merge branch 'side' into main"
    assert held.merges.tolist() == [[0, held.place(side)]]
    assert held.parents[0] == held.place(main)
    row = commit_row(held[0])
    assert row["others"] == [side]
    assert row["origin"] == {"kind": "merge", "of": []}
    assert row["metadata"] == {}
    assert "others" not in commit_row(held[1])
    assert len(listing(repo, repo.lookup_branch("main"))) == len(held)
    assert listing(repo, limit=1).merges.tolist() == [[0, NOT_LISTED]]
    repo.garbage_collect(datetime.now(UTC) + timedelta(days=1))
    assert listing(repo).merges.tolist() == [[0, EXPIRED]]
    assert repr(History(repo)).startswith("●╌")


def test_a_further_parent_with_a_clock_ahead_stands_below_the_merge() -> None:
    root, main, side, merge = (new_object_id() for _ in range(4))
    records = [
        SnapshotRecord(root, None, 1 * HOUR, "root"),
        SnapshotRecord(main, root, 2 * HOUR, "main"),
        SnapshotRecord(side, root, 9 * HOUR, "side, by a clock ahead"),
        SnapshotRecord(merge, main, 3 * HOUR, "merge"),
    ]
    from icechunk_widgets.commits.columns import _children_first

    table = SnapshotTable.from_records(records)
    rows = np.argsort(-table.flushed_at, kind="stable")
    edges = {table.find(merge): (table.find(side), -1)}
    ordered = [table.message_of(int(row)) for row in _children_first(rows, table.parents, edges)]
    assert ordered[0] == "merge"
    assert sorted(ordered[1:3]) == ["main", "side, by a clock ahead"]
    assert ordered[3] == "root"
