"""Raise an exception at a chosen line of the engine, and see what was left behind."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import icechunk

ENGINE = str(Path(icechunk.__file__).parent) + os.sep
PATIENCE = 20.0  # seconds that a thread which waits for nothing may take on a busy machine

Line = tuple[str, int]


class Interrupt(BaseException):
    """What a person who presses Stop raises, wherever the program is."""


def lines_of(action: Callable[[], object]) -> list[Line]:
    """Every line of the engine that an action runs on this thread, in order."""
    seen: list[Line] = []

    def look(frame: FrameType) -> None:
        seen.append((frame.f_code.co_filename, frame.f_lineno))

    _traced(action, look)
    return seen


def interrupted(action: Callable[[], object], line: Line, occurrence: int) -> bool:
    """Run an action and interrupt it before a line is run for the n-th time (from 1).

    Returns whether the line was reached; errors of the action pass.
    """
    left = occurrence

    def look(frame: FrameType) -> None:
        nonlocal left
        if frame.f_lineno == line[1] and frame.f_code.co_filename == line[0]:
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise Interrupt

    try:
        _traced(action, look)
    except Interrupt:
        return True
    return False


def _traced(action: Callable[[], object], look: Callable[[FrameType], None]) -> None:
    def local(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            look(frame)
        return local

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        return local if frame.f_code.co_filename.startswith(ENGINE) else None

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(former)


def elsewhere(action: Callable[[], object]) -> None:
    """Run an action on another thread, which must not have to wait for this one."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "another thread waits for a lock that was not released"
    if failed:
        raise failed[0]
