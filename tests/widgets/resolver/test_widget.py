"""Deciding conflicts and completing the rebase."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import IcechunkError, Repository, SessionStateError
from icechunk_widgets.resolver.widget import ConflictResolver
from tests.widgets.scenes import array, clash, climate, commit_value, values
from tests.widgets.watched import Watched


def test_two_sessions_change_overlapping_chunks(root: Path) -> None:
    """The whole story, on the real climatology: choose chunk by chunk, then compare the data."""
    import xarray

    source = root / "examples" / "data" / "coads_climatology.cdf"
    with xarray.open_dataset(source, decode_times=False) as dataset:
        sst = dataset["SST"].values
        lats = dataset["COADSY"].values
    repo = Repository.create(icechunk.in_memory_storage())
    session = repo.writable_session("main")
    group = zarr.group(session.store)
    group.create_array("COADSY", data=lats, dimension_names=["COADSY"])
    made = group.create_array(
        "SST", shape=sst.shape, chunks=(1, 30, 60), dtype="f4", fill_value=float("nan"),
        dimension_names=("TIME", "COADSY", "COADSX"),
    )  # fmt: skip
    made[:] = sst
    session.commit("climatology")

    ours, theirs = repo.writable_session("main"), repo.writable_session("main")
    array(ours)[:4, :60] = sst[:4, :60] + 1.0
    array(theirs)[2:6, 30:] = sst[2:6, 30:] - 1.0
    theirs.commit("bias correction", {"author": "Ana"})

    resolver = Watched(ours, "both corrections")
    # months 2 and 3, the middle band, three chunks around the globe
    assert (resolver.total, resolver.undecided) == (6, 6)
    held = resolver.ask("conflicts")
    assert held["sides"]["theirs"]["label"].endswith(", Ana")
    (layout, (raw,)) = resolver.ask("chunk_map", path="/SST")
    cells = np.frombuffer(raw, np.uint8).reshape(layout["grid"])
    assert (cells[2:4, 1] == 1).all()
    assert (cells[:2, :2] == 5).all()
    assert (cells[4:6, 1:] == 6).all()
    assert (cells[6:] == 0).all()
    picture, images = resolver.ask(
        "preview", path="/SST", chunk=[2, 1, 0], sides=["ours", "theirs", "base"], index=None
    )
    assert len(images) == 3
    assert picture["difference"]["max_abs"] == pytest.approx(2.0, abs=1e-4)
    assert picture["sides"][0]["stats"]["nan"] > 0  # land

    resolver.ask("decide", path="/SST", type="ChunkDoubleUpdate", choice="theirs", runs=None)
    resolver.decide("/SST", "ours", chunks=[(2, 1, 0), (3, 1, 2)])
    resolver.decide("/SST", "base", chunks=[(2, 1, 1)])
    job = resolver.ask("complete", message="both corrections")["job"]
    done = resolver.finish()
    assert done["event"] == "done"
    assert done["ok"]
    assert done["job"] == job
    assert resolver.status == "committed"

    wanted = sst.copy()
    wanted[:4, :60] += 1.0
    wanted[2:6, 30:] = sst[2:6, 30:] - 1.0
    wanted[2, 30:60, :60] = sst[2, 30:60, :60] + 1.0
    wanted[3, 30:60, 120:] = sst[3, 30:60, 120:] + 1.0
    wanted[2, 30:60, 60:120] = sst[2, 30:60, 60:120]
    np.testing.assert_array_equal(values(repo), wanted)
    assert repo.lookup_branch("main") == done["snapshot"] == resolver.snapshot_id
    tip = next(iter(repo.ancestry(branch="main")))
    assert tip.message == "both corrections"


def test_nothing_changes_until_the_end() -> None:
    repo = climate()
    mine = clash(repo)
    base, before = mine.snapshot_id, np.asarray(array(mine)[:])
    resolver = Watched(mine)
    resolver.decide("/SST", "theirs")
    resolver.ask("undo")
    resolver.ask("redo")
    resolver.ask("cancel")
    assert resolver.status == "cancelled"
    assert mine.snapshot_id == base
    np.testing.assert_array_equal(array(mine)[:], before)
    assert resolver.fails("complete")["kind"] == "not-allowed"


def test_completing_too_early() -> None:
    resolver = Watched(clash(climate()))
    with pytest.raises(SessionStateError, match="2 of 2 decisions are missing"):
        resolver.complete("x")
    assert resolver.fails("complete")["kind"] == "uncommitted-changes"
    assert resolver.status == "pending"


def test_a_rebase_without_conflicts() -> None:
    repo = climate()
    mine = repo.writable_session("main")
    array(mine)[2:] = 5
    commit_value(repo, np.s_[:2], 6, "theirs")
    resolver = Watched(mine)
    assert resolver.total == 0
    assert resolver.complete("disjoint") == repo.lookup_branch("main")
    assert (values(repo)[2:] == 5).all()
    assert (values(repo)[:2] == 6).all()


def test_nothing_of_ours_left() -> None:
    repo = climate()
    mine = repo.writable_session("main")
    array(mine)[:2] = 5
    tip = commit_value(repo, np.s_[:2], 6, "theirs")
    resolver = Watched(mine)
    resolver.decide("/SST", "theirs")
    assert resolver.complete("x") == tip == repo.lookup_branch("main")
    assert resolver.status == "rebased"
    assert "nothing" in resolver.result
    assert resolver.sent[-1]["ok"]
    assert (values(repo)[:2] == 6).all()


def test_conflicts_of_nodes() -> None:
    repo = climate()
    mine = repo.writable_session("main")
    array(mine).attrs["note"] = "mine"
    zarr.open_group(mine.store).create_group("same")
    del zarr.open_group(mine.store)["X"]
    other = repo.writable_session("main")
    array(other).attrs["note"] = "theirs"
    zarr.open_group(other.store).create_group("same")
    array(other, "X")[:] = 0
    other.commit("theirs")
    resolver = Watched(mine)
    kinds = {item["type"]: item for item in resolver.ask("conflicts")["conflicts"]}
    assert {(item["kind"], item["undecided"]) for item in kinds.values()} == {("node", 1)}
    assert set(kinds) == {
        "NewNodeConflictsWithExistingNode",
        "ZarrMetadataDoubleUpdate",
        "DeleteOfUpdatedArray",
    }
    assert kinds["NewNodeConflictsWithExistingNode"]["choices"] == ["theirs"]
    resolver.decide("/SST", "ours")
    resolver.decide("/X", "theirs")
    resolver.decide("/same", "rename", new_path="/mine")
    resolver.complete("nodes")
    tip = repo.readonly_session("main")
    assert array(tip, mode="r").attrs["note"] == "mine"
    assert (array(tip, "X", "r")[:] == 0).all()
    assert sorted(zarr.open_group(tip.store, mode="r").group_keys()) == ["mine", "same"]


def test_a_decision_that_cannot_be_carried_out() -> None:
    repo = climate()
    mine = repo.writable_session("main")
    zarr.open_group(mine.store).create_group("same")
    other = repo.writable_session("main")
    zarr.open_group(other.store).create_group("same")
    other.commit("theirs")
    resolver = Watched(mine)
    resolver.decide("/same", "rename", new_path="/nowhere/else")
    with pytest.raises(IcechunkError, match="cannot rename"):
        resolver.complete("x")
    assert resolver.status == "failed"
    done = resolver.sent[-1]
    assert (done["event"], done["ok"]) == ("done", False)
    assert "Traceback" not in json.dumps(done)
    resolver.decide("/same", "theirs")
    assert resolver.status == "pending"


def test_dropping_all_our_chunks_over_two_commits() -> None:
    repo = climate()
    mine = clash(repo)
    other = repo.writable_session("main")
    array(other).attrs["units"] = "K"
    other.commit("units")
    resolver = Watched(mine)
    resolver.decide("/SST", "theirs", type="ChunksUpdatedInUpdatedArray")
    assert resolver.undecided == 0
    resolver.complete("x")
    assert (values(repo)[:2] == -1).all()
    assert (values(repo)[2:, :3] >= 0).all()


def test_bad_requests_are_answered() -> None:
    resolver = Watched(clash(climate()))
    assert resolver.fails("decide", path="/none", type="ChunkDoubleUpdate", choice="ours")["kind"]
    assert resolver.fails("decide", path="/SST")["kind"] == "bad-request"
    kind, choice = "ChunkDoubleUpdate", "everything"
    assert resolver.fails("decide", path="/SST", type=kind, choice=choice)["kind"] == "not-allowed"
    assert resolver.fails("preview", path="/SST", chunk=[99, 0, 0])["kind"]
    assert resolver.fails("chunk_map", path="/none")["kind"]


def test_a_node_is_decided_as_a_whole() -> None:
    repo = climate()
    mine = repo.writable_session("main")
    zarr.open_group(mine.store).create_group("same")
    other = repo.writable_session("main")
    zarr.open_group(other.store).create_group("same")
    other.commit("theirs")
    resolver = Watched(mine)
    with pytest.raises(IcechunkError, match="whole node"):
        resolver.decide("/same", "theirs", chunks=[(0,)])


def test_read_only_sessions_and_odd_arguments() -> None:
    repo = climate()
    with pytest.raises(SessionStateError):
        ConflictResolver(repo.readonly_session("main"))
    with pytest.raises(TypeError, match="must be an"):
        ConflictResolver(repo)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="colour"):
        ConflictResolver(clash(repo), colour="red")


def test_the_script_takes_the_same_decisions() -> None:
    repo = climate()
    mine = clash(repo)
    resolver = Watched(mine, "scripted")
    resolver.decide("/SST", "theirs", chunks=[(0, 0, 0)])
    resolver.decide("/SST", "base", chunks=[(0, 0, 1)])
    text = resolver.ask("script")["text"]
    exec(text, {"session": mine})
    held = values(repo)
    assert (held[:2, :3, :4] == -1).all()
    assert (held[0, :3, 4:] == np.arange(192).reshape(4, 6, 8)[0, :3, 4:]).all()
    assert next(iter(repo.ancestry(branch="main"))).message == "scripted"


def test_malicious_names_are_escaped_without_a_kernel() -> None:
    repo = climate()
    session = repo.writable_session("main")
    bad = zarr.open_group(session.store).create_array(
        "<script>alert(1)</script>", shape=(2,), chunks=(1,), dtype="i4"
    )
    bad[:] = 1
    session.commit('<img src=x onerror="alert(1)">')
    mine = repo.writable_session("main")
    array(mine, bad.path)[:] = 2
    other = repo.writable_session("main")
    array(other, bad.path)[:] = 3
    other.commit("</table><b>")
    html = Watched(mine).static_html()
    assert "<script" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html
    assert "data:image/png;base64," in html


def test_progress_and_listeners() -> None:
    repo = climate()
    resolver = Watched(clash(repo))
    resolver.decide("/SST", "ours")
    heard: list[str | None] = []
    resolver.when_done(lambda one: heard.append(one.snapshot_id))
    resolver.when_done(lambda one: 1 / 0)  # type: ignore[arg-type, return-value]
    snapshot_id = resolver.complete("x")
    assert heard == [snapshot_id]
    stages = [message["stage"] for message in resolver.sent if message.get("event") == "progress"]
    assert stages == ["Looking for new commits", "Rebasing", "Writing the commit"]
    assert "committed" in repr(resolver)
    assert resolver.fails("undo")["kind"] == "not-allowed"


def test_many_threads_decide_at_once() -> None:
    repo = climate()
    mine = repo.writable_session("main")
    array(mine)[:] = -2
    commit_value(repo, np.s_[:], -1, "theirs")
    resolver = Watched(mine)
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        try:
            for _ in range(60):
                match random.integers(0, 5):
                    case 0:
                        resolver.ask("undo")
                    case 1:
                        resolver.ask("redo")
                    case 2:
                        resolver.ask("chunk_map", path="/SST")
                    case _:
                        choice = ["ours", "theirs", "base", None][random.integers(0, 4)]
                        runs = [int(random.integers(0, 8)), int(random.integers(1, 5))]
                        resolver.ask(
                            "decide", path="/SST", type="ChunkDoubleUpdate",
                            choice=choice, runs=runs,
                        )  # fmt: skip
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    left = resolver.ask("conflicts")["undecided"]
    assert left == resolver.undecided
    while resolver.undo():
        pass
    assert resolver.undecided == 8


def test_the_commit_message_is_offered() -> None:
    mine = clash(climate())
    assert ConflictResolver(mine, "My words").payload()["message"] == "My words"
    assert ConflictResolver(mine).payload()["message"] == "Merge a session into main"


def test_pictures_tell_which_way_is_up() -> None:
    result, _ = ConflictResolver(clash(climate())).preview("/SST", [0, 0, 0])
    assert result["up"]
