"""Failures in one line on standard error, and exit status 1."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from icechunk.cli.output import console, joined, styled, visible
from icechunk.core.errors import IcechunkError


@contextmanager
def reported_failures(as_json: bool) -> Iterator[None]:
    """Turn exceptions into one line on standard error and exit status 1.

    With ``ICECHUNK_DEBUG`` set they are raised, for a traceback.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        try:
            yield
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get("ICECHUNK_DEBUG"):
                raise
            _report(describe(error), as_json)
            sys.exit(1)


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    head = str(message).strip().split("\n\n")[0]
    console(stderr=True).print(joined("icechunk: warning: ", head), soft_wrap=True)


def _report(failure: dict[str, str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"error": failure}), err=True)
        return
    line = joined(styled("icechunk: ", "red"), failure["message"], f" ({failure['kind']})")
    console(stderr=True).print(line, soft_wrap=True)


def describe(error: BaseException) -> dict[str, str]:
    """An exception as ``kind``, a stable code, and ``message``."""
    if isinstance(error, IcechunkError):
        head = error.message.strip().split("\n\n")[0]
        return {"kind": str(error.kind), "message": _on_one_line(head)}
    text = _on_one_line(str(error).strip())
    if isinstance(error, OSError):
        return {"kind": "io", "message": text or type(error).__name__}
    if isinstance(error, ValueError | TypeError | OverflowError):
        return {"kind": "invalid-input", "message": text or type(error).__name__}
    return {
        "kind": "internal",
        "message": f"{type(error).__name__}: {text}; this is a bug; set "
        "ICECHUNK_DEBUG=1 for a traceback and report it",
    }


def _on_one_line(text: str) -> str:
    return visible(" ".join(text.splitlines()))


def refusal(what: str, hint: str, kind: str) -> IcechunkError:
    """An error of the command line: what is wrong; what to do."""
    return IcechunkError(f"{what}; {hint}", kind)
