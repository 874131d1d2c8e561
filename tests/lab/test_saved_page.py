"""Views saved as files and opened from disk, with no server at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from icechunk_widgets import ConflictResolver, Diff, History
from tests.widgets.scenes import clash, climate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that may load nothing but the file, and must not complain."""
    look = {"width": 1200, "height": 800}
    context = browser.new_context(color_scheme=request.param, viewport=look)
    page = context.new_page()
    asked: list[str] = []
    trouble: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text))
    yield page
    context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert trouble == []


def test_history_from_disk(page: Page, tmp_path: Path, artifacts: Path) -> None:
    repo = climate()
    repo.create_tag("v1", repo.lookup_branch("main"))
    History(repo).to_html(tmp_path / "page.html")
    page.goto((tmp_path / "page.html").as_uri())
    rows = page.get_by_test_id("icechunk-history-row")
    expect(rows).to_have_count(2)
    expect(page.locator(".icechunk-pane")).to_contain_text("/SST")
    rows.nth(1).click()
    expect(page.locator(".icechunk-pane")).to_contain_text("the first snapshot")
    expect(page.locator(".icechunk-savednote")).to_contain_text("Saved copy")
    page.screenshot(path=artifacts / "saved-history.png")


def test_diff_from_disk(page: Page, tmp_path: Path, artifacts: Path) -> None:
    mine = clash(climate())
    Diff(mine.repository, None, mine).to_html(tmp_path / "page.html")
    page.goto((tmp_path / "page.html").as_uri())
    expect(page.get_by_test_id("icechunk-diff-node")).to_contain_text("4 of 8 chunks")
    expect(page.locator(".icechunk-stats").first).to_contain_text("mean")
    page.get_by_test_id("icechunk-grid").press("ArrowRight")
    expect(page.locator(".icechunk-caption")).to_contain_text("[0, 0, 1]")
    page.screenshot(path=artifacts / "saved-diff.png")


def test_resolver_from_disk_shows_and_offers_nothing(
    page: Page, tmp_path: Path, artifacts: Path
) -> None:
    ConflictResolver(clash(climate())).to_html(tmp_path / "page.html")
    page.goto((tmp_path / "page.html").as_uri())
    grid = page.get_by_test_id("icechunk-grid")
    expect(grid).to_be_visible()
    expect(page.locator(".icechunk-stats").first).to_contain_text("mean −2")
    expect(page.get_by_test_id("icechunk-keep-ours")).not_to_be_visible()
    expect(page.get_by_test_id("icechunk-complete")).not_to_be_visible()
    grid.press("t")
    expect(page.locator(".icechunk-legend")).to_contain_text("undecided 2")
    page.get_by_role("button", name="Show as Python").click()
    expect(page.locator(".icechunk-code")).to_contain_text("DecisionSolver")
    page.screenshot(path=artifacts / "saved-resolver.png")
