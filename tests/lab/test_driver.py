"""The driver itself: run a trivial notebook, ask its kernel, take pictures in both themes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.labtools import Lab, LabError, write_notebook

if TYPE_CHECKING:
    from pathlib import Path

CELLS = [
    "#md # A trivial notebook",
    "x = 6 * 7\nx",
    "import ipywidgets\nslider = ipywidgets.IntSlider(value=3)\nslider",
    "1 / 0",
]


def test_it_runs_cells_and_asks_the_kernel(lab: Lab, notebooks: Path) -> None:
    write_notebook(notebooks / "trivial.ipynb", CELLS)
    notebook = lab.open("trivial.ipynb")
    assert notebook.cell_count() == len(CELLS)

    (output,) = notebook.run(1)
    assert output["data"]["text/plain"] == "42"
    assert notebook.kernel("[x, 'text']") == [42, "text"]

    notebook.run(2)
    slider = notebook.output(2).locator(".widget-slider")
    slider.wait_for()
    slider.locator(".noUi-handle").press("ArrowRight")
    notebook.wait_for("slider.value", 4)

    with pytest.raises(LabError, match="ZeroDivisionError"):
        notebook.run(3)
    with pytest.raises(LabError, match="NameError"):
        notebook.kernel("never_defined")

    sizes = []
    for theme in ("light", "dark"):
        lab.theme(theme)
        sizes.append(lab.screenshot(f"driver-{theme}").stat().st_size)
    assert min(sizes) > 10_000


def test_it_reports_requests_to_other_machines(lab: Lab, notebooks: Path) -> None:
    write_notebook(notebooks / "outside.ipynb", ["1"])
    lab.open("outside.ipynb")
    lab.page.evaluate("() => fetch('https://example.org/x').catch(() => null)")
    assert lab.external == ["https://example.org/x"]
    lab.external.clear()
