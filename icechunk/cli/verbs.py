"""How a function becomes a command: ``--json``, and failures in one line."""

from __future__ import annotations

import functools
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from icechunk.cli.output import Answer, console, joined, show, styled, visible
from icechunk.ground.errors import IcechunkError

HELP = {"help_option_names": ["-h", "--help"]}


class Verbs(click.Group):
    """Commands under one name; in front of their words may stand a place instead of a command.

    ``icechunk branch list PLACE`` and ``icechunk branch PLACE`` are then the same, the second as
    in a notebook's ``%icechunk branch``.
    """

    bare: str | None = None
    """Name of the command that takes words that begin with no command's name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that some words mean."""
        if self.bare is not None and args and args[0] not in self.commands:
            return self.bare, self.commands[self.bare], args
        return super().resolve_command(ctx, args)


def verb(
    group: click.Group, name: str, **settings: Any
) -> Callable[[Callable[..., Answer]], click.Command]:
    """Add a function that gives an `Answer` to a group, as a command."""

    def register(function: Callable[..., Answer]) -> click.Command:
        @functools.wraps(function)
        def run(*, as_json: bool, **options: Any) -> None:
            with failures_told(as_json):
                show(function(**options), as_json)

        flag = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
        return group.command(name, context_settings=HELP, **settings)(flag(run))

    return register


@contextmanager
def failures_told(as_json: bool) -> Iterator[None]:
    """Turn what goes wrong into one line on standard error and exit status 1.

    With ``ICECHUNK_DEBUG`` in the environment exceptions pass, for a traceback.
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
            _tell(describe(error), as_json)
            sys.exit(1)


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    head = str(message).strip().split("\n\n")[0]
    console(stderr=True).print(joined("icechunk: warning: ", head), soft_wrap=True)


def _tell(told: dict[str, str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"error": told}), err=True)
        return
    line = joined(styled("icechunk: ", "red"), told["message"], f" ({told['kind']})")
    console(stderr=True).print(line, soft_wrap=True)


def describe(error: BaseException) -> dict[str, str]:
    """A failure as ``kind``, a stable code, and ``message``: what is wrong and what to do."""
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
        "message": f"{type(error).__name__}: {text}; this is a mistake of the program, "
        "ICECHUNK_DEBUG=1 shows where",
    }


def _on_one_line(text: str) -> str:
    return visible(" ".join(text.splitlines()))


def refusal(what: str, hint: str, kind: str) -> IcechunkError:
    """An error of the command itself: what is wrong; what to do."""
    return IcechunkError(f"{what}; {hint}", kind)
