"""A storage in a folder of a local or mounted file system.

Objects are files at the paths that other implementations use, so they can share a repository.
Mutable objects have a protection that those lack: an update is a compare-and-swap under a lock
file, and everything that a commit refers to is on disk before the commit is acknowledged. A process
killed at any instant leaves the old state or the new one, and at most a temporary file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from icechunk.config.rendering import Entry, Label
from icechunk.config.storage import (
    StorageConcurrencySettings,
    StorageRetriesSettings,
    StorageSettings,
)
from icechunk.core.locks import held
from icechunk.core.runtime import PerProcess, map_parallel
from icechunk.storage import files
from icechunk.storage.base import (
    ConcurrentWriterWarning,
    Data,
    Fetched,
    ObjectInfo,
    Pack,
    Storage,
    Version,
    folder_of,
    missing,
    wrong_size,
)
from icechunk.storage.flushing import FLUSH_STEP, Flushes
from icechunk.storage.locks import StorageHold, lock_of
from icechunk.storage.names import LOCK_NAME, decode_segment, encode_key, is_hidden
from icechunk.storage.packs import LocalPack, OpenFile, OpenFiles

_FLUSHES = 16  # at the same time: a journal commits many of them at the cost of one
_DELETES = 8
_DELETE_BATCH = 256
_QUICK = 1e-4  # seconds per deletion below which threads gain nothing
_SECOND_NS = 1_000_000_000
_TICK_NS = _SECOND_NS // 10  # ten times the coarsest clock of kernels for file times (10 ms)
_COARSE_NS = 4 * _SECOND_NS  # where times have whole seconds (HFS+), or two seconds (FAT)
_State = tuple[str, int, int, int, int, int]
_PATHS = 4096  # folders whose path is remembered; one costs about 200 bytes
_LARGE, _FAR = 2**26, 2**40
"""Reads of more bytes, or from further on, are checked against the size of the file first."""

_NO_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_KEEP_OPEN = os.name != "nt"  # Windows does not delete a file that is open


def _restore(root: str, durable: bool) -> LocalStorage:
    """Make an unpickled storage."""
    return LocalStorage(root, durable=durable)


class LocalStorage(Storage):
    """Objects as files below a root folder.

    Parameters
    ----------
    path : str or path-like
        The root folder; made by the first write.
    durable : bool
        Wait for the disk where a commit must survive a loss of power.
    """

    blocking_ok = True
    pack_target_bytes = 64 * 1024 * 1024

    def __init__(self, path: str | os.PathLike[str], *, durable: bool = True) -> None:
        self._root = os.path.abspath(os.fsdecode(path))
        self._durable = bool(durable)
        self._paths: dict[str, str] = {}  # folder part of a key -> path with a separator at its end
        self._open_files = PerProcess(OpenFiles)
        self._lock = PerProcess(partial(lock_of, os.path.join(self._root, LOCK_NAME)))
        self._named_on_disk: set[str] = set()  # folders whose own name is known to be on disk
        self._made: set[str] = set()  # folders above the root that this storage had to make
        self._swept: set[str] = set()
        self._flushes = Flushes() if durable else None
        self._recent: tuple[bytes, Version] | None = None
        self._read: tuple[_State, bytes] | None = None  # the mutable file that was read last

    def __reduce__(self) -> tuple[object, tuple[str, bool]]:
        return _restore, (self._root, self._durable)

    @property
    def root(self) -> str:
        """The root folder, an absolute path."""
        return self._root

    @property
    def durable(self) -> bool:
        """Whether commits wait for the disk."""
        return self._durable

    @property
    def identity(self) -> str:
        """Kind, path and durability: handles of equal identity are shared."""
        return f"file://{self._root}{'' if self._durable else '?durable=false'}"

    def default_settings(self) -> StorageSettings:
        """Return settings with which every implementation can use local files."""
        return StorageSettings(
            concurrency=StorageConcurrencySettings(5, 4096),
            retries=StorageRetriesSettings(1, 0, 0),
            unsafe_use_conditional_update=False,  # others have none; ours are always conditional
            unsafe_use_metadata=False,
        )

    def _entries(self) -> Iterable[Entry]:
        return [
            Entry("type", Label("local filesystem")),
            Entry("path", Label(self._root)),
            *([] if self._durable else [Entry("durable", False)]),
        ]

    # -- paths ---------------------------------------------------------------------------------

    def _path_of(self, key: str) -> str:
        """Return an object's path; refuse keys that leave the root."""
        folder, _, name = key.rpartition("/")
        start = self._paths.get(folder)
        if start is not None and name.isalnum() and name.isascii():
            return start + name
        path = os.path.join(self._root, encode_key(key))
        if start is None:
            if len(self._paths) >= _PATHS:
                self._paths.clear()
            self._paths[folder] = os.path.join(os.path.dirname(path), "")
        return path

    def _make_folder_of(self, path: str) -> None:
        """Make the folder of an object."""
        try:
            made = files.make_folders(os.path.dirname(path))
        except OSError as error:
            raise files.failed(error, "make a folder for", path) from error
        self._made.update(made)
        self._named_on_disk.difference_update(made)

    def _version_of(self, data: Data) -> Version:
        """Return the version of a mutable object: a digest of its bytes.

        An update needs the version of the same bytes several times; comparing the bytes is much
        faster than hashing them again.
        """
        before, version = self._recent or (None, "")
        if before != data:
            version = hashlib.blake2b(data, digest_size=16).hexdigest()
        if isinstance(data, bytes):
            self._recent = data, version
        return version

    # -- reading -------------------------------------------------------------------------------

    def get(self, key: str) -> Fetched:
        """Read a whole file."""
        path = self._path_of(key)
        try:
            data = files.read_all(path) if "/" in key else self._read_mutable(path)
        except _NO_FILE:
            raise missing(key, self._root) from None
        except OSError as error:
            raise files.failed(error, "read", path) from error
        return Fetched(data, lambda: self._version_of(data))

    def _read_mutable(self, path: str) -> bytes:
        """Read a mutable file; return the content read last if the file is the same.

        Two changes within the resolution of a file's times cannot be distinguished. The content is
        therefore kept only when the last change is longer ago than that.
        """
        with open(path, "rb", buffering=0) as file:
            found = os.fstat(
                file.fileno()
            )  # of the open file: network file systems then ask the server
            changed = max(found.st_mtime_ns, found.st_ctime_ns)
            state = path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, changed
            if self._read is not None and self._read[0] == state:
                return self._read[1]
            data = file.readall()
        fine = found.st_mtime_ns % _SECOND_NS != 0
        settled = changed + (_TICK_NS if fine else _COARSE_NS) < time.time_ns()
        self._read = (state, data) if settled else None
        return data

    def read_range(self, key: str, offset: int, length: int) -> bytes | memoryview:
        """Read exactly `length` bytes; a file that is read at an offset (a pack) stays open."""
        path = self._path_of(key)
        if offset < 0 or length < 0:
            raise wrong_size(key, offset, length, 0)
        try:
            if length > _LARGE or offset > _FAR:
                # A damaged reference may have any size: check before memory is reserved.
                size = os.stat(path).st_size
                if offset + length > size:
                    raise wrong_size(key, offset, length, max(size - offset, 0))
            if offset > 0 and _KEEP_OPEN:
                file = self._open_files.get().get(path)
                data = os.pread(file.fd, length, offset)
            else:
                data = self._read_once(path, offset, length)
            if len(data) != length:
                data = self._read_on(key, path, offset, length, data)
        except _NO_FILE:
            raise missing(key, self._root) from None
        except OSError as error:
            raise files.failed(error, "read", path) from error
        return data

    @staticmethod
    def _read_once(path: str, offset: int, length: int) -> bytes:
        """Open a file and read from it once; may return fewer bytes."""
        fd = os.open(path, files.READ)
        try:
            if _KEEP_OPEN:
                return os.pread(fd, length, offset)
            os.lseek(fd, offset, os.SEEK_SET)
            return os.read(fd, length)
        finally:
            os.close(fd)

    def _read_on(self, key: str, path: str, offset: int, length: int, first: bytes) -> bytes:
        """Read on after a short read: one call ends at 2 GiB (Linux) and at the end of the file."""
        parts, got = [first], len(first)
        while first and got < length:
            first = self._read_once(path, offset + got, length - got)
            parts.append(first)
            got += len(first)
        if got != length:
            raise wrong_size(key, offset, length, got)
        return b"".join(parts)

    def read_into(self, key: str, offset: int, target: memoryview) -> None:
        """Fill memory from a file, without a copy where the platform has `os.preadv`."""
        if offset < 0 or not hasattr(os, "preadv"):
            super().read_into(key, offset, target)
            return
        path = self._path_of(key)
        try:
            file = self._open_files.get().get(path) if offset else OpenFile(path, files.READ)
            done = os.preadv(file.fd, [target], offset)
            while done < len(target):
                more = os.preadv(file.fd, [target[done:]], offset + done)
                if not more:
                    raise wrong_size(key, offset, len(target), done)
                done += more
        except _NO_FILE:
            raise missing(key, self._root) from None
        except OSError as error:
            raise files.failed(error, "read", path) from error

    def head(self, key: str) -> ObjectInfo | None:
        """Return a file's size and time."""
        path = self._path_of(key)
        try:
            found = os.stat(path)
        except _NO_FILE:
            return None
        except OSError as error:
            raise files.failed(error, "look at", path) from error
        return (
            None
            if stat.S_ISDIR(found.st_mode)
            else ObjectInfo(key, found.st_size, found.st_mtime_ns // 1000)
        )

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the files below a folder; files that are deleted meanwhile are left out."""
        folder = folder_of(prefix)
        start = os.path.join(self._root, encode_key(folder)) if folder else self._root
        waiting = [(start, f"{folder}/" if folder else "")]
        while waiting:
            path, before = waiting.pop()
            try:
                with os.scandir(path) as entries:
                    for entry in entries:
                        name = entry.name
                        if not (name.isalnum() and name.isascii()):  # nearly all names are plain
                            if is_hidden(name):
                                continue
                            name = decode_segment(name)
                        key = before + name
                        if entry.is_dir():
                            waiting.append((entry.path, f"{key}/"))
                            continue
                        try:
                            found = entry.stat()
                        except FileNotFoundError:
                            continue
                        yield ObjectInfo(key, found.st_size, found.st_mtime_ns // 1000)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise files.failed(error, "list", path) from error

    # -- writing -------------------------------------------------------------------------------

    def put(self, key: str, data: Data) -> None:
        """Write a file: in place under a new name, else beside the old file and renamed over it."""
        path = self._path_of(key)
        try:
            try:
                files.write_new(path, data, flush=False)
            except FileNotFoundError:
                self._make_folder_of(path)
                files.write_new(path, data, flush=False)
        except FileExistsError:
            self._overwrite(path, data)
        except OSError as error:
            raise files.failed(error, "write", path) from error
        if self._flushes is not None and len(data) >= FLUSH_STEP:
            self._flushes.begin(path)

    def _overwrite(self, path: str, data: Data) -> None:
        try:
            temporary = self._write_temporary(path, data)
            try:
                files.publish(temporary, path)
            except BaseException:
                files.remove(temporary)
                raise
        except OSError as error:
            raise files.failed(error, "write", path) from error

    def _write_temporary(self, path: str, data: Data) -> str:
        """Write a temporary file beside `path`; delete those of killed processes first."""
        folder = os.path.dirname(path)
        if folder not in self._swept:
            self._swept.add(folder)
            files.sweep(folder)
        return files.write_temporary(path, data, flush=self._durable)

    def create(self, key: str, data: Data) -> Version | None:
        """Write a file unless it exists; readers see it with its whole content or not at all."""
        path = self._path_of(key)
        if os.path.lexists(path):
            return None
        self._make_folder_of(path)
        try:
            # Order: bytes to disk, name, name to disk. A crash in between leaves a temporary file,
            # or the whole object.
            temporary = self._write_temporary(path, data)
            try:
                made = files.publish_new(temporary, path)
                if made is None:  # no hard links here: the lock keeps our own writers apart
                    made = held(self._lock.get().hold(), files.publish_if_free, temporary, path)
            finally:
                files.remove(temporary)
            if made:
                self._flush_names(os.path.dirname(path))
        except OSError as error:
            raise files.failed(error, "create", path) from error
        return self._version_of(data) if made else None

    def replace(self, key: str, data: Data, expected: Version) -> Version | None:
        """Replace a file under the lock if its content is still the expected one."""
        path = self._path_of(key)
        if not os.path.exists(path):
            return None
        try:
            return held(self._lock.get().hold(), self._replace_locked, path, data, expected)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise files.failed(error, "replace", path) from error

    def _replace_locked(self, path: str, data: Data, expected: Version) -> Version | None:
        """Compare and swap, and detect a writer that does not take the lock."""
        before = files.signature(path)
        if self._version_of(files.read_all(path)) != expected:
            return None
        temporary = self._write_temporary(path, data)
        try:
            ours = files.signature(temporary)
            # Writing the temporary file took time (fsync): check again, so that only the moment
            # between this line and the rename is open to writers that take no lock.
            if files.signature(path) != before:
                files.remove(temporary)
                return None
            files.publish(temporary, path)
        except BaseException:
            files.remove(temporary)
            raise
        self._flush_names(os.path.dirname(path))
        # A foreign writer that read the old content before our rename overwrites ours after it.
        if files.signature(path) != ours and files.read_all(path) != data:
            warnings.warn(
                f"`{path}` was overwritten by a program that does not take the lock of this "
                "library, right after an update of ours. The update is tried again on top of what "
                "that program wrote. Do not let other implementations write a repository on a "
                "local file system at the same time: their updates can discard commits",
                ConcurrentWriterWarning,
                stacklevel=3,
            )
            return None
        return self._version_of(data)

    def delete(self, keys: Iterable[str]) -> int:
        """Delete files; they stay deleted after a loss of power."""
        paths = [self._path_of(key) for key in keys]
        batches = [paths[n : n + _DELETE_BATCH] for n in range(0, len(paths), _DELETE_BATCH)]
        began = time.perf_counter()
        count = sum(map(self._delete_batch, batches[:1]))
        # The kernel changes a folder for one thread at a time: threads only hide latency.
        quick = time.perf_counter() - began < _QUICK * _DELETE_BATCH
        count += sum(map_parallel(self._delete_batch, batches[1:], limit=1 if quick else _DELETES))
        if count and self._durable:
            for folder in {os.path.dirname(path) for path in paths}:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    files.flush_folder(folder)
        return count

    def _delete_batch(self, paths: Sequence[str]) -> int:
        count = 0
        opened = self._open_files.get()
        for path in paths:
            opened.forget(path)
            try:
                count += files.remove(path)
            except NotADirectoryError:
                continue
            except OSError as error:
                raise files.failed(error, "delete", path) from error
        return count

    def open_pack(self, key: str) -> Pack:
        """Begin a pack."""
        path = self._path_of(key)
        try:
            try:
                pack = LocalPack(path, self._flushes)
            except FileNotFoundError:
                self._make_folder_of(path)
                pack = LocalPack(path, self._flushes)
        except OSError as error:
            raise files.failed(error, "begin pack", path) from error
        pack.key = key
        return pack

    # -- durability and locks ------------------------------------------------------------------

    def sync(self, keys: Iterable[str]) -> None:
        """Flush files, then each folder once: a name must not be on disk before its bytes."""
        if self._flushes is None:
            return
        paths = list(dict.fromkeys(map(self._path_of, keys)))
        map_parallel(partial(self._flush_object, self._flushes), paths, limit=_FLUSHES)
        for folder in {os.path.dirname(path) for path in paths}:
            try:
                self._flush_names(folder)
            except OSError as error:
                raise files.failed(error, "flush", folder) from error

    def _flush_object(self, flushes: Flushes, path: str) -> None:
        try:
            flushes.finish(path)
        except FileNotFoundError:
            raise missing(os.path.relpath(path, self._root), self._root) from None
        except OSError as error:
            raise files.failed(error, "flush", path) from error

    def _flush_names(self, folder: str) -> None:
        """Flush a folder, and once per storage its parents up to the first that existed before."""
        if not self._durable:
            return
        files.flush_folder(folder)
        done: set[str] = set()
        while folder not in self._named_on_disk:
            parent = os.path.dirname(folder)
            outside = len(folder) <= len(self._root)
            try:
                files.flush_folder(parent)
            except PermissionError:
                if not outside or folder in self._made:
                    raise
            done.add(folder)
            if outside and parent not in self._made:
                break
            folder = parent
        self._named_on_disk |= done

    def lock(self, key: str) -> StorageHold:
        """Lock the repository: one lock file for all keys."""
        lock = self._lock.get()
        if not os.path.isdir(self._root):
            self._make_folder_of(lock.path)
        return StorageHold(lock)
