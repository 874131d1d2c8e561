"""Whose write is it? Conditional writes whose answer got lost, or came out unclear.

A conditional write that landed, but whose answer did not arrive, is repeated by the client and then
refused: the object is there already, or has another version. To tell that from a race that was
lost, every such write carries an id of its own in the object's metadata; after a refusal the object
is looked at again.
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
"""Refusals in a row of a write that nothing stands in the way of."""


class RefusedError(Exception):
    """The store says that the condition does not hold, or that somebody writes just now."""


class UnclearError(Exception):
    """No answer, or one that does not tell whether the write was carried out.

    Parameters
    ----------
    failure
        What to raise when it was not.
    repeat
        It was sent only once: sending it again may help.
    """

    def __init__(self, failure: IcechunkError, *, repeat: bool) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.repeat = repeat


class Seen(NamedTuple):
    """The object as it is now."""

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
    """Write conditionally and find out for certain what became of it.

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
        How often to repeat a write that was refused although nothing stands in its way.
    key, where
        The object and the storage, for messages.

    Returns
    -------
    str or None
        The version written; None when somebody else's write stands in the way.
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
            return seen.version
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
        f"object store error: `{key}` in {where} is refused again and again although nothing "
        "stands in its way: this store does not do conditional writes as it should. Use a store "
        "that does, or give them up with unsafe_use_conditional_create/update=False in the "
        "storage settings where only one process writes at a time",
        ErrorKind.OBJECT_STORE,
    )
