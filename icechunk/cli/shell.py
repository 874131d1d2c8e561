"""Turn verbs into shell commands: address arguments, ``--json``, confirmation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from icechunk.cli.addresses import At, open_address
from icechunk.cli.failures import refusal, reported_failures
from icechunk.cli.grammar import BRANCH, FROM_GIT, REPO, VERBS, Needs, Verb, flag
from icechunk.cli.output import Answer, show
from icechunk.cli.progress import progress
from icechunk.core.errors import ErrorKind

HELP = {"help_option_names": ["-h", "--help"]}
_ADDRESS: dict[Needs, tuple[click.Parameter, ...]] = {
    Needs.REPOSITORY: (REPO,),
    Needs.BRANCH: (REPO, BRANCH),
}


class Commands(click.Group):
    """The group of all commands; a verb that needs a session is an error with an explanation."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command for the given words."""
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
    """A group of commands with a default command.

    ``icechunk branch list REPO`` and ``icechunk branch REPO`` are then the same, the second as
    in a notebook's ``%icechunk branch``.
    """

    bare: str = ""
    """Name of the default command, run when the first word names no command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command for the given words."""
        if self.bare and args and args[0] not in self.commands:
            return self.bare, self.commands[self.bare], args
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words; without words, run the default command if it needs none."""
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
        The group.
    verb : Verb
        Parameters and help.
    body : callable
        Called with an `At` if the verb needs one, then the parameters by name.
    name : str
        Name of the command; the verb's name by default.
    hidden : bool
        Omit it from the list of commands.
    """

    def run(*, as_json: bool, **words: Any) -> None:
        named = {word.name: words.pop(word.name) for word in _ADDRESS.get(verb.needs, ())}

        def answer(**more: Any) -> Answer:
            with progress(verb.busy, quiet=not verb.busy) as watched:
                if not named:
                    return body(**{**words, **more})
                at = At(lambda: open_address(named["address"], watched), None, named.get("branch"))
                return body(at, **{**words, **more})

        with reported_failures(as_json):
            first = answer()
            show(first, as_json)
            if first.pending and not words.get("dry_run"):
                _confirm(first.pending, as_json)
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


def _confirm(what: str, as_json: bool) -> None:
    """Ask for confirmation on a terminal; refuse elsewhere."""
    if not as_json and sys.stdin.isatty() and click.confirm(f"{what}?", err=True):
        return
    raise refusal(
        "nothing was done",
        f"add --yes to {what}, or --dry-run to see what would change",
        ErrorKind.NOT_ALLOWED,
    )
