"""Chunk maps and chunk values as PNG images in HTML without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icechunk_widgets.kernel.plain import plural
from icechunk_widgets.static_html.png import data_url

Colour = tuple[int, int, int]

DIFF_COLOURS: list[Colour] = [(226, 226, 226), (230, 159, 0), (0, 158, 115), (213, 94, 0)]
DIFF_NAMES = ["same", "changed", "added", "removed"]
RESOLVER_COLOURS: list[Colour] = [
    (226, 226, 226),
    (230, 159, 0),
    (0, 114, 178),
    (0, 158, 115),
    (204, 121, 167),
    (170, 205, 232),
    (165, 220, 200),
    (86, 180, 233),
    (240, 228, 66),
]
RESOLVER_NAMES = [
    "not in conflict",
    "undecided",
    "ours",
    "theirs",
    "base",
    "only ours",
    "only theirs",
    "merged, ours where both",
    "merged, theirs where both",
]

_GAP: Colour = (255, 255, 255)
_MISSING: Colour = (208, 208, 208)
_VIRIDIS = (
    "440154 481a6c 472f7d 414487 39568c 31688e 2a788e 23888e 1f988b 22a884 35b779 54c568 7ad151 "
    "a5db36 d2e21b fde725"
)
_DIVERGING = (
    "053061 1a4a7f 2a6cad 4292c3 74afd2 a5cde3 d1e5f0 f3f5f6 fbe6d9 f9c6aa f0a07d dd6f59 c43c3f "
    "a8172f 850a25 67001f"
)
_STEPS = 250
MOST_PANELS = 36
_WIDEST = 640
_FIGURE = "display:inline-block;margin:4px 12px 4px 0;vertical-align:top"


def _ramp(anchors: str) -> list[Colour]:
    """A colour map interpolated between anchors, then the colour of missing values."""
    points = np.array([[int(text[k : k + 2], 16) for k in (0, 2, 4)] for text in anchors.split()])
    at = np.linspace(0, len(points) - 1, _STEPS)
    channels = [np.interp(at, np.arange(len(points)), points[:, k]).round() for k in range(3)]
    rows = np.stack(channels, axis=1).astype(int).tolist()
    return [(red, green, blue) for red, green, blue in rows] + [_MISSING]


def legend(counts: Sequence[int], colours: list[Colour], names: list[str]) -> str:
    """The states that occur, each with its colour and number of chunks."""
    parts = [
        '<span style="white-space:nowrap;margin-right:12px">'
        f'<span style="color:rgb{colours[i]}">■</span> {escape(names[i])} {count}</span>'
        for i, count in enumerate(counts)
        if count
    ]
    return f"<div>{''.join(parts)}</div>"


def map_picture(
    cells: NDArray[np.uint8], held: dict[str, Any], colours: list[Colour], names: list[str]
) -> str:
    """A chunk map as an image with a legend; slices of the leading axes stand side by side.

    Parameters
    ----------
    cells : ndarray of uint8
        State of every chunk, row-major.
    held : dict
        Geometry, as `icechunk_widgets.diff.differences.geometry` makes it.
    colours, names : list
        Colours and names of the states.
    """
    grid = [int(count) for count in held["grid"]]
    height, width = ([1, 1, *grid])[-2:]
    slices = cells.reshape(-1, height, width)
    label = held["labels"][-2] if len(grid) > 1 else None
    if label is not None and label["up"]:
        slices = slices[:, ::-1]
    busy = np.flatnonzero(slices.reshape(len(slices), -1).any(axis=1))
    some = len(busy) or 1
    shown = slices[busy[:MOST_PANELS]] if len(busy) else slices[:1]
    words = ", ".join(
        f"{names[i]} {count}"
        for i, count in enumerate(np.bincount(cells, minlength=len(names)).tolist())
        if count
    )
    text = escape(f"{held['path']}: {words}", quote=True)
    pixels = _side_by_side([_thinned(panel) for panel in shown], len(colours))
    note = ""
    if len(slices) > 1:
        what = plural(len(shown), "slice")
        rest = f" of {some}" if some > len(shown) else ""
        axes = " × ".join(str(held["dims"][k] or f"axis {k}") for k in range(len(grid) - 2))
        note = f"<div>{escape(f'{what}{rest} along {axes} with changes')}</div>"
    image = f'<img src="{data_url(pixels, [*colours, _GAP], len(colours))}" alt="{text}">'
    counts = np.bincount(cells, minlength=len(names)).tolist()
    return (
        f"<div><div>Chunks of <code>{escape(held['path'])}</code></div>{image}"
        f"{note}{legend(counts, colours, names)}</div>"
    )


def _thinned(panel: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce to at most 400 x 400 cells; the highest state of merged cells is kept."""
    for axis in (0, 1):
        step = -(-panel.shape[axis] // 400)
        panel = np.maximum.reduceat(panel, np.arange(0, panel.shape[axis], step), axis=axis)
    return panel


def _side_by_side(panels: list[NDArray[np.uint8]], gap: int) -> NDArray[np.uint8]:
    """Panels in rows as wide as a page, with a line of colour `gap` between them."""
    height, width = panels[0].shape
    scale = max(1, min(14, 120 // max(height, width)))
    if len(panels) == 1:
        scale = max(1, min(20, 360 // max(height, width)))
    step_y, step_x = height * scale + 6, width * scale + 6
    across = max(1, min(len(panels), _WIDEST // step_x))
    down = -(-len(panels) // across)
    canvas = np.full((down * step_y, across * step_x), gap, np.uint8)
    for number, panel in enumerate(panels):
        y, x = number // across * step_y, number % across * step_x
        large = np.kron(panel, np.ones((scale, scale), np.uint8)).astype(np.uint8)
        if scale >= 6:  # lines between the chunks
            large[scale - 1 :: scale], large[:, scale - 1 :: scale] = gap, gap
        canvas[y : y + large.shape[0], x : x + large.shape[1]] = large
    return canvas


def chunk_pictures(reply: dict[str, Any], fields: Sequence[NDArray[np.float32]]) -> str:
    """The values of one chunk on every side, and the difference of the first two.

    Parameters
    ----------
    reply, fields
        As `icechunk_widgets.arrays.pictures.preview` returns them.
    """
    low, high = float(reply["vmin"]), float(reply["vmax"])
    ramp = _ramp(_VIRIDIS)
    figures = [
        _figure(_colours(field, low, high, reply["up"]), ramp, side["label"], _range(side["stats"]))
        for side, field in zip(reply["sides"], fields, strict=True)
    ]
    if len(fields) > 1 and reply["difference"]:
        delta = fields[1] - fields[0] if reply["sides"][0]["side"] == "before" else (
            fields[0] - fields[1]
        )  # fmt: skip
        reach = float(np.nanmax(np.abs(delta))) if not np.isnan(delta).all() else 0.0
        largest = f"at most {reply['difference']['max_abs']:.4g}"
        figures.append(
            _figure(
                _colours(delta, -reach, reach, reply["up"]),
                _ramp(_DIVERGING),
                "difference",
                largest,
            )
        )
    where = f"Values of chunk {reply['chunk']}, from {low:.4g} to {high:.4g}"
    return f"<div><div>{escape(where)}</div>{''.join(figures)}</div>"


def _colours(field: NDArray[np.float32], low: float, high: float, up: bool) -> NDArray[np.uint8]:
    span = high - low
    scaled = (field - low) / span if span > 0 else np.where(np.isnan(field), np.nan, 0.5)
    with np.errstate(invalid="ignore"):
        indices = np.where(np.isnan(field), _STEPS, np.clip(scaled, 0, 1) * (_STEPS - 1))
    seen = indices.round().astype(np.uint8)
    return seen[::-1] if up else seen


def _figure(pixels: NDArray[np.uint8], ramp: list[Colour], title: str, below: str) -> str:
    height, width = pixels.shape
    wide = 180
    tall = max(18, min(180, round(wide * height / width)))
    image = (
        f'<img src="{data_url(np.ascontiguousarray(pixels), ramp)}" width="{wide}" '
        f'height="{tall}" style="image-rendering:pixelated" '
        f'alt="{escape(f"{title}: {below}", quote=True)}">'
    )
    return (
        f'<div style="{_FIGURE}"><div><strong>{escape(title)}</strong></div>{image}'
        f"<div>{escape(below)}</div></div>"
    )


def _range(stats: dict[str, Any]) -> str:
    if stats["min"] is None:
        return "no data"
    missing = f", {stats['nan']} missing" if stats["nan"] else ""
    return f"mean {stats['mean']:.4g}, {stats['min']:.4g} … {stats['max']:.4g}{missing}"
