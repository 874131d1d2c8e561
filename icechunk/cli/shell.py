"""How a verb becomes a command of the shell: its address in front, ``--json``, a question."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from icechunk.cli.addresses import At, open_place
from icechunk.cli.failures import refusal, reported_failures
from icechunk.cli.grammar import BRANCH, FROM_GIT, PLACE, VERBS, Needs, Verb, flag
from icechunk.cli.output import Answer, show
from icechunk.cli.progress import progress
from icechunk.core.errors import ErrorKind

HELP = {"help_option_names": ["-h", "--help"]}
_ADDRESS: dict[Needs, tuple[click.Parameter, ...]] = {
    Needs.PLACE: (PLACE,),
    Needs.BRANCH: (PLACE, BRANCH),
}


class Commands(click.Group):
    """All commands; verbs that need a session are explained, not run."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that some words mean."""
        name = args[0]
        if name not in self.commands and name in VERBS:
            ctx.fail(
                f"'{name}' needs a session, which only a notebook has: type %icechunk {name} "
                "there, or use the Python interface."
            )
        if name in FROM_GIT:
            ctx.fail(f"There is no command '{name}'; {FROM_GIT[name]}.")
        return super().resolve_command(ctx, args)


class Verbs(click.Group):
    """Commands under one name; in front of their words may stand a place instead of a command.

    ``icechunk branch list PLACE`` and ``icechunk branch PLACE`` are then the same, the second as
    in a notebook's ``%icechunk branch``.
    """

    bare: str = ""
    """Name of the command that takes words that begin with no command's name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that some words mean."""
        if self.bare and args and args[0] not in self.commands:
            return self.bare, self.commands[self.bare], args
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the words apart; where the bare command needs none, no word means it too."""
        bare = self.commands.get(self.bare)
        if bare is not None and not any(word.required for word in bare.params):
            known = {*self.commands, *HELP["help_option_names"]}
            if not args or args[0] not in known:
                args = [self.bare, *args]
        return super().parse_args(ctx, args)


def offer(
    group: click.Group,
    verb: Verb,
    body: Callable[..., Answer],
    *,
    name: str = "",
    hidden: bool = False,
) -> None:
    """Add a verb to a group.

    Parameters
    ----------
    group : click.Group
        Where it is found.
    verb : Verb
        Words and help.
    body : callable
        Gets an `At` where the verb needs one, then the words by name.
    name : str
        What is typed; the verb's name by default.
    hidden : bool
        Leave it out of the list of commands.
    """

    def run(*, as_json: bool, **words: Any) -> None:
        address = {word.name: words.pop(word.name) for word in _ADDRESS.get(verb.needs, ())}

        def answer(**more: Any) -> Answer:
            with progress(verb.busy, quiet=not verb.busy) as watched:
                if not address:
                    return body(**{**words, **more})
                at = At(lambda: open_place(address["place"], watched), None, address.get("branch"))
                return body(at, **{**words, **more})

        with reported_failures(as_json):
            first = answer()
            show(first, as_json)
            if first.pending and not words.get("dry_run"):
                _agree(first.pending, as_json)
                show(answer(yes=True), as_json)
            if first.bad:
                raise click.exceptions.Exit(1)

    as_json = flag("--json", "as_json", about="Print one JSON document.")
    group.add_command(
        click.Command(
            name or verb.name,
            params=[*_ADDRESS.get(verb.needs, ()), *verb.words, as_json],
            callback=run,
            help=verb.help,
            hidden=hidden,
            context_settings=HELP,
        )
    )


def _agree(what: str, as_json: bool) -> None:
    """Ask where somebody can answer; refuse elsewhere."""
    if not as_json and sys.stdin.isatty() and click.confirm(f"{what}?", err=True):
        return
    raise refusal(
        "nothing was done",
        f"--yes says to {what}, --dry-run that looking was all",
        ErrorKind.NOT_ALLOWED,
    )
