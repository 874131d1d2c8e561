"""Run lines of the magic as a notebook would."""

from __future__ import annotations

from typing import Any

import pytest

import icechunk
from icechunk import Session
from icechunk_widgets.magic import UsageError, run, told


class Cell:
    """A notebook's variables and the magic."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self.names: dict[str, Any] = {}
        self.capture = capture

    def __call__(self, line: str) -> Any:
        result = run(line, self.names)
        out, err = self.capture.readouterr()
        assert err == "", err
        self.said = out
        return result

    def fails(self, line: str) -> str:
        with pytest.raises((UsageError, icechunk.IcechunkError, ValueError, OSError)) as caught:
            run(line, self.names)
        assert self.capture.readouterr() == ("", "")
        text = told(caught.value)
        assert "\n" not in text
        assert text.endswith(")")
        return text

    @property
    def session(self) -> Session:
        held = self.names["session"]
        assert isinstance(held, Session)
        return held
