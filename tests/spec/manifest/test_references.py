"""Comparing whole tables of references, against dictionaries."""

from __future__ import annotations

import random

import pytest

from icechunk.core.ids import ObjectId
from icechunk.spec.manifest.chunk_table import INLINE, NATIVE, VIRTUAL, ChunkTable, Location
from icechunk.spec.manifest.references import changed

Table = dict[tuple[int, int], Location]


def location(chance: random.Random) -> Location:
    kind = chance.choice((NATIVE, VIRTUAL, INLINE))
    if kind == NATIVE:
        name = ObjectId(bytes([chance.randrange(2)] * 11 + [chance.randrange(2)]))
        return Location(kind, name, chance.randrange(2), 3, None, None, None, 0)
    if kind == VIRTUAL:
        url = chance.choice(("s3://a/b", "s3://a/c", "s3://a/bc"))
        return Location(kind, None, chance.randrange(2), 3, None, url, None, 0)
    payload = bytes([chance.randrange(2), 0])
    return Location(kind, None, 0, 2, payload, None, None, 0)


def table(rows: Table) -> ChunkTable:
    return ChunkTable.from_locations(2, rows.items())


@pytest.mark.parametrize("seed", range(60))
def test_changed(seed: int) -> None:
    chance = random.Random(seed)
    cells = [(i, j) for i in range(4) for j in range(3)]
    if seed % 3:  # otherwise every chunk of the box
        cells = chance.sample(cells, chance.randint(0, len(cells)))
    before = {cell: location(chance) for cell in cells}
    after = dict(before)
    for cell in chance.sample(cells, len(cells) // 2):
        after[cell] = location(chance)
    if seed % 2:
        for cell in chance.sample(cells, len(cells) // 3):
            del after[cell]
        after[5, 5] = location(chance)
    expected = sorted(
        cell for cell in before.keys() | after.keys() if before.get(cell) != after.get(cell)
    )
    assert [tuple(row) for row in changed(table(before), table(after)).tolist()] == expected
