"""One JupyterLab and one browser for all tests of this folder, a fresh page for each test."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.conftest import browser_path
from tests.lab.labtools import ARTIFACTS, CHROMIUM_ARGUMENTS, PATIENCE, Lab, LabServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the browser, and the time that takes."""
    for item in items:
        if "tests/lab/" in item.path.as_posix():
            item.add_marker("lab")
            item.add_marker(pytest.mark.timeout(4 * PATIENCE))


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """Return a running JupyterLab."""
    server = LabServer(tmp_path_factory.mktemp("lab")).start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a running headless Chromium."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path(), headless=True, args=CHROMIUM_ARGUMENTS
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Return a browser context whose cache the pages of all tests share."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    yield context
    context.close()


def one_page(
    server: LabServer, context: BrowserContext, request: pytest.FixtureRequest
) -> Iterator[Lab]:
    """A page of its own; afterwards nothing may have been requested from another machine."""
    page = Lab(server, context)
    before = request.session.testsfailed
    try:
        yield page
        if request.session.testsfailed > before:
            name = re.sub(r"\W+", "-", request.node.name)
            page.screenshot(f"failed-{name}")
    finally:
        page.page.close()
        server.end_kernels()
    assert page.external == [], "the page requested something from another machine"
    if server.application == "notebook":  # Notebook 7.6 has one of its own, without any extension
        page.errors[:] = [error for error in page.errors if "reading 'schema'" not in error]
    assert page.errors == [], "JavaScript errors on the page"


@pytest.fixture
def lab(
    lab_server: LabServer, context: BrowserContext, request: pytest.FixtureRequest
) -> Iterator[Lab]:
    """Return a page on JupyterLab."""
    yield from one_page(lab_server, context, request)


@pytest.fixture(scope="session")
def notebook_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """Return a running Jupyter Notebook 7."""
    pytest.importorskip("notebook")
    server = LabServer(tmp_path_factory.mktemp("notebook"), "notebook").start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def notebook7(
    notebook_server: LabServer, context: BrowserContext, request: pytest.FixtureRequest
) -> Iterator[Lab]:
    """Return a page on Jupyter Notebook 7."""
    yield from one_page(notebook_server, context, request)


@pytest.fixture
def notebooks(lab_server: LabServer) -> Path:
    """Return the folder that JupyterLab shows."""
    return lab_server.folder


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Return the folder where pictures and logs are kept."""
    ARTIFACTS.mkdir(exist_ok=True)
    return ARTIFACTS
