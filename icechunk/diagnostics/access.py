"""Can the storage be reached and read, and what is in it?"""

from __future__ import annotations

from icechunk.config.repository import RepositoryConfig
from icechunk.config.resolve import resolve
from icechunk.diagnostics.bounds import Cause, Trouble
from icechunk.diagnostics.report import Check, failed, not_applicable, passed
from icechunk.diagnostics.scratch import WITHOUT_ACCESS, ScratchArea, judged
from icechunk.files.layout import REPO
from icechunk.refs.open import detect, ref_store_of
from icechunk.storage.objects import ObjectStorage

_GRANT = (
    "check the credentials, and that they may list, get, put and delete here; for a public place "
    "say anonymous"
)


def reached(bench: ScratchArea) -> list[Check]:
    """Ask for an object that is not there: the answer tells most of what can be wrong."""
    _, trouble = bench.tried(lambda: bench.storage.get(bench.absent()))
    if trouble is None or trouble.cause is Cause.MISSING:
        return [
            passed("connection", "it answers"),
            passed("credentials", "accepted, or not needed"),
            passed("place", "it is there, or is made with the first object"),
        ]
    if trouble.cause is Cause.DENIED and bench.tried(lambda: bench.storage.head(REPO)).value:
        # Some places deny what they do not have: those that one may read but not list.
        return [
            passed("connection", "it answers"),
            passed("credentials", "may read; what is not there is answered as denied"),
            passed("place", "it is there"),
        ]
    return _unreachable(bench, trouble)


def _unreachable(bench: ScratchArea, trouble: Trouble) -> list[Check]:
    """Say which of the first three checks failed; nothing else is tried then."""
    answers = passed("connection", "it answers")
    if trouble.text.startswith("no credentials"):
        answers = not_applicable("connection", "not known without credentials")
    later = not_applicable("place", "not known without access")
    if trouble.cause is Cause.DENIED:
        bench.bounds.stopped = WITHOUT_ACCESS
        return [answers, failed("credentials", trouble.text, _GRANT), later]
    if trouble.cause is Cause.NO_PLACE:
        bench.bounds.stopped = "there is no such place"
        known = not_applicable("credentials", "not known without a place")
        advice = "check the name, the region and the endpoint, or make the bucket"
        return [answers, known, failed("place", trouble.text, advice)]
    bench.bounds.stopped = "there is no connection"
    unknown = not_applicable("credentials", "not known without a connection")
    advice = "check the address, the network, proxies and options such as region and endpoint_url"
    return [failed("connection", trouble.text, advice), unknown, later]


def contents(bench: ScratchArea) -> Check:
    """Look for a repository, or what else is there."""
    name, storage = "repository", bench.storage
    version, trouble = bench.tried(lambda: detect(storage))
    if trouble is not None and trouble.cause is not Cause.DENIED:
        return judged(name, trouble, "without a look at it nothing can be opened")
    if version is None:
        return _no_repository(bench)

    def opened() -> str:
        ref_store = ref_store_of(version, storage, resolve(RepositoryConfig()))
        branches, tags = len(ref_store.branches()), len(ref_store.tags())
        return f"format {version}, {branches} {_branches(branches)}, {tags} {_tags(tags)}"

    said, trouble = bench.tried(opened)
    if said is not None:
        return passed(name, f"a repository: {said}")
    assert trouble is not None
    if trouble.cause is Cause.NOT_TRIED:
        return not_applicable(name, trouble.text)
    advice = "restore the damaged file from a backup, or use a newer version of this library"
    return failed(name, f"a repository that cannot be read: {trouble.text}", advice, needed=True)


def _branches(count: int) -> str:
    return "branch" if count == 1 else "branches"


def _tags(count: int) -> str:
    return "tag" if count == 1 else "tags"


def _no_repository(bench: ScratchArea) -> Check:
    """Tell an empty place from one with other data."""
    name, storage = "repository", bench.storage
    found, trouble = bench.bounds.tried(lambda: next(iter(storage.list("")), None), go_on=True)
    if storage.read_only:
        advice = "check the address: it is that of the folder that holds the file `repo`"
        return failed(name, "no repository can be read here", advice, needed=True)
    if trouble is not None:
        return judged(name, trouble, "listing is how a repository is made only in an empty place")
    if found is None and _at_the_top(bench):
        advice = "add a prefix, so that the bucket can hold other things too"
        return failed(name, "the top of a bucket, where no repository can be made", advice)
    if found is None:
        return passed(name, "nothing: a repository can be made here")
    return failed(
        name,
        f"no repository, but other data: `{found.key}`",
        "make the repository below a prefix of its own",
    )


def _at_the_top(bench: ScratchArea) -> bool:
    """Whether the storage is a whole bucket."""
    shown = {entry.name for entry in bench.storage._entries()}
    return isinstance(bench.storage, ObjectStorage) and "prefix" not in shown


def listing(bench: ScratchArea) -> Check:
    """List what was written, or a prefix that holds nothing."""
    expected = {} if bench.why_not_written else dict(bench.sizes)

    def found() -> dict[str, int]:
        return {info.key: info.size for info in bench.place.list(bench.prefix)}

    listed, trouble = bench.tried(found)
    if trouble is None and listed != expected:
        said = f"{len(listed or {})} objects were listed right after {len(expected)} were written"
        return failed("list", said, "do not make repositories or collect garbage here")
    if trouble is None:
        return passed("list", "a fresh object is listed" if expected else "works")
    if trouble.cause is Cause.CANNOT_LIST:
        return not_applicable("list", "web servers do not list; reading does not need it")
    return judged("list", trouble, "grant the permission to list")
