"""Provenance of a commit: notebook, cell, versions, git commit, author.

Only what can be found out without user input or a network request, and nothing secret: no path
outside the notebook's git work tree, no environment variable, no remote address.

Keys of the commit's metadata:

``author_name``, ``author_email``
    From ``%icechunk config user.name`` and ``user.email``, else from the configuration of git.
``provenance``
    A map with these entries, where they are known:

    ``notebook``
        File name; relative to the git work tree where there is one.
    ``cell``, ``execution_count``, ``code_sha256``
        Id of the cell, its number, and the hash of its source.
    ``packages``
        Versions of ``python``, ``icechunk-jupyter``, ``zarr``, ``numpy``, and of ``xarray``,
        ``dask``, ``pandas``, ``scipy`` where they are imported.
    ``git``
        ``commit``, ``branch``, and ``dirty``: whether tracked files, or the notebook itself,
        differ from the commit.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from icechunk._version import DISTRIBUTION_VERSION
from icechunk.cli.settings import Settings

AUTHOR_KEYS = ("author", "author_name", "author_email", "user", "username", "committer")
_ALWAYS = ("zarr", "numpy")
_IF_IMPORTED = ("xarray", "dask", "pandas", "scipy")
_GIT_SECONDS = 2.0


@dataclass(frozen=True)
class Cell:
    """The cell being run.

    Attributes
    ----------
    id : str or None
        Its id in the notebook document.
    number : int or None
        Its execution count.
    source : str or None
        Its source code.
    """

    id: str | None = None
    number: int | None = None
    source: str | None = None


def provenance(names: Mapping[str, Any], cell: Cell | None = None) -> dict[str, Any]:
    """Metadata with the provenance of a commit.

    Parameters
    ----------
    names : mapping
        The notebook's variables; VS Code stores the file name there.
    cell : Cell, optional
        The cell being run.

    Returns
    -------
    dict
        JSON values, see above; no ``provenance`` when that setting is off. What cannot be found
        out is left out, and never raises.
    """
    try:
        settings = Settings().all()
        if not settings["provenance"]:
            return _author(settings, None)
        file = notebook_file(names)
        folder = _folder(file)
        found: dict[str, Any] = {"notebook": _name(file, folder), **_cell(cell)}
        found["packages"] = packages()
        found["git"] = git_state(folder, file)
        held = {key: value for key, value in found.items() if value is not None}
        return {**_author(settings, folder), "provenance": held}
    except Exception:
        return {}  # missing provenance must not prevent a commit


def with_provenance(
    given: Mapping[str, Any], default: Mapping[str, Any], found: Mapping[str, Any]
) -> dict[str, Any]:
    """Metadata of a commit; given entries take precedence over those found.

    Parameters
    ----------
    given : mapping
        Entries given by the user.
    default : mapping
        The repository's default metadata, which the commit adds itself.
    found : mapping
        Result of `provenance`.
    """
    explicit = {**default, **given}
    has_author = any(key in explicit for key in AUTHOR_KEYS)
    rest = {
        key: value
        for key, value in found.items()
        if key not in explicit and not (has_author and key in AUTHOR_KEYS)
    }
    return {**rest, **given}


def notebook_file(names: Mapping[str, Any]) -> Path | None:
    """The notebook's file, where the front end provides it, as JupyterLab and VS Code do."""
    name = names.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    if not isinstance(name, str) or not name.strip():
        return None
    return Path(name)


def packages() -> dict[str, str]:
    """Versions of Python and of the packages that compute."""
    held = {"python": platform.python_version(), "icechunk-jupyter": DISTRIBUTION_VERSION}
    for name in (*_ALWAYS, *(name for name in _IF_IMPORTED if name in sys.modules)):
        try:
            held[name] = version(name)
        except PackageNotFoundError:
            continue
    return held


def git_state(folder: Path, file: Path | None) -> dict[str, Any] | None:
    """Commit, branch and dirtiness of the work tree that contains a folder, or None.

    Parameters
    ----------
    folder : Path
        A folder in the work tree.
    file : Path, optional
        A file that makes the tree dirty even when git does not track it.
    """
    output = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if output is None:
        return None
    lines = output.splitlines()
    heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    commit, branch = heads.get("branch.oid", ""), heads.get("branch.head", "")
    if not commit or commit == "(initial)":
        return None
    dirty = any(not line.startswith("#") for line in lines)
    if not dirty and file is not None and file.exists():
        dirty = _git(folder, "ls-files", "--error-unmatch", "--", file.name) is None
    state: dict[str, Any] = {"commit": commit, "dirty": dirty}
    if branch and not branch.startswith("("):
        state["branch"] = branch
    return state


def _git(folder: Path, *words: str) -> str | None:
    """Output of a git command; None when it fails, takes too long, or git is not installed."""
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(folder)]
    try:
        done = subprocess.run(
            [*command, *words],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_GIT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def _folder(file: Path | None) -> Path:
    if file is not None and file.is_absolute() and file.parent.is_dir():
        return file.parent
    return Path.cwd()


def _name(file: Path | None, folder: Path) -> str | None:
    if file is None:
        return None
    prefix = _git(folder, "rev-parse", "--show-prefix") if file.is_absolute() else None
    return f"{(prefix or '').strip()}{file.name}"


def _cell(cell: Cell | None) -> dict[str, Any]:
    if cell is None:
        return {}
    source = cell.source
    return {
        "cell": cell.id,
        "execution_count": cell.number,
        "code_sha256": source and hashlib.sha256(source.encode("utf-8", "replace")).hexdigest(),
    }


def _author(settings: Mapping[str, Any], folder: Path | None) -> dict[str, str]:
    held: dict[str, str] = {}
    for key, setting in (("author_name", "user.name"), ("author_email", "user.email")):
        value = settings[setting]
        if value is None and folder is not None:
            value = (_git(folder, "config", "--get", setting) or "").strip()
        if value:
            held[key] = str(value)
    return held
