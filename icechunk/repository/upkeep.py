"""Upkeep of a repository: expiration, garbage collection, rewriting, statistics, inspection.

The work is loaded when it is asked for: most sessions never do, and imports cost everybody.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from datetime import datetime
from typing import Any, overload

from icechunk.core.clock import from_datetime
from icechunk.core.ids import id_text, parse_object_id
from icechunk.core.runtime import twin
from icechunk.engine.context import RepoContext
from icechunk.files.repository_files import RepositoryFiles
from icechunk.maintenance.gc_summary import GCSummary
from icechunk.maintenance.limits import Limits, failures, positive, truth
from icechunk.maintenance.storage_stats import ChunkStorageStats, PackUsage
from icechunk.spec.columns.id_columns import column, texts_of
from icechunk.spec.manifest.file_info import ManifestFileInfo

_COMPRESSED = 512 * 1024 * 1024
_DECODED = 4 * 1024 * 1024 * 1024


def _warn_of_total(name: str, better: str) -> None:
    """Say in the caller's caller that a method is deprecated."""
    warnings.warn(
        f"The `{name}` method has been deprecated in favor of `{better}`, which also counts inline "
        "and virtual chunks",
        DeprecationWarning,
        stacklevel=3,
    )


class Upkeep:
    """What keeps a repository small and tells what is in its files."""

    _ctx: RepoContext

    def expire_snapshots(
        self,
        older_than: datetime,
        *,
        delete_expired_branches: bool = False,
        delete_expired_tags: bool = False,
    ) -> set[str]:
        """Cut history off: what is older leaves all histories.

        Nothing is deleted: `garbage_collect` does that. Snapshots that branches or tags point to
        stay, and so do first snapshots.

        Parameters
        ----------
        older_than : datetime.datetime
            Exclusive cut-off, with a time zone.
        delete_expired_branches, delete_expired_tags : bool
            Delete refs that point to an older snapshot; ``main`` always stays.

        Returns
        -------
        set of str
            Ids of the snapshots that expired.

        Raises
        ------
        ReadOnlyError
            Kind ``read-only-repository``.
        """
        from icechunk.maintenance import expiration

        expired = expiration.expire_snapshots(
            self._ctx,
            from_datetime(older_than),
            delete_branches=truth("delete_expired_branches", delete_expired_branches),
            delete_tags=truth("delete_expired_tags", delete_expired_tags),
        )
        self._forget_files()
        return set(texts_of(column(expired)))

    def garbage_collect(
        self,
        delete_object_older_than: datetime,
        *,
        dry_run: bool = False,
        max_snapshots_in_memory: int = 50,
        max_compressed_manifest_mem_bytes: int = _COMPRESSED,
        max_decoded_manifest_mem_bytes: int = _DECODED,
        max_concurrent_manifest_fetches: int = 500,
        max_concurrent_deletes: int = 10,
        max_consecutive_delete_failures: int = 50,
        max_concurrent_listings: int | None = None,
    ) -> GCSummary:
        """Delete objects that no branch or tag needs any more.

        Choose a cut-off older than the start of every session that is being written: a commit
        whose chunks were collected fails.

        Parameters
        ----------
        delete_object_older_than : datetime.datetime
            Exclusive cut-off, with a time zone; younger objects stay.
        dry_run : bool
            Count what would be deleted, change nothing.
        max_snapshots_in_memory, max_concurrent_manifest_fetches : int
            Files read at once.
        max_consecutive_delete_failures : int
            Give up after so many objects in a row that could not be deleted.
        max_compressed_manifest_mem_bytes, max_decoded_manifest_mem_bytes : int
            Bytes of manifests read at once, as stored and in memory; a larger one is read alone.
        max_concurrent_deletes, max_concurrent_listings : int
            Accepted for compatibility; the storage decides.

        Returns
        -------
        GCSummary
            What was deleted.

        Raises
        ------
        ReadOnlyError
            Kind ``read-only-repository``.
        StorageError
            Kind ``gc-deletes-failing``; kind ``object-not-found`` when a needed file is missing,
            before anything is changed.
        """
        limits = Limits.checked(
            max_snapshots_in_memory,
            max_compressed_manifest_mem_bytes,
            max_decoded_manifest_mem_bytes,
            max_concurrent_manifest_fetches,
        )
        positive("max_concurrent_deletes", max_concurrent_deletes)
        if max_concurrent_listings is not None:
            positive("max_concurrent_listings", max_concurrent_listings)
        from icechunk.maintenance import garbage_collection

        summary = garbage_collection.garbage_collect(
            self._ctx,
            from_datetime(delete_object_older_than),
            dry_run=truth("dry_run", dry_run),
            limits=limits,
            max_consecutive_failures=failures(max_consecutive_delete_failures),
        )
        self._forget_files()
        return summary

    def rewrite_manifests(
        self,
        message: str,
        *,
        branch: str,
        metadata: dict[str, Any] | None = None,
        commit_method: str = "new_commit",
    ) -> str:
        """Write all manifests of a branch anew under the present configuration, and commit.

        Parameters
        ----------
        message : str
            Of the commit.
        branch : str
            Whose tip.
        metadata : dict, optional
            Of the commit; the splitting rules are added under ``__icechunk``.
        commit_method : str
            ``"new_commit"``, or ``"amend"`` to replace the tip.

        Returns
        -------
        str
            Id of the new tip.

        Raises
        ------
        ValueError
            For another `commit_method`.
        FormatError
            Kind ``unsupported-spec-version`` for an amend in spec 1.
        """
        if commit_method not in ("new_commit", "amend"):
            raise ValueError(
                f"Invalid commit method: {commit_method!r}. Expected 'new_commit' or 'amend'."
            )
        amend = commit_method == "amend"
        from icechunk.maintenance import rewrite

        return id_text(rewrite.rewrite_manifests(self._ctx, branch, message, metadata, amend=amend))

    def chunk_storage_stats(
        self,
        *,
        max_snapshots_in_memory: int = 50,
        max_compressed_manifest_mem_bytes: int = _COMPRESSED,
        max_decoded_manifest_mem_bytes: int = _DECODED,
        max_concurrent_manifest_fetches: int = 500,
    ) -> ChunkStorageStats:
        """Bytes of the chunks that branches, tags and their histories refer to.

        Parameters
        ----------
        max_snapshots_in_memory, max_concurrent_manifest_fetches : int
            Files read at once.
        max_compressed_manifest_mem_bytes, max_decoded_manifest_mem_bytes : int
            Bytes of manifests read at once, as stored and in memory; a larger one is read alone.

        Returns
        -------
        ChunkStorageStats
            Native and virtual chunks count once however many snapshots share them.
        """
        limits = Limits.checked(
            max_snapshots_in_memory,
            max_compressed_manifest_mem_bytes,
            max_decoded_manifest_mem_bytes,
            max_concurrent_manifest_fetches,
        )
        from icechunk.maintenance import stats

        return stats.chunk_storage_stats(self._ctx, limits)

    def total_chunks_storage(
        self,
        *,
        max_snapshots_in_memory: int = 50,
        max_compressed_manifest_mem_bytes: int = _COMPRESSED,
        max_decoded_manifest_mem_bytes: int = _DECODED,
        max_concurrent_manifest_fetches: int = 500,
    ) -> int:
        """Bytes of the native chunks; deprecated.

        .. deprecated:: 1.1
            Use `chunk_storage_stats`.
        """
        _warn_of_total("total_chunks_storage", "chunk_storage_stats")
        return self.chunk_storage_stats(
            max_snapshots_in_memory=max_snapshots_in_memory,
            max_compressed_manifest_mem_bytes=max_compressed_manifest_mem_bytes,
            max_decoded_manifest_mem_bytes=max_decoded_manifest_mem_bytes,
            max_concurrent_manifest_fetches=max_concurrent_manifest_fetches,
        ).native_bytes

    async def total_chunks_storage_async(
        self,
        *,
        max_snapshots_in_memory: int = 50,
        max_compressed_manifest_mem_bytes: int = _COMPRESSED,
        max_decoded_manifest_mem_bytes: int = _DECODED,
        max_concurrent_manifest_fetches: int = 500,
    ) -> int:
        """Bytes of the native chunks; deprecated.

        .. deprecated:: 1.1
            Use `chunk_storage_stats_async`.
        """
        _warn_of_total("total_chunks_storage_async", "chunk_storage_stats_async")
        stats = await self.chunk_storage_stats_async(
            max_snapshots_in_memory=max_snapshots_in_memory,
            max_compressed_manifest_mem_bytes=max_compressed_manifest_mem_bytes,
            max_decoded_manifest_mem_bytes=max_decoded_manifest_mem_bytes,
            max_concurrent_manifest_fetches=max_concurrent_manifest_fetches,
        )
        return stats.native_bytes

    def pack_usage(self) -> PackUsage:
        """How much of the chunk objects that must stay is still referred to.

        Returns
        -------
        PackUsage
            `dead_bytes` is what garbage collection cannot free, since a live chunk shares its
            object.
        """
        from icechunk.maintenance import stats

        return stats.pack_usage(self._ctx)

    # -- what is in the files --------------------------------------------------------------------

    def list_manifest_files(self, snapshot_id: str) -> list[ManifestFileInfo]:
        """Manifests of a snapshot: id, size and number of references.

        Raises
        ------
        StorageError
            Kind ``object-not-found``.
        """
        snapshot = self._ctx.files.snapshot(parse_object_id(snapshot_id))
        return [ManifestFileInfo.of(info) for _, info in sorted(snapshot.manifests.items())]

    def manifest_files(self, snapshot_id: str) -> list[ManifestFileInfo]:
        """Older name of `list_manifest_files`."""
        return self.list_manifest_files(snapshot_id)

    @overload
    def inspect_snapshot(self, snapshot_id: str) -> dict[str, Any]: ...

    @overload
    def inspect_snapshot(self, snapshot_id: str, pretty: bool) -> str: ...

    def inspect_snapshot(
        self, snapshot_id: str, pretty: bool | None = None
    ) -> dict[str, Any] | str:
        """Content of a snapshot file.

        Parameters
        ----------
        snapshot_id : str
            Which one.
        pretty : bool, optional
            Return JSON text instead of a dictionary, indented when True, as 1.x did.

        Raises
        ------
        StorageError
            Kind ``object-not-found``.
        """
        from icechunk.maintenance import inspect

        content = inspect.inspect_snapshot(self._ctx, parse_object_id(snapshot_id))
        if pretty is None:
            return content
        return json.dumps(content, indent=2 if pretty else None, ensure_ascii=False)

    def inspect_repo_info(self) -> dict[str, Any]:
        """Content of the repo object.

        Raises
        ------
        FormatError
            Kind ``unsupported-spec-version`` in spec 1.
        """
        from icechunk.maintenance import inspect

        return inspect.inspect_repo_info(self._ctx)

    def inspect_manifest(self, manifest_id: str) -> dict[str, Any]:
        """How many references of which kind a manifest holds.

        Raises
        ------
        StorageError
            Kind ``object-not-found``.
        """
        from icechunk.maintenance import inspect

        return inspect.inspect_manifest(self._ctx, parse_object_id(manifest_id))

    def inspect_transaction_log(self, snapshot_id: str) -> dict[str, Any]:
        """Nodes and chunks that a commit touched.

        Where expiration removed ancestors of the snapshot, what they touched is included, and
        ``synthetic_composite`` names them: ``merged_pruned_ancestor_tx_logs``, and in
        ``missing_tx_logs`` those whose log is gone.

        Raises
        ------
        StorageError
            Kind ``object-not-found``.
        """
        from icechunk.maintenance import inspect

        return inspect.inspect_transaction_log(self._ctx, parse_object_id(snapshot_id))

    def _forget_files(self) -> None:
        """Go on without what this handle remembers of files that may be gone or changed."""
        ctx = self._ctx
        files = RepositoryFiles(ctx.storage, ctx.settings, ctx.files.dialect)
        self._ctx = replace(ctx, files=files, ref_store=ctx.ref_store.under(files, ctx.settings))

    expire_snapshots_async = twin(expire_snapshots)
    garbage_collect_async = twin(garbage_collect)
    rewrite_manifests_async = twin(rewrite_manifests)
    chunk_storage_stats_async = twin(chunk_storage_stats)
    pack_usage_async = twin(pack_usage)
    list_manifest_files_async = twin(list_manifest_files)
    manifest_files_async = twin(manifest_files)
    inspect_snapshot_async = twin(inspect_snapshot)
    inspect_repo_info_async = twin(inspect_repo_info)
    inspect_manifest_async = twin(inspect_manifest)
    inspect_transaction_log_async = twin(inspect_transaction_log)
