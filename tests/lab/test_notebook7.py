"""The same story in Jupyter Notebook 7, which sees keys before the page does."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.lab.labtools import MAP, Lab
from tests.lab.story import copy_quickstart, in_both_themes

FOCUSABLE = "[tabindex='0'], button:not(:disabled), select, summary, input"


def test_the_main_job_by_keyboard(notebook7: Lab) -> None:
    lab = notebook7
    folder = lab.server.folder
    number = copy_quickstart(folder)
    notebook = lab.open("quickstart.ipynb")
    for name in ("init", "open-data", "write", "branch", "correct"):
        notebook.run(number[name])
    cells = notebook.cell_count()

    for name, first in (("history", "icechunk-history"), ("diff", "icechunk-diff")):
        notebook.run(number[name])
        view = notebook.output(number[name]).get_by_test_id(first)
        expect(view).to_contain_text("SST")
        in_both_themes(lab, f"notebook7-{name}", view)
        lab.settle()
        for control in view.locator(FOCUSABLE).all():
            if control.is_visible():
                control.focus()
                lab.page.keyboard.type("abxm")  # commands of the notebook: insert, cut, Markdown
        assert notebook.cell_count() == cells

    notebook.run(number["ana"])
    notebook.run(number["conflict"])
    notebook.run(number["resolve"])
    resolver = notebook.output(number["resolve"]).get_by_test_id("icechunk-resolver")
    counter = resolver.get_by_test_id("icechunk-counter")
    expect(counter).to_contain_text("4 of 4")
    grid = resolver.get_by_test_id("icechunk-grid")
    expect(grid).to_have_attribute("data-grid-rows", MAP)
    lab.settle()
    grid.focus()
    lab.page.keyboard.type("aax")  # no keys of ours
    expect(counter).to_contain_text("4 of 4")
    lab.page.keyboard.type("tob")
    expect(counter).to_contain_text("1 of 4")
    in_both_themes(lab, "notebook7-resolver", resolver)
    grid.focus()
    lab.page.keyboard.press("t")
    expect(counter).to_contain_text("All 4 chunks decided")
    assert notebook.cell_count() == cells

    message = resolver.get_by_test_id("icechunk-message")
    message.fill("By keyboard")
    message.press("Enter")
    expect(resolver.get_by_test_id("icechunk-result")).to_contain_text("main")
    assert notebook.cell_count() == cells
    (told,) = notebook.run(number["check"])
    assert "108 chunks of SST hold exactly what was chosen" in told["text"]
    assert notebook.kernel("next(iter(repo.ancestry(branch='main'))).message") == "By keyboard"
