"""The wheel: both halves, built and installed without Node, the engine usable on its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ".data/data/share/jupyter/labextensions/@icechunk/jupyterlab/"

#: What a worker without a notebook does not have.
NOTEBOOK = ("ipywidgets", "anywidget", "IPython", "ipykernel", "jupyterlab", "traitlets", "comm")


def _run(*command: str | Path, path: str = "", **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env={**os.environ, **({"PATH": path} if path else {}), **environment},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bare_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a PATH on which there is no Node (and nothing else)."""
    return str(tmp_path_factory.mktemp("bin"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, bare_path: str) -> Path:
    out = tmp_path_factory.mktemp("dist")
    _run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT,
        path=bare_path,
    )  # fmt: skip
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of a fresh environment that holds the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("env") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    _run(
        sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index",
        "--disable-pip-version-check", wheel,
    )  # fmt: skip
    return python


def test_one_wheel_for_every_platform(wheel: Path) -> None:
    assert wheel.name.startswith("icechunk_jupyter-")
    assert wheel.name.endswith("-py3-none-any.whl")


def test_it_carries_every_module_of_both_packages(names: list[str]) -> None:
    for package in ("icechunk", "icechunk_widgets"):
        ours = {p.relative_to(ROOT).as_posix() for p in (ROOT / package).rglob("*.py")}
        assert ours
        assert ours <= set(names)
        assert f"{package}/py.typed" in names


def test_it_carries_the_built_widgets_and_the_extension(names: list[str]) -> None:
    static = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "icechunk_widgets" / "static").rglob("*")
        if path.suffix in (".js", ".css")
    }
    assert any(name.endswith(".js") for name in static)
    assert static <= set(names)
    folder = ROOT / "jupyterlab_extension" / "labextension"
    built = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert "package.json" in built
    shared = {name.split(SHARED, 1)[1] for name in names if SHARED in name}
    assert built <= shared


def test_it_carries_nothing_else(names: list[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.startswith("icechunk_jupyter-")} == {
        "icechunk",
        "icechunk_widgets",
    }
    assert not [name for name in names if "__pycache__" in name or "node_modules" in name]
    assert len(names) == len(set(names)), "a file is packed twice"


def test_metadata_says_what_it_needs(wheel: Path, names: list[str]) -> None:
    (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    with zipfile.ZipFile(wheel) as archive:
        message = Parser().parsestr(archive.read(metadata).decode())
    assert message["Requires-Python"] == ">=3.11"
    core = [
        line.split(";")[0].strip()
        for line in message.get_all("Requires-Dist", [])
        if "extra ==" not in line
    ]
    needed = {requirement.rstrip("0123456789.,<>=~!").strip() for requirement in core}
    assert {"numpy", "zarr", "obstore", "s3fs", "fsspec", "ipywidgets", "anywidget"} <= needed
    assert not {"jupyterlab", "xarray", "dask", "ipython"} & needed
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_source_distribution_builds_the_same_wheel(
    names: list[str], bare_path: str, tmp_path: Path
) -> None:
    # without --wheel and --sdist, build makes the wheel out of the source distribution
    _run(
        sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, ROOT, path=bare_path
    )
    (built,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        assert sorted(archive.namelist()) == sorted(names)
    (source,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        members = archive.getnames()
    assert not [name for name in members if "node_modules" in name or "/.venv/" in name]


def test_installing_puts_the_extension_where_jupyter_looks(python: Path) -> None:
    target = python.parent.parent / "share/jupyter/labextensions/@icechunk/jupyterlab"
    package = json.loads((target / "package.json").read_text())
    assert package["name"] == "@icechunk/jupyterlab"
    entry = package["jupyterlab"]["_build"]["load"]
    assert (target / entry).is_file()


IMPORT_BARE = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {NOTEBOOK!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
import numpy as np, zarr
import icechunk

repo = icechunk.Repository.create(icechunk.in_memory_storage())
session = repo.writable_session("main")
zarr.create_array(session.store, name="a", data=np.arange(6.0), chunks=(3,))
session.commit("six numbers")
store = repo.readonly_session("main").store
assert zarr.open_array(store, path="a", mode="r")[:].sum() == 15
print(icechunk.__version__)
print(icechunk.__file__)
"""


def test_the_engine_works_where_no_notebook_package_is_installed(
    python: Path, tmp_path: Path
) -> None:
    # numpy and zarr come from the environment that runs the tests, icechunk from the wheel
    site = sysconfig.get_paths()["purelib"]
    script = tmp_path / "bare.py"
    script.write_text(IMPORT_BARE)
    version, file = _run(python, script, PYTHONPATH=site).splitlines()
    assert Path(file).is_relative_to(python.parent.parent)
    release, _, local = version.partition("+")
    assert tuple(map(int, release.split("."))) >= (2, 3, 0)
    assert local.startswith("jupyter.")
