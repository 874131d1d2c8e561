"""Ancestors and merge bases, against sets made by hand on random histories."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from icechunk.core.ids import ObjectId, new_object_id
from icechunk.merging.graph import CommitGraph
from icechunk.refs.capabilities import Capability
from icechunk.spec.repo.lineage import LINEAGE_KEY, Lineage, with_lineage
from icechunk.spec.repo.snapshot_table import SnapshotRecord, SnapshotTable


class Listed:
    """What the graph reads of a ref store of spec 2."""

    capabilities = frozenset([Capability.REPO_OBJECT])

    def __init__(self, records: list[SnapshotRecord]) -> None:
        self.table = SnapshotTable.from_records(records)

    def state(self) -> Any:
        return SimpleNamespace(snapshots=self.table)


def graph_of(records: list[SnapshotRecord]) -> CommitGraph:
    return CommitGraph(Listed(records))  # type: ignore[arg-type]


def random_history(
    chance: random.Random,
) -> tuple[list[SnapshotRecord], dict[ObjectId, tuple[ObjectId, ...]]]:
    """Records, and the parents of each commit; some merges, some with metadata besides."""
    ids = [new_object_id() for _ in range(chance.randint(2, 25))]
    parents: dict[ObjectId, tuple[ObjectId, ...]] = {ids[0]: ()}
    records = [SnapshotRecord(ids[0], None, 0, "root")]
    for number, one in enumerate(ids[1:], 1):
        recent = ids[max(0, number - 5) : number]
        above = tuple(chance.sample(recent, min(len(recent), chance.choice([1, 1, 1, 2, 3]))))
        metadata: dict[str, Any] = {"n": number} if chance.random() < 0.5 else {}
        if chance.random() < 0.2:
            metadata["x" * len(LINEAGE_KEY)] = 1
        if len(above) > 1:
            metadata = with_lineage(metadata, Lineage("merge", above))
        parents[one] = above
        records.append(SnapshotRecord(one, above[0], number, str(number), metadata))
    return records, parents


def before(parents: dict[ObjectId, tuple[ObjectId, ...]], one: ObjectId) -> set[ObjectId]:
    return {one}.union(*(before(parents, parent) for parent in parents[one]))


@pytest.mark.parametrize("seed", range(40))
def test_random_histories(seed: int) -> None:
    chance = random.Random(seed)
    records, parents = random_history(chance)
    graph = graph_of(records)
    sets = {one: before(parents, one) for one in parents}
    for one in parents:
        assert graph.parents(one) == parents[one]
        assert graph.ancestors([one]) == sets[one]
    for _ in range(30):
        one, two = chance.choices(list(parents), k=2)
        assert graph.is_ancestor(one, two) == (one in sets[two])
        both = sets[one] & sets[two]
        best = {each for each in both if not any(each in sets[o] - {o} for o in both)}
        bases = graph.merge_bases(one, two)
        assert set(bases) == best
        assert len(bases) == len(best)
        times = [found.flushed_at for found in map(graph.record, bases) if found is not None]
        assert times == sorted(times, reverse=True)


def test_expired_ancestors_stand_between() -> None:
    root, early, fork, one, two = (new_object_id() for _ in range(5))
    records = [
        SnapshotRecord(root, None, 0, "root"),
        SnapshotRecord(one, root, 1, "one", {}, (early, fork)),
        SnapshotRecord(two, root, 2, "two", {}, (early, fork)),
    ]
    graph = graph_of(records)
    assert graph.parents(two) == (fork,)
    assert graph.parents(fork) == (early,)
    assert graph.parents(early) == (root,)
    assert fork not in graph
    assert graph.record(fork) is None
    assert graph.merge_bases(one, two) == [fork]
    assert graph.way(early, two) == [fork, two]


def test_a_missing_second_parent_is_an_end() -> None:
    root, gone, merge, tip = (new_object_id() for _ in range(4))
    metadata = with_lineage({}, Lineage("merge", (root, gone)))
    records = [
        SnapshotRecord(root, None, 0, "root"),
        SnapshotRecord(merge, root, 1, "merge", metadata),
        SnapshotRecord(tip, merge, 2, "tip"),
    ]
    graph = graph_of(records)
    assert graph.parents(merge) == (root, gone)
    assert graph.parents(gone) == ()
    assert graph.ancestors([tip]) == {root, gone, merge, tip}
    assert graph.merge_bases(tip, gone) == [gone]
    assert set(graph.way(gone, tip)) == {root, merge, tip}


def test_rows_of_removed_snapshots_have_no_metadata() -> None:
    root, first, second = sorted(new_object_id() for _ in range(3))
    lineage = with_lineage({"a": 1}, Lineage("merge", (root,)))
    table = SnapshotTable.from_records(
        [
            SnapshotRecord(root, None, 0, "root"),
            SnapshotRecord(first, root, 1, "first", lineage),
            SnapshotRecord(second, root, 2, "second", lineage),
        ]
    )
    assert table.packed.rows_with(LINEAGE_KEY).tolist() == [1, 2]
    assert table.without({first}, {}).packed.rows_with(LINEAGE_KEY).tolist() == [1]
    assert table.packed.rows_with("b").tolist() == []
