"""Check whether the storage can be reached and read, and what is in it."""

from __future__ import annotations

from icechunk.config.repository import RepositoryConfig
from icechunk.config.resolve import resolve
from icechunk.diagnostics.bounds import Cause, Failure
from icechunk.diagnostics.report import Check, failed, not_applicable, passed
from icechunk.diagnostics.scratch import WITHOUT_ACCESS, ScratchArea, judged
from icechunk.files.layout import REPO
from icechunk.refs.open import detect, ref_store_of
from icechunk.storage.objects import ObjectStorage

_GRANT = (
    "check the credentials, and that they may list, get, put and delete here; for public data "
    "choose anonymous access"
)


def reached(area: ScratchArea) -> list[Check]:
    """Read a missing object: the answer shows whether the storage can be reached and read."""
    _, failure = area.tried(lambda: area.storage.get(area.absent()))
    if failure is None or failure.cause is Cause.MISSING:
        return [
            passed("connection", "the storage answers"),
            passed("credentials", "accepted, or not needed"),
            passed("place", "exists, or is created with the first object"),
        ]
    if failure.cause is Cause.DENIED and area.tried(lambda: area.storage.head(REPO)).value:
        # Stores that allow reading but not listing answer missing objects with "denied".
        return [
            passed("connection", "the storage answers"),
            passed("credentials", "may read; missing objects are answered as denied"),
            passed("place", "exists"),
        ]
    return _unreachable(area, failure)


def _unreachable(area: ScratchArea, failure: Failure) -> list[Check]:
    """Report which of the first three checks failed, and skip all others."""
    answers = passed("connection", "the storage answers")
    if failure.text.startswith("no credentials"):
        answers = not_applicable("connection", "not known without credentials")
    later = not_applicable("place", "not known without access")
    if failure.cause is Cause.DENIED:
        area.bounds.stopped = WITHOUT_ACCESS
        return [answers, failed("credentials", failure.text, _GRANT), later]
    if failure.cause is Cause.NO_PLACE:
        area.bounds.stopped = "the bucket or folder does not exist"
        known = not_applicable("credentials", "not known without a bucket or folder")
        advice = "check the name, the region and the endpoint, or create the bucket"
        return [answers, known, failed("place", failure.text, advice)]
    area.bounds.stopped = "there is no connection"
    unknown = not_applicable("credentials", "not known without a connection")
    advice = "check the address, the network, proxies and options such as region and endpoint_url"
    return [failed("connection", failure.text, advice), unknown, later]


def contents(area: ScratchArea) -> Check:
    """Look for a repository or other data."""
    name, storage = "repository", area.storage
    version, failure = area.tried(lambda: detect(storage))
    if failure is not None and failure.cause is not Cause.DENIED:
        return judged(name, failure, "a repository cannot be opened without reading it")
    if version is None:
        return _no_repository(area)

    def opened() -> str:
        ref_store = ref_store_of(version, storage, resolve(RepositoryConfig()))
        branches, tags = len(ref_store.branches()), len(ref_store.tags())
        return f"format {version}, {branches} {_branches(branches)}, {tags} {_tags(tags)}"

    said, failure = area.tried(opened)
    if said is not None:
        return passed(name, f"a repository: {said}")
    assert failure is not None
    if failure.cause is Cause.NOT_TRIED:
        return not_applicable(name, failure.text)
    advice = "restore the damaged file from a backup, or use a newer version of this library"
    return failed(name, f"a repository that cannot be read: {failure.text}", advice, needed=True)


def _branches(count: int) -> str:
    return "branch" if count == 1 else "branches"


def _tags(count: int) -> str:
    return "tag" if count == 1 else "tags"


def _no_repository(area: ScratchArea) -> Check:
    """Distinguish an empty prefix from one with other data."""
    name, storage = "repository", area.storage
    found, failure = area.bounds.tried(lambda: next(iter(storage.list("")), None), go_on=True)
    if storage.read_only:
        advice = "check the address: it is that of the folder that holds the file `repo`"
        return failed(name, "no repository can be read here", advice, needed=True)
    if failure is not None:
        return judged(
            name, failure, "a repository is created only in an empty prefix, which listing shows"
        )
    if found is None and _at_the_top(area):
        advice = "add a prefix, so that the bucket can hold other data too"
        return failed(name, "the root of a bucket, where no repository can be created", advice)
    if found is None:
        return passed(name, "nothing: a repository can be created here")
    return failed(
        name,
        f"no repository, but other data: `{found.key}`",
        "create the repository below a new prefix",
    )


def _at_the_top(area: ScratchArea) -> bool:
    """Whether the storage has no prefix in its bucket."""
    shown = {entry.name for entry in area.storage._entries()}
    return isinstance(area.storage, ObjectStorage) and "prefix" not in shown


def listing(area: ScratchArea) -> Check:
    """List what was written, or a prefix that holds nothing."""
    expected = {} if area.why_not_written else dict(area.sizes)

    def found() -> dict[str, int]:
        return {info.key: info.size for info in area.place.list(area.prefix)}

    listed, failure = area.tried(found)
    if failure is None and listed != expected:
        said = f"{len(listed or {})} objects were listed right after {len(expected)} were written"
        return failed("list", said, "do not create repositories or collect garbage here")
    if failure is None:
        return passed("list", "a fresh object is listed" if expected else "works")
    if failure.cause is Cause.CANNOT_LIST:
        return not_applicable("list", "web servers do not list; reading does not need it")
    return judged("list", failure, "grant the permission to list")
