"""Run lines of the magic as a notebook would."""

from __future__ import annotations

from typing import Any

import pytest

import icechunk
from icechunk import Session
from icechunk_widgets.magic import UsageError, error_line, run
from icechunk_widgets.provenance import Cell as Running


class Cell:
    """A notebook's variables and the magic."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self.names: dict[str, Any] = {}
        self.capture = capture
        self.below: list[Any] = []
        self.running: Running | None = None

    def __call__(self, line: str) -> Any:
        self.below = []
        result = run(line, self.names, lambda: self.running, show=self.below.append)
        out, err = self.capture.readouterr()
        assert err == "", err
        self.said = out
        assert self.below == []
        return result

    def raises(self, line: str) -> Exception:
        """The error of a line; what is shown below it is in `below`."""
        self.below = []
        with pytest.raises((UsageError, icechunk.IcechunkError, ValueError, OSError)) as caught:
            run(line, self.names, lambda: self.running, show=self.below.append)
        assert self.capture.readouterr() == ("", "")
        text = error_line(caught.value)
        assert "\n" not in text
        assert text.endswith(")")
        return caught.value

    def fails(self, line: str) -> str:
        """The text of the error of a line."""
        return error_line(self.raises(line))

    @property
    def session(self) -> Session:
        held = self.names["session"]
        assert isinstance(held, Session)
        return held
