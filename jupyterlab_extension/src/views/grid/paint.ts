/** Measures and paints one slice of a chunk grid. */

import { contrast, heatColour as heatOf, inkOn, pack, parseHex, type Rgb } from "../../core/colour";
import type { Cell } from "../../core/grid";
import { css, mixRgb, type Palette } from "../common/frame";
import type { StateStyle } from "../common/states";

export const MARGIN = { left: 46, right: 10, top: 8, bottom: 38 };

export interface Metrics {
  width: number;
  height: number;
  cellWidth: number;
  cellHeight: number;
  /** Upper left corner of cell (0, 0), in CSS pixels; outside the plot when zoomed in. */
  originX: number;
  originY: number;
  plotWidth: number;
  plotHeight: number;
}

/**
 * Fit `rows` x `cols` cells into the width.
 *
 * @param aspect width of a chunk over its height, in array elements
 * @param zoom 1 shows everything; more makes cells larger, with `centre` in the middle
 */
export function measure(
  rows: number,
  cols: number,
  aspect: number,
  width: number,
  maxHeight: number,
  zoom: number,
  centre: Cell,
): Metrics {
  const roomX = Math.max(60, width - MARGIN.left - MARGIN.right);
  const shape = Math.min(2.4, Math.max(0.6, aspect));
  let cw = Math.min(132, roomX / cols);
  let ch = Math.min(72, cw / shape, maxHeight / rows);
  cw = Math.min(cw, ch * shape);
  // In long thin grids cells stay large enough to click, even if that changes their shape.
  cw = Math.max(cw, Math.min(18, roomX / cols));
  ch = Math.max(ch, Math.min(18, maxHeight / rows));
  cw *= zoom;
  ch *= zoom;
  if (cw >= 4) cw = Math.floor(cw);
  if (ch >= 4) ch = Math.floor(ch);
  const plotWidth = Math.min(roomX, cw * cols);
  const plotHeight = Math.min(maxHeight, ch * rows);
  const shift = (size: number, cells: number, plot: number, at: number): number =>
    Math.round(Math.min(0, Math.max(plot - size * cells, plot / 2 - size * (at + 0.5))));
  return {
    width: Math.ceil(MARGIN.left + plotWidth + MARGIN.right),
    height: Math.ceil(MARGIN.top + plotHeight + MARGIN.bottom),
    cellWidth: cw,
    cellHeight: ch,
    originX: MARGIN.left + shift(cw, cols, plotWidth, centre.col),
    originY: MARGIN.top + shift(ch, rows, plotHeight, centre.row),
    plotWidth,
    plotHeight,
  };
}

/** The cell under a point, clamped to the grid. */
export function cellAt(m: Metrics, rows: number, cols: number, x: number, y: number): Cell {
  const clamp = (value: number, n: number): number => Math.max(0, Math.min(n - 1, Math.floor(value)));
  return {
    row: clamp((y - m.originY) / m.cellHeight, rows),
    col: clamp((x - m.originX) / m.cellWidth, cols),
  };
}

export function inPlot(m: Metrics, x: number, y: number): boolean {
  return (
    x >= MARGIN.left &&
    y >= MARGIN.top &&
    x < MARGIN.left + m.plotWidth &&
    y < MARGIN.top + m.plotHeight
  );
}

/** One slice as it is drawn: rows and cells count from the upper left corner of the screen. */
export interface Scene {
  metrics: Metrics;
  rows: number;
  cols: number;
  /** Row 0 of the array is the lowest: only the numbers beside the rows change. */
  up: boolean;
  /** State of every cell of the slice, row-major. */
  states: Uint8Array;
  selected: Uint8Array;
  styles: StateStyle[];
  /** How strongly a cell is coloured, 0 to 1; NaN for the plain colour of its state. */
  strength?: ((row: number, col: number) => number) | null;
  cursor: Cell | null;
  focused: boolean;
  drag: { a: Cell; b: Cell; remove: boolean } | null;
  xTitle: string;
  yTitle: string;
  /** Screen pixels per CSS pixel. */
  ratio: number;
}

export function paint(context: CanvasRenderingContext2D, scene: Scene, palette: Palette): void {
  const { metrics: m } = scene;
  context.clearRect(0, 0, m.width, m.height);
  paintAxes(context, scene, palette);
  context.save();
  context.beginPath();
  context.rect(MARGIN.left - 2, MARGIN.top - 2, m.plotWidth + 4, m.plotHeight + 4);
  context.clip();
  if (Math.min(m.cellWidth, m.cellHeight) >= 3) paintCells(context, scene, palette);
  else paintDots(context, scene, palette);
  paintOverlay(context, scene, palette);
  context.restore();
}

/** Rows and columns on screen, half-open. */
export function visible(m: Metrics, rows: number, cols: number): [number, number, number, number] {
  const r0 = Math.max(0, Math.floor((MARGIN.top - m.originY) / m.cellHeight));
  const c0 = Math.max(0, Math.floor((MARGIN.left - m.originX) / m.cellWidth));
  const r1 = Math.min(rows, Math.ceil((MARGIN.top + m.plotHeight - m.originY) / m.cellHeight));
  const c1 = Math.min(cols, Math.ceil((MARGIN.left + m.plotWidth - m.originX) / m.cellWidth));
  return [r0, r1, c0, c1];
}

function paintCells(context: CanvasRenderingContext2D, scene: Scene, palette: Palette): void {
  const { metrics: m, styles } = scene;
  const [r0, r1, c0, c1] = visible(m, scene.rows, scene.cols);
  const small = Math.min(m.cellWidth, m.cellHeight);
  const gap = small >= 12 ? 2 : small >= 6 ? 1 : 0;
  const letters = small >= 13;
  const size = Math.max(10, Math.min(15, Math.round(small * 0.5)));
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.font = `600 ${size}px system-ui, sans-serif`;
  const fills = styles.map((style) => cellFill(style, palette, small >= 9));
  for (let r = r0; r < r1; r++) {
    for (let c = c0; c < c1; c++) {
      const index = r * scene.cols + c;
      const state = scene.states[index]!;
      const style = styles[state] ?? styles[0]!;
      const x = m.originX + c * m.cellWidth;
      const y = m.originY + r * m.cellHeight;
      const w = m.cellWidth - gap;
      const hgt = m.cellHeight - gap;
      const strength = style.heat && scene.strength ? scene.strength(r, c) : NaN;
      const heat = Number.isNaN(strength) ? null : heatColour(strength, palette);
      context.fillStyle = heat ? css(heat) : (fills[state] ?? fills[0]!);
      context.fillRect(x, y, w, hgt);
      if (style.hatch && small >= 9) hatch(context, x, y, w, hgt, style.colour!);
      if (letters && style.letter) paintLetter(context, style, palette, x + w / 2, y + hgt / 2, size, heat);
      if (scene.selected[index]) {
        const t = small >= 12 ? 2.5 : 1.5;
        context.lineWidth = t;
        context.strokeStyle = palette.fg;
        context.strokeRect(x + t / 2, y + t / 2, w - t, hgt - t);
        if (small >= 12) {
          context.lineWidth = 1;
          context.strokeStyle = palette.bg;
          context.strokeRect(x + t + 0.5, y + t + 0.5, w - 2 * t - 1, hgt - 2 * t - 1);
        }
      }
    }
  }
}

/** Colour of a change: the larger it is, the higher the contrast to the page. */
function heatColour(strength: number, palette: Palette): Rgb {
  return heatOf(strength, palette.dark);
}

function cellFill(style: StateStyle, palette: Palette, patterned: boolean): string {
  if (style.colour === null) return palette.soft;
  const rgb = parseHex(style.colour);
  if (style.tint) return css(mixRgb(rgb, palette.bgRgb, palette.dark ? 0.3 : 0.2));
  if (style.hatch && patterned) return css(mixRgb(rgb, palette.bgRgb, palette.dark ? 0.42 : 0.38));
  return style.colour;
}

function paintLetter(
  context: CanvasRenderingContext2D,
  style: StateStyle,
  palette: Palette,
  x: number,
  y: number,
  size: number,
  heat: Rgb | null,
): void {
  if (heat) {
    const white = contrast(heat, [255, 255, 255]) >= contrast(heat, [0, 0, 0]);
    context.fillStyle = white ? "#ffffff" : "#000000";
  } else if (style.tint) {
    context.fillStyle = palette.muted;
  } else if (style.hatch) {
    const radius = size * 0.72;
    context.fillStyle = palette.bg;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
    context.fillStyle = palette.fg;
  } else {
    context.fillStyle = inkOn(style.colour!);
  }
  context.fillText(style.letter, x, y + 0.5);
}

function hatch(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  w: number,
  hgt: number,
  colour: string,
): void {
  context.save();
  context.beginPath();
  context.rect(x, y, w, hgt);
  context.clip();
  context.strokeStyle = colour;
  context.lineWidth = 1.6;
  context.beginPath();
  for (let d = -hgt; d < w; d += 6) {
    context.moveTo(x + d, y + hgt);
    context.lineTo(x + d + hgt, y);
  }
  context.stroke();
  context.restore();
}

/** Cells smaller than three pixels: every pixel shows the state with the highest rank among its cells. */
function paintDots(context: CanvasRenderingContext2D, scene: Scene, palette: Palette): void {
  const { metrics: m, ratio } = scene;
  const width = Math.max(1, Math.round(m.plotWidth * ratio));
  const height = Math.max(1, Math.round(m.plotHeight * ratio));
  // One number a pixel: rank, state, and whether any of its cells is selected.
  const rank = rankOf(scene.styles);
  const word = Uint16Array.from({ length: 256 }, (_, state) => ((rank[state] ?? 0) << 8) | state);
  const best = new Uint16Array(width * height);
  const picked = new Uint8Array(width * height);
  const [r0, r1, c0, c1] = visible(m, scene.rows, scene.cols);
  const columns = pixels(c0, c1, m.cellWidth * ratio, (m.originX - MARGIN.left) * ratio, width);
  const lines = pixels(r0, r1, m.cellHeight * ratio, (m.originY - MARGIN.top) * ratio, height);
  const { states, selected } = scene;
  for (let r = r0; r < r1; r++) {
    const y1 = lines.end[r - r0]!;
    for (let y = lines.start[r - r0]!; y < y1; y++) {
      const line = y * width;
      for (let c = c0, index = r * scene.cols + c0; c < c1; c++, index++) {
        const value = word[states[index]!]!;
        const taken = selected[index]!;
        const end = line + columns.end[c - c0]!;
        for (let p = line + columns.start[c - c0]!; p < end; p++) {
          if (value > best[p]!) best[p] = value;
          picked[p]! |= taken;
        }
      }
    }
  }
  const image = context.createImageData(width, height);
  const words = new Uint32Array(image.data.buffer);
  const plain = scene.styles.map((style) => {
    if (style.colour === null) return mixRgb(palette.fgRgb, palette.bgRgb, palette.dark ? 0.1 : 0.065);
    const rgb = parseHex(style.colour);
    return style.tint ? mixRgb(rgb, palette.bgRgb, 0.3) : rgb;
  });
  const words0 = plain.map((rgb) => pack(rgb));
  const words1 = plain.map((rgb) => pack(mixRgb(palette.fgRgb, rgb, 0.5)));
  for (let p = 0; p < words.length; p++) words[p] = (picked[p] ? words1 : words0)[best[p]! & 255]!;
  context.putImageData(image, Math.round(MARGIN.left * ratio), Math.round(MARGIN.top * ratio));
}

/** Pixels of cells along one axis, half-open; every cell has at least one. */
function pixels(
  first: number,
  last: number,
  size: number,
  origin: number,
  most: number,
): { start: Int32Array; end: Int32Array } {
  const start = new Int32Array(last - first);
  const end = new Int32Array(last - first);
  for (let k = 0; k < start.length; k++) {
    const from = Math.max(0, Math.floor(origin + (first + k) * size));
    start[k] = from;
    end[k] = Math.min(most, Math.max(from + 1, Math.floor(origin + (first + k + 1) * size)));
  }
  return { start, end };
}

/** Rank of every state: undecided and changed chunks come before unchanged ones. */
function rankOf(styles: StateStyle[]): number[] {
  return styles.map((style, i) =>
    style.colour === null ? 0 : style.tint ? 1 : 100 - i,
  );
}

function paintOverlay(context: CanvasRenderingContext2D, scene: Scene, palette: Palette): void {
  const { metrics: m } = scene;
  if (scene.cursor) {
    const x = m.originX + scene.cursor.col * m.cellWidth;
    const y = m.originY + scene.cursor.row * m.cellHeight;
    const grow = Math.min(m.cellWidth, m.cellHeight) < 8 ? 3 : 1;
    const w = m.cellWidth + 2 * grow - (m.cellWidth >= 12 ? 2 : 0);
    const hgt = m.cellHeight + 2 * grow - (m.cellHeight >= 12 ? 2 : 0);
    context.setLineDash([]);
    context.lineWidth = 4;
    context.strokeStyle = palette.bg;
    context.strokeRect(x - grow, y - grow, w, hgt);
    context.lineWidth = scene.focused ? 2.5 : 1.5;
    context.strokeStyle = scene.focused ? palette.accent : palette.muted;
    if (!scene.focused) context.setLineDash([3, 2]);
    context.strokeRect(x - grow, y - grow, w, hgt);
    context.setLineDash([]);
  }
  if (scene.drag) {
    const { a, b, remove } = scene.drag;
    const x = m.originX + Math.min(a.col, b.col) * m.cellWidth;
    const y = m.originY + Math.min(a.row, b.row) * m.cellHeight;
    const w = (Math.abs(a.col - b.col) + 1) * m.cellWidth;
    const hgt = (Math.abs(a.row - b.row) + 1) * m.cellHeight;
    context.globalAlpha = 0.16;
    context.fillStyle = remove ? palette.fg : palette.accent;
    context.fillRect(x, y, w, hgt);
    context.globalAlpha = 1;
    context.lineWidth = 1.5;
    context.strokeStyle = remove ? palette.fg : palette.accent;
    context.setLineDash([5, 3]);
    context.strokeRect(x, y, w, hgt);
    context.setLineDash([]);
  }
}

function paintAxes(context: CanvasRenderingContext2D, scene: Scene, palette: Palette): void {
  const { metrics: m } = scene;
  context.fillStyle = palette.muted;
  context.font = "11px system-ui, sans-serif";
  const [r0, r1, c0, c1] = visible(m, scene.rows, scene.cols);
  const inset = Math.min(m.cellWidth, m.cellHeight) >= 12 ? 1 : 0;
  context.textAlign = "center";
  context.textBaseline = "top";
  const xStep = stepFor(m.cellWidth, 26);
  for (let c = Math.ceil(c0 / xStep) * xStep; c < c1; c += xStep) {
    const x = m.originX + (c + 0.5) * m.cellWidth - inset;
    if (x >= MARGIN.left && x <= MARGIN.left + m.plotWidth)
      context.fillText(String(c), x, MARGIN.top + m.plotHeight + 4);
  }
  context.textAlign = "right";
  context.textBaseline = "middle";
  const yStep = stepFor(m.cellHeight, 16);
  const [first, end] = scene.up ? [scene.rows - r1, scene.rows - r0] : [r0, r1];
  for (let row = Math.ceil(first / yStep) * yStep; row < end; row += yStep) {
    const r = scene.up ? scene.rows - 1 - row : row;
    const y = m.originY + (r + 0.5) * m.cellHeight - inset;
    if (y >= MARGIN.top && y <= MARGIN.top + m.plotHeight)
      context.fillText(String(row), MARGIN.left - 6, y);
  }
  context.fillStyle = palette.fg;
  context.textAlign = "center";
  context.textBaseline = "bottom";
  fitText(context, scene.xTitle, MARGIN.left + m.plotWidth / 2, m.height - 3, m.width - 8);
  context.save();
  context.translate(3, MARGIN.top + m.plotHeight / 2);
  context.rotate(-Math.PI / 2);
  context.textBaseline = "top";
  fitText(context, scene.yTitle, 0, 0, m.plotHeight + 40);
  context.restore();
}

function fitText(context: CanvasRenderingContext2D, text: string, x: number, y: number, room: number): void {
  let shown = text;
  if (context.measureText(shown).width > room) {
    const short = text.split("  ")[0]!;
    shown = short;
    while (shown.length > 2 && context.measureText(`${shown}…`).width > room) shown = shown.slice(0, -1);
    if (shown !== short) shown += "…";
  }
  context.fillText(shown, x, y);
}

function stepFor(cell: number, room: number): number {
  for (let power = 1; ; power *= 10)
    for (const step of [1, 2, 5]) if (step * power * cell >= room) return step * power;
}
