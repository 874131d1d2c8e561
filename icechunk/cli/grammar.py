"""Every verb with its arguments, options and help, for the shell and for notebooks.

A verb has the same arguments in ``icechunk VERB ...`` and ``%icechunk VERB ...``, except that a
shell command first names the repository and, where needed, the branch. A notebook uses those that
are open.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import click

from icechunk.cli.moment import Moment


class Needs(StrEnum):
    """What a verb works on."""

    NOTHING = "nothing"
    REPOSITORY = "a repository"
    BRANCH = "a branch of a repository"
    SESSION = "a session, which only notebooks have"


@dataclass(frozen=True)
class Verb:
    """A command.

    Attributes
    ----------
    name : str
        Name on the command line.
    summary : str
        What it does, in one sentence.
    words : tuple of click.Parameter
        Its own arguments and options.
    needs : Needs
        What it works on; in a shell, the arguments before its own.
    session_words : tuple of click.Parameter
        Options for notebooks only, where a session is open.
    about : str
        Further sentences of its help.
    busy : str
        Text beside the progress bar of verbs that take long.
    """

    name: str
    summary: str
    words: tuple[click.Parameter, ...] = ()
    needs: Needs = Needs.REPOSITORY
    session_words: tuple[click.Parameter, ...] = ()
    about: str = ""
    busy: str = ""

    @property
    def help(self) -> str:
        """Summary and further sentences."""
        return f"{self.summary}\n\n{self.about}".strip()


def word(name: str, *, required: bool = False, **settings: Any) -> click.Argument:
    """An argument, optional by default."""
    return click.Argument([name], required=required, **settings)


def option(*names: str, **settings: Any) -> click.Option:
    """An option with a value."""
    return click.Option(list(names), **settings)


def flag(*names: str, about: str, **settings: Any) -> click.Option:
    """An option without a value."""
    return click.Option(list(names), is_flag=True, help=about, **settings)


REPO = word("address", metavar="REPO", required=True)
BRANCH = word("branch", required=True)
REF = word("ref")
COUNT = option("-n", "count", type=click.IntRange(1), help="Show at most N.", metavar="N")
_YES = flag("-y", "--yes", about="Do not ask for confirmation.")
_DRY = flag("--dry-run", about="Show what would be done; change nothing.")
_OLDER = option("--older-than", type=Moment(), required=True,
                help="Age such as 7d, or ISO 8601 time; selects what is older.")  # fmt: skip
_STATE = option(
    "--ref", metavar="REF", help="State to read; main, in a notebook the session, by default."
)
_DISCARD = flag("--discard", "-f", "discard", about="Discard uncommitted changes.")
_MESSAGE = option("-m", "--message", "message", metavar="TEXT", help="Commit message, as in git.")
_ALL = flag(
    "-a",
    "--all",
    "everything",
    about="Accepted as in git; a commit always contains all changes.",
    hidden=True,
)
_SIDES = (
    flag("--ours", about="Keep my version of chunks that both sides wrote."),
    flag("--theirs", about="Keep their version of chunks that both sides wrote."),
)
_DECIDED = (
    option("--prefer", type=click.Choice(["source", "target"]),
           help="The side to take where both changed the same thing."),
    option("--decisions", metavar="FILE",
           help="Decisions about single conflicts, as the conflict resolver saves them."),
    option("--cells", type=click.Choice(["never", "auto"]), default="never",
           help="Whether chunks that both sides wrote are merged cell by cell."),
    option("--tolerance", metavar="ABS[,REL]",
           help="How near cells that both changed count as equal, e.g. 1e-6 or 0,1e-9."),
)  # fmt: skip
_CHANGED = "Branch to change; main, in a notebook the session's branch, by default."
_NEEDS_YES = "If commits would become unreachable, they are listed first and --yes is needed."


def _refs(kind: str, kinds: str, about: str, more: tuple[click.Parameter, ...] = ()) -> Verb:
    """The verb of one kind of refs."""
    return Verb(
        kind,
        f"List {kinds}, or create (NAME [START]) or delete (-d) one.",
        (
            word("name"),
            word("start"),
            option("-d", "--delete", "delete", metavar="NAME", help=f"Delete a {kind}."),
            *more,
        ),
        about=about,
    )


_ALL_VERBS = (
    Verb(
        "init",
        "Create a repository.",
        (
            REPO,
            option("--spec-version", type=click.IntRange(1, 2), help="Format; 2 by default."),
        ),
        Needs.NOTHING,
        (_DISCARD,),
        "REPO is a folder or a URL; in a notebook also `memory`, or a variable that holds a "
        "storage. A notebook opens a session on main and sets `repo`, `session` and `store`.",
    ),
    Verb(
        "open",
        "Open a repository and a session on main.",
        (REPO,),
        Needs.SESSION,
        (_DISCARD,),
        "REPO is an alias (icechunk config list), a folder, a URL, or a variable that holds a "
        "storage or a repository. Sets `repo`, `session` and `store`.",
    ),
    Verb("status", "Show the state of a repository; in a notebook, the uncommitted changes."),
    Verb(
        "log",
        "Show commits, newest first: all of them, or the ancestry of REF.",
        (REF, flag("--graph", about="Draw the graph of branches and tags."), COUNT),
    ),
    Verb("show", "Show a commit (by default the newest) and what it changed.", (REF,)),
    Verb(
        "diff",
        "Show what changed from state A to state B (also written A..B).",
        (
            word("states", nargs=-1, metavar="[A B]"),
            flag("--chunks", about="List all changed chunks, as text."),
        ),
        about="In a notebook, B defaults to the session and A to its base.",
    ),
    _refs(
        "branch",
        "branches",
        "START defaults to main, in a notebook to the session's base. Deleting a branch whose "
        "commits no other branch or tag contains lists them first and needs --yes.",
        (
            option("-D", "force_delete", metavar="NAME",
                   help="Delete a branch also if commits become unreachable."),
            _YES,
        ),
    ),
    Verb(
        "checkout",
        "Open a session on a branch, or a read-only one at a tag or snapshot.",
        (
            word("name", required=True),
            word("start"),
            flag("-b", "new", about="Create the branch first."),
            _DISCARD,
        ),
        Needs.SESSION,
        about="With -b and no START the branch starts at the session's base, and the session "
        "continues on it with its uncommitted changes.",
    ),
    _refs(
        "tag",
        "tags",
        "START defaults to main, in a notebook to the session's base. The name of a deleted tag "
        "can never be used again.",
        (_YES,),
    ),
    Verb(
        "commit",
        "Commit the session's changes to its branch and open a new session on it.",
        (word("words", nargs=-1, metavar="MESSAGE [KEY=VALUE]..."), _MESSAGE, _ALL,
         flag("--amend", about="Replace the newest commit, as `amend` does."),
         flag("--rebase", about="If the branch moved and nothing conflicts, rebase first."),
         *_SIDES,
         flag("--solve", about="On a conflict, open the conflict resolver and continue the cell.")),
        Needs.SESSION,
        about="Values are parsed as JSON where possible. If the branch moved, --ours or --theirs "
        "decides the chunks that both sides wrote; otherwise the commit fails and the conflict "
        "resolver is shown below the error. Until it is completed, verbs that write refuse; "
        "`discard` discards the changes.",
    ),
    Verb(
        "amend",
        "Replace the branch's newest commit by one that includes the session's changes.",
        (word("words", nargs=-1, metavar="[MESSAGE] [KEY=VALUE]..."), _MESSAGE, _ALL),
        Needs.SESSION,
        about="Message and metadata stay as they are unless given.",
    ),
    Verb(
        "rebase",
        "Rebase the session onto the tip of its branch.",
        (
            *_SIDES,
            option("--where", multiple=True, metavar="PATH",
                   help="Apply --ours or --theirs only to this node and the nodes below it."),
            _DRY,
        ),
        Needs.SESSION,
        about="Remaining conflicts are an error, and the session stays as it is; the conflict "
        "resolver shown below decides them chunk by chunk.",
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
            option("--from", "expected", metavar="REF",
                   help="Fail unless the branch points to REF now."),
            _YES,
            _DRY,
        ),
        Needs.BRANCH,
        (flag("--hard", "--discard", "discard", about="Discard uncommitted changes."),),
        _NEEDS_YES,
    ),
    Verb("discard", "Discard the session's changes.", (), Needs.SESSION),
    Verb(
        "merge",
        "Merge branches, tags or snapshots into a branch.",
        (
            word("sources", nargs=-1, required=True),
            option("--into", metavar="BRANCH", help=_CHANGED),
            _MESSAGE,
            flag("--no-ff", about="Make a merge commit even where a fast-forward is possible."),
            flag("--ff-only", about="Fail unless a fast-forward is possible."),
            flag("--squash", about="Make a commit with one parent; the sources are not recorded."),
            *_DECIDED,
            flag("--allow-unrelated", about="Allow histories without a common commit."),
            _DRY,
        ),
        session_words=(
            flag("--solve", about="Open a session that holds the merge, to look at it and decide."),
        ),
        about="Conflicts are an error that lists them, and nothing is changed.",
        busy="merging",
    ),
    Verb(
        "merge-base",
        "Show the best common ancestor of two states.",
        (word("a", required=True), word("b")),
        about="B defaults to main, in a notebook to the session's branch.",
    ),
    Verb(
        "cherry-pick",
        "Apply the changes of single commits to a branch.",
        (
            word("commits", nargs=-1, required=True),
            option("--onto", metavar="BRANCH", help=_CHANGED),
            *_DECIDED,
            _DRY,
        ),
        about="A..B means the commits after A, up to and including B. If one conflicts, no commit "
        "is made.",
    ),
    Verb(
        "revert",
        "Undo the changes of single commits by new commits.",
        (
            word("commits", nargs=-1, required=True),
            option("--on", metavar="BRANCH", help=_CHANGED),
            option("--parent", type=click.IntRange(1), default=1, metavar="N",
                   help="For a merge commit: the parent to go back to, from 1."),
            *_DECIDED,
            _DRY,
        ),
        about="A..B means the commits after A, up to and including B; the newest is reverted "
        "first.",
    ),
    Verb(
        "squash",
        "Replace the commits of a branch after SINCE by a single commit.",
        (
            word("since", required=True),
            option("--branch", metavar="BRANCH", help=_CHANGED),
            option("-m", "--message", "message", metavar="TEXT", required=True,
                   help="Commit message."),
            _YES,
        ),
        about="Lists the commits first and needs --yes.",
    ),
    Verb(
        "restore",
        "Restore a node to its content in another state.",
        (
            word("path", required=True),
            option("--source", "-s", default=None, metavar="REF",
                   help="The other state; the session's base by default."),
        ),
        Needs.SESSION,
        about="PATH is a node, with everything below it, or a region of an array as in "
        "/sst[0:10, :]. Nodes that the other state does not have are deleted.",
    ),
    Verb(
        "stash",
        "Stash uncommitted changes, or list, show, pop or drop stashes.",
        (word("words", nargs=-1, metavar="[list|show N|pop N|drop N|MESSAGE]"),),
        Needs.SESSION,
        about="Stashes are kept in the repository, so they survive a restart of the kernel. `pop` "
        "applies one to the session and removes it.",
    ),
    Verb(
        "undo",
        "Undo the newest commit, merge, reset, or change of a branch or tag.",
        (_YES, _DRY),
        about="Prints the operation first and needs --yes. A second `undo` restores it.",
    ),
    Verb(
        "blame",
        "Show which commits wrote the chunks of an array.",
        (word("path", required=True), _STATE),
        about="PATH may end in a region, as in /sst[0:10, :].",
    ),
    Verb(
        "bisect",
        "Find the commit that made a test fail.",
        (
            word("good", required=True),
            option("--bad", metavar="REF", help="A state where the test fails; main, in a "
                   "notebook the session's base, by default."),
            word("command", nargs=-1, metavar="[-- COMMAND...]"),
        ),
        about="In a shell the test is a command: exit status 0 is good, 125 cannot be tested, any "
        "other is bad; {} in it becomes the snapshot id. In a notebook it is an expression in "
        "which `session`, `store` and `root` are those of the state.",
    ),
    Verb(
        "gc",
        "Delete objects that no branch or tag refers to (garbage collection).",
        (_OLDER, _DRY, _YES),
        about="Choose a time before the start of every session that is still writing. Prints the "
        "counts first and needs --yes.",
        busy="collecting garbage",
    ),
    Verb(
        "expire",
        "Remove old snapshots from the history; gc deletes their objects later.",
        (
            _OLDER,
            flag("--delete-expired-branches", about="Delete branches whose tip is older."),
            flag("--delete-expired-tags", about="Delete older tags."),
            _DRY,
            _YES,
        ),
        about="Prints first what would be removed and needs --yes.",
        busy="expiring",
    ),
    Verb(
        "du",
        "Show the stored size of each array.",
        (word("path", default="/"), _STATE),
        busy="adding up",
    ),
    Verb("stats", "Show the stored size of all chunks of the history, by kind.", busy="adding up"),
    Verb(
        "ls",
        "List a group, or show an array.",
        (word("path", default="/"), _STATE),
    ),
    Verb(
        "tree",
        "Draw the hierarchy below a group.",
        (
            word("path", default="/"),
            _STATE,
            option("--depth", type=click.IntRange(1), help="Show at most this many levels."),
        ),
    ),
    Verb(
        "doctor",
        "Test what a storage supports, and whether commits are safe on it.",
        (
            word("address", metavar="[REPO]"),
            flag("--read-only", about="Write nothing; test only what can be read."),
            option(
                "--timeout", type=click.FloatRange(0, min_open=True), default=10.0,
                metavar="SECONDS", help="Time limit of each check (10 by default); all checks "
                "together have six times as long.",
            ),
        ),
        Needs.NOTHING,
        about="REPO is an alias, a folder or a URL, with or without a repository; in a notebook "
        "it defaults to that of the open repository. Test objects are written below a new "
        "prefix and removed. The exit status is 1 when a check fails that commits depend on.",
    ),
    Verb("ops", "Show the operations log of the repository, newest first.", (COUNT,)),
    Verb(
        "inspect",
        "Show the content of a metadata file of the repository.",
        (
            word("kind", default="repo", type=click.Choice(
                ["repo", "snapshot", "manifests", "manifest", "transaction-log"])),
            word("target"),
        ),
        about="TARGET is a branch, tag or snapshot id; for a manifest, its id.",
    ),
    Verb(
        "config",
        "Show settings, or set one (KEY VALUE).",
        (
            word("key"),
            word("value"),
            option("--unset", metavar="KEY", help="Reset a setting to its default."),
        ),
        Needs.NOTHING,
        about="user.name and user.email are written to the metadata of a notebook's commits; with "
        "provenance on, so are the notebook, the cell, versions and the git commit. With solve "
        "on, a conflict opens the resolver and the notebook continues, as by `commit --solve`; "
        "leave it off where notebooks run unattended. log is the filter of messages on standard "
        "error, such as debug or warn,icechunk.storage=debug.",
    ),
    Verb("help", "Explain a verb, or list all.", (word("words", nargs=-1),), Needs.NOTHING),
)  # fmt: skip

VERBS: dict[str, Verb] = {verb.name: verb for verb in _ALL_VERBS}
"""All verbs in the order of their help."""

FROM_GIT: dict[str, str] = {
    "add": "a commit takes all changes of the session; use `commit`",
    "clone": "`open` works on a repository where it is",
    "fetch": "a repository is read where it is; `log` shows what is new",
    "pull": "`rebase` brings the session onto the tip of its branch; `merge` merges branches",
    "push": "a commit is in the repository at once; there is nothing to push",
    "rm": "delete nodes in Python: `del group[name]`",
    "switch": "`checkout NAME` opens a session on another branch",
}
"""Commands of git that do not exist here, and what to do instead."""
