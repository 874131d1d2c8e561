from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import icechunk_widgets


def test_importing_the_package_loads_no_widget_library(root: Path) -> None:
    code = (
        "import sys, icechunk_widgets, icechunk_widgets.sidebar\n"
        "heavy = {'ipywidgets', 'anywidget', 'traitlets', 'IPython', 'zarr', 'numpy', 'icechunk'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.split() == []


def test_the_magic_loads_no_widget_library(root: Path) -> None:
    code = (
        "import sys, icechunk_widgets.magic\n"
        "print(*sorted({'ipywidgets', 'anywidget', 'IPython'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.split() == []


def test_the_public_names() -> None:
    assert icechunk_widgets.History.__name__ == "History"
    assert icechunk_widgets.Diff.__name__ == "Diff"
    assert icechunk_widgets.ConflictResolver.__name__ == "ConflictResolver"
    assert set(icechunk_widgets.__all__) <= set(dir(icechunk_widgets))
    with pytest.raises(AttributeError, match="Nope"):
        _ = icechunk_widgets.Nope
