"""``icechunk config``: user settings, and aliases of repositories."""

from __future__ import annotations

from typing import Any

import click

from icechunk.cli.addresses import entry_of
from icechunk.cli.aliases import Aliases, Entry, bucket_kinds
from icechunk.cli.failures import refusal
from icechunk.cli.grammar import VERBS, Needs, Verb, flag, word
from icechunk.cli.output import Answer, Cell, styled, table
from icechunk.cli.settings import Settings
from icechunk.cli.shell import Verbs, offer
from icechunk.config.repository import RepositoryConfig
from icechunk.core.errors import ErrorKind
from icechunk.storage.kinds.s3 import S3Protocol


def register(app: click.Group) -> None:
    """Add the commands."""
    summary = "Show or set settings, and manage the file of aliases."
    usage = "`icechunk config` shows the settings, `icechunk config KEY VALUE` sets one."
    group = Verbs("config", help=f"{summary}\n\n{usage} {VERBS['config'].about}")
    group.bare = "setting"
    app.add_command(group)
    force = flag("-f", "--force", about="Overwrite an existing entry or file.")
    alias, address = word("alias", required=True), word("address", metavar="[REPO]")
    none = Needs.NOTHING
    offer(
        group,
        Verb("init", "Create the file of aliases, asking for a first one.", (force,), none),
        init,
    )
    about = "REPO is a folder or a URL; without it, the command asks for the location."
    offer(
        group,
        Verb("add", "Add an alias for a repository.", (alias, address, force), none, about=about),
        add,
    )
    offer(group, Verb("list", "Show the aliases; secrets are masked.", (), none), list_)
    offer(group, VERBS["config"], config, name="setting", hidden=True)


def config(key: str | None, value: str | None, unset: str | None) -> Answer:
    """Show settings, or change one."""
    settings = Settings()
    if unset is not None:
        settings.forget(unset)
        return Answer({"unset": unset}, [f"{unset} is no longer set"])
    if key is None:
        held = settings.all()
        return Answer(held, table([(styled(name, "bold"), _text(held[name])) for name in held]))
    if value is None:
        found = settings.get(key)
        return Answer({key: found}, [_text(found)])
    settings.put(key, value)
    return Answer({key: settings.get(key)}, [f"{key} is {_text(settings.get(key))}"])


def _text(value: str | bool | None) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "(not set)" if value is None else value


def init(force: bool) -> Answer:
    """Create the file of aliases, asking for a first repository."""
    aliases = Aliases.blank() if force else Aliases()
    if len(aliases) and not force:
        raise refusal(
            "Config already exists and contains repositories",
            "use --force to overwrite",
            ErrorKind.NOT_ALLOWED,
        )
    name = click.prompt(
        "Enter alias (leave empty for an empty file)", default="", show_default=False
    )
    if name:
        aliases.add(name, _ask())
    else:
        aliases.save()
    return Answer({"path": str(aliases.path), "aliases": list(aliases)}, [f"wrote {aliases.path}"])


def add(alias: str, force: bool, address: str | None = None) -> Answer:
    """Add a repository; without an address, ask for it."""
    aliases = Aliases()
    if alias in aliases and not force:
        raise refusal(
            f"the alias `{alias}` already exists",
            "choose another, or overwrite it with --force",
            ErrorKind.NOT_ALLOWED,
        )
    entry = _ask() if address is None else entry_of(address)
    aliases.add(alias, entry)
    return Answer(
        {"path": str(aliases.path), "alias": alias, **entry.public()},
        [f"added {alias} to {aliases.path}"],
    )


def _ask() -> Entry:
    """Ask for an entry on the terminal."""
    choices = bucket_kinds()
    kinds = click.Choice(["Local", *choices], case_sensitive=False)
    choice = click.prompt("Select repository type", type=kinds)
    if choice not in choices:
        return entry_of(click.prompt("Enter path"))
    kind = choices[choice]
    location = {
        name: click.prompt(f"Enter {name}", default="" if name == "prefix" else None) or None
        for name in kind.location
    }
    options: dict[str, Any] = {}
    if isinstance(kind, S3Protocol):
        region = click.prompt("Enter region", default="", show_default=False)
        options = {
            "region": region or None, "endpoint_url": None, "anonymous": False,
            "allow_http": False, "force_path_style": False,
            "network_stream_timeout_seconds": None, "requester_pays": False,
            "checksum_algorithm": None,
        }  # fmt: skip
    fields = {
        "location": location,
        "object_store_config": options,
        "credentials": {f"{kind.alias}_credential_type": "from_env"},
    }
    return Entry(kind.name, fields, RepositoryConfig())


def list_() -> Answer:
    """Show the aliases; secrets are masked."""
    aliases = Aliases()
    rows: list[tuple[Cell, ...]] = []
    data: dict[str, Any] = {}
    for name in aliases:
        public = data[name] = aliases[name].public()
        where = public.get("path") or "/".join(
            str(part) for part in (public.get("location") or {}).values() if part
        )
        rows.append((styled(name, "bold"), public["type"], where))
    if not rows:
        return Answer({"repos": {}}, [f"no aliases in {aliases.path}"])
    return Answer({"repos": data}, table(rows))
