"""S3 through s3fs: for keys that obstore cannot address, and in forked children."""

from __future__ import annotations

from typing import Any

from icechunk.config.credentials import S3Credentials
from icechunk.config.storage import S3Options
from icechunk.core.runtime import PerProcess
from icechunk.storage.s3_client import S3Refresher, s3_answer


class S3FileSystem:
    """An s3fs file system; made again when its credentials are renewed, and in forked children.

    Parameters
    ----------
    options : S3Options
        Connection options.
    credentials : S3Credentials or None
        None: anonymous where the options say so, else those of the environment.
    """

    def __init__(self, options: S3Options, credentials: S3Credentials | None) -> None:
        if credentials is None and options.anonymous:
            credentials = S3Credentials.Anonymous()
        self._options = options
        self._anonymous = isinstance(credentials, S3Credentials.Anonymous)
        self._pair: dict[str, Any] = {}
        self._refresher: S3Refresher | None = None
        if isinstance(credentials, S3Credentials.Static):
            self._pair = s3_answer(credentials.credentials)
        elif isinstance(credentials, S3Credentials.Refreshable):
            self._refresher = S3Refresher(credentials)
        self._made = PerProcess(self._make)

    def get(self) -> Any:
        """Return the file system, with credentials that are valid now."""
        if self._refresher is not None:
            pair = self._refresher()
            if pair != self._pair:
                self._pair = pair
                self._made = PerProcess(self._make)
        return self._made.get()

    def _make(self) -> Any:
        import s3fs

        options = self._options
        client = {"endpoint_url": options.endpoint_url, "region_name": options.region}
        return s3fs.S3FileSystem(
            anon=self._anonymous,
            key=self._pair.get("access_key_id"),
            secret=self._pair.get("secret_access_key"),
            token=self._pair.get("token"),
            client_kwargs={name: value for name, value in client.items() if value},
            config_kwargs={"s3": {"addressing_style": "path"}} if options.force_path_style else {},
            requester_pays=options.requester_pays,
            max_concurrency=1,  # otherwise every read would request the size first
            use_listings_cache=False,
            skip_instance_cache=True,
        )
