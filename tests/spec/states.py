"""Hypothesis strategies for everything a repository state holds."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from icechunk.core.ids import ObjectId
from icechunk.spec.repo import updates as u
from icechunk.spec.repo.refs import Refs
from icechunk.spec.repo.snapshot_table import SnapshotRecord, SnapshotTable
from icechunk.spec.repo.state import RepoState
from icechunk.spec.repo.update_log import UpdateLog
from icechunk.spec.repo.updates import RepoStatusValue, Update

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ids = st.binary(min_size=12, max_size=12).map(ObjectId)
times = st.integers(0, 4 * 10**15)
numbers = st.integers(-(2**63), 2**64 - 1)
keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
metadata = st.dictionaries(texts, json_values, max_size=3)
statuses = st.builds(RepoStatusValue, st.integers(0, 2), times, st.none() | texts)
update_kinds: st.SearchStrategy[u.UpdateKind] = st.one_of(
    st.builds(u.RepoInitialized),
    st.builds(u.RepoMigrated, st.integers(0, 255), st.integers(0, 255)),
    st.builds(u.ConfigChanged),
    st.builds(u.MetadataChanged),
    st.builds(u.TagCreated, texts),
    st.builds(u.TagDeleted, texts, ids),
    st.builds(u.BranchCreated, texts),
    st.builds(u.BranchDeleted, texts, ids),
    st.builds(u.BranchReset, texts, ids),
    st.builds(u.NewCommit, texts, ids),
    st.builds(u.CommitAmended, texts, ids, ids),
    st.builds(u.NewDetachedSnapshot, ids),
    st.builds(u.GCRan),
    st.builds(u.ExpirationRan),
    st.builds(u.FeatureFlagChanged, st.integers(0, 2**16 - 1), st.none() | st.booleans()),
    st.builds(u.RepoStatusChanged, statuses),
)


@st.composite
def records(draw: st.DrawFn, max_size: int = 8) -> list[SnapshotRecord]:
    """Snapshots in the order of their creation: parents come before children."""
    made: list[SnapshotRecord] = []
    for snapshot_id in draw(st.lists(ids, min_size=1, max_size=max_size, unique=True)):
        candidates = st.sampled_from([None, *(record.id for record in made)])
        made.append(
            SnapshotRecord(
                snapshot_id,
                draw(candidates),
                draw(times),
                draw(texts),
                draw(metadata),
                tuple(draw(st.lists(ids, max_size=3))),
            )
        )
    return made


@st.composite
def logs(draw: st.DrawFn, max_size: int = 6) -> list[Update]:
    """Updates newest first, as a repo object holds them."""
    kinds = draw(st.lists(update_kinds, min_size=1, max_size=max_size))
    stamps = draw(st.lists(times, min_size=len(kinds), max_size=len(kinds), unique=True))
    backups = [None, *(draw(st.none() | texts) for _ in kinds[1:])]
    rows = zip(kinds, sorted(stamps, reverse=True), backups, strict=True)
    return [Update(kind, at, backup) for kind, at, backup in rows]


@st.composite
def states(draw: st.DrawFn) -> RepoState:
    """Any state that a repo object can hold."""
    snapshots = draw(records())
    targets = st.sampled_from([record.id for record in snapshots])
    flags = draw(st.lists(st.integers(0, 2**16 - 1), max_size=4, unique=True))
    return RepoState(
        branches=Refs(draw(st.dictionaries(texts, targets, max_size=4))),
        tags=Refs(draw(st.dictionaries(texts, targets, max_size=4))),
        deleted_tags=frozenset(draw(st.lists(texts, max_size=3))),
        snapshots=SnapshotTable.from_records(snapshots),
        status=draw(statuses),
        updates=UpdateLog.from_updates(draw(logs())),
        metadata=draw(metadata),
        updates_before=draw(st.none() | texts),
        config=draw(st.none() | st.dictionaries(keys, json_values, max_size=3)),
        flags_enabled=frozenset(flags[::2]),
        flags_disabled=frozenset(flags[1::2]),
        extra=draw(st.none() | st.binary(max_size=9)),
    )
