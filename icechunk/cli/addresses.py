"""Resolve the addresses of repositories and the refs given on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from icechunk.cli.aliases import LOCAL, Aliases, Entry, bucket_kinds
from icechunk.cli.failures import refusal
from icechunk.config.repository import RepositoryConfig
from icechunk.core.errors import ErrorKind, IcechunkError, NotFoundError, RefNotFoundError
from icechunk.core.folders import local_path
from icechunk.repository import Repository
from icechunk.session import Session
from icechunk.storage import Storage, local_filesystem_storage
from icechunk.storage.kinds import kind_at, kinds
from icechunk.storage.kinds.kind import BucketKind, StoreKind

if TYPE_CHECKING:
    from icechunk.cli.progress import Watched

_SHORTEST_PREFIX = 4
HEAD = "HEAD"


class At:
    """The repository, session and branch that a verb works on.

    Parameters
    ----------
    source : Repository or callable
        The repository, or a function that opens it.
    session : Session, optional
        The open session of a notebook, used where the command names no state.
    branch : str, optional
        The branch, for verbs that need one.
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
        """Resolve a ref to a snapshot id; by default, to that of the session, else of main."""
        base, mark, steps = (HEAD if ref is None else ref).partition("~")
        if base != HEAD or (ref is not None and HEAD in self.repo.list_branches()):
            return snapshot_named(self.repo, base + mark + steps)
        here = self.repo.lookup_branch("main") if self.session is None else self.session.snapshot_id
        return snapshot_named(self.repo, here + mark + steps)

    def reading(self, ref: str | None) -> Session:
        """Open a read-only session on a ref; by default, return the open session."""
        if ref is None and self.session is not None:
            return self.session
        return self.repo.readonly_session(snapshot_id=self.named(ref))


def storage_of(entry: Entry) -> Storage:
    """The storage of an entry of the configuration file."""
    fields = entry.fields
    if entry.kind == LOCAL:
        return local_filesystem_storage(fields["path"])
    kind = bucket_kinds()[entry.kind]
    options = {k: v for k, v in (fields.get("object_store_config") or {}).items() if v is not None}
    access = _credentials(fields.get("credentials") or {})
    return kind.storage(**fields["location"], **kind.completed(options), **access)


def _credentials(held: dict[str, Any]) -> dict[str, Any]:
    """Credentials of an entry as keywords of a storage constructor."""
    rest = dict(held)
    kind = next((rest.pop(name) for name in list(rest) if name.endswith("_credential_type")), None)
    if kind in (None, "from_env"):
        return {"from_env": True}
    if kind == "anonymous":
        return {"anonymous": True}
    return {name: value for name, value in rest.items() if value is not None}


def entry_of(address: str, config: RepositoryConfig | None = None) -> Entry:
    """The entry of the configuration file for a folder or a URL."""
    settings = config or RepositoryConfig()
    folder = _folder_of(address)
    if folder is not None:
        return Entry(LOCAL, {"path": folder}, settings)
    kind = kind_at(address.partition("://")[0])
    if not isinstance(kind, BucketKind) or kind.alias is None:
        raise refusal(
            f"the configuration file has no entry for `{address.partition('?')[0]}`",
            f"use a folder, or {_schemes(bucket_kinds().values())}; other URLs need no alias",
            ErrorKind.CANNOT_PARSE_URL,
        )
    location, options = kind.located(kind.address(address))
    how = "anonymous" if options.pop("anonymous", False) else "from_env"
    fields = {
        "location": location,
        "object_store_config": kind.stored(options),
        "credentials": {f"{kind.alias}_credential_type": how},
    }
    return Entry(kind.name, fields, settings)


def _folder_of(address: str) -> str | None:
    """The absolute path of a folder, given as a path or a file URL; None for other URLs."""
    scheme, mark, _ = address.partition("://")
    return None if mark and scheme.lower() != "file" else local_path(address)


def _schemes(among: Iterable[StoreKind]) -> str:
    """The first scheme of each kind of store, for messages."""
    return ", ".join(f"{kind.schemes[0]}://" for kind in among if kind.schemes)


def _storage_at(url: str) -> Storage:
    kind = kind_at(url.partition("://")[0])
    if kind is None:
        raise refusal(
            f"`{url.partition('?')[0]}` is a URL of a kind that this command cannot open",
            f"use {_schemes(kinds())}, a protocol of fsspec, or an alias of the configuration file",
            ErrorKind.CANNOT_PARSE_URL,
        )
    return kind.open(url)


def locate(address: str) -> tuple[Storage, RepositoryConfig | None]:
    """Storage and settings of an address.

    Parameters
    ----------
    address : str
        An alias of the configuration file, else a folder or a URL such as
        ``s3://bucket/prefix?region=eu-west-1&endpoint_url=https://host``. URLs have no credentials:
        those come from the environment, or from an alias.
    """
    aliases = Aliases()
    if address in aliases:
        entry = aliases[address]
        return storage_of(entry), entry.config
    folder = _folder_of(address)
    return (_storage_at(address) if folder is None else local_filesystem_storage(folder)), None


def open_address(address: str, watched: Watched | None = None) -> Repository:
    """Open the repository at an address.

    Parameters
    ----------
    address : str
        Alias, folder or URL.
    watched : Watched, optional
        Counts the calls of the storage, for the progress bar.
    """
    storage, config = locate(address)
    try:
        return Repository.open(storage if watched is None else watched.around(storage), config)
    except NotFoundError as error:
        if error.kind != ErrorKind.REPOSITORY_NOT_FOUND:
            raise
        raise type(error)(
            f"the repository doesn't exist: `{address}` is not an alias in the configuration file, "
            f"and there is no repository at {storage.identity}; `icechunk config list` shows the "
            "aliases, `icechunk repo create` makes a repository",
            ErrorKind.REPOSITORY_NOT_FOUND,
        ) from None


def snapshot_named(repo: Repository, ref: str) -> str:
    """Resolve a ref to a snapshot id.

    Parameters
    ----------
    repo : Repository
        The repository with the ref.
    ref : str
        A snapshot id, else a branch, a tag, or a unique prefix of a snapshot id. The suffix ``~N``
        means the N-th ancestor.

    Raises
    ------
    RefNotFoundError
        When there is no such snapshot, branch or tag.
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
