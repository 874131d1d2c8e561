"""``%%icechunk commit`` in a real shell: output, errors, interrupts, await, and who is spared."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from icechunk import ConflictError, ErrorKind, Repository, Session
from icechunk_widgets.magic.cells import transform
from tests.widgets.scenes import array, climate, commit_value, values


class Notebook:
    """A shell with a repository in it."""

    def __init__(self, shell: InteractiveShell, capture: pytest.CaptureFixture[str]) -> None:
        self.shell = shell
        self.capture = capture
        self.repo: Repository = shell.user_ns["repo"]
        self.out = self.err = ""

    def __call__(self, cell: str) -> Any:
        self.capture.readouterr()
        result = self.shell.run_cell(cell, store_history=True)
        self.out, self.err = self.capture.readouterr()
        return result

    @property
    def session(self) -> Session:
        held = self.shell.user_ns["session"]
        assert isinstance(held, Session)
        return held

    def messages(self) -> list[str]:
        return [info.message for info in self.repo.ancestry(branch="main")]


@pytest.fixture
def notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Notebook]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    shell = InteractiveShell()
    shell.user_ns["repo"] = climate()
    shell.user_ns["array"] = array
    shell.run_line_magic("load_ext", "icechunk_widgets")
    yield Notebook(shell, capsys)
    shell.run_line_magic("unload_ext", "icechunk_widgets")
    assert transform not in shell.input_transformers_cleanup
    shell.history_manager.end_session()


WRITE = "array(session)[0] = 7"


def test_a_cell_that_succeeds_is_committed(notebook: Notebook) -> None:
    done = notebook(
        f'%%icechunk commit "sevens" run=3 notes=\'["a"]\'\n{WRITE}\nprint("hi")\n6 * 7'
    )
    assert done.success
    assert done.result == 42
    assert notebook.out.startswith("hi\n")
    assert "committed" in notebook.out
    assert notebook.messages()[0] == "sevens"
    assert (values(notebook.repo)[0] == 7).all()
    info = next(iter(notebook.repo.ancestry(branch="main")))
    assert {"run": 3, "notes": ["a"]}.items() <= info.metadata.items()
    told = info.metadata["provenance"]
    assert told["execution_count"] == done.execution_count
    assert not notebook.session.read_only
    assert notebook.session.snapshot_id == info.id
    assert notebook.shell.user_ns["Out"][done.execution_count] == 42


def test_a_cell_that_raises_is_discarded_and_raises(notebook: Notebook) -> None:
    before = notebook.messages()
    done = notebook(f"%%icechunk commit x\n{WRITE}\nz = 1\n1 / 0")
    assert isinstance(done.error_in_exec, ZeroDivisionError)
    assert done.error_in_exec.__traceback__.tb_next.tb_lineno == 4  # the cell's own lines
    assert (notebook.out + notebook.err).count("ZeroDivisionError") == 2  # once, as in any cell
    assert "discarded" in notebook.err
    assert notebook.messages() == before
    assert not notebook.session.has_uncommitted_changes
    assert notebook.shell.user_ns["z"] == 1
    assert notebook(f"%%icechunk commit again\n{WRITE}").success
    assert notebook.messages()[0] == "again"


@pytest.mark.parametrize("problem", ["KeyboardInterrupt", "SystemExit", "asyncio.CancelledError"])
@pytest.mark.filterwarnings("ignore:To exit")
def test_interrupts_discard_too(notebook: Notebook, problem: str) -> None:
    done = notebook(f"%%icechunk commit x\nimport asyncio\n{WRITE}\nraise {problem}")
    assert not done.success
    assert not notebook.session.has_uncommitted_changes
    assert len(notebook.messages()) == 2


def test_earlier_changes_are_never_lost(notebook: Notebook) -> None:
    notebook("%icechunk status")
    array(notebook.session)[1] = 5
    done = notebook(f"%%icechunk commit x\nran = True\n{WRITE}\n1 / 0")
    assert "IcechunkError" in notebook.out
    assert "already has uncommitted changes" in notebook.out
    assert "Traceback" not in notebook.err + notebook.out
    assert not done.success
    assert "ran" not in notebook.shell.user_ns
    assert (array(notebook.session)[1] == 5).all()
    assert notebook("%icechunk commit 'the earlier ones'").success
    assert notebook(f"%%icechunk commit x\n{WRITE}").success


def test_await_works(notebook: Notebook) -> None:
    cell = f"%%icechunk commit slept\nimport asyncio\nawait asyncio.sleep(0)\n{WRITE}\n'awaited'"
    done = notebook(cell)
    assert done.success
    assert done.result == "awaited"
    assert notebook.messages()[0] == "slept"
    done = notebook(f"%%icechunk commit x\n{WRITE}\nawait asyncio.sleep(0)\n1 / 0")
    assert isinstance(done.error_in_exec, ZeroDivisionError)
    assert not notebook.session.has_uncommitted_changes


def test_inside_a_running_loop_as_kernels_do_it(notebook: Notebook) -> None:
    shell = notebook.shell

    async def execute(code: str) -> Any:
        shell_code = shell.transform_cell(code)
        result = None
        try:
            result = await shell.run_cell_async(
                code, store_history=True, transformed_cell=shell_code
            )
        finally:
            shell.events.trigger("post_execute")
            shell.events.trigger("post_run_cell", result)
        return result

    body = "import asyncio\nawait asyncio.sleep({})\n" + WRITE
    done = asyncio.run(execute(f"%%icechunk commit looped\n{body.format(0)}"))
    assert done.success
    assert notebook.messages()[0] == "looped"

    async def cancelled() -> None:
        task = asyncio.ensure_future(
            execute(f"%%icechunk commit x\n{WRITE}\nimport asyncio\nawait asyncio.sleep(60)")
        )
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancelled())
    assert not notebook.session.has_uncommitted_changes
    assert len(notebook.messages()) == 3


def test_a_branch_that_moved_keeps_the_changes_and_shows_the_resolver(notebook: Notebook) -> None:
    notebook("%icechunk status")
    commit_value(notebook.repo, 0, 1, "theirs")
    done = notebook(f"%%icechunk commit mine\n{WRITE}")
    assert not done.success
    assert isinstance(done.error_in_exec, ConflictError)
    error, resolver = notebook.out.splitlines()[:2]
    assert "main moved on" in error
    assert resolver.startswith("ConflictResolver")
    assert not notebook.shell.last_execution_succeeded
    assert notebook.session.has_uncommitted_changes
    assert notebook("%icechunk commit mine --ours").success
    notebook("%icechunk status")
    commit_value(notebook.repo, 0, 1, "theirs again")
    assert notebook(f"%%icechunk commit mine --ours\n{WRITE}").success
    assert (values(notebook.repo)[0] == 7).all()


def test_a_cell_waits_for_decisions_or_opens_them_and_goes_on(notebook: Notebook) -> None:
    notebook("%icechunk status")
    commit_value(notebook.repo, 0, 1, "theirs")
    notebook(f"%%icechunk commit mine\n{WRITE}")
    number = notebook.shell.execution_count - 1
    done = notebook(f"%%icechunk commit again\nran = 1\n{WRITE}")
    assert isinstance(done.error_in_exec, ConflictError)
    assert "4 of 4 decisions left" in notebook.out
    assert "ran" not in notebook.shell.user_ns
    assert notebook.out.splitlines()[1].startswith("ConflictResolver")  # shown again
    assert f"below In [{number + 1}]" in (notebook("%icechunk tag v1"), notebook.out)[1]
    notebook("%icechunk discard\n%icechunk checkout main")
    commit_value(notebook.repo, 0, 1.5, "theirs again")
    done = notebook(f"%%icechunk commit mine --solve\n{WRITE}")
    assert done.success
    assert "ConflictResolver: pending" in notebook.out


def test_a_cell_that_changes_nothing_fails(notebook: Notebook) -> None:
    done = notebook("%%icechunk commit x\npass")
    assert done.error_in_exec.kind == ErrorKind.NO_CHANGES_TO_COMMIT
    assert "cannot commit, no changes" in notebook.out
    assert notebook.out.count("\n") == 1
    assert len(notebook.messages()) == 2


def test_a_cell_that_commits_by_itself(notebook: Notebook) -> None:
    assert notebook(f"%%icechunk commit outer\n{WRITE}\n%icechunk commit inner").success
    assert notebook.messages()[0] == "inner"
    assert "the cell itself committed" in notebook.err
    more = "%icechunk commit inner\narray(session)[1] = 5"
    done = notebook(f"%%icechunk commit outer\n{WRITE}8\n{more}")
    assert "made further changes after that" in str(done.error_in_exec)
    notebook("%icechunk discard")
    done = notebook(f"%%icechunk commit outer\n{WRITE}\n%icechunk commit more\n1 / 0")
    assert not done.success
    assert "which is kept" in notebook.err
    assert notebook.messages()[0] == "more"


def test_cells_inside_cells(notebook: Notebook) -> None:
    inner = "get_ipython().run_cell('array(session)[1] = 8')"
    assert notebook(f"%%icechunk commit outer\n{inner}\n{WRITE}").success
    assert notebook.messages()[0] == "outer"
    assert (values(notebook.repo)[1] == 8).all()
    assert notebook(f"%%icechunk commit timed\n\n%%capture held\n{WRITE}8").success
    assert notebook.messages()[0] == "timed"
    by_hand = "get_ipython().run_cell_magic('icechunk', 'commit hand', 'array(session)[2] = 9')"
    assert notebook(by_hand).success
    assert notebook.messages()[0] == "hand"


BY_HAND = "get_ipython().run_cell_magic('icechunk', {!r}, {!r})"


@pytest.mark.parametrize(
    ("line", "body", "error"),
    [
        ("commit x", "1 / 0", "ZeroDivisionError"),
        ("commit x", "1 +", "SyntaxError"),
        ("commit x", "None", "SessionStateError"),
        ("commit x --ours --theirs", "None", "UsageError"),
    ],
)
def test_an_error_of_a_call_by_hand_shows_once(
    notebook: Notebook, line: str, body: str, error: str
) -> None:
    alone = notebook(
        body if error in ("ZeroDivisionError", "SyntaxError") else f"%%icechunk {line}\n0"
    )
    once = (notebook.out + notebook.err).count(error)
    assert not alone.success
    done = notebook(BY_HAND.format(line, body))
    assert not done.success
    assert (notebook.out + notebook.err).count(error) == once


def test_an_error_of_a_call_by_hand_can_be_caught(notebook: Notebook) -> None:
    call = BY_HAND.format("commit x", WRITE + "\n1 / 0")
    done = notebook(f"try:\n    {call}\nexcept ZeroDivisionError:\n    print('caught')")
    assert done.success
    assert notebook.out == "caught\n"
    assert "Traceback" not in notebook.err
    assert not notebook.session.has_uncommitted_changes
    assert "Traceback" in (notebook("1 / 0"), notebook.out + notebook.err)[1]


def test_amend_as_a_cell(notebook: Notebook) -> None:
    notebook(f"%%icechunk commit first\n{WRITE}")
    assert notebook("%%icechunk amend\narray(session)[1] = 8").success
    assert notebook.messages()[0] == "first"
    assert len(notebook.messages()) == 3
    assert (values(notebook.repo)[1] == 8).all()


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ("log", "write %%icechunk commit MESSAGE"),
        ("commit", "message is missing"),
        ("comit x", "did you mean `commit`?"),
        ("commit x y", "key=value"),
        ("commit x --ours --theirs", "exclude each other"),
    ],
)
def test_a_head_that_makes_no_sense_runs_nothing(notebook: Notebook, head: str, says: str) -> None:
    done = notebook(f"%%icechunk {head}\nran = 1\n{WRITE}")
    assert not done.success
    assert says in notebook.out
    assert notebook.out.count("\n") == 1
    assert "ran" not in notebook.shell.user_ns


def test_a_syntax_error_begins_nothing(notebook: Notebook) -> None:
    assert notebook("%%icechunk commit x\ndef").error_before_exec is not None
    assert notebook(f"%%icechunk commit y\n{WRITE}").success


def test_an_empty_body_points_to_the_line_magic(notebook: Notebook) -> None:
    assert not notebook("%%icechunk commit x").success
    assert "line magic %icechunk" in notebook.err


def test_a_console_knows_when_a_cell_is_complete(notebook: Notebook) -> None:
    shell = notebook.shell
    assert shell.check_complete("%%icechunk commit x\nfor i in range(3):\n")[0] == "incomplete"
    assert shell.check_complete("%%icechunk commit x\na = 1\n\n")[0] == "complete"
    assert shell.user_ns.get("session") is None  # looking begins nothing


def test_only_the_head_of_a_cell_is_rewritten() -> None:
    for cell in (["x = 1\n"], [], ["%%icechunks a\n", "b\n"], ["x\n", "%%icechunk commit y\n"]):
        assert transform(cell) == cell
    assert transform(["%%icechunk commit 'a b'\n", "\n", "x"])[1:] == ["\n", "x"]
