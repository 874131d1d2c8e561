"""The main job, as a person does it: the quickstart notebook in JupyterLab, with the mouse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from playwright.sync_api import expect

from tests.conftest import ROOT
from tests.lab.labtools import Lab, Notebook, write_notebook
from tests.lab.story import cell_of, copy_quickstart, in_both_themes

READ_BACK = """
import json, sys
import icechunk, numpy, zarr

repo = icechunk.Repository.open(icechunk.local_filesystem_storage(sys.argv[1]))
sst = zarr.open_group(repo.readonly_session("main").store, mode="r")["SST"]
numpy.save(sys.argv[2], sst[...])
print(json.dumps([[info.message, info.metadata.get("author")]
                  for info in repo.ancestry(branch="main")]))
"""


@pytest.fixture
def quickstart(lab: Lab, notebooks: Path) -> tuple[Notebook, dict[str, int]]:
    """The notebook, open, and the number of each cell by its id."""
    number = copy_quickstart(notebooks)
    return lab.open("quickstart.ipynb"), number


def read_back(repository: Path, tmp_path: Path) -> tuple[list[list[Any]], np.ndarray]:
    """History of main and all cells of SST, read by a process of its own."""
    file = tmp_path / "sst.npy"
    done = subprocess.run(
        [sys.executable, "-c", READ_BACK, str(repository), str(file)],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout), np.load(file)


def test_the_main_job_with_the_mouse(
    lab: Lab, quickstart: tuple[Notebook, dict[str, int]], notebooks: Path, tmp_path: Path
) -> None:
    notebook, number = quickstart
    for name in ("init", "open-data", "write", "branch", "correct"):
        notebook.run(number[name])

    notebook.run(number["history"])
    history = notebook.output(number["history"]).get_by_test_id("icechunk-history")
    expect(history.get_by_test_id("icechunk-history-row")).to_have_count(3)
    expect(history).to_contain_text("COADS climatology")
    expect(history).to_contain_text("bias-correction")
    expect(history).to_contain_text("v1")
    in_both_themes(lab, "quickstart-history", history)

    notebook.run(number["diff"])
    diff = notebook.output(number["diff"]).get_by_test_id("icechunk-diff")
    expect(diff.get_by_test_id("icechunk-diff-node").first).to_contain_text("SST")
    expect(diff).to_contain_text("12 of 108 chunks")
    in_both_themes(lab, "quickstart-diff", diff)

    notebook.run(number["ana"])
    (printed,) = notebook.run(number["conflict"])
    assert "ConflictError" in printed["text"]

    notebook.run(number["resolve"])
    resolver = notebook.output(number["resolve"]).get_by_test_id("icechunk-resolver")
    grid = resolver.get_by_test_id("icechunk-grid")
    counter = resolver.get_by_test_id("icechunk-counter")
    complete = resolver.get_by_test_id("icechunk-complete")
    expect(counter).to_contain_text("4 of 4")
    expect(complete).to_be_disabled()
    expect(resolver.get_by_test_id("icechunk-message")).to_have_value("SST: cooler sensors")
    expect(grid).to_have_attribute("data-flip-y", "true")  # latitudes: north is up
    south, north = cell_of(grid, 0, 0), cell_of(grid, 2, 0)
    assert north["y"] < south["y"]
    for side in ("ours", "theirs", "base"):
        expect(resolver.get_by_test_id(f"icechunk-preview-{side}")).to_be_visible()
    assert notebook.kernel("session.status().updated_chunks['/SST']")

    # January: drag a rectangle over both conflicted chunks, keep Ana's.
    start, end = cell_of(grid, 1, 1), cell_of(grid, 1, 2)
    lab.drag(grid, (start["x"], start["y"]), (end["x"], end["y"]))
    resolver.get_by_test_id("icechunk-keep-theirs").click()
    expect(counter).to_contain_text("2 of 4")
    in_both_themes(lab, "quickstart-resolver", resolver)

    # Undo and redo by keyboard, then February: one chunk each.
    grid.focus()
    lab.page.keyboard.press("Control+z")
    expect(counter).to_contain_text("4 of 4")
    lab.page.keyboard.press("Control+Shift+z")
    expect(counter).to_contain_text("2 of 4")
    slider = resolver.locator("input[type=range]").first
    slider.focus()
    slider.press("ArrowRight")
    grid.click(position=cell_of(grid, 1, 1))
    resolver.get_by_test_id("icechunk-keep-ours").click()
    expect(counter).to_contain_text("1 of 4")
    expect(complete).to_be_disabled()
    grid.click(position=cell_of(grid, 1, 2))
    resolver.get_by_test_id("icechunk-keep-base").click()
    expect(complete).to_be_enabled()

    tip = notebook.kernel("repo.lookup_branch('main')")
    assert notebook.kernel("session.has_uncommitted_changes")
    complete.click()
    expect(resolver.get_by_test_id("icechunk-result")).to_contain_text("main")
    assert notebook.kernel("repo.lookup_branch('main')") != tip
    in_both_themes(lab, "quickstart-committed", resolver)

    notebook.run(number["result"])
    after = notebook.output(number["result"]).get_by_test_id("icechunk-history")
    expect(after).to_contain_text("SST: cooler sensors")
    in_both_themes(lab, "quickstart-result", after)
    (told,) = notebook.run(number["check"])
    assert "108 chunks of SST hold exactly what was chosen" in told["text"]

    messages, stored = read_back(notebooks / "output" / "coads", tmp_path)
    assert messages == [
        ["SST: cooler sensors", None],
        ["SST: recalibrate the tropics", "Ana"],
        ["COADS climatology", None],
        ["Repository initialized", None],
    ]
    np.testing.assert_array_equal(stored, expected())


def expected() -> np.ndarray:
    """SST as the person chose it, worked out from the netCDF file alone."""
    file = ROOT / "examples/data/coads_climatology.cdf"
    with xr.open_dataset(file, engine="scipy", decode_times=False) as ds:
        base = ds["SST"].values.copy()
    theirs, ours = base.copy(), base.copy()
    pacific, tropics = np.s_[0:2, 30:60, 0:180], np.s_[0:2, 30:90, 60:180]
    theirs[pacific] = np.where(base[pacific] > -100, base[pacific] + 0.3, base[pacific])
    ours[tropics] = np.where(base[tropics] > -100, base[tropics] - 0.2, base[tropics])
    result = base.copy()
    result[pacific] = theirs[pacific]
    result[tropics] = ours[tropics]
    result[0, 30:60, 60:180] = theirs[0, 30:60, 60:180]
    result[1, 30:60, 120:180] = base[1, 30:60, 120:180]
    return result


def test_select_all_and_keep(
    lab: Lab, quickstart: tuple[Notebook, dict[str, int]], notebooks: Path, tmp_path: Path
) -> None:
    notebook, number = quickstart
    for name in ("init", "open-data", "write", "branch", "correct", "ana", "resolve"):
        notebook.run(number[name])
    resolver = notebook.output(number["resolve"]).get_by_test_id("icechunk-resolver")
    expect(resolver.get_by_test_id("icechunk-grid")).to_have_attribute("data-grid-rows", "3")
    resolver.get_by_test_id("icechunk-select-all").click()
    resolver.get_by_test_id("icechunk-keep-ours").click()
    expect(resolver.get_by_test_id("icechunk-counter")).to_contain_text("All 4 chunks decided")
    message = resolver.get_by_test_id("icechunk-message")
    message.fill("Mine everywhere")
    resolver.get_by_test_id("icechunk-complete").click()
    expect(resolver.get_by_test_id("icechunk-result")).to_contain_text("main")
    messages, _ = read_back(notebooks / "output" / "coads", tmp_path)
    assert messages[0][0] == "Mine everywhere"


def test_cells_are_merged_by_a_rule_and_by_hand(lab: Lab, notebooks: Path) -> None:
    write_notebook(
        notebooks / "merge.ipynb",
        [
            "from tests.widgets.scenes import *\n"
            "from icechunk_widgets import ConflictResolver\n"
            "repo = climate()\n"
            "mine, other = repo.writable_session('main'), repo.writable_session('main')\n"
            "array(mine)[0, 0, 0] = -1\n"
            "array(mine)[2, 0, :2] = -1\n"
            "array(other)[0, 0, 1] = -2\n"
            "array(other)[2, 0, 1:3] = -2\n"
            "other.commit('theirs', {'author': 'Ana'})",
            "resolver = ConflictResolver(mine, 'Merged')\nresolver",
        ],
    )
    notebook = lab.open("merge.ipynb")
    notebook.run(0)
    notebook.run(1)
    lab.settle()
    resolver = notebook.output(1).get_by_test_id("icechunk-resolver")
    counter = resolver.get_by_test_id("icechunk-counter")
    expect(resolver.get_by_test_id("icechunk-cells")).to_contain_text(
        "1 by me, 1 by them, 0 by both"
    )
    resolver.locator("summary", has_text="Rules").click()
    resolver.get_by_test_id("icechunk-rule").select_option("merge-where-apart")
    expect(resolver.get_by_test_id("icechunk-takes")).to_contain_text(
        "applies to 1 of 2 undecided chunks"
    )
    expect(counter).to_contain_text("2 of 2")
    resolver.get_by_test_id("icechunk-apply").click()
    expect(counter).to_contain_text("1 of 2")
    grid = resolver.get_by_test_id("icechunk-grid")
    grid.focus()
    lab.page.keyboard.press("n")
    expect(resolver.get_by_test_id("icechunk-cells")).to_contain_text(
        "1 by me, 1 by them, 1 by both"
    )
    grid.focus()
    lab.page.keyboard.press("m")
    expect(resolver.locator(".icechunk-ask")).to_contain_text("1 chunk holds 1 element")
    in_both_themes(lab, "resolver-merge", resolver)
    resolver.get_by_test_id("icechunk-both-theirs").click()
    expect(counter).to_contain_text("All 2 chunks decided")
    with lab.page.expect_download() as saved:
        resolver.get_by_test_id("icechunk-save").click()
    decisions = json.loads(Path(saved.value.path()).read_text())["decisions"]
    assert [decision["choice"] for decision in decisions] == ["merge-ours", "merge-theirs"]
    resolver.get_by_test_id("icechunk-complete").click()
    expect(resolver.get_by_test_id("icechunk-result")).to_contain_text("main")
    assert notebook.kernel("values(repo)[0, 0, :3].tolist()") == [-1, -2, 2]
    assert notebook.kernel("values(repo)[2, 0, :4].tolist()") == [-1, -2, -2, 99]


def test_cancel_leaves_the_session_as_it_was(
    lab: Lab, quickstart: tuple[Notebook, dict[str, int]]
) -> None:
    notebook, number = quickstart
    for name in ("init", "open-data", "write", "branch", "correct", "ana", "resolve"):
        notebook.run(number[name])
    before = notebook.kernel("[session.snapshot_id, session.status().updated_chunks]")
    resolver = notebook.output(number["resolve"]).get_by_test_id("icechunk-resolver")
    expect(resolver.get_by_test_id("icechunk-grid")).to_have_attribute("data-grid-rows", "3")
    resolver.get_by_test_id("icechunk-select-all").click()
    resolver.get_by_test_id("icechunk-keep-theirs").click()
    resolver.get_by_test_id("icechunk-cancel").click()
    expect(resolver.get_by_test_id("icechunk-result")).to_contain_text("Cancelled")
    assert notebook.kernel("[session.snapshot_id, session.status().updated_chunks]") == before
    assert notebook.kernel("resolver.status") == "cancelled"


def test_the_side_panel_lists_the_repositories_of_the_kernel(
    lab: Lab, quickstart: tuple[Notebook, dict[str, int]]
) -> None:
    notebook, number = quickstart
    for name in ("init", "open-data", "write", "branch"):
        notebook.run(number[name])
    lab.command("icechunk:open")
    panel = lab.page.get_by_test_id("icechunk-panel")
    expect(panel).to_contain_text("main")
    expect(panel).to_contain_text("bias-correction")
    expect(panel).to_contain_text("v1")
    expect(panel).to_contain_text("repo")
    for theme in ("dark", "light"):
        lab.theme(theme)
        lab.screenshot(f"sidebar-{theme}")
