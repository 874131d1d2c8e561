from __future__ import annotations

import base64
import math
import struct

import numpy as np
import pytest
import zarr

import icechunk
from icechunk import InvalidInputError, Repository, Session
from icechunk_widgets.arrays import pictures
from icechunk_widgets.arrays.pictures import Side, changed_counts, difference, preview, read, stats
from tests.widgets.scenes import array, clash, climate


def one(session: Session, path: str, chunk: list[int], index: list[int] | None = None):  # type: ignore[no-untyped-def]
    return preview(path, chunk, [Side("after", "now", session, path)], index)


def scratch(**arrays: dict[str, object]) -> Session:
    session = Repository.create(icechunk.in_memory_storage()).writable_session("main")
    root = zarr.group(session.store)
    for name, options in arrays.items():
        data = options.pop("data", None)
        made = root.create_array(name, **options)  # type: ignore[arg-type]
        if data is not None:
            made[...] = data
    return session


def test_three_sides_share_a_scale() -> None:
    repo = climate()
    mine = clash(repo)
    sides = [
        Side("ours", "mine", mine, "/SST"),
        Side("theirs", "theirs", repo.readonly_session("main"), "/SST"),
        Side("base", "base", repo.readonly_session(snapshot_id=mine.snapshot_id), "/SST"),
    ]
    held, images = preview("/SST", [0, 0, 0], sides, [1, 0, 0])
    assert [image.dtype.str for image in images] == ["<f4"] * 3
    assert [image.shape for image in images] == [(3, 4)] * 3
    assert (held["vmin"], held["vmax"]) == (-2.0, 67.0)
    assert held["axes"] == ["Y", "X"]
    assert held["extent"] == {"y": [-45.0, -9.0, "degrees_north"], "x": [0.0, 30.0, None]}
    assert held["other_axes"] == [{"axis": 0, "name": "TIME", "size": 2, "position": 1}]
    assert images[2][0].tolist() == [48.0, 49.0, 50.0, 51.0]
    assert held["difference"] == {"max_abs": 1.0, "mean_abs": 1.0, "rms": 1.0, "changed": 1.0}
    assert held["sides"][2]["stats"] == {
        "count": 24, "nan": 0, "min": 0.0, "max": 67.0, "mean": 33.5,
    }  # fmt: skip
    assert held["fill"] is None


@pytest.mark.parametrize(
    ("shape", "chunks", "picture", "axes"),
    [
        ((), (), (1, 1), [None, None]),
        ((5,), (5,), (1, 5), [None, "axis 0"]),
        ((5,), (1,), (1, 1), [None, "axis 0"]),
        ((4, 1, 6), (4, 1, 6), (4, 6), ["axis 0", "axis 2"]),
        ((3, 4, 5), (1, 1, 1), (1, 1), ["axis 1", "axis 2"]),
        ((1000, 300), (1000, 300), (250, 150), ["axis 0", "axis 1"]),
    ],
)
def test_every_rank(
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    picture: tuple[int, int],
    axes: list[str | None],
) -> None:
    session = scratch(a={"shape": shape, "chunks": chunks, "dtype": "f8", "data": 2.0})
    held, images = one(session, "/a", [0] * len(shape))
    assert images[0].shape == picture == tuple(held["shape"])
    assert held["axes"] == axes
    assert held["decimated"] == (shape == (1000, 300))
    assert held["difference"] is None
    assert (images[0] == 2.0).all()


def test_the_last_chunk_is_clipped_to_the_array() -> None:
    session = scratch(a={"shape": (5, 7), "chunks": (4, 4), "dtype": "i4", "data": 3})
    held, images = one(session, "/a", [1, 1])
    assert images[0].shape == (1, 3)
    assert held["origin"] == [4, 4]


def test_a_side_without_the_array_and_one_of_another_shape() -> None:
    small = scratch(a={"shape": (2, 4), "chunks": (4, 4), "dtype": "f4", "data": 1.0})
    large = scratch(a={"shape": (4, 4), "chunks": (4, 4), "dtype": "f4", "data": 2.0})
    none = scratch()
    sides = [Side(name, name, s, "/a") for name, s in
             (("ours", small), ("theirs", large), ("base", none))]  # fmt: skip
    held, images = preview("/a", [0, 0], sides)
    assert images[0].shape == (4, 4)
    assert np.isnan(images[0][2:]).all()
    assert (images[0][:2] == 1).all()
    assert np.isnan(images[2]).all()
    assert held["sides"][2]["stats"]["count"] == 0
    assert held["difference"]["changed"] == 1.0


@pytest.mark.parametrize(
    ("dtype", "value", "number"),
    [
        ("bool", True, 1.0),
        ("i8", -3, -3.0),
        ("u1", 255, 255.0),
        ("c8", 3 + 4j, 5.0),
        ("f4", math.inf, math.nan),
        ("f8", 1e300, 1e300),
    ],
)
def test_data_types(dtype: str, value: object, number: float) -> None:
    session = scratch(a={"shape": (2,), "chunks": (2,), "dtype": dtype, "data": value})
    block = read(session, "/a", [(0, 2)], (2,))
    np.testing.assert_array_equal(block, [number, number])
    assert np.isfinite(one(session, "/a", [0])[0]["vmax"])


def test_times_count_and_missing_times_are_missing() -> None:
    data = np.array(["2000-01-01", "NaT"], "datetime64[s]")
    session = Repository.create(icechunk.in_memory_storage()).writable_session("main")
    made = zarr.group(session.store).create_array("a", shape=2, chunks=2, dtype=data.dtype)
    made[:] = data
    block = read(session, "/a", [(0, 2)], (2,))
    assert block[0] == 946684800
    assert np.isnan(block[1])


@pytest.mark.filterwarnings("ignore:.*Zarr V3 specification")
def test_text_has_no_picture_but_no_error_either() -> None:
    session = scratch(a={"shape": (2,), "chunks": (2,), "dtype": "S4", "data": b"abc"})
    held, images = one(session, "/a", [0])
    assert np.isnan(images[0]).all()
    assert held["sides"][0]["stats"]["count"] == 0
    assert (held["vmin"], held["vmax"]) == (0.0, 1.0)


def test_markers_of_missing_values() -> None:
    session = scratch(
        a={"shape": (4,), "chunks": (4,), "dtype": "f4", "fill_value": -1e34},
        b={"shape": (4,), "chunks": (4,), "dtype": "f4", "fill_value": 0.0},
        c={
            "shape": (4,), "chunks": (4,), "dtype": "i2",
            "attributes": {"_FillValue": -99, "scale_factor": 0.5, "add_offset": 10},
        },
        d={
            "shape": (4,), "chunks": (4,), "dtype": "f4",
            "attributes": {"_FillValue": "KB5jEqLlxsA="},
        },
    )  # fmt: skip
    array(session, "a")[1] = 5
    array(session, "b")[1] = 5
    array(session, "c")[:] = [-99, 0, 2, 4]
    array(session, "d").attrs["_FillValue"] = base64.b64encode(struct.pack("<d", -1e34)).decode()
    array(session, "d")[:] = [np.float32(-1e34), 1, 2, 3]
    nan = np.nan
    region, chunks = [(0, 4)], (4,)
    np.testing.assert_array_equal(read(session, "/a", region, chunks), [nan, 5, nan, nan])
    np.testing.assert_array_equal(read(session, "/b", region, chunks), [0, 5, 0, 0])
    np.testing.assert_array_equal(read(session, "/c", region, chunks), [nan, 10, 11, 12])
    np.testing.assert_array_equal(read(session, "/d", region, chunks), [nan, 1, 2, 3])
    assert one(session, "/b", [0])[0]["fill"] == 0.0


def test_statistics_leave_missing_values_out() -> None:
    block = np.array([1.0, np.nan, 3.0])
    assert stats(block) == {"count": 3, "nan": 1, "min": 1.0, "max": 3.0, "mean": 2.0}
    delta = difference(block, np.array([np.nan, np.nan, 5.0]))
    assert delta is not None
    assert delta["max_abs"] == 2.0
    assert delta["changed"] == pytest.approx(2 / 3)
    assert difference(block, np.full(3, np.nan)) is None


def test_a_huge_chunk_is_looked_at_one_plane_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.arange(4 * 3 * 5).reshape(4, 3, 5)
    session = scratch(a={"shape": (4, 3, 5), "chunks": (4, 3, 5), "dtype": "i4", "data": data})
    whole = one(session, "/a", [0, 0, 0], [2, 0, 0])
    monkeypatch.setattr(pictures, "WHOLE_LIMIT", 10)
    held, images = one(session, "/a", [0, 0, 0], [2, 0, 0])
    assert held["partial"]
    np.testing.assert_array_equal(images[0], whole[1][0])
    assert held["sides"][0]["stats"]["count"] == 15
    assert whole[0]["sides"][0]["stats"]["count"] == 60


@pytest.mark.parametrize("chunk", [[9, 0, 0], [0, 0], [-1, 0, 0]])
def test_a_chunk_off_the_grid(chunk: list[int]) -> None:
    with pytest.raises(InvalidInputError, match="invalid chunk index"):
        one(climate().readonly_session("main"), "/SST", chunk)


def test_no_array_at_all() -> None:
    with pytest.raises(InvalidInputError, match="no array"):
        one(climate().readonly_session("main"), "/none", [0])


def test_missing_and_infinite_values_are_counted_not_averaged() -> None:
    before = np.array([1.0, np.nan, 3.0, np.inf, np.nan])
    after = np.array([np.nan, 2.0, 3.5, np.inf, np.nan])
    assert changed_counts(after, before) == {"values": 5, "unequal": 3, "gone": 1, "came": 1}
    result = difference(after, before)
    assert result is not None
    assert result["max_abs"] == 0.5
    assert result["changed"] == 3 / 5
    assert difference(np.full(3, np.nan), np.ones(3)) is None
