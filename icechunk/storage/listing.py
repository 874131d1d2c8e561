"""Lists a bucket page by page; continues after the last key when a connection breaks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from icechunk.config.resolve import Retries
from icechunk.core.clock import from_datetime
from icechunk.storage.base import ObjectInfo
from icechunk.storage.failures import guarded, log_retry, translated, unanswered, waits

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_PAGE = 1000
"""Objects per request, the most that S3 and its relatives return."""


def listed(
    client: Callable[[], ObjectStore], folder: str, where: str, retries: Retries
) -> Iterator[ObjectInfo]:
    """Yield the objects below a folder, in the order of their keys.

    Parameters
    ----------
    client
        Returns the client.
    folder
        Whole segments; empty for everything.
    where
        The storage, for messages.
    retries
        How often to continue after a request without an answer.

    Raises
    ------
    StorageError
        When the listing cannot be finished. It never ends early without an error: garbage
        collection deletes the data of refs that it does not find.
    """
    pauses = waits(retries)
    last: str | None = None
    repeated = 0
    pages = _pages(client, folder, where, last)
    while True:
        page: Any
        try:
            page = next(pages, None)
        except Exception as error:  # every error of a client
            pause = next(pauses, None) if unanswered(error) else None
            failure = translated(error, folder, where)
        else:
            if page is None:
                return
            for found in page:
                yield ObjectInfo(
                    found["path"], found["size"], from_datetime(found["last_modified"])
                )
                last = found["path"]
            continue
        if pause is None:
            raise failure
        repeated += 1
        log_retry(folder, where, repeated, pause, failure)
        time.sleep(pause)
        pages = _pages(
            client, folder, where, last
        )  # the iterator of a failed listing cannot continue


def _pages(client: Callable[[], ObjectStore], folder: str, where: str, after: str | None) -> Any:
    """Begin a listing, after a key if one is given."""
    import obstore

    return guarded(
        lambda: obstore.list(client(), folder or None, offset=after, chunk_size=_PAGE),
        folder,
        where,
    )
