"""Which repository, and which of its states, a word of the command line means."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icechunk.cli.aliases import Aliases, Entry
from icechunk.cli.failures import refusal
from icechunk.config.repository import RepositoryConfig
from icechunk.ground.errors import ErrorKind, IcechunkError, NotFoundError, RefNotFoundError
from icechunk.repository import Repository
from icechunk.session import Session
from icechunk.storage import (
    Storage,
    azure_storage,
    gcs_storage,
    http_storage,
    local_filesystem_storage,
    r2_storage,
    s3_storage,
    tigris_storage,
)

if TYPE_CHECKING:
    from icechunk.cli.progress import Watched

_CLOUDS: dict[str, Any] = {
    "s3": s3_storage,
    "gs": gcs_storage,
    "gcs": gcs_storage,
    "r2": r2_storage,
    "tigris": tigris_storage,
}
_SHORTEST_PREFIX = 4
HEAD = "HEAD"


class At:
    """Where a verb works.

    Parameters
    ----------
    source : Repository or callable
        The repository, or what opens it when it is asked for.
    session : Session, optional
        The open session of a notebook: states that are not named are its own.
    branch : str, optional
        For verbs that work on a branch: which.
    """

    def __init__(
        self,
        source: Repository | Callable[[], Repository],
        session: Session | None = None,
        branch: str | None = None,
    ) -> None:
        self._source = source
        self.session = session
        self.branch = branch

    @cached_property
    def repo(self) -> Repository:
        """The repository."""
        return self._source if isinstance(self._source, Repository) else self._source()

    def named(self, ref: str | None) -> str:
        """Id of the snapshot with a name; without one, of where one is."""
        base, mark, steps = (HEAD if ref is None else ref).partition("~")
        if base != HEAD or (ref is not None and HEAD in self.repo.list_branches()):
            return snapshot_named(self.repo, base + mark + steps)
        here = self.repo.lookup_branch("main") if self.session is None else self.session.snapshot_id
        return snapshot_named(self.repo, here + mark + steps)

    def reading(self, ref: str | None) -> Session:
        """A session that sees a state; without a name, the open one with its changes."""
        if ref is None and self.session is not None:
            return self.session
        return self.repo.readonly_session(snapshot_id=self.named(ref))


def storage_of(entry: Entry) -> Storage:
    """The storage of an entry of the configuration file."""
    fields = entry.fields
    if entry.kind == "LocalFileSystem":
        return local_filesystem_storage(fields["path"])
    makers: dict[str, Any] = {
        "S3": s3_storage, "Tigris": tigris_storage, "GCS": gcs_storage, "Azure": azure_storage,
    }  # fmt: skip
    options = {k: v for k, v in (fields.get("object_store_config") or {}).items() if v is not None}
    settings = {"config": options or None} if entry.kind in ("GCS", "Azure") else options
    credentials = _credentials(fields.get("credentials") or {})
    if entry.kind == "GCS":
        settings.pop("config") if not options else None
    storage: Storage = makers[entry.kind](**fields["location"], **settings, **credentials)
    return storage


def _credentials(held: dict[str, Any]) -> dict[str, Any]:
    """Credentials of an entry as keywords of a storage constructor."""
    rest = dict(held)
    kind = next((rest.pop(name) for name in list(rest) if name.endswith("_credential_type")), None)
    if kind in (None, "from_env"):
        return {"from_env": True}
    if kind == "anonymous":
        return {"anonymous": True}
    return {name: value for name, value in rest.items() if value is not None}


def entry_of(place: str, config: RepositoryConfig | None = None) -> Entry:
    """The entry of the configuration file for a folder or a URL."""
    scheme, mark, rest = place.partition("://")
    fields: dict[str, Any]
    if not mark or scheme == "file":
        folder = Path(os.path.expanduser(rest if mark else place)).absolute()
        return Entry("LocalFileSystem", {"path": str(folder)}, config or RepositoryConfig())
    kinds = {"s3": "S3", "tigris": "Tigris", "gs": "GCS", "gcs": "GCS"}
    if scheme not in kinds:
        raise _unknown(place)
    bucket, _, prefix = rest.partition("/")
    short = "gcs" if kinds[scheme] == "GCS" else "s3"
    fields = {
        "location": {"bucket": bucket, "prefix": prefix or None},
        "object_store_config": {},
        "credentials": {f"{short}_credential_type": "from_env"},
    }
    return Entry(kinds[scheme], fields, config or RepositoryConfig())


def _unknown(place: str) -> IcechunkError:
    return refusal(
        f"`{place}` is a URL of a kind that this command cannot open",
        "use file://, s3://, gs://, tigris://, r2:// or http(s)://, or an alias of the "
        "configuration file",
        ErrorKind.CANNOT_PARSE_URL,
    )


def locate(place: str) -> tuple[Storage, RepositoryConfig | None]:
    """Storage and settings of a place.

    Parameters
    ----------
    place : str
        An alias of the configuration file, else a folder or a URL. Credentials of URLs come from
        the environment.
    """
    aliases = Aliases()
    if place in aliases:
        entry = aliases[place]
        return storage_of(entry), entry.config
    scheme, mark, rest = place.partition("://")
    if not mark or scheme == "file":
        return storage_of(entry_of(place)), None
    if scheme in ("http", "https"):
        return http_storage(place), None
    if scheme not in _CLOUDS:
        raise _unknown(place)
    bucket, _, prefix = rest.partition("/")
    storage: Storage = _CLOUDS[scheme](bucket=bucket, prefix=prefix or None, from_env=True)
    return storage, None


def open_place(place: str, watched: Watched | None = None) -> Repository:
    """Open the repository at a place.

    Parameters
    ----------
    place : str
        Alias, folder or URL.
    watched : Watched, optional
        What counts the calls of its storage.
    """
    storage, config = locate(place)
    try:
        return Repository.open(storage if watched is None else watched.around(storage), config)
    except NotFoundError as error:
        if error.kind != ErrorKind.REPOSITORY_NOT_FOUND:
            raise
        raise type(error)(
            f"the repository doesn't exist: `{place}` is no alias of the configuration file, and "
            f"there is no repository at {storage.identity}; `icechunk config list` shows the "
            "aliases, `icechunk repo create` makes a repository",
            ErrorKind.REPOSITORY_NOT_FOUND,
        ) from None


def snapshot_named(repo: Repository, ref: str) -> str:
    """Id of a snapshot by any of its names.

    Parameters
    ----------
    repo : Repository
        Where to look.
    ref : str
        A snapshot id, else a branch, a tag, or the unique beginning of a snapshot id; with ``~N``
        behind it the ancestor so many steps up.

    Raises
    ------
    RefNotFoundError
        When nothing has this name.
    """
    found = _named(repo, ref)
    base, mark, steps = ref.rpartition("~")
    if found is None and mark and steps.isdecimal():
        start = _named(repo, base)
        if start is not None:
            line = list(repo.ancestry(snapshot_id=start))
            found = line[int(steps)].id if int(steps) < len(line) else None
    if found is None:
        raise RefNotFoundError(
            f"`{ref}` is not a valid snapshot id, branch, or tag; `log`, `branch` and `tag` show "
            "what there is",
            ErrorKind.REF_NOT_FOUND,
        )
    return found


def _named(repo: Repository, ref: str) -> str | None:
    for lookup in (lambda name: repo.lookup_snapshot(name).id, repo.lookup_branch, repo.lookup_tag):
        try:
            return lookup(ref)
        except IcechunkError as error:
            if not isinstance(error, NotFoundError) and error.kind not in (
                ErrorKind.INVALID_SNAPSHOT_ID,
                ErrorKind.INVALID_REF_NAME,
            ):
                raise
    if len(ref) < _SHORTEST_PREFIX:
        return None
    ids = {info.id for info in repo.history()["commits"] if info.id.startswith(ref.upper())}
    return ids.pop() if len(ids) == 1 else None
