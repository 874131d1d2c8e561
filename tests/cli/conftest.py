"""A repository, its alias, and the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import zarr

import icechunk
from tests.cli.commands import Commands
from tests.repositories import edit, with_grid
from tests.servers.fixtures import azurite, moto, rclone

__all__ = ["azurite", "moto", "rclone"]


@pytest.fixture(autouse=True)
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder of the test's own."""
    home = tmp_path / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "200")
    return home


@pytest.fixture
def icechunk_command(capsys: pytest.CaptureFixture[str]) -> Commands:
    """Runs ``icechunk`` in this process."""
    return Commands(capsys)


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A folder with a repository: main with two commits over the first, dev beside, a tag."""
    folder = tmp_path / "repo"
    repo, grid = with_grid(icechunk.local_filesystem_storage(folder, durable=False))
    repo.create_branch("dev", grid)
    repo.create_tag("v1", grid)
    session = repo.writable_session("main")
    edit(session, (0, 0), 5.0)
    zarr.create_group(session.store, path="g/inner")
    session.commit("second\nwith details", {"by": "me"})
    session = repo.writable_session("dev")
    edit(session, (5, 5), 6.0)
    session.commit("on dev")
    return str(folder)


@pytest.fixture
def repo(place: str) -> icechunk.Repository:
    """A handle on it."""
    return icechunk.Repository.open(icechunk.local_filesystem_storage(place))
