"""The program in a shell: streams, exit codes, failures, malicious names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import zarr

import icechunk
from icechunk.cli import failures
from icechunk.cli.output import plain, size, table, visible
from icechunk.cli.progress import progress
from tests.cli.commands import Commands, Ran, run_script
from tests.repositories import edit

HOSTILE = "x\x1b]0;owned\x07\x1b[2J\r\n‮\x9b31m[bold]y[/bold]\u2028"


def test_answers_go_to_stdout_and_failures_to_stderr(place: str) -> None:
    fine = run_script("branch", "list", place)
    assert (fine.status, fine.err) == (0, "")
    assert fine.out.count("\n") == 2
    wrong = run_script("log", str(Path(place) / "elsewhere"))
    assert (wrong.status, wrong.out) == (1, "")
    assert wrong.err.startswith("icechunk: the repository doesn't exist")
    assert wrong.err.endswith("(repository-not-found)\n")
    assert wrong.err.count("\n") == 1
    told = json.loads(run_script("log", place, "nope", "--json").err)
    assert told["error"]["kind"] == "ref-not-found"


@pytest.mark.parametrize(
    "words", [["bogus"], ["log"], ["diff", "x"], ["branch", "create", "x"], ["log", "--wrong", "x"]]
)
def test_usage_errors_are_status_2(icechunk_command: Commands, words: list[str]) -> None:
    done = icechunk_command(*words)
    assert (done.status, done.out) == (2, "")
    assert "Usage: icechunk" in done.err


def test_help_and_version(icechunk_command: Commands) -> None:
    listed = icechunk_command("--help").out
    for name in ("ancestry", "branch", "config", "diff", "expire", "gc", "inspect", "log", "ls",
                 "repo", "status", "tag", "tree", "upgrade"):  # fmt: skip
        assert re.search(rf"^  {name} ", listed, re.MULTILINE)
        assert "Usage: icechunk" in icechunk_command(name, "--help").out
        assert icechunk_command("help", name).out == icechunk_command(name, "-h").out
    assert icechunk_command("help", "tag", "list").status == 0
    assert icechunk_command("help", "tag", "bogus").status == 2
    assert icechunk_command("--version").out == f"icechunk {icechunk.__version__}\n"


def test_every_command_speaks_json(icechunk_command: Commands) -> None:
    from icechunk.cli.app import app

    def leaves(group: object, words: tuple[str, ...]) -> list[tuple[str, ...]]:
        found = []
        for name, command in group.commands.items():  # type: ignore[attr-defined]
            here = (*words, name)
            found += leaves(command, here) if hasattr(command, "commands") else [here]
        return found

    for words in leaves(app, ()):
        if words != ("help",):
            assert "--json" in icechunk_command(*words, "--help").out, words


def test_malicious_names_are_escaped(icechunk_command: Commands, tmp_path: Path) -> None:
    folder = str(tmp_path / "repo")
    repo = icechunk.Repository.create(icechunk.local_filesystem_storage(folder))
    session = repo.writable_session("main")
    zarr.create_group(session.store, path=f"{HOSTILE}/in")
    tip = session.commit(HOSTILE, {HOSTILE: HOSTILE})
    repo.create_branch(HOSTILE, tip)
    repo.create_tag("t" + HOSTILE, tip)
    commands: list[tuple[str, ...]] = [
        ("log",), ("log", "--graph"), ("ancestry",), ("branch", "list"), ("tag", "list"), ("ls",),
        ("tree",), ("status",), ("diff", "main~1", "main"), ("inspect", "snapshot"), ("ops",),
        ("inspect",), ("branch", "delete", HOSTILE), ("log", HOSTILE),
    ]  # fmt: skip
    for first, *rest in commands:
        nested = first in ("branch", "tag")
        words = (first, rest[0], folder, *rest[1:]) if nested else (first, folder, *rest)
        for extra in ((), ("--json",)) if first != "branch" else ((),):
            done = icechunk_command(*words, *extra)
            shown = (done.out + done.err).replace("\n", "")
            assert shown, words
            assert shown.isprintable(), (words, ascii(shown))
    failed = icechunk_command("log", folder, "no" + HOSTILE)
    assert failed.err.count("\n") == 1
    assert failed.err[:-1].isprintable()
    assert "[bold]" in failed.err


def test_a_closed_pipe_is_not_an_error(place: str) -> None:
    code = f"{sys.executable} -m icechunk.cli log {place} | true"
    done = subprocess.run(
        ["sh", "-c", code], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert "Traceback" not in done.stderr


def test_an_old_terminal_gets_every_name(place: str, repo: icechunk.Repository) -> None:
    repo.create_tag("ä☃", repo.lookup_tag("v1"))
    done = run_script("tag", "list", place, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.status == 0
    assert "\\xe4\\u2603" in done.out


def test_bugs_are_one_line_too(
    icechunk_command: Commands, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh\nno")

    monkeypatch.setattr(icechunk.Repository, "history", broken)
    done = icechunk_command("log", place)
    assert done == Ran(
        1,
        "",
        "icechunk: ZeroDivisionError: oh no; this is a bug; set ICECHUNK_DEBUG=1 for a traceback "
        "and report it (internal)\n",
    )
    monkeypatch.setenv("ICECHUNK_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        icechunk_command("log", place)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PermissionError(13, "no"), "io"),
        (ValueError("x"), "invalid-input"),
        (KeyError("k"), "internal"),
    ],
)
def test_kinds_of_plain_exceptions(error: Exception, kind: str) -> None:
    assert failures.describe(error)["kind"] == kind


def test_importing_the_library_loads_nothing_of_the_command() -> None:
    code = (
        "import sys, icechunk; print(sorted({'click', 'rich', 'icechunk.cli'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(os.name == "nt", reason="no pseudo terminals")
def test_progress_shows_on_a_terminal_only(place: str) -> None:
    import pty

    command = [sys.executable, "-m", "icechunk.cli", "gc", place, "--older-than", "1s"]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.PIPE) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:
            pass  # the other end was closed
        os.close(ours)
    assert process.returncode == 0
    assert b"collecting garbage" in shown
    assert b"read" in shown


@pytest.mark.skipif(os.name == "nt", reason="no pseudo terminals")
@pytest.mark.parametrize(
    ("answer", "status", "left"), [("y", 0, {"main"}), ("n", 1, {"main", "dev"})]
)
def test_a_person_at_a_terminal_is_asked(
    place: str, repo: icechunk.Repository, answer: str, status: int, left: set[str]
) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "icechunk.cli", "branch", place, "-d", "dev"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.write(ours, answer.encode() + b"\n")
        out, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == status
    assert b"on dev" in out
    assert b"delete branch dev? [y/N]" in err
    assert (b"nothing was done" in err) is bool(status)
    assert repo.list_branches() == left


def test_a_quiet_run_shows_no_progress() -> None:
    with progress("x", quiet=True) as watched:
        assert watched is None


def test_text_is_made_visible() -> None:
    assert visible("plain ä 数") == "plain ä 数"
    assert visible("\x1b\n‮\ud800") == "\\x1b\\n\\u202e\\ud800"


def test_tables_align_wide_characters_and_numbers() -> None:
    lines = [str(line) for line in table([("a", 1, "x"), ("数数", 1000, "")])]
    assert lines == ["a         1  x", "数数  1,000"]
    assert list(table([])) == []


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (1, "1 byte"), (1500, "1.5 kB"), (2_000_000, "2.0 MB")]
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


def test_plain_values() -> None:
    assert plain({"a": {2, 1}, 3: (b"\x01", float("nan"))}) == {"a": [1, 2], "3": ["01", None]}


def test_edits_made_meanwhile_show_at_once(
    icechunk_command: Commands, place: str, repo: icechunk.Repository
) -> None:
    session = repo.writable_session("main")
    edit(session, (1, 1), 2.0)
    session.commit("third")
    assert "third" in icechunk_command("log", place, "-n", "1").out
