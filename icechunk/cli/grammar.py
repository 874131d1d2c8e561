"""What may be typed: every verb, its words and its help, for the shell and for notebooks alike.

A verb is the same in ``icechunk VERB ...`` and ``%icechunk VERB ...`` but for its address: a shell
says which repository, and which branch, in front of the verb's own words; a notebook has them open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import click

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


class Needs(StrEnum):
    """What a verb works on."""

    NOTHING = "nothing"
    PLACE = "a repository"
    BRANCH = "a branch of a repository"
    SESSION = "a session, which only notebooks have"


@dataclass(frozen=True)
class Verb:
    """Something that can be asked for.

    Attributes
    ----------
    name : str
        What is typed.
    summary : str
        What it does, in one sentence.
    words : tuple of click.Parameter
        Its own arguments and options.
    needs : Needs
        The address that a shell puts in front.
    session_words : tuple of click.Parameter
        Options that only make sense where a session is open.
    about : str
        More for its help.
    busy : str
        What is being done, for verbs that take long.
    """

    name: str
    summary: str
    words: tuple[click.Parameter, ...] = ()
    needs: Needs = Needs.PLACE
    session_words: tuple[click.Parameter, ...] = ()
    about: str = ""
    busy: str = ""

    @property
    def help(self) -> str:
        """Summary and more."""
        return f"{self.summary}\n\n{self.about}".strip()


if TYPE_CHECKING:
    _ParamType = click.ParamType[datetime]
else:
    _ParamType = click.ParamType  # older releases take no type parameter


class Moment(_ParamType):
    """A time: ISO 8601 (UTC unless it says otherwise), or how long ago."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read the text of an option."""
        if isinstance(value, datetime):
            return value
        match = re.fullmatch(r"(\d+)([smhdw])", value)
        try:
            if match:
                return datetime.now(UTC) - int(match[1]) * _UNITS[match[2]]
            when = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no time; write 7d (also s, m, h, w) for that long ago, or "
                "2025-01-31 or 2025-01-31T12:00:00+01:00",
                param,
                ctx,
            )
        return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def word(name: str, *, required: bool = False, **settings: Any) -> click.Argument:
    """An argument; one that may be left out by default."""
    return click.Argument([name], required=required, **settings)


def option(*names: str, **settings: Any) -> click.Option:
    """An option with a value."""
    return click.Option(list(names), **settings)


def flag(*names: str, about: str, **settings: Any) -> click.Option:
    """An option without a value."""
    return click.Option(list(names), is_flag=True, help=about, **settings)


PLACE = word("place", required=True)
BRANCH = word("branch", required=True)
REF = word("ref")
COUNT = option("-n", "count", type=click.IntRange(1), help="So many at most.")
_YES = flag("-y", "--yes", about="Do it, also what cannot be undone.")
_DRY = flag("--dry-run", about="Tell what would be done, change nothing.")
_OLDER = option(
    "--older-than", type=Moment(), required=True, help="Only what is older: 7d, or an ISO time."
)
_DISCARD = flag("--discard", "-f", "discard", about="Give up uncommitted changes.")
_MESSAGE = option("-m", "--message", "told", metavar="TEXT", help="The message, as git has it.")
_ALL = flag("-a", "--all", "everything", about="Accepted, as in git: all changes go.", hidden=True)
_SIDES = (
    flag("--ours", about="Where both wrote a chunk, keep mine."),
    flag("--theirs", about="Where both wrote a chunk, keep theirs."),
)
_LOSES = "What loses nothing is done at once; what loses something is told first and waits for yes."


def _refs(kind: str, kinds: str, about: str, more: tuple[click.Parameter, ...] = ()) -> Verb:
    """The verb of one kind of refs."""
    return Verb(
        kind,
        f"List {kinds}, or create (NAME [START]) or delete (-d) one.",
        (
            word("name"),
            word("start"),
            option("-d", "--delete", "doomed", metavar="NAME", help=f"Delete a {kind}."),
            *more,
        ),
        about=about,
    )


_ALL_VERBS = (
    Verb(
        "init",
        "Make a repository.",
        (
            PLACE,
            option("--spec-version", type=click.IntRange(1, 2), help="Format; 2 by default."),
        ),
        Needs.NOTHING,
        (_DISCARD,),
        "PLACE is a folder or a URL; in a notebook also `memory`, or a variable that holds a "
        "storage. A notebook opens a session on main: `repo`, `session` and `store` are set.",
    ),
    Verb(
        "open",
        "Open a repository and a session on main.",
        (PLACE,),
        Needs.SESSION,
        (_DISCARD,),
        "PLACE is an alias (icechunk config list), a folder, a URL, or a variable that holds a "
        "storage or a repository. `repo`, `session` and `store` are set.",
    ),
    Verb("status", "Show what a repository is and holds; in a notebook, what the session changed."),
    Verb(
        "log",
        "Show commits, newest first: all of them, or the ancestry of REF.",
        (REF, flag("--graph", about="Draw branches and tags."), COUNT),
    ),
    Verb("show", "Show a commit and what it changed: REF, or the newest.", (REF,)),
    Verb(
        "diff",
        "Show what changed from state A to state B; also written A..B.",
        (
            word("states", nargs=-1, metavar="[A B]"),
            flag("--chunks", about="List all chunks, as text."),
        ),
        about="In a notebook B is the session where it is not given, and A its base.",
    ),
    _refs(
        "branch",
        "branches",
        "START is main, in a notebook the session's base. A branch whose commits are in another "
        "branch or tag is deleted at once; of others it tells what would be let go of.",
        (
            option("-D", "forced", metavar="NAME", help="Delete a branch whatever it holds."),
            _YES,
        ),
    ),
    Verb(
        "checkout",
        "Work on a branch, or look at a tag or snapshot.",
        (
            word("name", required=True),
            word("start"),
            flag("-b", "new", about="Make the branch first."),
            _DISCARD,
        ),
        Needs.SESSION,
        about="With -b and no START the branch starts where the session is; the session goes on "
        "there, with its uncommitted changes.",
    ),
    _refs(
        "tag",
        "tags",
        "START is main, in a notebook the session's base. The name of a deleted tag can never be "
        "used again.",
        (_YES,),
    ),
    Verb(
        "commit",
        "Store the session's changes in its branch, and go on with a new session.",
        (word("words", nargs=-1, metavar="MESSAGE [KEY=VALUE]..."), _MESSAGE, _ALL,
         flag("--amend", about="As the verb amend."),
         flag("--rebase", about="When the branch moved and nothing conflicts, rebase first."),
         *_SIDES,
         flag("--solve", about="When it conflicts, open the conflict resolver and go on.")),
        Needs.SESSION,
        about="Values are JSON where they can be. When the branch moved meanwhile, --ours or "
        "--theirs settles chunks that both wrote; else nothing is committed, which is an error, "
        "and the conflict resolver is shown below it. Until it is completed, verbs that write "
        "refuse; `discard` gives the changes up.",
    ),
    Verb(
        "amend",
        "Replace the branch's newest commit by one with the session's changes as well.",
        (word("words", nargs=-1, metavar="[MESSAGE] [KEY=VALUE]..."), _MESSAGE, _ALL),
        Needs.SESSION,
        about="What is not given stays: the message, and the metadata.",
    ),
    Verb(
        "rebase",
        "Bring the session up to its branch.",
        (
            *_SIDES,
            option("--where", multiple=True, metavar="PATH",
                   help="With a side: only for this node and what is below it."),
            _DRY,
        ),
        Needs.SESSION,
        about="Conflicts that are left are an error and keep the session as it is; the conflict "
        "resolver below it decides them chunk by chunk.",
    ),
    Verb(
        "solve",
        "Decide conflicts chunk by chunk, then commit.",
        (word("words", nargs=-1, metavar="[MESSAGE] [KEY=VALUE]..."), _MESSAGE),
        Needs.SESSION,
    ),
    Verb(
        "reset",
        "Point a branch to another snapshot.",
        (
            word("ref", required=True),
            option("--from", "expected", metavar="REF", help="Only if it points there now."),
            _YES,
            _DRY,
        ),
        Needs.BRANCH,
        (flag("--hard", "--discard", "discard", about="Give up uncommitted changes."),),
        _LOSES,
    ),
    Verb("discard", "Give up the session's changes.", (), Needs.SESSION),
    Verb(
        "gc",
        "Delete objects that no branch or tag needs any more.",
        (_OLDER, _DRY, _YES),
        about="Choose a time before the start of every session that is being written. Without "
        "--yes it counts first.",
        busy="collecting garbage",
    ),
    Verb(
        "expire",
        "Cut history off; gc deletes what nothing needs then.",
        (
            _OLDER,
            flag("--delete-expired-branches", about="Delete branches with an older tip."),
            flag("--delete-expired-tags", about="Delete older tags."),
            _DRY,
            _YES,
        ),
        about="Without --yes it tells first what would go.",
        busy="expiring",
    ),
    Verb(
        "du",
        "Show what the chunks of a state take, array by array.",
        (word("path", default="/"), option("--ref", metavar="REF", help="State to look at.")),
        busy="adding up",
    ),
    Verb("stats", "Show what chunks of the whole history take, by kind.", busy="adding up"),
    Verb(
        "ls",
        "List a group, or show an array.",
        (word("path", default="/"), option("--ref", metavar="REF", help="State to look at.")),
    ),
    Verb(
        "tree",
        "Draw what is below a group.",
        (
            word("path", default="/"),
            option("--ref", metavar="REF", help="State to look at."),
            option("--depth", type=click.IntRange(1), help="Levels to show."),
        ),
    ),
    Verb(
        "doctor",
        "Find out what a storage can do, and whether commits are safe there.",
        (
            word("place"),
            flag("--read-only", about="Write nothing; look at what can be read."),
            option(
                "--timeout", type=click.FloatRange(0, min_open=True), default=10.0,
                metavar="SECONDS", help="For one step; 10 by default, for all six times as long.",
            ),
        ),
        Needs.NOTHING,
        about="PLACE is an alias, a folder or a URL, with or without a repository; in a notebook "
        "the open repository's where it is not given. Small objects are written below a prefix of "
        "their own and removed. The exit status is 1 when something that commits need is missing.",
    ),
    Verb("ops", "Show every change of the repository itself, newest first.", (COUNT,)),
    Verb(
        "inspect",
        "Show what is in a file of the repository.",
        (
            word("kind", default="repo", type=click.Choice(
                ["repo", "snapshot", "manifests", "manifest", "transaction-log"])),
            word("target"),
        ),
        about="TARGET is a branch, tag or snapshot id, for a manifest its id.",
    ),
    Verb(
        "config",
        "Show settings, or set one (KEY VALUE).",
        (
            word("key"),
            word("value"),
            option("--unset", metavar="KEY", help="Forget a setting."),
        ),
        Needs.NOTHING,
        about="user.name and user.email go into the metadata of a notebook's commits; "
        "provenance (on or off) says whether notebook, cell, versions and git commit do. With "
        "solve on, a conflict opens the resolver and the notebook goes on, as by `commit --solve`; "
        "leave it off where notebooks run unattended. log (such as debug, or "
        "warn,icechunk.storage=debug) is what is written to standard error.",
    ),
    Verb("help", "Explain a verb, or list them.", (word("words", nargs=-1),), Needs.NOTHING),
)  # fmt: skip

VERBS: dict[str, Verb] = {verb.name: verb for verb in _ALL_VERBS}
"""All verbs in the order of their help."""

FROM_GIT: dict[str, str] = {
    "add": "a commit takes all changes of the session; just commit",
    "clone": "`open` works on a repository where it is",
    "fetch": "a repository is read where it is; `log` shows what is new",
    "merge": "`rebase` brings a session up to its branch, `reset` moves a branch",
    "pull": "`rebase` brings the session up to its branch",
    "push": "a commit is in the repository at once; there is nothing to push",
    "restore": "`discard` gives up the session's changes",
    "revert": "`reset` points a branch to an earlier snapshot",
    "rm": "delete nodes in Python: `del group[name]`",
    "stash": "`checkout -b NAME` takes uncommitted changes to a branch of their own",
    "switch": "`checkout NAME` works on another branch",
}
"""What people who know git type that is no verb here, and what to do instead."""
