"""``icechunk config``: the aliases of repositories."""

from __future__ import annotations

from typing import Any

import click

from icechunk.cli.aliases import KINDS, Aliases, Entry
from icechunk.cli.output import Answer, Cell, styled, table
from icechunk.cli.places import entry_of
from icechunk.cli.verbs import refusal, verb
from icechunk.config.repository import RepositoryConfig
from icechunk.ground.errors import ErrorKind

_CHOICES = {"Local": "LocalFileSystem", **{kind: kind for kind in KINDS[1:]}}


def register(app: click.Group) -> None:
    """Add the commands."""

    @app.group("config")
    def config() -> None:
        """Manage the file of aliases."""

    force = click.option("-f", "--force", is_flag=True, help="Overwrite what is there.")
    alias = click.argument("alias")
    verb(config, "init")(force(init))
    verb(config, "add")(alias(click.argument("place", required=False)(force(add))))
    verb(config, "list")(list_)


def init(force: bool) -> Answer:
    """Make a new file of aliases, asking for a first repository."""
    aliases = Aliases.blank() if force else Aliases()
    if len(aliases) and not force:
        raise refusal(
            "Config already exists and contains repositories",
            "use --force to overwrite",
            ErrorKind.NOT_ALLOWED,
        )
    name = click.prompt("Enter alias (nothing: an empty file)", default="", show_default=False)
    if name:
        aliases.add(name, _asked())
    else:
        aliases.save()
    return Answer({"path": str(aliases.path), "aliases": list(aliases)}, [f"wrote {aliases.path}"])


def add(alias: str, place: str | None, force: bool) -> Answer:
    """Add a repository; asks where it is unless PLACE, a folder or URL, is given."""
    aliases = Aliases()
    if alias in aliases and not force:
        raise refusal(
            f"the alias `{alias}` already exists",
            "choose another, or overwrite it with --force",
            ErrorKind.NOT_ALLOWED,
        )
    entry = _asked() if place is None else entry_of(place)
    aliases.add(alias, entry)
    return Answer(
        {"path": str(aliases.path), "alias": alias, **entry.public()},
        [f"added {alias} to {aliases.path}"],
    )


def _asked() -> Entry:
    """An entry from what a person answers."""
    choice = click.prompt("Select repository type", type=click.Choice(list(_CHOICES), False))
    kind = _CHOICES[choice]
    if kind == "LocalFileSystem":
        return entry_of(click.prompt("Enter path"))
    asked = {"Azure": ("account", "container", "prefix")}.get(kind, ("bucket", "prefix"))
    location = {
        name: click.prompt(f"Enter {name}", default="" if name == "prefix" else None) or None
        for name in asked
    }
    options: dict[str, Any] = {}
    if kind in ("S3", "Tigris"):
        region = click.prompt("Enter region", default="", show_default=False)
        options = {
            "region": region or None, "endpoint_url": None, "anonymous": False,
            "allow_http": False, "force_path_style": False,
            "network_stream_timeout_seconds": None, "requester_pays": False,
            "checksum_algorithm": None,
        }  # fmt: skip
    short = {"GCS": "gcs", "Azure": "az"}.get(kind, "s3")
    fields = {
        "location": location,
        "object_store_config": options,
        "credentials": {f"{short}_credential_type": "from_env"},
    }
    return Entry(kind, fields, RepositoryConfig())


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
