"""Where commits say they come from, with a real git repository beside."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from icechunk.cli.settings import Settings
from icechunk_widgets import provenance as room
from icechunk_widgets.provenance import Cell, git_state, provenance, with_provenance

Git = Callable[..., str]


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings, no notebook, no configuration of git."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def git(tmp_path: Path) -> Git:
    folder = tmp_path / "project"
    folder.mkdir()

    def run(*words: str) -> str:
        who = ["-c", "user.name=Committer", "-c", "user.email=c@example.org"]
        done = subprocess.run(
            ["git", "-C", str(folder), *who, *words], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    run("init", "-q", "-b", "trunk")
    (folder / "notes").mkdir()
    (folder / "notes" / "a b.ipynb").write_text("{}")
    run("add", ".")
    run("commit", "-q", "-m", "first")
    return run


def notebook(tmp_path: Path) -> Path:
    return tmp_path / "project" / "notes" / "a b.ipynb"


def test_a_notebook_of_jupyterlab_in_git(
    git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", str(notebook(tmp_path)))
    git("remote", "add", "origin", "https://user:hunter2@example.org/x")
    git("config", "user.name", "Ana of git")
    found = provenance({}, Cell("c1", 5, "x = 1"))
    held = found["provenance"]
    assert found["author_name"] == "Ana of git"
    assert "author_email" not in found
    assert held["notebook"] == "notes/a b.ipynb"
    assert (held["cell"], held["execution_count"]) == ("c1", 5)
    assert held["code_sha256"] == hashlib.sha256(b"x = 1").hexdigest()
    assert {"python", "icechunk-jupyter", "zarr", "numpy"} <= set(held["packages"])
    assert held["git"] == {"commit": git("rev-parse", "HEAD"), "dirty": False, "branch": "trunk"}
    text = json.dumps(found)
    assert "hunter2" not in text
    assert str(tmp_path) not in text
    notebook(tmp_path).write_text("{ }")
    assert provenance({})["provenance"]["git"]["dirty"] is True


def test_a_notebook_that_git_does_not_track_is_dirty(git: Git, tmp_path: Path) -> None:
    file = tmp_path / "project" / "notes" / "new.ipynb"
    file.write_text("{}")
    state = git_state(file.parent, file)
    assert state is not None
    assert state["dirty"] is True
    git("checkout", "-q", "--detach")
    state = git_state(file.parent, notebook(tmp_path))
    assert state == {"commit": git("rev-parse", "HEAD"), "dirty": False}


def test_other_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = provenance({"__vsc_ipynb_file__": str(tmp_path / "v.ipynb")})["provenance"]
    assert held["notebook"] == "v.ipynb"
    assert not {"git", "cell", "execution_count", "code_sha256"} & set(held)
    monkeypatch.setenv("JPY_SESSION_NAME", "gone/away/n.ipynb")
    assert provenance({})["provenance"]["notebook"] == "n.ipynb"
    monkeypatch.setenv("JPY_SESSION_NAME", " ")
    assert "notebook" not in provenance({"__vsc_ipynb_file__": 7})["provenance"]


def test_a_work_tree_without_commits_says_nothing(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path / "fresh")], check=True)
    assert git_state(tmp_path / "fresh", None) is None


def test_the_switch_and_the_author(tmp_path: Path) -> None:
    settings = Settings()
    settings.put("user.name", "Ana")
    settings.put("user.email", "ana@example.org")
    author = {"author_name": "Ana", "author_email": "ana@example.org"}
    assert author.items() <= provenance({}).items()
    settings.put("provenance", "off")
    assert provenance({}, Cell("c1", 5, "x")) == author
    settings.path.write_text("a: [")
    assert provenance({}) == {}


def test_what_is_given_wins() -> None:
    found = {"author_name": "Ana", "author_email": "a@b", "provenance": {"notebook": "n"}}
    assert with_provenance({"x": 1}, {}, found) == {**found, "x": 1}
    assert with_provenance({"author": "Bo"}, {}, found) == {
        "author": "Bo",
        "provenance": {"notebook": "n"},
    }
    assert with_provenance({"provenance": None}, {"author_name": "D"}, found) == {
        "provenance": None
    }


def test_a_git_that_is_missing_slow_or_broken_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    assert "git" not in provenance({})["provenance"]
    for script in ("#!/bin/sh\nexit 3\n", "#!/bin/sh\nexec /bin/sleep 5\n", "not a program"):
        (tools / "git").write_text(script)
        (tools / "git").chmod(0o755)
        monkeypatch.setattr(room, "_GIT_SECONDS", 0.1)
        assert "git" not in provenance({})["provenance"]
