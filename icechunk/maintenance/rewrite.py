"""Rewrite all manifests of a branch under the present configuration."""

from __future__ import annotations

import logging
from typing import Any

from icechunk.changes.change_set import ChangeSet
from icechunk.changes.chunk_edits import ChunkEdits
from icechunk.config.manifests import ManifestConfig, ManifestSplittingConfig
from icechunk.config.repository import RepositoryConfig
from icechunk.config.resolve import effective
from icechunk.config.serde import to_plain
from icechunk.core.ids import ObjectId
from icechunk.core.timing import timed
from icechunk.engine.commit import publish
from icechunk.engine.context import RepoContext
from icechunk.engine.publication import Request
from icechunk.engine.reader import ArrayReader
from icechunk.engine.transaction import SessionMode, Transaction
from icechunk.refs.capabilities import Capability
from icechunk.spec.metadata import json_object
from icechunk.spec.snapshot.snapshot import Snapshot
from icechunk.spec.transaction_log.log import TransactionLog

_log = logging.getLogger(__name__)


@timed(_log, "rewrite-manifests")
def rewrite_manifests(
    ctx: RepoContext,
    branch: str,
    message: str,
    metadata: dict[str, Any] | None = None,
    *,
    amend: bool = False,
) -> ObjectId:
    """Commit the tip of a branch again, with every reference in a new manifest.

    Chunks are not touched, and the commit's transaction log is empty (with `amend`: that of the
    commit it replaces).

    Parameters
    ----------
    ctx : RepoContext
        The repository, with the configuration to apply.
    branch : str
        The branch.
    message, metadata
        Of the commit.
    amend : bool
        Replace the tip instead of adding a commit.

    Returns
    -------
    ObjectId
        The new tip.

    Raises
    ------
    FormatError
        Kind ``unsupported-spec-version`` for an amend where the format has none.
    ConflictError
        The branch moved meanwhile.
    """
    if amend:
        ctx.ref_store.require(Capability.AMEND)
    base = ctx.files.snapshot(ctx.ref_store.writable_tip(branch))
    transaction = Transaction(
        ctx, base.id, mode=SessionMode.writable, branch=branch, changes=_everything(ctx, base)
    )
    log = ctx.files.log(base.id) if amend else TransactionLog(base.id)
    register = ctx.ref_store.amend if amend else ctx.ref_store.commit
    request = Request("rewrite", message, _metadata(ctx, metadata))
    return transaction.exclusively(
        lambda: publish(transaction, request, register, log_of=lambda _: log)
    )


def _everything(ctx: RepoContext, base: Snapshot) -> ChangeSet:
    """Changes that write every reference of a snapshot again."""
    changes = ChangeSet()
    for node in base.nodes:
        if node.array is not None and node.array.manifests:
            edits = ChunkEdits(node.array.num_chunks)
            edits.extend(ArrayReader(node, base, None, ctx.files).base_table())
            changes.chunks[node.id] = edits
    return changes


def _metadata(ctx: RepoContext, given: dict[str, Any] | None) -> dict[str, Any]:
    """Commit metadata with the rules that the manifests follow."""
    full = {**ctx.default_metadata, **json_object(given)}
    own = full.get("__icechunk")
    full["__icechunk"] = {
        **(own if isinstance(own, dict) else {}),
        "splitting_config": splitting_rules(ctx.config),
    }
    return full


def splitting_rules(config: RepositoryConfig) -> Any:
    """The rules in force for splitting manifests, as plain data."""
    manifest = effective(config, "manifest")
    sizes = effective(effective(manifest, "splitting"), "split_sizes")
    in_force = ManifestConfig(splitting=ManifestSplittingConfig(sizes))
    return to_plain(RepositoryConfig(manifest=in_force))["manifest"]["splitting"]
