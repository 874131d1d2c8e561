from __future__ import annotations

import struct
import zlib

import numpy as np

from icechunk_widgets.static_html.pictures import DIFF_COLOURS, DIFF_NAMES, map_picture
from icechunk_widgets.static_html.png import png
from icechunk_widgets.static_html.tables import graph_lines, table


def test_png_is_well_formed() -> None:
    image = np.arange(6, dtype=np.uint8).reshape(2, 3) % 3
    data = png(image, [(0, 0, 0), (255, 0, 0), (0, 255, 0)])
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, parts = 8, {}
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (check,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert check == zlib.crc32(name + body)
        parts[name] = body
        at += 12 + length
    assert list(parts) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert struct.unpack(">II", parts[b"IHDR"][:8]) == (3, 2)
    lines = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(2, 4)
    assert (lines[:, 1:] == image).all()


def test_tables_escape_and_stop() -> None:
    html = table(("<a>",), [("<script>",)] * 60)
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") == 50
    assert "and 10 more" in html


def test_maps_of_any_size_stay_small() -> None:
    for grid in ((), (1,), (3,), (2, 3), (12, 90, 180), (2000, 3000)):
        cells = np.zeros(int(np.prod(grid, dtype=np.int64)), np.uint8)
        cells[-1] = 1
        labels = [None] * len(grid)
        held = {"path": 'a "quoted" <path>', "grid": grid, "labels": labels, "dims": labels}
        html = map_picture(cells, held, DIFF_COLOURS, DIFF_NAMES)
        assert len(html) < 60_000
        assert "<path>" not in html
        assert "changed 1" in html


def test_maps_are_drawn_north_up() -> None:
    held = {"path": "/a", "grid": [2, 1], "dims": ["lat", "lon"]}
    cells = np.array([0, 1], np.uint8)
    north = map_picture(cells, {**held, "labels": [{"up": True}, None]}, DIFF_COLOURS, DIFF_NAMES)
    reversed_cells = map_picture(
        cells[::-1].copy(), {**held, "labels": [None, None]}, DIFF_COLOURS, DIFF_NAMES
    )
    assert north == reversed_cells


def test_the_first_branch_is_the_leftmost_line() -> None:
    commits = [
        {"id": "side", "parent": "a"},
        {"id": "tip", "parent": "a"},
        {"id": "a", "parent": "not listed"},
    ]
    assert graph_lines(commits, [{"id": "tip"}, {"id": "side"}]) == ["  ●", "● │", "●─╯"]
