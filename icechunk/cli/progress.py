"""Progress of long commands on standard error, when it is a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from icechunk.cli.output import console, plural, size
from icechunk.storage import Storage
from icechunk.storage.wrapper import Call, StorageWrapper

T = TypeVar("T")


class Watched:
    """Counters of requests to a storage."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.read = self.written = self.deleted = self.bytes = 0

    def around(self, storage: Storage) -> Storage:
        """A storage that counts the requests it passes on."""
        return _Counting(storage, self)

    def count(self, call: Call) -> None:
        """Count one call."""
        with self._lock:
            if call.verb in ("get", "read_range", "read_into"):
                self.read += 1
            elif call.verb in ("put", "create", "replace"):
                self.written += 1
                self.bytes += call.size
            elif call.verb == "delete":
                self.deleted += len(call.keys)

    def __str__(self) -> str:
        parts = [f"{plural(self.read, 'object')} read"]
        if self.written:
            parts.append(f"{self.written:,} written ({size(self.bytes)})")
        if self.deleted:
            parts.append(f"{self.deleted:,} deleted")
        return ", ".join(parts)


class _Counting(StorageWrapper):
    """A storage that counts its calls."""

    def __init__(self, inner: Storage, watched: Watched) -> None:
        super().__init__(inner)
        self._watched = watched

    def around(self, call: Call, run: Callable[[], T]) -> T:
        result = run()
        self._watched.count(call)
        return result


class _Counters(ProgressColumn):
    """The counters as text."""

    def __init__(self, watched: Watched) -> None:
        super().__init__()
        self._watched = watched

    def render(self, task: Task) -> Text:
        return Text(str(self._watched))


@contextmanager
def progress(what: str, quiet: bool = False) -> Iterator[Watched | None]:
    """Show a bar while a command runs.

    Parameters
    ----------
    what : str
        Text beside the bar.
    quiet : bool
        Show nothing.

    Yields
    ------
    Watched or None
        Wraps the storage to count; None when no bar is shown.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    watched = Watched()
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), _Counters(watched),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        bar.add_task(what, total=None)
        yield watched
