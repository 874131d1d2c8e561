"""Fetch the base and manifests in the background when a session opens."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from icechunk.core.errors import IcechunkError
from icechunk.core.runtime import start
from icechunk.engine.context import RepoContext
from icechunk.engine.transaction import Transaction
from icechunk.spec.snapshot.snapshot import ManifestInfo, Snapshot

_AT_ONCE = 4
"""Threads that fetch; the others of the pool stay free for what the session asks for."""

_FEW = 16
"""Manifests from which on they are looked for in the background only."""

_NODES_PER_ARRAY = 20
"""Nodes looked at for each array that may be: hierarchies of nothing but groups take no time."""

_log = logging.getLogger(__name__)


def preloading(transaction: Transaction) -> Transaction:
    """Begin to fetch the base, and the manifests that the preload configuration selects.

    Returns at once; a use that comes before the base is there waits for the same request.

    What fails is fetched again, and reported, when the session needs it.

    Parameters
    ----------
    transaction : Transaction
        Just opened.

    Returns
    -------
    Transaction
        The same.
    """
    files = transaction.ctx.files
    base = files.held_snapshot(transaction.base_id)
    if base is not None:
        few = list(islice(base.manifests, _FEW))
        if len(few) < _FEW and all(files.held_manifest(each) is not None for each in few):
            return transaction  # as after a small commit: asking costs less than a thread
    if files.may_preload(transaction.base_id):
        with suppress(RuntimeError):  # an interpreter that ends starts no more threads
            start(_begin, transaction)
    return transaction


def wanted(ctx: RepoContext, base: Snapshot) -> Iterator[ManifestInfo]:
    """Manifests to preload: each once, and none that is in memory.

    The first ``max_arrays_to_scan`` arrays in path order are looked at; a manifest that meets the
    condition but has more references than are left of ``max_total_refs`` is passed over.

    Parameters
    ----------
    ctx : RepoContext
        The repository handle.
    base : Snapshot
        What the session reads.
    """
    rule = ctx.settings.preload
    room = min(rule.max_total_refs, ctx.settings.num_chunk_refs)
    seen = set()
    nodes = islice(base.nodes, _NODES_PER_ARRAY * rule.max_arrays_to_scan)
    arrays = (node for node in nodes if node.array is not None)
    for node in islice(arrays, rule.max_arrays_to_scan):
        for ref in node.array.manifests if node.array is not None else ():
            info = base.manifests.get(ref.object_id)
            if info is None or info.id in seen or info.num_chunk_refs > room:
                continue
            if rule.condition.matches(node.path, info.num_chunk_refs):
                seen.add(info.id)
                room -= info.num_chunk_refs
                if ctx.files.held_manifest(info.id) is None:
                    yield info


def _begin(transaction: Transaction) -> None:
    """Fetch the base, then its manifests on a few threads."""
    ctx = transaction.ctx
    try:
        infos = list(wanted(ctx, transaction.base))
    except (IcechunkError, OSError):
        _log.debug("nothing could be loaded ahead", exc_info=True)
        return
    for share in (infos[k::_AT_ONCE] for k in range(1, _AT_ONCE)):
        if share:
            start(_fetch, ctx, share)
    _fetch(ctx, infos[::_AT_ONCE])


def _fetch(ctx: RepoContext, infos: list[ManifestInfo]) -> None:
    for info in infos:
        try:
            ctx.files.manifest(info.id, info.num_chunk_refs)
        except (IcechunkError, OSError):
            _log.debug("a manifest could not be loaded ahead", exc_info=True)
