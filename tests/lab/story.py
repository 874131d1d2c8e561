"""The quickstart notebook, and where things are on its widgets."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Literal

import nbformat

from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator

    from tests.lab.labtools import Lab


def copy_quickstart(folder: Path) -> dict[str, int]:
    """Put the notebook and its data into a folder; returns the number of each cell by its id."""
    for name in ("quickstart.ipynb", "data"):
        source = ROOT / "examples" / name
        if source.is_dir():
            shutil.copytree(source, folder / name, dirs_exist_ok=True)
        else:
            shutil.copy2(source, folder / name)
    cells = nbformat.read(folder / "quickstart.ipynb", as_version=4).cells
    return {cell["id"]: n for n, cell in enumerate(cells)}


def cell_of(grid: Locator, row: int, column: int) -> dict[str, float]:
    """Position of the middle of a chunk's cell on the canvas.

    Where the rows' coordinate grows upwards the height of a cell is negative.
    """
    size: dict[str, Any] = grid.evaluate("canvas => ({...canvas.dataset})")
    return {
        "x": float(size["originX"]) + (column + 0.5) * float(size["cellWidth"]),
        "y": float(size["originY"]) + (row + 0.5) * float(size["cellHeight"]),
    }


def in_both_themes(lab: Lab, name: str, of: Locator) -> None:
    """Keep a picture in the dark and the light theme, beginning with the theme of the page."""
    themes: list[Literal["dark", "light"]] = ["dark", "light"]
    for theme in themes if lab.dark else reversed(themes):
        lab.theme(theme)
        of.scroll_into_view_if_needed()
        lab.screenshot(f"{name}-{theme}", of)
