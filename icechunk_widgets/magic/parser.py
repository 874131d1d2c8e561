"""Parse command lines of ``%icechunk`` by the grammar of the shell command."""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
from collections.abc import Sequence
from typing import Any

import click

from icechunk.cli.grammar import FROM_GIT, VERBS


class UsageError(Exception):
    """An invalid command line; the message says what is wrong and what to write."""


def command_of(verb: str) -> click.Command:
    """The parameters and help of one verb in notebooks."""
    held = VERBS[verb]
    return click.Command(
        verb,
        params=[*held.words, *held.session_words],
        help=held.help,
        add_help_option=False,
        options_metavar="[OPTIONS]" if _options(verb) else "",
    )


def _options(verb: str) -> list[click.Option]:
    words = (*VERBS[verb].words, *VERBS[verb].session_words)
    return [word for word in words if isinstance(word, click.Option) and not word.hidden]


def parse(line: str) -> tuple[str, dict[str, Any]]:
    """Parse a line.

    Parameters
    ----------
    line : str
        What follows ``%icechunk``.

    Returns
    -------
    str, dict
        The verb and its parameters by name; ``-h`` and ``--help`` are the verb ``help``.

    Raises
    ------
    UsageError
        For an invalid line.
    """
    words = split(line)
    if not words or words[0] in ("-h", "--help"):
        return "help", {"words": ()}
    verb, *rest = words
    if verb not in VERBS:
        if verb in FROM_GIT:
            raise UsageError(f"there is no command `{verb}`; {FROM_GIT[verb]}")
        near = difflib.get_close_matches(verb, VERBS, 1)
        guess = f"did you mean `{near[0]}`?" if near else "`%icechunk help` lists the commands"
        raise UsageError(f"there is no command `{verb}`; {guess}")
    if "-h" in rest or "--help" in rest:
        return "help", {"words": (verb,)}
    command = command_of(verb)
    try:
        return verb, command.make_context(f"%icechunk {verb}", rest).params
    except click.ClickException as error:
        raise usage(verb, error.format_message()) from None


def usage(verb: str, what: str) -> UsageError:
    """An error about the parameters of a verb, with its usage."""
    context = click.Context(command_of(verb), info_name=f"%icechunk {verb}")
    pieces = " ".join(context.command.collect_usage_pieces(context)).strip()
    text = " ".join(what.split()).rstrip(".")
    return UsageError(f"{text[:1].lower()}{text[1:]}; usage: %icechunk {verb} {pieces}".rstrip())


def split(line: str) -> list[str]:
    """Split a line into words; a word that begins with ``#`` starts a comment.

    Raises
    ------
    UsageError
        For an unclosed quotation mark.
    """
    line = _without_comment(line)
    try:
        if os.name != "nt":
            return shlex.split(line)
        # Backslashes are part of paths on Windows.
        return [word.strip("\"'") for word in shlex.split(line, posix=False)]
    except ValueError as error:
        text = str(error).lower()
        raise UsageError(f"{text}; close the quotation mark") from None


def _without_comment(line: str) -> str:
    """A line up to a ``#`` at the beginning of a word, outside quotation marks."""
    quote, before = "", " "
    for place, char in enumerate(line):
        escaped = before == "\\" and quote != "'"
        if quote:
            quote = "" if char == quote and not escaped else quote
        elif char in "\"'" and not escaped:
            quote = char
        elif char == "#" and before.isspace():
            return line[:place]
        before = "" if escaped else char
    return line


def message_and_metadata(
    words: Sequence[str], message: str | None, *, optional: bool = False
) -> tuple[str | None, dict[str, Any]]:
    """The message of a commit and its ``key=value`` pairs; values are JSON where possible.

    Parameters
    ----------
    words : sequence of str
        The words after the verb.
    message : str or None
        The message of ``-m``; then all words are metadata.
    optional : bool
        Whether the message may be missing; a first word of the form ``key=value`` is metadata then.

    Raises
    ------
    UsageError
        For a word without ``=``, or when there is no message.
    """
    rest = list(words)
    if message is None and rest and not (optional and re.match(r"[A-Za-z_][\w.-]*=", rest[0])):
        message = rest.pop(0)
    if message is None and not optional:
        raise usage("commit", "the message is missing")
    held: dict[str, Any] = {}
    for pair in rest:
        key, mark, text = pair.partition("=")
        if not mark or not key:
            raise UsageError(
                f"`{pair}` is not of the form key=value; put a message of several words in quotes"
            )
        try:
            held[key] = json.loads(text)
        except ValueError:
            held[key] = text
    return message, held


def help_text(words: Sequence[str]) -> str:
    """The list of commands, or the help of one.

    Raises
    ------
    UsageError
        For an unknown verb.
    """
    if not words:
        width = max(map(len, VERBS))
        lines = [f"  {name:{width}}  {verb.summary}" for name, verb in VERBS.items()]
        cell = (
            "%%icechunk commit MESSAGE commits the changes of a cell, or discards them on an error."
        )
        return "\n".join(["%icechunk COMMAND ...", *lines, cell])
    verb = words[0]
    if verb not in VERBS:
        raise UsageError(f"there is no command `{verb}`; `%icechunk help` lists the commands")
    context = click.Context(command_of(verb), info_name=f"%icechunk {verb}")
    return context.get_help().strip()
