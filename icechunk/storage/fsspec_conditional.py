"""Conditional writes and object versions of the file systems of fsspec.

fsspec's interface has neither. Each file system that supports them is called in its own way: one
request that carries the condition, and one request that returns bytes and version together.
"""

from __future__ import annotations

import hashlib
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import quote

from icechunk.core.runtime import map_parallel
from icechunk.storage.base import Version
from icechunk.storage.failures import error_details
from icechunk.storage.readback import WRITE_ID, Seen

_BATCH = 1000
"""Keys in one deletion, the most that S3 takes."""
_REFUSALS = ("FileExistsError", "ResourceExistsError", "ResourceModifiedError")


class Got(NamedTuple):
    """Bytes of an object and their version."""

    data: bytes
    version: Version


class ConditionalWriter(ABC):
    """One kind of file system.

    Parameters
    ----------
    fs : fsspec.AbstractFileSystem
        The file system.
    """

    conditional = True
    """The file system supports conditional writes."""

    def __init__(self, fs: Any) -> None:
        self.fs = fs

    @abstractmethod
    def get(self, path: str, span: tuple[int, int] | None = None) -> Got:
        """Read an object, or its bytes from a start to an end."""

    @abstractmethod
    def look(self, path: str) -> Seen:
        """Return version and write id; raise `FileNotFoundError` when there is no object."""

    @abstractmethod
    def send(self, path: str, data: bytes, expected: Version | None, write_id: str) -> Version:
        """Write if the version is the expected one; None: if there is no such object."""

    def refused(self, error: BaseException) -> bool:
        """Whether an error of `send` says that the condition does not hold."""
        return error_details(error).status in (304, 409, 412) or type(error).__name__ in _REFUSALS

    def put(self, path: str, data: bytes) -> None:
        """Write an object unconditionally."""
        self.fs.pipe_file(path, data)

    def delete(self, paths: Sequence[str]) -> None:
        """Delete objects; missing ones are ignored."""
        map_parallel(self._remove, paths)

    def _remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self.fs.rm_file(path)


def conditional_writer_of(fs: Any) -> ConditionalWriter:
    """Return the conditional writer of a file system, by its protocol."""
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    for names, kind in (
        ({"s3", "s3a"}, S3ConditionalWriter),
        ({"gs", "gcs"}, GcsConditionalWriter),
        ({"abfs", "az", "abfss"}, AzureConditionalWriter),
        ({"memory"}, MemoryConditionalWriter),
    ):
        if protocols & names and kind.fits(fs):
            return kind(fs)
    return UnconditionalWriter(fs)


def _run(fs: Any, coroutine: Any, *args: Any) -> Any:
    from fsspec.asyn import sync

    return sync(fs.loop, coroutine, *args)


class S3ConditionalWriter(ConditionalWriter):
    """s3fs: single requests of its client, since its own writes drop conditions of big objects."""

    @staticmethod
    def fits(fs: Any) -> bool:
        """Whether the file system has the methods that this class calls."""
        return hasattr(fs, "_call_s3")

    def _where(self, path: str) -> dict[str, str]:
        bucket, key, _ = self.fs.split_path(path)
        return {"Bucket": bucket, "Key": key}

    def get(self, path: str, span: tuple[int, int] | None = None) -> Got:
        async def fetch() -> Got:
            part = {} if span is None else {"Range": f"bytes={span[0]}-{span[1] - 1}"}
            answer = await self.fs._call_s3("get_object", **self._where(path), **part)
            async with answer["Body"] as body:
                return Got(await body.read(), answer["ETag"].strip('"'))

        got: Got = _run(self.fs, fetch)
        return got

    def look(self, path: str) -> Seen:
        answer = self.fs.call_s3("head_object", **self._where(path))
        return Seen(answer["ETag"].strip('"'), answer.get("Metadata", {}).get(WRITE_ID))

    def send(self, path: str, data: bytes, expected: Version | None, write_id: str) -> Version:
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
        answer = self.fs.call_s3(
            "put_object",
            **self._where(path),
            Body=data,
            Metadata={WRITE_ID: write_id},
            **condition,
        )
        self.fs.invalidate_cache(self.fs._parent(path))
        return str(answer["ETag"]).strip('"')

    def delete(self, paths: Sequence[str]) -> None:
        for at in range(0, len(paths), _BATCH):
            _run(self.fs, self.fs._bulk_delete, list(paths[at : at + _BATCH]))


class GcsConditionalWriter(ConditionalWriter):
    """gcsfs: requests of the JSON interface, since its own writes drop conditions."""

    @staticmethod
    def fits(fs: Any) -> bool:
        """Whether the file system has the methods that this class calls."""
        return hasattr(fs, "call") and hasattr(fs, "_location")

    def get(self, path: str, span: tuple[int, int] | None = None) -> Got:
        part = {} if span is None else {"Range": f"bytes={span[0]}-{span[1] - 1}"}
        headers, data = self.fs.call("GET", self.fs.url(path), headers=part)
        return Got(data, str(headers["X-Goog-Generation"]))

    def look(self, path: str) -> Seen:
        bucket, key, _ = self.fs.split_path(path)
        answer = self.fs.call("GET", "b/{}/o/{}", bucket, key, json_out=True)
        return Seen(str(answer["generation"]), answer.get("metadata", {}).get(WRITE_ID))

    def send(self, path: str, data: bytes, expected: Version | None, write_id: str) -> Version:
        bucket, key, _ = self.fs.split_path(path)
        about = json.dumps({"name": key, "metadata": {WRITE_ID: write_id}}).encode()
        line = f"icechunk{write_id}"
        body = b"".join(
            (
                f"--{line}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n".encode(),
                about,
                f"\r\n--{line}\r\nContent-Type: application/octet-stream\r\n\r\n".encode(),
                data,
                f"\r\n--{line}--".encode(),
            )
        )
        answer = self.fs.call(
            "POST",
            f"{self.fs._location}/upload/storage/v1/b/{quote(bucket)}/o",
            uploadType="multipart",
            ifGenerationMatch=expected or "0",
            headers={"Content-Type": f'multipart/related; boundary="{line}"'},
            data=body,
            json_out=True,
        )
        self.fs.invalidate_cache(self.fs._parent(path))
        return str(answer["generation"])


class AzureConditionalWriter(ConditionalWriter):
    """adlfs: calls of its client of the service."""

    @staticmethod
    def fits(fs: Any) -> bool:
        """Whether the file system has the methods that this class calls."""
        return hasattr(fs, "service_client")

    def _blob(self, path: str) -> Any:
        container, blob, _ = self.fs.split_path(path)
        return self.fs.service_client.get_blob_client(container=container, blob=blob)

    def get(self, path: str, span: tuple[int, int] | None = None) -> Got:
        async def fetch() -> Got:
            part = {} if span is None else {"offset": span[0], "length": span[1] - span[0]}
            async with self._blob(path) as blob:
                stream = await blob.download_blob(**part)
                return Got(await stream.readall(), str(stream.properties.etag))

        got: Got = _run(self.fs, fetch)
        return got

    def look(self, path: str) -> Seen:
        async def ask() -> Seen:
            async with self._blob(path) as blob:
                found = await blob.get_blob_properties()
                return Seen(str(found.etag), (found.metadata or {}).get(WRITE_ID))

        seen: Seen = _run(self.fs, ask)
        return seen

    def send(self, path: str, data: bytes, expected: Version | None, write_id: str) -> Version:
        from azure.core import MatchConditions

        condition: dict[str, Any] = {"overwrite": expected is not None}
        if expected is not None:
            condition |= {"etag": expected, "match_condition": MatchConditions.IfNotModified}

        async def write() -> Version:
            async with self._blob(path) as blob:
                metadata = {"is_directory": "false", WRITE_ID: write_id}
                answer = await blob.upload_blob(data=data, metadata=metadata, **condition)
                return str(answer["etag"])

        version: Version = _run(self.fs, write)
        self.fs.invalidate_cache(self.fs._parent(path))
        return version


def _digest(data: bytes) -> Version:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class UnconditionalWriter(ConditionalWriter):
    """Any other file system: it can be read; a condition is only checked before writing."""

    conditional = False

    def get(self, path: str, span: tuple[int, int] | None = None) -> Got:
        data = self.fs.cat_file(path) if span is None else self.fs.cat_file(path, *span)
        return Got(data, _digest(data))

    def look(self, path: str) -> Seen:
        return Seen(self.get(path).version, None)

    def send(self, path: str, data: bytes, expected: Version | None, write_id: str) -> Version:
        try:
            present: Version | None = self.get(path).version
        except FileNotFoundError:
            present = None
        if present != expected:
            raise FileExistsError(path)
        self.put(path, data)
        return _digest(data)

    def put(self, path: str, data: bytes) -> None:
        try:
            self.fs.pipe_file(path, data)
        except FileNotFoundError:
            self.fs.makedirs(self.fs._parent(path), exist_ok=True)
            self.fs.pipe_file(path, data)


_memory = threading.RLock()


class MemoryConditionalWriter(UnconditionalWriter):
    """The memory of this process: a lock makes check and write one step."""

    conditional = True

    @staticmethod
    def fits(fs: Any) -> bool:
        """Whether the file system has the methods that this class calls."""
        return hasattr(fs, "store")

    def send(self, path: str, data: bytes, expected: Version | None, write_id: str) -> Version:
        with _memory:
            return super().send(path, data, expected, write_id)
