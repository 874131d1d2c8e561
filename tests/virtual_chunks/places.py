"""Stores of the files that virtual chunks refer to, behind one interface."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import zarr

import icechunk
from tests.virtual_chunks.buckets import S3Server
from tests.virtual_chunks.web import Served, WebServer

BUCKET = "archive"


@dataclass
class Place:
    """A store: its URL prefix, container and credentials, and how to put objects into it."""

    name: str
    prefix: str
    store: icechunk.ObjectStoreConfig
    credentials: Any
    folder: Path | None = None
    web: WebServer | None = None
    s3: S3Server | None = None

    def put(self, name: str, data: bytes) -> str:
        """Store an object; returns its location."""
        if self.folder is not None:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        elif self.web is not None:
            old = self.web.objects.get("/data/" + quote(name))
            version = 1 if old is None else int((old.etag or '"v0"').strip('"v')) + 1
            self.web.objects["/data/" + quote(name)] = Served(
                data, f'"v{version}"', 1_600_000_000.0 + version
            )
        elif self.s3 is not None:
            self.s3.client().put_object(Bucket=BUCKET, Key=f"data/{name}", Body=data)
        return self.prefix + quote(name)

    def remove(self, name: str) -> None:
        """Delete an object."""
        if self.folder is not None:
            (self.folder / name).unlink()
        elif self.web is not None:
            del self.web.objects["/data/" + quote(name)]
        elif self.s3 is not None:
            self.s3.client().delete_object(Bucket=BUCKET, Key=f"data/{name}")

    def container(self, name: str | None = None) -> icechunk.VirtualChunkContainer:
        """The container of the whole place."""
        return icechunk.VirtualChunkContainer(self.prefix, self.store, name)

    def config(self, name: str | None = None) -> icechunk.RepositoryConfig:
        """A configuration with that container."""
        config = icechunk.RepositoryConfig()
        config.set_virtual_chunk_container(self.container(name))
        return config

    def repository(
        self, storage: icechunk.Storage | None = None, name: str | None = None
    ) -> icechunk.Repository:
        """A new repository that may read the place."""
        return icechunk.Repository.create(
            storage or icechunk.in_memory_storage(), self.config(name), self.access
        )

    @property
    def access(self) -> dict[str, Any]:
        """What authorises it."""
        return {self.prefix: self.credentials}


def local_place(folder: Path) -> Place:
    """Files in a folder."""
    return Place(
        "file",
        folder.as_uri() + "/",
        icechunk.local_filesystem_store(str(folder)),
        icechunk.credentials.LocalFileSystemAccess,
        folder=folder,
    )


def web_place(server: WebServer, **options: Any) -> Place:
    """Objects of a web server."""
    return Place(
        "http",
        server.url + "data/",
        icechunk.http_store(**options),
        icechunk.credentials.HttpAccess,
        web=server,
    )


def s3_place(server: S3Server) -> Place:
    """Objects in a bucket."""
    return Place(
        "s3",
        f"s3://{BUCKET}/data/",
        icechunk.s3_store(
            region="us-east-1",
            endpoint_url=server.endpoint,
            allow_http=True,
            s3_compatible=True,
            force_path_style=True,
        ),
        icechunk.Credentials.S3(
            icechunk.s3_credentials(
                access_key_id=server.access_key_id, secret_access_key=server.secret_access_key
            )
        ),
        s3=server,
    )


def new_array(
    session: icechunk.Session, chunks: int, items: int, dtype: str = "f4", **more: Any
) -> Any:
    """An empty one-dimensional array ``a`` of uncompressed chunks."""
    return zarr.create_array(
        session.store,
        name="a",
        shape=(chunks * items,),
        chunks=(items,),
        dtype=dtype,
        compressors=None,
        fill_value=-1,
        **more,
    )


def values(session: icechunk.Session, path: str = "a") -> Any:
    """All cells of an array."""
    return zarr.open_array(session.store, path=path, mode="r")[...]
