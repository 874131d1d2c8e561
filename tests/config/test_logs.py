"""Log output as the environment asks for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from icechunk.config.logs import initialize_logs, set_logs_filter, shutdown_telemetry

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


def test_the_applications_own_logging_takes_precedence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    initialize_logs()
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])
    LOGGER.error("one")
    assert capsys.readouterr() == ("", "")


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
