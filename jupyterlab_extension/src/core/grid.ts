/** Geometry of an n-dimensional chunk grid shown as two axes with the others held fixed. */

import type { Runs } from "./runs";

/**
 * Which part of the grid is on screen. `y` and `x` are axis numbers (-1 where the grid has too few
 * axes: one axis is drawn as one row, none as a single cell); `fixed` has a position for every axis.
 */
export interface Slice {
  y: number;
  x: number;
  fixed: number[];
}

export interface Cell {
  row: number;
  col: number;
}

export class ChunkGrid {
  readonly size: number;
  readonly strides: number[];

  constructor(readonly grid: readonly number[]) {
    this.strides = new Array<number>(grid.length).fill(1);
    for (let axis = grid.length - 2; axis >= 0; axis--)
      this.strides[axis] = this.strides[axis + 1]! * grid[axis + 1]!;
    this.size = grid.reduce((product, n) => product * n, 1);
  }

  get ndim(): number {
    return this.grid.length;
  }

  coords(flat: number): number[] {
    return this.strides.map((stride, axis) => Math.floor(flat / stride) % this.grid[axis]!);
  }

  flat(coords: readonly number[]): number {
    return coords.reduce((sum, c, axis) => sum + c * this.strides[axis]!, 0);
  }

  /** The last two axes that have several chunks on screen, the others at the position of `flat`. */
  defaultSlice(flat = 0): Slice {
    const axes = this.grid.map((_, axis) => axis);
    const [x = -1, y = -1] = [
      ...axes.filter((axis) => this.grid[axis]! > 1).reverse(),
      ...axes.filter((axis) => this.grid[axis]! <= 1).reverse(),
    ];
    return { y: Math.min(x, y), x: Math.max(x, y), fixed: this.coords(flat) };
  }

  /** Axes that are held fixed and have more than one position. */
  fixedAxes(slice: Slice): number[] {
    const axes: number[] = [];
    for (let axis = 0; axis < this.ndim; axis++)
      if (axis !== slice.y && axis !== slice.x && this.grid[axis]! > 1) axes.push(axis);
    return axes;
  }

  rows(slice: Slice): number {
    return slice.y < 0 ? 1 : this.grid[slice.y]!;
  }

  cols(slice: Slice): number {
    return slice.x < 0 ? 1 : this.grid[slice.x]!;
  }

  cell(slice: Slice, row: number, col: number): number {
    let flat = 0;
    for (let axis = 0; axis < this.ndim; axis++) {
      const position = axis === slice.y ? row : axis === slice.x ? col : slice.fixed[axis]!;
      flat += position * this.strides[axis]!;
    }
    return flat;
  }

  /** Row and column of a chunk on screen, and whether it is in the slice shown. */
  locate(slice: Slice, flat: number): Cell & { inSlice: boolean } {
    const coords = this.coords(flat);
    const inSlice = coords.every(
      (c, axis) => axis === slice.y || axis === slice.x || c === slice.fixed[axis],
    );
    return {
      row: slice.y < 0 ? 0 : coords[slice.y]!,
      col: slice.x < 0 ? 0 : coords[slice.x]!,
      inSlice,
    };
  }

  /** The values of the slice, row-major. */
  slice(values: Uint8Array, slice: Slice): Uint8Array {
    const rows = this.rows(slice);
    const cols = this.cols(slice);
    const out = new Uint8Array(rows * cols);
    const origin = this.cell(slice, 0, 0);
    const dy = slice.y < 0 ? 0 : this.strides[slice.y]!;
    const dx = slice.x < 0 ? 0 : this.strides[slice.x]!;
    if (dx === 1) {
      for (let r = 0; r < rows; r++) {
        const start = origin + r * dy;
        out.set(values.subarray(start, start + cols), r * cols);
      }
      return out;
    }
    for (let r = 0, k = 0; r < rows; r++)
      for (let c = 0, i = origin + r * dy; c < cols; c++, i += dx) out[k++] = values[i] ?? 0;
    return out;
  }

  /** The same values with the rows in the opposite order, for axes that point upwards. */
  static flipped(values: Uint8Array, rows: number): Uint8Array {
    const cols = values.length / Math.max(1, rows);
    const out = new Uint8Array(values.length);
    for (let r = 0; r < rows; r++)
      out.set(values.subarray(r * cols, (r + 1) * cols), (rows - 1 - r) * cols);
    return out;
  }

  /** Runs of the chunks in a rectangle of cells (corners included), in this slice or in all. */
  rectangle(slice: Slice, a: Cell, b: Cell, everySlice = false): Runs {
    const low: number[] = [];
    const high: number[] = [];
    for (let axis = 0; axis < this.ndim; axis++) {
      if (axis === slice.y || axis === slice.x) {
        const [p, q] = axis === slice.y ? [a.row, b.row] : [a.col, b.col];
        low.push(Math.max(0, Math.min(p, q)));
        high.push(Math.min(this.grid[axis]!, Math.max(p, q) + 1));
      } else if (everySlice) {
        low.push(0);
        high.push(this.grid[axis]!);
      } else {
        low.push(slice.fixed[axis]!);
        high.push(slice.fixed[axis]! + 1);
      }
    }
    return this.box(low, high);
  }

  /** Runs of a box of chunks, half-open per axis. */
  box(low: readonly number[], high: readonly number[]): Runs {
    const n = this.ndim;
    if (n === 0) return this.size ? [0, 1] : [];
    if (low.some((from, axis) => high[axis]! <= from)) return [];
    // The axes after `inner` are covered completely, so one run covers the box from `inner` on.
    let inner = n - 1;
    while (inner > 0 && low[inner] === 0 && high[inner] === this.grid[inner]) inner--;
    const length = (high[inner]! - low[inner]!) * this.strides[inner]!;
    const runs: Runs = [];
    const at = low.slice();
    for (;;) {
      let start = 0;
      for (let axis = 0; axis < n; axis++) start += at[axis]! * this.strides[axis]!;
      const last = runs.length - 2;
      if (last >= 0 && runs[last]! + runs[last + 1]! === start) runs[last + 1]! += length;
      else runs.push(start, length);
      let axis = inner - 1;
      while (axis >= 0 && ++at[axis]! >= high[axis]!) {
        at[axis] = low[axis]!;
        axis--;
      }
      if (axis < 0) return runs;
    }
  }

  /** The number of chunks with a value that `wanted` accepts, for every position along `axis`. */
  profile(values: Uint8Array, axis: number, wanted: (value: number) => boolean): number[] {
    const n = this.grid[axis]!;
    const stride = this.strides[axis]!;
    const counts = new Array<number>(n).fill(0);
    const counted = Uint8Array.from({ length: 256 }, (_, value) => Number(wanted(value)));
    for (let at = 0, start = 0; start < values.length; at = (at + 1) % n, start += stride) {
      let sum = 0;
      for (let i = start; i < start + stride; i++) sum += counted[values[i]!]!;
      counts[at]! += sum;
    }
    return counts;
  }
}
