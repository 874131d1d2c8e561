"""The command line of ``%icechunk``: verbs, options, and one-line complaints."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import shlex
from collections.abc import Callable
from typing import Any, NoReturn


class UsageError(Exception):
    """A command line that cannot be understood; the message is one sentence and what to do."""


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        usage = " ".join(self.format_usage().split()).removeprefix("usage: ")
        raise UsageError(f"{message}; usage: {usage}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise UsageError((message or "").strip() or f"stopped with status {status}")


_Build = Callable[[_Parser], None]


def _discard(parser: _Parser) -> None:
    parser.add_argument("--discard", action="store_true", help="give up uncommitted changes")


def _init(parser: _Parser) -> None:
    parser.add_argument("path", help="folder, URL, `memory`, or a variable holding a Storage")
    _discard(parser)


def _log(parser: _Parser) -> None:
    parser.add_argument("ref", nargs="?", help="only the ancestry of this branch, tag or snapshot")


def _branch(parser: _Parser) -> None:
    parser.add_argument("name", nargs="?")
    parser.add_argument("start", nargs="?", help="where it starts; the session's base by default")
    parser.add_argument("-d", "--delete", metavar="NAME")


def _checkout(parser: _Parser) -> None:
    parser.add_argument("name", help="branch to work on; tag or snapshot to look at")
    parser.add_argument("start", nargs="?", help="with -b: where the new branch starts")
    parser.add_argument("-b", action="store_true", dest="new", help="make the branch first")
    _discard(parser)


def _tag(parser: _Parser) -> None:
    parser.add_argument("name", nargs="?")
    parser.add_argument("ref", nargs="?", help="what to tag; the session's base by default")
    parser.add_argument("-d", "--delete", metavar="NAME")


def _diff(parser: _Parser) -> None:
    parser.add_argument(
        "states", nargs="*", default=[], metavar="STATE", help="A..B, or A B; none: status"
    )


def _sides(parser: _Parser) -> None:
    side = parser.add_mutually_exclusive_group()
    side.add_argument("--ours", action="store_true", help="where both wrote a chunk, keep mine")
    side.add_argument("--theirs", action="store_true", help="where both wrote a chunk, keep theirs")


def _commit(parser: _Parser) -> None:
    parser.add_argument("message")
    parser.add_argument("metadata", nargs="*", default=[], metavar="key=value")
    _sides(parser)


def _solve(parser: _Parser) -> None:
    parser.add_argument("message", nargs="?", default="", help="of the commit that ends it")


def _reset(parser: _Parser) -> None:
    parser.add_argument("ref", help="branch, tag or snapshot to point the branch to")
    _discard(parser)


def _help(parser: _Parser) -> None:
    parser.add_argument("verb", nargs="?")


def _nothing(parser: _Parser) -> None:
    """No arguments."""


VERBS: dict[str, tuple[_Build, str]] = {
    "init": (_init, "make a repository and open a session on main"),
    "open": (_init, "open a repository and a session on main"),
    "status": (_nothing, "what the session changed"),
    "log": (_log, "the history, drawn"),
    "branch": (_branch, "list, make or delete (-d) branches"),
    "checkout": (_checkout, "work on a branch (-b: a new one), or look at a tag or snapshot"),
    "tag": (_tag, "list, make or delete (-d) tags"),
    "diff": (_diff, "compare two states, or the session with its base"),
    "commit": (_commit, "store the session's changes in its branch"),
    "rebase": (_sides, "bring the session up to its branch"),
    "solve": (_solve, "decide conflicts chunk by chunk, then commit"),
    "discard": (_nothing, "give up the session's changes"),
    "reset": (_reset, "point the session's branch elsewhere"),
    "help": (_help, "this list, or the options of one command"),
}


def parser_for(verb: str) -> argparse.ArgumentParser:
    """The parser of one verb."""
    build, summary = VERBS[verb]
    parser = _Parser(prog=f"%icechunk {verb}", description=summary, add_help=False)
    parser.add_argument("-h", "--help", action="store_true", help="these lines")
    build(parser)
    return parser


def parse(line: str) -> tuple[str, argparse.Namespace]:
    """Take a line apart.

    Parameters
    ----------
    line : str
        What follows ``%icechunk``.

    Returns
    -------
    str, argparse.Namespace
        The verb and its options; a wish for help is the verb ``help``.

    Raises
    ------
    UsageError
        When it makes no sense.
    """
    words = split(line)
    if not words or words[0] in ("-h", "--help"):
        return "help", argparse.Namespace(verb=None)
    verb, *rest = words
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, 1)
        guess = f"did you mean `{near[0]}`?" if near else "`%icechunk help` lists the commands"
        raise UsageError(f"there is no command `{verb}`; {guess}")
    if "-h" in rest or "--help" in rest:
        return "help", argparse.Namespace(verb=verb)
    try:
        return verb, parser_for(verb).parse_args(rest)
    except argparse.ArgumentError as error:  # what older releases of argparse do not route
        raise UsageError(str(error)) from None


def split(line: str) -> list[str]:
    """Words of a line, quotes and all.

    Raises
    ------
    UsageError
        For a quotation that does not end.
    """
    try:
        if os.name != "nt":
            return shlex.split(line)
        # Backslashes are part of paths there.
        return [word.strip("\"'") for word in shlex.split(line, posix=False)]
    except ValueError as error:
        text = str(error).lower()
        raise UsageError(f"{text}; close the quotation mark") from None


def metadata_of(pairs: list[str]) -> dict[str, Any] | None:
    """Commit metadata from ``key=value`` words; values are JSON where they can be.

    Raises
    ------
    UsageError
        For a word without ``=``.
    """
    held: dict[str, Any] = {}
    for pair in pairs:
        key, mark, text = pair.partition("=")
        if not mark or not key:
            raise UsageError(
                f"`{pair}` is not of the form key=value; put a message of several words in quotes"
            )
        try:
            held[key] = json.loads(text)
        except ValueError:
            held[key] = text
    return held or None


def help_text(verb: str | None) -> str:
    """All commands, or the options of one.

    Raises
    ------
    UsageError
        For an unknown verb.
    """
    if verb is None:
        width = max(map(len, VERBS))
        lines = [f"  {name:{width}}  {summary}" for name, (_, summary) in VERBS.items()]
        return "\n".join(["%icechunk COMMAND ...", *lines])
    if verb not in VERBS:
        raise UsageError(f"there is no command `{verb}`; `%icechunk help` lists the commands")
    return parser_for(verb).format_help().strip()
