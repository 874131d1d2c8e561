"""Conditional writes whose answer was lost or is ambiguous: reads the object back to decide.

When the answer to a successful conditional write does not arrive, the client repeats the write, and
the repetition is refused: the object exists already, or has another version. To distinguish this
from a race lost to another writer, every such write puts an id of its own into the metadata of the
object; after a refusal the metadata is read again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

from icechunk.config.resolve import Retries
from icechunk.core.errors import ErrorKind, IcechunkError, StorageError
from icechunk.storage.base import Version
from icechunk.storage.failures import log_retry, waits

WRITE_ID = "icechunkwriteid"
"""Name of the metadata entry; the reference library uses the same."""

_MOST_REFUSALS = 8
"""Refusals of one write, while the object has the expected version, before giving up."""


class RefusedError(Exception):
    """The store says that the condition does not hold, or that another write is in progress."""


class UnclearError(Exception):
    """No answer, or one that leaves open whether the write was carried out.

    Parameters
    ----------
    failure
        The error to raise when it was not.
    repeat
        The client sent it only once, so sending it again may help.
    """

    def __init__(self, failure: IcechunkError, *, repeat: bool) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.repeat = repeat


class Seen(NamedTuple):
    """Version and write id of the object as it is now."""

    version: Version
    write_id: str | None


def settle(
    send: Callable[[str], Version],
    look: Callable[[], Seen | None],
    expected: Version | None,
    retries: Retries,
    key: str,
    where: str,
) -> Version | None:
    """Write conditionally, and determine whether the write was carried out.

    Parameters
    ----------
    send
        Writes the object with a write id and returns its version; raises `RefusedError`,
        `UnclearError`, or the error to give up with.
    look
        Returns the object as it is now, None when there is none.
    expected
        Version that the write replaces; None when it must not exist.
    retries
        How often to repeat a write that was refused although the object has the expected version.
    key, where
        The object and the storage, for messages.

    Returns
    -------
    str or None
        The version written; None when another writer was faster.
    """
    write_id = secrets.token_hex(16)
    unclear: UnclearError | None = None
    for tries, wait in enumerate([*[*waits(retries)][:_MOST_REFUSALS], None], 1):
        try:
            return send(write_id)
        except RefusedError:
            unclear = None
        except UnclearError as error:
            unclear = error
        seen = look()
        if seen is not None and seen.write_id == write_id:
            return seen.version  # it was carried out, only the answer was lost
        # A write of another client changed the version after ours was read. A write of ours that
        # was carried out and replaced since also ends here: the caller reads the object again, and
        # finds its own commit in the history.
        if (None if seen is None else seen.version) != expected:
            return None
        if unclear is not None and not unclear.repeat:
            break
        if wait is not None:
            cause = RefusedError() if unclear is None else unclear.failure
            log_retry(key, where, tries, wait, cause)
            time.sleep(wait)
    if unclear is not None:
        raise unclear.failure
    raise StorageError(
        f"object store error: `{key}` in {where} is refused repeatedly although the object "
        "has the expected version: conditional writes of this store do not work. Use a store with "
        "conditional writes; or, where only one process writes at a time, switch them off with "
        "unsafe_use_conditional_create/update=False in the storage settings",
        ErrorKind.OBJECT_STORE,
    )
