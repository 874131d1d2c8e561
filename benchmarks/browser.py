"""Measure the resolver with a million conflicting chunks in a real browser.

    python benchmarks/browser.py [--rows 1000] [--columns 1000]

Prints one line per figure: seconds from running the cell to the first painted map, milliseconds
per rectangle (pointer up to the next painted frame), milliseconds per decision until the kernel
has replied, and the memory of the page's JavaScript.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.conftest import browser_path
from tests.lab.labtools import CHROMIUM_ARGUMENTS, Lab, LabServer, write_notebook

BUILD = """
import numpy as np, zarr, icechunk
from icechunk_widgets import ConflictResolver
rows, columns = {rows}, {columns}
repo = icechunk.Repository.create(icechunk.in_memory_storage())
session = repo.writable_session("main")
zarr.create_array(session.store, name="sst", shape=(rows, columns * 4), chunks=(1, 4),
                  dtype="f4", filters=None, compressors=None, dimension_names=["y", "x"])
session.commit("empty")
count = rows * columns
def fill(session, place):
    session.store.set_virtual_refs_arr(
        "sst", [rows, columns], np.full(count, place), np.arange(count, dtype="u8") * 16,
        np.full(count, 16, "u8"), validate_containers=False)
mine, yours = repo.writable_session("main"), repo.writable_session("main")
fill(mine, "file:///nowhere/mine.bin")
fill(yours, "file:///nowhere/yours.bin")
yours.commit("theirs")
"""
SHOW = "import time; started = time.time(); resolver = ConflictResolver(mine); resolver"

DRAWN = "() => document.querySelector('[data-testid=icechunk-grid]')?.dataset.gridRows > 1"
PAINTED = "() => new Promise(done => requestAnimationFrame(() => done(Date.now() / 1000)))"
WATCH = """() => {
    window.spans = [];
    const canvas = document.querySelector('[data-testid=icechunk-grid]');
    canvas.addEventListener('pointerup', () => {
        const begun = performance.now();
        requestAnimationFrame(() => setTimeout(() => window.spans.push(performance.now() - begun)));
    }, true);
}"""


def measure(lab: Lab, rows: int, columns: int) -> dict[str, float]:
    """Measure in an open notebook with the two cells above."""
    notebook = lab.open("million.ipynb")
    notebook.run(0, timeout=300)
    notebook.run(1, timeout=300)
    lab.page.wait_for_function(DRAWN, polling="raf", timeout=60_000)
    painted = lab.page.evaluate(PAINTED)
    figures = {"first paint, s": painted - notebook.kernel("started")}
    grid = lab.page.get_by_test_id("icechunk-grid")
    lab.page.wait_for_timeout(1000)
    lab.page.evaluate(WATCH)
    box: Any = grid.evaluate(
        "c => ({x: +c.dataset.originX, y: +c.dataset.originY, w: +c.dataset.cellWidth, "
        "h: +c.dataset.cellHeight, rows: +c.dataset.gridRows, cols: +c.dataset.gridCols})"
    )
    lab.screenshot("million-before")
    for low, high in [(0.0, 1.0), (0.1, 0.9), (0.4, 0.6), (0.0, 0.5), (0.2, 0.99)]:
        edge = [box["x"] + box["cols"] * box["w"] * part for part in (low, high * 0.999)]
        side = [box["y"] + box["rows"] * box["h"] * part for part in (low, high * 0.999)]
        lab.drag(grid, (edge[0] + 0.3, side[0] + 0.3), (edge[1], side[1]))
        lab.page.wait_for_timeout(300)
    spans = lab.page.evaluate("() => window.spans")
    figures["rectangle, ms (worst)"] = max(spans)
    figures["rectangle, ms (median)"] = median(spans)
    lab.screenshot("million-selected")
    before = notebook.kernel("resolver.undecided")
    begun = lab.page.evaluate("() => performance.now()")
    lab.page.get_by_test_id("icechunk-keep-theirs").click()
    notebook.lab.page.wait_for_function(
        "text => document.querySelector('[data-testid=icechunk-counter]').textContent !== text",
        arg=lab.page.get_by_test_id("icechunk-counter").text_content(),
    )
    figures["decision, ms"] = lab.page.evaluate("() => performance.now()") - begun
    figures["decided"] = before - notebook.kernel("resolver.undecided")
    client = lab.page.context.new_cdp_session(lab.page)
    client.send("HeapProfiler.collectGarbage")
    heap = client.send("Runtime.getHeapUsage")
    figures["JavaScript heap, MB"] = (heap["usedSize"] + heap.get("backingStorageSize", 0)) / 1e6
    return figures


def main() -> None:
    """Run the notebook and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--columns", type=int, default=1000)
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        server = LabServer(Path(home)).start()
        try:
            cells = [BUILD.format(rows=given.rows, columns=given.columns), SHOW]
            write_notebook(server.folder / "million.ipynb", cells)
            browser = playwright.chromium.launch(
                executable_path=browser_path(), headless=True, args=CHROMIUM_ARGUMENTS
            )
            context = browser.new_context(viewport={"width": 1440, "height": 1000})
            for name, figure in measure(Lab(server, context), given.rows, given.columns).items():
                print(f"{name:28} {figure:12,.2f}")
            browser.close()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
