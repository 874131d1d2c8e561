"""What the tests of the magic share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.widgets.magic_line import Cell
from tests.widgets.scenes import climate


@pytest.fixture
def empty_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)


@pytest.fixture
def cell(capsys: pytest.CaptureFixture[str], empty_settings: None) -> Cell:
    return Cell(capsys)


@pytest.fixture
def with_data(cell: Cell) -> Cell:
    cell.names["repo"] = climate()
    return cell
