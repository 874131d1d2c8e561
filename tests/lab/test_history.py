"""The history in JupyterLab: a branch made from it, and two commits compared below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.lab.labtools import Lab, write_notebook
from tests.lab.story import in_both_themes

if TYPE_CHECKING:
    from pathlib import Path

CELLS = [
    "from tests.widgets.scenes import *\nfrom icechunk_widgets import History\n"
    "repo = climate()\n"
    "for i in range(60):\n"
    "    commit_value(repo, np.s_[0, : i % 6 + 1], i, f'step {i}')",
    "history = History(repo)\nhistory",
]


def test_actions_folds_and_comparison(lab: Lab, notebooks: Path) -> None:
    write_notebook(notebooks / "history.ipynb", CELLS)
    notebook = lab.open("history.ipynb")
    notebook.run(0)
    notebook.run(1)
    lab.settle()
    view = notebook.output(1).get_by_test_id("icechunk-history")
    rows = view.get_by_test_id("icechunk-history-row")
    expect(view.locator(".icechunk-activitybar").first).to_be_visible()

    rows.nth(3).click()
    view.get_by_test_id("icechunk-act-branch").click()
    lab.page.keyboard.type("try")
    expect(view.get_by_test_id("icechunk-act-python")).to_contain_text("repo.create_branch('try'")
    in_both_themes(lab, "history-actions", view)
    view.get_by_test_id("icechunk-act-run").click()
    expect(view.get_by_test_id("icechunk-done")).to_contain_text("Branch try starts at")
    wanted = "[c.id for c in repo.ancestry(branch='main')][3]"
    assert notebook.kernel("repo.lookup_branch('try')") == notebook.kernel(wanted)
    expect(rows.nth(3)).to_contain_text("try")

    view.get_by_test_id("icechunk-act-checkout").click()
    view.get_by_test_id("icechunk-act-run").click()
    expect(view.get_by_test_id("icechunk-done")).to_contain_text("session is writable, on try")
    assert notebook.kernel("session.branch") == "try"

    view.locator(".icechunk-history-list").focus()
    lab.page.keyboard.press("End")
    fold = view.get_by_test_id("icechunk-history-fold")
    expect(fold).to_contain_text("folded commits")
    fold.click()
    expect(fold).to_have_count(0)

    lab.page.keyboard.press("Home")
    rows.nth(1).click(modifiers=["Control"])
    view.get_by_test_id("icechunk-compare").click()
    below = view.get_by_test_id("icechunk-below")
    expect(below.get_by_test_id("icechunk-diff-node")).to_contain_text("of 8 chunks")
    expect(below.locator(".icechunk-stats").first).to_contain_text("mean")
    in_both_themes(lab, "history-compared", view)

    below.get_by_test_id("icechunk-mapkind").select_option("size")
    expect(below.get_by_test_id("icechunk-sizes")).to_contain_text("8 chunks")
    writers = below.get_by_test_id("icechunk-writers").locator("li")
    expect(writers).to_have_count(50)
    below.get_by_role("button", name="Search older commits").click()
    expect(writers.last).to_contain_text("base")
    in_both_themes(lab, "history-sizes-and-writers", below)
    writers.nth(1).get_by_role("button").click()
    assert notebook.kernel("history.selected") == notebook.kernel(
        "[c.id for c in repo.ancestry(branch='main') if c.message == 'step 58']"
    )

    notebook.kernel("[array(session).__setitem__(0, -1), session.commit('on try')][1]")
    notebook.kernel("commit_value(repo, 0, -2, 'made elsewhere')")
    expect(rows.filter(has_text="made elsewhere")).to_have_count(1)
    expect(view.get_by_test_id("icechunk-verdict")).to_contain_text("conflicts")


MERGES = [
    "from tests.widgets.scenes import *\nfrom icechunk_widgets import History\n"
    "repo = climate()\n"
    "def on(branch, where, value, message):\n"
    "    session = repo.writable_session(branch)\n"
    "    array(session)[where] = value\n"
    "    return session.commit(message)\n"
    "for name in ('gone', 'side', 'clash'):\n"
    "    repo.create_branch(name, repo.lookup_branch('main'))\n"
    "on('gone', np.s_[2:, :3], 3.0, 'on a branch that goes')\n"
    "on('main', np.s_[:2, :3], 1.0, 'first on main')\n"
    "repo.merge('gone'); repo.delete_branch('gone')\n"
    "on('side', np.s_[2:, 3:], 4.0, 'on side'); on('clash', np.s_[:2, :3], 5.0, 'against main')",
    "session = repo.writable_session('main')\nhistory = History(repo)\nhistory",
]


def test_merges_are_drawn_and_made(lab: Lab, notebooks: Path) -> None:
    write_notebook(notebooks / "merges.ipynb", MERGES)
    notebook = lab.open("merges.ipynb")
    notebook.run(0)
    notebook.run(1)
    lab.settle()
    view = notebook.output(1).get_by_test_id("icechunk-history")
    rows = view.get_by_test_id("icechunk-history-row")
    expect(view.get_by_label("Branch to rebase the others onto")).to_have_value("main")
    edges = view.locator("path.icechunk-merge")
    expect(edges).to_have_count(1)
    expect(rows.filter(has_text="on a branch that goes")).to_have_count(1)

    rows.filter(has_text="against main").click()
    view.get_by_test_id("icechunk-act-merge").click()
    form = view.locator(".icechunk-actform")
    expect(form).to_contain_text("1 conflict (1 × chunk double update) with main.")
    expect(view.get_by_test_id("icechunk-act-conflicts")).to_contain_text("/SST")
    expect(view.get_by_test_id("icechunk-act-run")).to_have_text("Open a merge session")
    in_both_themes(lab, "history-merge-conflicts", view)

    rows.filter(has_text="on side").click()
    view.get_by_test_id("icechunk-act-merge").click()
    expect(form).to_contain_text("Clean: no conflicts, ")
    expect(view.get_by_test_id("icechunk-act-python")).to_have_text(
        "repo.merge('side', into='main')"
    )
    view.get_by_test_id("icechunk-act-run").click()
    expect(view.get_by_test_id("icechunk-done")).to_contain_text("side is merged into main.")
    expect(edges).to_have_count(2)
    assert notebook.kernel("len(repo.lookup_snapshot(repo.lookup_branch('main')).parents)") == 2
    assert notebook.kernel("session.snapshot_id == repo.lookup_branch('main')") is True
    rows.filter(has_text="Merge branch 'side' into main").click()
    expect(view.locator(".icechunk-pane")).to_contain_text("Parents")
    in_both_themes(lab, "history-merged", view)
