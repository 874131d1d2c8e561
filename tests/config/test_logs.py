"""Log output and its configuration by environment variables."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from icechunk.config.logs import (
    LEVELS,
    initialize_logs,
    read_filter,
    set_logs_filter,
    shutdown_telemetry,
)

LOGGER = logging.getLogger("icechunk")


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("ICECHUNK_LOG", raising=False)
    monkeypatch.delenv("ICECHUNK_LOG_TO_STDOUT", raising=False)
    monkeypatch.delenv("ICECHUNK_NO_LOGS", raising=False)
    handlers, level = LOGGER.handlers[:], LOGGER.level
    LOGGER.handlers.clear()
    yield
    set_logs_filter("warn")
    LOGGER.handlers[:] = handlers
    LOGGER.setLevel(level)


def _hide_root_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away pytest's own handlers, which would make ours stand back."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])


def test_warnings_go_to_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _hide_root_handlers(monkeypatch)
    initialize_logs()
    initialize_logs()
    LOGGER.warning("one")
    LOGGER.info("two")
    out, err = capsys.readouterr()
    assert (out, err.count("one"), err.count("two")) == ("", 1, 0)
    assert "WARNING icechunk: one" in err


def test_standard_output_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ICECHUNK_LOG_TO_STDOUT", "1")
    monkeypatch.setenv("ICECHUNK_LOG", "info")
    _hide_root_handlers(monkeypatch)
    initialize_logs()
    LOGGER.info("two")
    shutdown_telemetry()
    out, err = capsys.readouterr()
    assert "two" in out
    assert err == ""


def test_no_logs_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICECHUNK_NO_LOGS", "")
    initialize_logs()
    assert LOGGER.handlers == []


def _handlers(kind: str, tmp_path: Path) -> list[logging.Handler]:
    """Handlers that an application may have given the root logger."""
    if kind == "file":
        return [logging.FileHandler(tmp_path / "log")]
    if kind == "critical":
        only = logging.StreamHandler()
        only.setLevel(logging.CRITICAL)
        return [only]
    return {"null": [logging.NullHandler()], "text": [logging.StreamHandler(io.StringIO())]}[kind]


@pytest.mark.parametrize("kind", ["null", "file", "critical", "text"])
def test_handlers_of_the_root_logger_that_print_nothing_do_not_hide_lines(
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    initialize_logs()
    handlers = _handlers(kind, tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", handlers)
    LOGGER.error("one")
    for handler in handlers:
        handler.close()
    assert capsys.readouterr().err.count("one") == 1
    if kind == "file":
        assert (tmp_path / "log").read_text() == "one\n", "the application gets the record as well"


class _Rich(logging.Handler):
    """Prints as the handler of `rich` does: on a console that has a file."""

    console = SimpleNamespace(file=None)

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), file=sys.stdout)


@pytest.mark.parametrize("printed_by", ["stderr", "stdout", "rich"])
def test_what_the_application_prints_is_not_printed_twice(
    printed_by: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    initialize_logs()
    rich = _Rich()
    monkeypatch.setattr(_Rich, "console", SimpleNamespace(file=sys.stdout))
    handler = rich if printed_by == "rich" else logging.StreamHandler(getattr(sys, printed_by))
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    LOGGER.error("one")
    out, err = capsys.readouterr()
    assert (out + err).count("one") == 1
    monkeypatch.setattr(LOGGER, "propagate", False)
    LOGGER.error("two")
    assert capsys.readouterr().err.count("two") == 1


def test_directives() -> None:
    set_logs_filter("error,icechunk::storage=debug,icechunk.store=trace,tokio=off")
    assert LOGGER.level == logging.ERROR
    assert logging.getLogger("icechunk.storage").level == logging.DEBUG
    assert logging.getLogger("icechunk.store").level == logging.DEBUG - 5
    assert logging.getLogger("tokio").level == logging.NOTSET
    set_logs_filter(None)
    assert LOGGER.level == logging.WARNING
    assert logging.getLogger("icechunk.storage").level == logging.NOTSET, "forgotten"


def test_unreadable_directives_are_reported_and_ignored(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_logs_filter("loud,=,info")
    err = capsys.readouterr().err
    assert "ignoring the log directive 'loud'" in err
    assert "ignoring the log directive '='" in err
    assert LOGGER.level == logging.INFO


TRACE = LEVELS["trace"]


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("icechunk=debug,icechunk.storage=trace", {"icechunk": 10, "icechunk.storage": TRACE}),
        ("debug, icechunk::storage=trace", {"icechunk": 10, "icechunk.storage": TRACE}),
        ("debug,icechunk.storage", {"icechunk": 10, "icechunk.storage": TRACE}),
        ("icechunk=", {"icechunk": TRACE}),
        ("warn,,INFO", {"icechunk": 20}),
        ("3,icechunk.storage=0", {"icechunk": 20, "icechunk.storage": LEVELS["off"]}),
        ("info,tokio=off,aws_config=debug", {"icechunk": 20}),
        ("icechunk.storage.requests=info", {"icechunk": 30, "icechunk.storage.requests": 20}),
        ("", {"icechunk": 30}),
    ],
)
def test_filters_are_read_as_the_reference_reads_them(text: str, levels: dict[str, int]) -> None:
    assert read_filter(text) == (levels, [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("debgu", "did you mean `debug`?"),
        ("icechunk=debgu", "did you mean `debug`?"),
        ("icechnuk=debug", "did you mean `icechunk`?"),
        ("icechunk.stroage=debug", "did you mean `storage`?"),
        ("icechunk.asset_manager=debug", "there is no module 'icechunk.asset_manager'"),
        ("icechunk=9", "'9' is not a level"),
        ("=debug", "no target"),
    ],
)
def test_a_misspelt_directive_is_reported_with_a_suggestion(text: str, said: str) -> None:
    levels, (complaint,) = read_filter(text)
    assert levels == {"icechunk": logging.WARNING}
    assert text in complaint
    assert said in complaint


def _run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {k: v for k, v in os.environ.items() if not k.startswith("ICECHUNK_")}
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**variables, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


COMMIT = """
import icechunk, zarr
repo = icechunk.Repository.create(icechunk.in_memory_storage())
session = repo.writable_session("main")
zarr.create_group(session.store)
session.commit("one")
"""


def test_a_small_run_at_level_debug_logs_requests_commits_and_cache_misses() -> None:
    done = _run(COMMIT, ICECHUNK_LOG="debug")
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert all(" icechunk." in line for line in lines)
    commits = [line for line in lines if "INFO icechunk.engine.commit: commit branch=main" in line]
    assert len(commits) == 1
    assert "outcome=ok" in commits[0]
    assert " ms=" in commits[0]
    assert any("icechunk.storage.requests: replace key=repo bytes=" in line for line in lines)
    assert any("cache miss key=snapshots/" in line for line in lines)


def test_a_small_run_logs_nothing_by_default() -> None:
    assert _run(COMMIT).stderr == ""


@pytest.mark.parametrize(
    "setup",
    ["basicConfig()", "basicConfig(level=10)", "getLogger().addHandler(logging.NullHandler())"],
)
def test_every_line_appears_once_whatever_the_root_logger_has(setup: str) -> None:
    done = _run(f"import logging; logging.{setup}\n{COMMIT}", ICECHUNK_LOG="debug")
    assert len(re.findall(r"icechunk\.engine\.commit:\s?commit branch=main", done.stderr)) == 1
    assert done.stderr.count("replace key=repo") == 1


def test_a_filter_of_one_logger_and_of_the_levels_below_debug() -> None:
    storage_only = _run(COMMIT, ICECHUNK_LOG="off,icechunk.storage=debug").stderr
    assert storage_only
    assert all(" icechunk.storage." in line for line in storage_only.splitlines())
    info = _run(COMMIT, ICECHUNK_LOG="info").stderr.splitlines()
    assert ["engine.commit: commit" in line for line in info] == [True]
    typo = _run(COMMIT, ICECHUNK_LOG="debgu").stderr.splitlines()
    assert len(typo) == 1
    assert "did you mean `debug`?" in typo[0]


def test_levels_set_by_logging_itself_hold_as_well() -> None:
    later = "import logging; logging.getLogger('icechunk').setLevel(logging.INFO)\nsession.commit"
    assert "commit branch=main" in _run(COMMIT.replace("session.commit", later)).stderr
