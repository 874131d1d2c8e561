"""The ``icechunk`` command with all its subcommands."""

from __future__ import annotations

import click

from icechunk._version import __version__
from icechunk.cli import (
    config_commands,
    doctor_commands,
    history_commands,
    merge_commands,
    node_commands,
    ref_commands,
    repo_commands,
    upkeep_commands,
)
from icechunk.cli.grammar import VERBS
from icechunk.cli.settings import Settings
from icechunk.cli.shell import HELP, Commands
from icechunk.config.logs import read_filter, set_logs_filter


@click.group(cls=Commands, context_settings=HELP)
@click.version_option(__version__, "--version", message="icechunk %(version)s")
@click.option("--log", metavar="FILTER", help="Log to standard error: debug, info, ...")
def app(log: str | None) -> None:
    """Inspect and maintain Icechunk repositories.

    REPO is an alias of the configuration file (icechunk config list), a folder or a URL. REF is a
    branch, a tag, a snapshot id or a prefix of one; REF~2 is its second ancestor.

    URLs: s3://bucket/prefix, gs://, az://, r2://, tigris://, http(s)://, memory:// and protocols
    of fsspec, with options after a question mark: 's3://bucket/prefix?region=auto&anonymous'
    (endpoint_url, allow_http, ...). Credentials come from the environment, or from an alias.

    The same verbs, without REPO, work in notebooks: %icechunk help.
    """
    if log is None:
        Settings().apply_log()
        return
    _, complaints = read_filter(log)
    if complaints:
        raise click.BadParameter(complaints[0], param_hint="--log")
    set_logs_filter(log)


for _module in (
    config_commands, repo_commands, history_commands, ref_commands, merge_commands, node_commands,
    upkeep_commands, doctor_commands,
):  # fmt: skip
    _module.register(app)


@app.command("help", context_settings=HELP)
@click.argument("words", nargs=-1)
@click.pass_context
def _help(context: click.Context, words: tuple[str, ...]) -> None:
    """Explain a command."""
    command: click.Command = app
    parent = context.parent
    assert parent is not None
    for word in words:
        found = command.get_command(parent, word) if isinstance(command, click.Group) else None
        if found is None and words == (word,) and word in VERBS:
            click.echo(f"%icechunk {word}, in notebooks: {VERBS[word].help}")
            return
        if found is None:
            raise click.UsageError(f"No such command '{' '.join(words)}'.", parent)
        command, parent = found, click.Context(found, parent, word)
    click.echo(command.get_help(parent))
