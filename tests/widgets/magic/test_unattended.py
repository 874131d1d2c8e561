"""Failed commands stop unattended runs: nbclient, nbconvert, papermill, scripts."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from icechunk import ConflictError
from tests.widgets.magic_line import Cell
from tests.widgets.scenes import array, climate, commit_value, values

WRITE = "array(session)[0] = 7"
BEHIND = f"{WRITE}\ncommit_value(repo, 0, 1, 'theirs')"
CELLS = [
    "from tests.widgets.scenes import array, climate, commit_value\nrepo = climate()\n"
    "%load_ext icechunk\n%icechunk status",
    f'{WRITE}\n%icechunk commit "mine"\n6 * 7',
    f'{BEHIND}\n%icechunk commit "conflicting"\nprint("published")',
    'print("after")',
]
WIDGET = "application/vnd.jupyter.widget-view+json"


def environment(root: Path, folder: Path) -> dict[str, str]:
    names = ("XDG_CONFIG_HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")
    (folder / "home").mkdir(exist_ok=True)
    made = {name: str(folder / "home" / name) for name in names}
    return {**os.environ, **made, "PYTHONPATH": str(root)}


def write(path: Path, cells: list[str]) -> Path:
    held = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(held, path)
    return path


def program(root: Path, folder: Path, *words: str) -> tuple[int, str]:
    """Exit status and output of a Python module."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=environment(root, folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
        check=False,
    )
    return done.returncode, done.stdout


def check_outputs(cells: list[Any]) -> None:
    """The commit in the middle is shown; the conflict is one line with the resolver below it."""
    note, value = cells[1].outputs
    assert "committed" in note.data["text/plain"]
    assert (value.output_type, value.data["text/plain"]) == ("execute_result", "42")
    error, resolver = cells[2].outputs
    assert (error.output_type, error.ename) == ("error", "ConflictError")
    assert len(error.traceback) == 1
    assert "main moved on" in error.traceback[0]
    assert "\n" not in error.traceback[0]
    assert WIDGET in resolver.data
    assert cells[3].outputs == []


def test_nbclient(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(root, tmp_path).items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(write(tmp_path / "run.ipynb", CELLS), as_version=4)
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}})
    with pytest.raises(CellExecutionError, match="ConflictError"):
        client.execute()
    check_outputs(notebook.cells)


def test_nbconvert(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("nbconvert")
    write(tmp_path / "run.ipynb", CELLS)
    words = ("nbconvert", "--execute", "--to", "notebook", "--output", "done", "run.ipynb")
    status, out = program(root, tmp_path, *words)
    assert status != 0
    assert "ConflictError" in out
    assert not (tmp_path / "done.ipynb").exists()


def test_papermill(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("papermill")
    write(tmp_path / "run.ipynb", CELLS)
    status, out = program(root, tmp_path, "papermill", "run.ipynb", "done.ipynb", "-k", "python3")
    assert status != 0
    assert "ConflictError" in out
    held = nbformat.read(tmp_path / "done.ipynb", as_version=4).cells
    cells = [cell for cell in held if cell.cell_type == "code"]
    assert "ename" in cells[2].outputs[0]  # papermill looks for this kind of output
    check_outputs(cells)


def as_python(cell: str) -> str:
    """A cell as nbconvert makes a module of it."""
    lines = []
    for line in cell.splitlines():
        magic, _, rest = line.removeprefix("%").partition(" ")
        call = f"get_ipython().run_line_magic({magic!r}, {rest!r})"
        lines.append(call if line.startswith("%") else line)
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("story.ipy", "\n".join(CELLS)),
        ("story.py", "\n".join(map(as_python, CELLS))),  # as converted from a notebook
    ],
)
def test_an_ipython_script(root: Path, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    status, out = program(root, tmp_path, "IPython", name)
    assert status != 0
    assert ("to main: mine" in out) == (name == "story.ipy")  # a Python file is not a cell
    assert "ConflictError" in out
    assert "main moved on" in out
    assert "Traceback" not in out
    assert "published" not in out
    assert "after" not in out


# -- wherever the line stands ----------------------------------------------------------------------


@pytest.fixture
def shell(with_data: Cell) -> Iterator[InteractiveShell]:
    ip = InteractiveShell(colors="nocolor")
    ip.user_ns.update(repo=climate(), array=array, commit_value=commit_value)
    ip.run_line_magic("load_ext", "icechunk_widgets")
    ip.run_cell("%icechunk status")
    with_data.capture.readouterr()
    yield ip
    ip.run_line_magic("unload_ext", "icechunk_widgets")
    assert not any(type(one).__name__ == "ShowEach" for one in ip.ast_transformers)
    ip.history_manager.end_session()


PLACES = {
    "the end": "{line}",
    "the middle": "{line}\nran = 1",
    "a loop": "for number in range(3):\n    ran = number or ran\n    {line}\n    ran = 1",
    "a condition": "if True:\n    {line}\nran = 1",
    "a function": "def publish():\n    {line}\n    return 1\nran = publish()",
    "an assignment": "note = {line}\nran = 1",
    "a call": "get_ipython().run_line_magic('icechunk', '{words}')\nran = 1",
    "a nested cell": "get_ipython().run_cell('{line}').raise_error()\nran = 1",
}
LOSING = {
    "commit mine": ("ConflictError", "nothing is committed, main moved on"),
    "rebase": ("ConflictError", "nothing is rebased"),
    "amend": ("ConflictError", "adds a commit instead"),
    "commit mine --ours --where": ("UsageError", "--where"),
    "checkout main": ("IcechunkError", "uncommitted changes"),
    "init memory": ("IcechunkError", "uncommitted changes"),
    "reset main~1": ("IcechunkError", "uncommitted changes"),
    "branch -d dev": ("IcechunkError", "add --yes to delete branch dev"),
    "branch -d main": ("SessionStateError", "cannot be deleted"),
    "branch dev": ("AlreadyExistsError", "already exists"),
    "tag v1": ("AlreadyExistsError", "already exists"),
    "tag -d v1": ("IcechunkError", "add --yes to delete tag v1"),
    "gc --older-than 0s": ("IcechunkError", "add --yes to delete them"),
    "gc --older-than 0s --yes": ("IcechunkError", "might be collected"),
    "expire --older-than 0s": ("IcechunkError", "add --yes to expire them"),
    "comit mine": ("UsageError", "did you mean `commit`?"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_conflict_stops_the_cell_wherever_it_stands(
    shell: InteractiveShell, with_data: Cell, place: str
) -> None:
    words = "commit mine"
    shell.user_ns["ran"] = 0
    cell = PLACES[place].format(line=f"%icechunk {words}", words=words)
    done = shell.run_cell(f"{BEHIND}\n{cell}", store_history=True)
    out, err = with_data.capture.readouterr()
    assert isinstance(done.error_in_exec, ConflictError)
    assert shell.user_ns["ran"] == 0
    assert "Traceback" not in out + err
    lines = out.splitlines()
    assert lines[0].startswith("ConflictError: nothing is committed, main moved on")
    below = [line for line in lines if line.startswith("ConflictResolver: pending")]
    assert len(below) == 1
    assert (values(shell.user_ns["repo"])[0] == 1).all()
    assert shell.user_ns["session"].has_uncommitted_changes


@pytest.mark.parametrize("line", LOSING)
def test_what_did_not_happen_is_an_error(
    shell: InteractiveShell, with_data: Cell, line: str
) -> None:
    setup = (
        "%icechunk checkout -b dev", WRITE, '%icechunk commit "on dev"', f"{WRITE}8",
        "%icechunk commit again", "%icechunk checkout main", "%icechunk tag v1", BEHIND,
    )  # fmt: skip
    for one in setup:
        shell.run_cell(one).raise_error()
    repo = shell.user_ns["repo"]
    if line == "gc --older-than 0s":
        repo.delete_branch("dev")  # so that there is something to delete
    before = repo.list_branches(), repo.list_tags(), repo.lookup_branch("main")
    with_data.capture.readouterr()
    done = shell.run_cell(f"%icechunk {line}\nwent_on = 1", store_history=True)
    out, err = with_data.capture.readouterr()
    name, text = LOSING[line]
    assert not done.success
    assert type(done.error_in_exec).__name__ == name
    assert out.splitlines()[0].startswith(f"{name}: ")
    assert text in out.splitlines()[0]
    assert err == ""
    assert "went_on" not in shell.user_ns
    assert (repo.list_branches(), repo.list_tags(), repo.lookup_branch("main")) == before
    assert shell.user_ns["session"].has_uncommitted_changes


# -- what happened is shown, once ------------------------------------------------------------------


ONCE = {
    "{write}\n%icechunk commit one": ["one"],
    "{write}\n%icechunk commit one\n6 * 7": ["one"],
    "for n in (1, 2):\n    {write}\n    %icechunk commit 'no. {{n}}'": ["no. 1", "no. 2"],
    "def store():\n    {write}\n    %icechunk commit one\nstore()": ["one"],
    "%%time\n{write}\n%icechunk commit one": ["one"],
    "{write}\nif True:\n    %icechunk commit one": ["one"],
    "{write}\nwith open('/dev/null'):\n    %icechunk commit one\n8": ["one"],
    "async def store():\n    {write}\n    %icechunk commit one\nawait store()": ["one"],
}


@pytest.mark.parametrize("source", ONCE)
@pytest.mark.parametrize("shown", ["last_expr", "all", "last", "none", "silent"])
def test_a_commit_is_shown_once(
    shell: InteractiveShell, with_data: Cell, source: str, shown: str
) -> None:
    silent = shown == "silent"  # as IPython runs scripts
    shell.ast_node_interactivity = "last_expr" if silent else shown
    done = shell.run_cell(source.format(write=WRITE), store_history=not silent, silent=silent)
    out, _ = with_data.capture.readouterr()
    assert done.success
    notes = [line.rpartition(": ")[2] for line in out.splitlines() if "committed" in line]
    assert notes == ONCE[source]


def test_the_cell_that_loads_the_extension(with_data: Cell) -> None:
    shell = InteractiveShell(colors="nocolor")
    shell.user_ns.update(repo=climate(), array=array)
    source = f"%load_ext icechunk_widgets\n%icechunk status\n{WRITE}\n%icechunk commit one\n"
    for end, silent in (("'last'", False), ("%icechunk log -n 1", False), ("", True)):
        with_data.capture.readouterr()
        assert shell.run_cell(source + end, silent=silent).success
        assert with_data.capture.readouterr().out.count("to main: one") == 1
        shell.run_line_magic("unload_ext", "icechunk_widgets")
        shell.user_ns["repo"] = climate()
    shell.history_manager.end_session()


def test_what_is_assigned_is_shown_as_any_value(shell: InteractiveShell, with_data: Cell) -> None:
    assert shell.run_cell(f"{WRITE}\nnote = %icechunk commit one\nnote.branch").result == "main"
    assert "committed" not in with_data.capture.readouterr().out
    assert shell.run_cell(f"{WRITE}8\nnote = %icechunk commit two\nnote").success
    assert with_data.capture.readouterr().out.count("committed") == 1


def test_a_conflict_that_the_cell_settles_itself(shell: InteractiveShell, with_data: Cell) -> None:
    done = shell.run_cell(
        f"{BEHIND}\nfrom icechunk import ConflictError\ntry:\n    %icechunk commit mine\n"
        "except ConflictError:\n    %icechunk commit mine --ours\n'settled'",
        store_history=True,
    )
    assert done.result == "settled"
    assert "ConflictResolver" not in with_data.capture.readouterr().out
    assert (values(shell.user_ns["repo"])[0] == 7).all()


def test_errors_travel(shell: InteractiveShell, with_data: Cell) -> None:
    done = shell.run_cell(f"{BEHIND}\n%icechunk commit mine", store_history=True)
    copy = pickle.loads(pickle.dumps(done.error_in_exec))
    assert (copy.kind, str(copy)) == (done.error_in_exec.kind, str(done.error_in_exec))
