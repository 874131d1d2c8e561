"""Chunk tables for property tests of the file formats."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from icechunk.core.ids import NodeId, ObjectId
from icechunk.spec.manifest.chunk_table import INLINE, NATIVE, VIRTUAL, ChunkTable, Location

u64 = st.one_of(st.just(0), st.integers(0, 2**64 - 1))

natives = st.builds(
    lambda chunk, offset, length: Location(
        NATIVE, ObjectId(chunk), offset, length, None, None, None, 0
    ),
    st.binary(min_size=12, max_size=12),
    st.sampled_from([0, 0, 4, 2**63]),
    u64,
)
virtuals = st.builds(
    lambda offset, length, url, etag, modified: Location(
        VIRTUAL, None, offset, length, None, url, etag, modified
    ),
    u64,
    u64,
    st.one_of(st.sampled_from(["s3://b/k", "s3://b/kk"]), st.text(min_size=1, max_size=12)),
    st.one_of(st.none(), st.text(min_size=1, max_size=4)),
    st.one_of(st.just(0), st.integers(0, 2**32 - 1)),
)
inlines = st.binary(max_size=20).map(
    lambda raw: Location(INLINE, None, 0, len(raw), raw, None, None, 0)
)


@st.composite
def tables(draw: st.DrawFn) -> ChunkTable:
    ndim = draw(st.integers(0, 4))
    coords = st.tuples(*[st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 1))] * ndim)
    places = st.one_of(draw(st.lists(st.sampled_from([natives, virtuals, inlines]), min_size=1)))
    model = draw(st.dictionaries(coords, places, max_size=12))
    return ChunkTable.from_locations(ndim, model.items())


node_ids = st.binary(min_size=8, max_size=8).map(NodeId)
object_ids = st.binary(min_size=12, max_size=12).map(ObjectId)


def rows(table: ChunkTable) -> list[tuple[Any, ...]]:
    """Everything a table says, as plain Python values."""
    places = [table.location(row) for row in range(len(table))]
    return [
        (*coords, place._replace(inline=None if place.inline is None else bytes(place.inline)))
        for coords, place in zip(table.coords().tolist(), places, strict=True)
    ]
