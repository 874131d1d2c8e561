"""Where the chunk grid of an array is cut into the cells that manifests cover."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icechunk.config import from_dict
from icechunk.config.manifests import ManifestConfig, ManifestSplittingConfig
from icechunk.config.repository import RepositoryConfig
from icechunk.config.resolve import Settings, resolve
from icechunk.config.splitting import ManifestSplitCondition as S
from icechunk.config.splitting import ManifestSplitDimCondition as D
from icechunk.spec.manifest import splits
from icechunk.spec.manifest.chunk_table import INLINE, ChunkTable, Location
from icechunk.spec.manifest.extents import contains, overlaps
from icechunk.spec.manifest.splits import split_edges, within_limits
from tests.oracle import run_reference
from tests.spec.table_strategies import tables


def settings_for(rules: dict[Any, dict[Any, int]] | None) -> Settings:
    splitting = None if rules is None else from_dict(rules)
    return resolve(RepositoryConfig(manifest=ManifestConfig(splitting=splitting)))


ANY = S.AnyArray()
CASES = [
    pytest.param(None, "/a", (10, 3), None, ((0, 10), (0, 3)), id="unsplit by default"),
    pytest.param({}, "/a", (10, 3), None, ((0, 10), (0, 3)), id="no rules"),
    pytest.param({ANY: {D.Any(): 4}}, "/a", (10, 3), None, ((0, 4, 8, 10), (0, 3)), id="any"),
    pytest.param({ANY: {D.Any(): 5}}, "/a", (10,), None, ((0, 5, 10),), id="divides"),
    pytest.param({ANY: {D.Axis(1): 1}}, "/a", (9, 2), None, ((0, 9), (0, 1, 2)), id="axis"),
    pytest.param({ANY: {D.Axis(7): 1}}, "/a", (9,), None, ((0, 9),), id="no such axis"),
    pytest.param(
        {ANY: {D.DimensionName("^t"): 2}},
        "/a",
        (4, 4),
        ("time", "t_x"),
        ((0, 2, 4),) * 2,
        id="name",
    ),
    pytest.param(
        {ANY: {D.DimensionName("im"): 2}},
        "/a",
        (4, 4),
        ("time", None),
        ((0, 2, 4), (0, 4)),
        id="searched, unnamed never matches",
    ),
    pytest.param(
        {ANY: {D.DimensionName("x"): 2}}, "/a", (4, 4), ("x",), ((0, 2, 4), (0, 4)), id="few names"
    ),
    pytest.param(
        {ANY: {D.Axis(0): 3, D.Any(): 2}},
        "/a",
        (4, 4),
        None,
        ((0, 3, 4), (0, 2, 4)),
        id="first dim",
    ),
    pytest.param(
        {ANY: {D.Any(): 2, D.Axis(0): 3}}, "/a", (4, 4), None, ((0, 2, 4),) * 2, id="any hides"
    ),
    pytest.param(
        {S.path_matches("b"): {D.Any(): 1}, ANY: {D.Any(): 3}},
        "/a",
        (4,),
        None,
        ((0, 3, 4),),
        id="2nd",
    ),
    pytest.param(
        {S.name_matches("a"): {D.Axis(0): 1}, ANY: {D.Any(): 3}},
        "/g/a",
        (2, 4),
        None,
        ((0, 1, 2), (0, 3, 4)),
        id="later rules fill the rest",
    ),
    pytest.param({ANY: {D.Any(): 9}}, "/a", (0, 3), None, ((0,), (0, 3)), id="no chunks, no cell"),
    pytest.param({ANY: {D.Any(): 9}}, "/a", (), None, (), id="no dimensions"),
    pytest.param(
        {ANY: {D.Any(): 2**32 - 1}}, "/a", (2**32 - 1,), None, ((0, 2**32 - 1),), id="largest"
    ),
]


@pytest.mark.parametrize(("rules", "path", "counts", "names", "edges"), CASES)
def test_edges(
    rules: dict[Any, dict[Any, int]] | None,
    path: str,
    counts: tuple[int, ...],
    names: tuple[str | None, ...] | None,
    edges: tuple[tuple[int, ...], ...],
) -> None:
    assert split_edges(settings_for(rules), path, counts, names) == edges


@given(
    st.lists(st.integers(0, 300), max_size=4),
    st.dictionaries(st.integers(0, 4).map(D.Axis) | st.just(D.Any()), st.integers(1, 400)),
)
def test_cells_cover_every_chunk_once(counts: list[int], sizes: dict[Any, int]) -> None:
    edges = split_edges(settings_for({ANY: sizes}), "/a", counts, None)
    assert len(edges) == len(counts)
    for axis, (count, along) in enumerate(zip(counts, edges, strict=True)):
        size = next((n for dim, n in sizes.items() if dim.matches(axis, None)), count)
        assert (along[0], along[-1]) == (0, count)
        assert all(0 < high - low <= size for low, high in pairwise(along))


@pytest.mark.oracle
def test_the_reference_writes_as_many_manifests() -> None:
    cases = [
        ((10, 3), ["x", "y"], "D.Any()", 4),
        ((9, 2), ["x", "y"], "D.Axis(1)", 1),
        ((7, 5), ["time", "lat"], "D.DimensionName('im')", 3),
        ((4, 4), ["x", None], "D.DimensionName('')", 3),
    ]
    theirs = run_reference(
        """
        import icechunk as ic, numpy as np, zarr
        D = ic.ManifestSplitDimCondition
        result = []
        for shape, names, dim, size in args[0]:
            splitting = ic.ManifestSplittingConfig.from_dict(
                {ic.ManifestSplitCondition.AnyArray(): {eval(dim): size}})
            repo = ic.Repository.create(ic.in_memory_storage(), ic.RepositoryConfig(
                inline_chunk_threshold_bytes=0, manifest=ic.ManifestConfig(splitting=splitting)))
            session = repo.writable_session("main")
            array = zarr.create_array(session.store, name="a", shape=shape,
                chunks=(1,) * len(shape), dtype="i1", dimension_names=names)
            array[...] = np.ones(shape, "i1")
            result.append(len(repo.list_manifest_files(session.commit("c"))))
        """,
        cases,
    )
    for (shape, names, dim, size), found in zip(cases, theirs, strict=True):
        splitting = ManifestSplittingConfig.from_dict({ANY: {eval(dim): size}})
        config = RepositoryConfig(manifest=ManifestConfig(splitting=splitting))
        edges = split_edges(resolve(config), "/a", shape, names)
        cells = 1
        for along in edges:
            cells *= len(along) - 1
        assert cells == found, (shape, dim, size)


@given(tables(), st.integers(1, 5))
def test_tables_beyond_the_limit_are_cut_into_boxes(table: ChunkTable, limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "MAX_MANIFEST_REFS", limit)
        parts = list(within_limits(table))
    assert sum(map(len, parts)) == len(table)
    boxes = [part.extents() for part in parts]
    for number, (part, box) in enumerate(zip(parts, boxes, strict=True)):
        assert 0 < len(part) <= limit
        assert all(contains(box, coords) for coords in part.coords().tolist())
        assert not any(overlaps(box, other) for other in boxes[:number])
    whole = ChunkTable.concat(parts, ndim=table.ndim)
    assert whole.coords().tolist() == table.coords().tolist()


def test_large_contents_are_cut_too(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [Location(INLINE, None, 0, 500, bytes([k]) * 500, None, None, 0) for k in range(8)]
    table = ChunkTable.from_locations(1, [((k,), place) for k, place in enumerate(places)])
    monkeypatch.setattr(splits, "MAX_MANIFEST_BYTES", 2500)
    assert [len(part) for part in within_limits(table)] == [4, 4]
