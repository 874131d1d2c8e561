"""Checked by axe-core in JupyterLab, in both themes; a conflict settled without a mouse."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.lab.labtools import MAP, ROOT, Lab, Notebook, write_notebook

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

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
    lab.settle()
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
        "history": notebook.output(1).get_by_test_id("icechunk-history"),
        "diff": notebook.output(2).get_by_test_id("icechunk-diff"),
        "resolver": notebook.output(3).get_by_test_id("icechunk-resolver"),
        "panel": page.get_by_test_id("icechunk-panel"),
    }
    expect(views["panel"]).to_contain_text("main")
    views["history"].get_by_test_id("icechunk-act-branch").click()
    views["history"].locator("summary").click()
    expect(views["history"].get_by_test_id("icechunk-open-python")).to_contain_text("open_zarr")
    expect(views["history"].get_by_test_id("icechunk-verdict").first).to_contain_text("conflict")
    views["diff"].locator("summary").click()
    expect(views["diff"].get_by_test_id("icechunk-metadata")).to_contain_text("attributes.units")
    expect(views["diff"].locator(".icechunk-heat")).to_be_visible()
    views["diff"].get_by_test_id("icechunk-mapkind").select_option("size")
    expect(views["diff"].get_by_test_id("icechunk-sizes")).to_contain_text("chunks")
    expect(views["diff"].get_by_test_id("icechunk-writers")).to_contain_text("created the array")
    for closed in views["resolver"].locator("summary").all():
        closed.click()
    expect(views["resolver"].get_by_test_id("icechunk-takes")).to_contain_text("applies to")
    expect(views["resolver"].locator(".icechunk-stats").first).to_contain_text("mean")
    found = []
    for theme in ("light", "dark"):
        lab.theme(theme)
        for name, view in views.items():
            view.scroll_into_view_if_needed()
            found += [f"{theme} {name}: {line}" for line in violations(view)]
    assert found == []


METADATA = (
    "mine, other = repo.writable_session('main'), repo.writable_session('main')\n"
    "array(mine).attrs.update(units='K', note='mine')\n"
    "array(other).attrs.update(units='degC')\n"
    "array(mine)[3, 5, 7] = 11\n"
    "array(other)[3, 5, 6] = 12\n"
    "for session in (mine, other):\n"
    "    zarr.open_group(session.store).create_group('same')\n"
    "other.commit('theirs')\n"
    "settled = ConflictResolver(mine, 'Keys')\n"
    "settled"
)


@pytest.mark.skipif(not AXE.exists(), reason="needs `npm ci` in jupyterlab_extension")
def test_keys_and_names_are_settled_without_the_mouse(lab: Lab, notebooks: Path) -> None:
    write_notebook(notebooks / "keys.ipynb", [CELLS[0], METADATA])
    notebook = lab.open("keys.ipynb")
    notebook.run(0)
    notebook.run(1)
    page = lab.page
    lab.settle()
    resolver = notebook.output(1).get_by_test_id("icechunk-resolver")
    conflicts = resolver.locator("[role=listbox]")

    def go_to(text: str) -> None:
        conflicts.focus()
        page.keyboard.press("Home")
        chosen = resolver.locator("[role=option][aria-selected=true]")
        for _ in range(8):
            if text in (chosen.text_content() or ""):
                return
            page.keyboard.press("ArrowDown")
        raise AssertionError(f"no conflict says {text!r}")

    def press(testid: str, key: str = "Enter") -> None:
        tab_to(page, resolver.get_by_test_id(testid))
        page.keyboard.press(key)

    go_to("changed the metadata")
    keys = resolver.get_by_test_id("icechunk-node-conflict")
    expect(keys).to_contain_text("changed by both")
    found = []
    for theme in ("light", "dark"):
        lab.theme(theme)
        lab.screenshot(f"keys-{theme}", resolver)
        found += [f"{theme}: {line}" for line in violations(resolver)]
    assert found == []
    conflicts.focus()
    tab_to(page, keys.locator("tr", has_text="changed by both").locator("input").first)
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    press("icechunk-merge-keys")
    go_to("created a node")
    press("icechunk-rename")
    go_to("changed the array's metadata")
    press("icechunk-keep-ours")
    go_to("wrote the same chunks")
    expect(resolver.get_by_test_id("icechunk-grid")).to_have_attribute("data-grid-rows", MAP)
    tab_to(page, resolver.get_by_test_id("icechunk-grid"))
    page.keyboard.press("m")
    result = resolver.get_by_test_id("icechunk-preview-result")
    expect(result).to_have_attribute("aria-label", re.compile("Result: mean"))
    expect(resolver.get_by_test_id("icechunk-counter")).to_contain_text("All 4 decisions made")
    press("icechunk-complete")
    expect(resolver.get_by_test_id("icechunk-result")).to_contain_text("main")
    attributes = notebook.kernel("dict(array(repo.readonly_session('main'), mode='r').attrs)")
    assert attributes == {"units": "K", "note": "mine"}
    names = "sorted(zarr.open_group(repo.readonly_session('main').store, mode='r').group_keys())"
    assert notebook.kernel(names) == ["same", "same-2"]
    assert notebook.kernel("values(repo)[3, 5, 6:].tolist()") == [12, 11]


def tab_to(page: Page, target: Locator) -> None:
    for _ in range(60):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("no way there with the Tab key")


def test_a_conflict_is_settled_without_the_mouse(lab: Lab, notebook: Notebook) -> None:
    page = lab.page
    resolver = notebook.output(3).get_by_test_id("icechunk-resolver")
    counter = resolver.get_by_test_id("icechunk-counter")
    expect(counter).to_contain_text("2 of 2")

    resolver.locator("[role=listbox]").focus()
    grid = resolver.get_by_test_id("icechunk-grid")
    expect(grid).to_have_attribute("data-grid-rows", MAP)
    tab_to(page, grid)
    page.keyboard.press("t")
    expect(counter).to_contain_text("1 of 2")
    page.keyboard.press("Control+z")
    expect(counter).to_contain_text("2 of 2")
    page.keyboard.press("Control+a")
    tab_to(page, resolver.get_by_test_id("icechunk-keep-ours"))
    page.keyboard.press("Enter")
    expect(counter).to_contain_text("All 2 chunks decided")
    tab_to(page, resolver.get_by_test_id("icechunk-message"))
    page.keyboard.press("Control+a")
    page.keyboard.type("No mouse")
    tab_to(page, resolver.get_by_test_id("icechunk-complete"))
    page.keyboard.press("Enter")
    expect(resolver.get_by_test_id("icechunk-result")).to_contain_text("main")
    assert notebook.kernel("resolver.status") == "committed"
    assert notebook.kernel("next(iter(repo.ancestry(branch='main'))).message") == "No mouse"
