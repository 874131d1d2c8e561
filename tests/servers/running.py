"""Servers as processes of their own on the loopback interface, started and stopped by tests."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE = 45.0
"""Seconds a server may take to answer; a loaded machine is slow at unexpected moments."""
TRIES = 2


_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """Have the kernel end this process when its parent ends, even if that is killed."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port() -> int:
    """A port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A process that answers HTTP on a port of its own.

    Parameters
    ----------
    command
        What to run; ``{port}`` in its words stands for the port.
    log
        File for what it prints.
    environment
        Variables on top of the present ones.
    prepare
        Called with the port before the command runs.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: dict[str, str] | None = None,
        prepare: Callable[[int], object] = lambda port: None,
    ) -> None:
        self.port, self.url = 0, ""
        self._command = list(command)
        self._environment = {**os.environ, **(environment or {})}
        self._log = log
        self._prepare = prepare

    def __enter__(self) -> Self:
        # between finding a port and listening on it, another process may take it
        for _ in range(TRIES):
            self._start()
            if self._comes_up():
                return self
            self.stop()
        raise RuntimeError(f"{self._command[0]} does not answer: {self._log.read_text()[-2000:]}")

    def _start(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._prepare(self.port)
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [word.replace("{port}", str(self.port)) for word in self._command],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )

    def _comes_up(self) -> bool:
        give_up = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up:
                return False
            time.sleep(0.05)
        return True

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url, timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except (OSError, ValueError):
            return False
        return True

    def stop(self) -> None:
        """End the process and those it started."""
        for ending in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, ending)
            except ProcessLookupError:
                break
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                continue
        self._process.wait()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def request(url: str, method: str = "GET", headers: dict[str, str] | None = None) -> bytes:
    """Send one unsigned request and return the body of the answer."""
    asked = urllib.request.Request(url, method=method, headers=headers or {})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        body: bytes = answer.read()
        return body
