"""The magic in an interactive shell: assignment, display, completion."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

import icechunk
from icechunk import Session
from icechunk_widgets import enable
from icechunk_widgets.magic.completion import complete
from tests.widgets.magic_line import Cell
from tests.widgets.scenes import array, climate


@pytest.fixture
def shell(with_data: Cell) -> Iterator[InteractiveShell]:
    ip = InteractiveShell()
    ip.user_ns.update(with_data.names)
    ip.run_line_magic("load_ext", "icechunk_widgets")
    yield ip
    ip.run_line_magic("unload_ext", "icechunk_widgets")
    assert "icechunk" not in ip.magics_manager.magics["line"]
    ip.history_manager.end_session()


def test_assignment_and_display_in_a_shell(shell: InteractiveShell) -> None:
    assert shell.run_cell("x = %icechunk log main").success
    assert shell.user_ns["x"][0].message == "base"
    assert not shell.run_cell("%icechunk commit\ny = 1").success
    assert "y" not in shell.user_ns
    assert shell.run_cell("%icechunk status").result.clean
    assert isinstance(shell.user_ns["session"], Session)


def test_the_engine_loads_it_too() -> None:
    ip = InteractiveShell()
    ip.run_line_magic("load_ext", "icechunk")
    assert "icechunk" in ip.magics_manager.magics["line"]
    ip.history_manager.end_session()


def test_completion_in_a_shell(shell: InteractiveShell) -> None:
    shell.run_cell("%icechunk branch develop")

    def offered(line: str) -> set[str]:
        with provisionalcompleter():
            return {c.text for c in shell.Completer.completions(line, len(line))}

    assert "checkout" in offered("%icechunk che")
    assert "develop" in offered("%icechunk checkout dev")
    assert "develop" in offered("x = %icechunk log dev")
    assert "amend" in offered("%%icechunk am")


def test_completion(with_data: Cell) -> None:
    cell = with_data
    cell("branch dev")
    cell("branch 'a b'")
    cell("tag v1")
    names = cell.names
    assert complete("%icechunk ", names)[:2] == ["init", "open"]
    base = names["repo"].lookup_branch("main")
    assert complete("%icechunk comm", names) == ["commit"]
    assert complete("%%icechunk ", names) == ["commit", "amend"]
    assert complete("%icechunk checkout ", names) == ["'a b'", "dev", "main", "v1"]
    assert complete(f"%icechunk checkout {base[:6]}", names) == [base]
    assert complete("%icechunk checkout -b x dev", names) == ["dev"]
    assert complete("%icechunk diff v1..mai", names) == ["v1..main"]
    assert complete("%icechunk diff v1 mai", names) == ["main"]
    assert complete("%icechunk commit x --t", names) == ["--theirs"]
    assert complete("%icechunk gc --o", names) == ["--older-than"]
    assert complete("%icechunk branch -d d", names) == ["dev"]
    assert complete("%icechunk tag -d ", names) == ["v1"]
    assert complete("%icechunk ls /S", names) == ["/SST"]
    assert complete("%icechunk rebase --ours --where /T", names) == ["/TIME"]
    assert complete("%icechunk config pro", names) == ["provenance"]
    assert complete("%icechunk config provenance ", names) == ["on", "off"]
    assert complete("%icechunk config log d", names) == ["debug"]
    assert complete("%icechunk open re", names) == ["repo"]
    assert complete("%icechunk help st", names) == ["status", "stash", "stats"]
    assert complete("%icechunk nope x", names) == []
    assert complete("%icechunk commit ", names) == []
    assert complete("%icechunk log ", {}) == []


def test_enable_shows_widgets() -> None:
    with pytest.raises(RuntimeError, match="IPython is not running"):
        enable()
    ip = InteractiveShell()
    enable(ip)
    repo = climate()
    session = repo.writable_session("main")
    array(session)[0] = 1
    for value in (repo, session):
        data, _ = ip.display_formatter.format(value)
        assert "application/vnd.jupyter.widget-view+json" in data
    data, _ = ip.display_formatter.format(session.status())
    assert "/SST: 4" in data["text/html"]
    data, _ = ip.display_formatter.format(icechunk.Diff())
    assert "No differences" in data["text/html"]
    ip.history_manager.end_session()
