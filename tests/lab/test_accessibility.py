"""Checked by axe-core in JupyterLab, in both themes; a conflict settled without a mouse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.lab.labtools import ROOT, Lab, Notebook, write_notebook

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator

AXE = ROOT / "jupyterlab_extension" / "node_modules" / "axe-core" / "axe.min.js"

CELLS = [
    "from tests.widgets.scenes import *\n"
    "from icechunk_widgets import ConflictResolver, Diff, History\n"
    "repo = climate()\n"
    "repo.create_tag('v1', repo.lookup_branch('main'))\n"
    "repo.create_branch('side', repo.lookup_branch('main'))\n"
    "side = repo.writable_session('side')\n"
    "array(side)[0] = 1\n"
    "array(side).attrs['units'] = 'K'\n"
    "side.commit('side')\n"
    "session = clash(repo)",
    "History(repo, session)",
    "Diff(repo, 'v1', 'side')",
    "resolver = ConflictResolver(session, 'Merge')\nresolver",
]


@pytest.fixture
def notebook(lab: Lab, notebooks: Path) -> Notebook:
    """Open, with every view on it."""
    write_notebook(notebooks / "views.ipynb", CELLS)
    notebook = lab.open("views.ipynb")
    for index in range(len(CELLS)):
        notebook.run(index)
    lab.page.wait_for_timeout(800)  # JupyterLab moves the focus once more
    return notebook


def violations(view: Locator) -> list[str]:
    """What axe-core objects to inside an element, one line each."""
    view.page.evaluate(AXE.read_text())
    told: dict[str, Any] = view.evaluate(
        """async (element) => await window.axe.run(element, {
            runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
            rules: { region: { enabled: false }, "page-has-heading-one": { enabled: false } },
        })"""
    )
    assert len(told["passes"]) > 10  # it has looked
    return [
        f"{rule['id']}: {node['html'][:160]} {json.dumps(node['any'][:1])[:200]}"
        for rule in told["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.skipif(not AXE.exists(), reason="needs `npm ci` in jupyterlab_extension")
def test_no_view_has_violations(lab: Lab, notebook: Notebook) -> None:
    lab.command("icechunk:open")
    page = lab.page
    views = {
        "history": notebook.output(1).get_by_test_id("ick-history"),
        "diff": notebook.output(2).get_by_test_id("ick-diff"),
        "resolver": notebook.output(3).get_by_test_id("ick-resolver"),
        "panel": page.get_by_test_id("ick-panel"),
    }
    expect(views["panel"]).to_contain_text("main")
    views["history"].get_by_test_id("ick-act-branch").click()
    views["history"].locator("summary").click()
    expect(views["history"].get_by_test_id("ick-open-python")).to_contain_text("open_zarr")
    expect(views["history"].get_by_test_id("ick-verdict").first).to_contain_text("conflict")
    views["diff"].locator("summary").click()
    expect(views["diff"].get_by_test_id("ick-metadata")).to_contain_text("attributes.units")
    expect(views["diff"].locator(".ick-heat")).to_be_visible()
    views["diff"].get_by_test_id("ick-mapkind").select_option("size")
    expect(views["diff"].get_by_test_id("ick-sizes")).to_contain_text("chunks")
    expect(views["diff"].get_by_test_id("ick-writers")).to_contain_text("made the array")
    views["resolver"].locator("summary").click()
    expect(views["resolver"].get_by_test_id("ick-takes")).to_contain_text("takes")
    expect(views["resolver"].locator(".ick-stats").first).to_contain_text("mean")
    found = []
    for theme in ("light", "dark"):
        lab.theme(theme)
        for name, view in views.items():
            view.scroll_into_view_if_needed()
            found += [f"{theme} {name}: {line}" for line in violations(view)]
    assert found == []


def test_a_conflict_is_settled_without_the_mouse(lab: Lab, notebook: Notebook) -> None:
    page = lab.page
    resolver = notebook.output(3).get_by_test_id("ick-resolver")
    counter = resolver.get_by_test_id("ick-counter")
    expect(counter).to_contain_text("2 of 2")

    def tab_to(target: Locator) -> None:
        for _ in range(40):
            if target.evaluate("element => element === document.activeElement"):
                return
            page.keyboard.press("Tab")
        raise AssertionError("no way there with the Tab key")

    resolver.locator("[role=listbox]").focus()
    grid = resolver.get_by_test_id("ick-grid")
    tab_to(grid)
    page.keyboard.press("t")
    expect(counter).to_contain_text("1 of 2")
    page.keyboard.press("Control+z")
    expect(counter).to_contain_text("2 of 2")
    page.keyboard.press("Control+a")
    tab_to(resolver.get_by_test_id("ick-keep-ours"))
    page.keyboard.press("Enter")
    expect(counter).to_contain_text("All 2 chunks decided")
    tab_to(resolver.get_by_test_id("ick-message"))
    page.keyboard.press("Control+a")
    page.keyboard.type("No mouse")
    tab_to(resolver.get_by_test_id("ick-complete"))
    page.keyboard.press("Enter")
    expect(resolver.get_by_test_id("ick-result")).to_contain_text("main", timeout=30_000)
    assert notebook.kernel("resolver.status") == "committed"
    assert notebook.kernel("next(iter(repo.ancestry(branch='main'))).message") == "No mouse"
