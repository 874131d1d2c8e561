"""Public forms of many commits, made a block at a time.

Listing a history makes an object per commit and nothing else.  Attributes that
were read of one block, say messages, are decoded for the next block as columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from icechunk.spec.manifest.file_info import ManifestFileInfo
from icechunk.spec.repo.lazy_record import Walk
from icechunk.spec.repo.snapshot_info import Listing, SnapshotInfo

_FIRST, _MOST = 16, 1024
"""Commits per block: of the first block, and at most."""


def infos(
    records: Walk, find_manifests: Callable[[str], list[ManifestFileInfo]]
) -> Iterator[SnapshotInfo]:
    """Public forms of commits.

    Parameters
    ----------
    records : Walk
        They are walked a block at a time.
    find_manifests : callable
        Lists the manifests of a snapshot id.
    """
    listing = Listing(records, find_manifests)
    new = object.__new__
    start, size = 0, _FIRST
    while start < (stop := records.reach(start + size)):
        block = range(start, stop)
        made = [new(SnapshotInfo) for _ in block]
        contents = [info.__dict__ for info in made]
        for at, content in zip(block, contents, strict=True):
            content["_listing"] = listing
            content["_at"] = at
        for name in sorted(listing.asked):
            for content, value in zip(contents, records.column(name, block) or (), strict=False):
                content[name] = value
        yield from made
        start, size = block.stop, min(2 * size, _MOST)
