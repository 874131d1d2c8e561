/** The chunk grid of one array on a canvas, with cursor, zoom and selection; used by diff and resolver. */

import { fill, h, listen } from "../../core/dom";
import { type Cell, ChunkGrid, type Slice } from "../../core/grid";
import type { ChunkMapReply } from "../../core/protocol";
import type { Runs } from "../../core/runs";
import { Selection } from "../../core/selection";
import { axisTitle, grouped } from "../../core/text";
import { AxisControls } from "./axes";
import { type Frame, onWidth, surface, uid } from "../common/frame";
import { cellAt, inPlot, measure, type Metrics, paint, visible } from "./paint";
import type { ChunkGridOptions } from "./options";
import { chunkText, legendItems } from "./text";

const MAX_HEIGHT = 340;

export class ChunkGridView {
  readonly element: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  map: ChunkMapReply | null = null;
  grid = new ChunkGrid([]);
  states = new Uint8Array(0);
  cursor = 0;
  private readonly selection = new Selection((state) => this.options.selectable?.(state) ?? false);
  private slice: Slice = { y: -1, x: -1, fixed: [] };
  private anchor: Cell = { row: 0, col: 0 };
  private zoom = 1;
  private centre: Cell = { row: 0, col: 0 };
  private metrics: Metrics | null = null;
  private drag: { a: Cell; b: Cell; moved: boolean; x: number; y: number } | null = null;
  private width = 520;
  private focused = false;
  private queued = false;
  private readonly axes: AxisControls;
  private readonly legend = h("div", { class: "icechunk-legend" });
  private readonly status = h("div", { class: "icechunk-gridstatus", "aria-live": "polite" });
  private readonly stage = h("div", { class: "icechunk-stage" });

  constructor(
    private readonly frame: Frame,
    private readonly options: ChunkGridOptions,
  ) {
    const help = uid();
    this.canvas = h("canvas", {
      class: "icechunk-canvas",
      testid: "icechunk-grid",
      tabindex: 0,
      role: "application",
      "aria-roledescription": "chunk grid",
      "aria-describedby": help,
    });
    this.stage.append(this.canvas);
    this.axes = new AxisControls(frame.signal, {
      rectangles: options.selectable !== undefined,
      wanted: options.wanted,
      onFixed: (axis, position) => this.setFixed(axis, position),
      onTurn: (role, axis) => this.turn(role, axis),
    });
    const keys = options.selectable
      ? "Arrow keys move, Space selects, Shift and arrows select a rectangle, Control A selects all, Page Up and Page Down change the slice, plus and minus zoom."
      : "Arrow keys move, Page Up and Page Down change the slice, N goes to the next changed chunk, plus and minus zoom.";
    this.element = h(
      "div",
      { class: "icechunk-chunkgrid" },
      this.stage,
      h(
        "div",
        { class: "icechunk-gridside" },
        this.axes.element,
        options.tools ?? null,
        this.status,
        this.legend,
        h("span", { class: "icechunk-sr", id: help }, keys),
      ),
    );
    this.listen(frame.signal);
    onWidth(this.stage, (width) => ((this.width = width || this.width), this.draw()), frame.signal);
    frame.onTheme(() => this.draw());
  }

  /** Show an array; the cursor and slice stay where they were when it is the same one. */
  show(map: ChunkMapReply, states: Uint8Array<ArrayBuffer>): void {
    const same =
      this.map?.path === map.path && String(this.map.grid) === String(map.grid) && this.grid.size > 0;
    this.map = map;
    this.states = states;
    this.canvas.setAttribute("aria-label", `Chunks of ${map.path}`);
    if (!same) {
      this.grid = new ChunkGrid(map.grid);
      this.selection.reset(this.grid.size);
      this.zoom = 1;
      const first = states.findIndex((state) => this.options.wanted(state));
      this.cursor = Math.max(0, first);
      this.slice = this.grid.defaultSlice(this.cursor);
      this.anchor = this.centre = this.grid.locate(this.slice, this.cursor);
    }
    this.axes.build(this.map!, this.grid, this.slice);
    this.changed();
    if (!same) this.options.onCursor(this.cursor);
  }

  /** New states for the array shown. */
  setStates(states: Uint8Array<ArrayBuffer>): void {
    this.states = states;
    this.changed();
  }

  /** Draw and describe again, because `strength` or `note` changed. */
  refresh(): void {
    this.draw();
    this.describe();
  }

  private changed(): void {
    this.selection.over(this.states);
    this.axes.strips(this.states);
    this.drawLegend();
    this.draw();
    this.describe();
  }

  // ---- selection ----------------------------------------------------------------------------

  private can(flat: number): boolean {
    return this.options.selectable?.(this.states[flat]!) ?? false;
  }

  private apply(runs: Runs, how: "replace" | "add" | "remove"): void {
    if (!this.options.selectable) return;
    this.selection.apply(runs, how);
    this.reselected();
  }

  private reselected(): void {
    this.draw();
    this.options.onSelect?.();
  }

  get selectedCount(): number {
    return this.selection.count;
  }

  selectAll(): void {
    this.apply([0, this.grid.size], "replace");
  }

  selectNone(): void {
    this.apply([], "replace");
  }

  selectSlice(): void {
    const end = { row: this.grid.rows(this.slice) - 1, col: this.grid.cols(this.slice) - 1 };
    this.apply(this.grid.rectangle(this.slice, { row: 0, col: 0 }, end), "replace");
  }

  /** Select the chunks of a box, half-open per axis; returns how many are selected now. */
  selectBox(low: number[], high: number[], how: "replace" | "add" | "remove"): number {
    this.apply(this.grid.box(low, high), how);
    return this.selectedCount;
  }

  invert(): void {
    this.selection.invert();
    this.reselected();
  }

  /** The number of chunks in `target`. */
  get targetCount(): number {
    return this.selectedCount || Number(this.grid.size > 0 && this.can(this.cursor));
  }

  /** The selected chunks, or the chunk at the cursor when nothing is selected. */
  target(): { runs: Runs; count: number; all: boolean } {
    if (this.selectedCount === 0)
      return this.grid.size && this.can(this.cursor)
        ? { runs: [this.cursor, 1], count: 1, all: false }
        : { runs: [], count: 0, all: false };
    return this.selection.target();
  }

  // ---- moving ---------------------------------------------------------------------------------

  /** Move the cursor, turning to its slice if another is on screen. */
  moveTo(flat: number, keepAnchor = false): void {
    if (flat < 0 || flat >= this.grid.size) return;
    const place = this.grid.locate(this.slice, flat);
    this.cursor = flat;
    if (!place.inSlice) {
      this.slice.fixed = this.grid.coords(flat);
      this.axes.sync();
    }
    if (!keepAnchor) this.anchor = place;
    this.centre = place;
    this.draw();
    this.describe();
    this.options.onCursor(flat);
  }

  /** Go to the next wanted chunk after the cursor, around the end; false when there is none. */
  next(step: 1 | -1 = 1): boolean {
    const n = this.grid.size;
    for (let k = 1; k <= n; k++) {
      const at = (this.cursor + step * k + n * 2) % n;
      if (this.options.wanted(this.states[at]!)) {
        this.moveTo(at);
        return true;
      }
    }
    return false;
  }

  private setFixed(axis: number, position: number): void {
    this.slice.fixed[axis] = Math.max(0, Math.min(this.grid.grid[axis]! - 1, position));
    const place = this.grid.locate(this.slice, this.cursor);
    this.axes.sync();
    this.moveTo(this.grid.cell(this.slice, place.row, place.col));
  }

  // ---- events ---------------------------------------------------------------------------------

  private listen(signal: AbortSignal): void {
    const { canvas } = this;
    listen(canvas, "keydown", (event) => this.key(event), signal);
    listen(canvas, "focus", () => ((this.focused = true), this.draw()), signal);
    listen(canvas, "blur", () => ((this.focused = false), this.draw()), signal);
    listen(canvas, "pointerdown", (event) => this.down(event), signal);
    listen(canvas, "pointermove", (event) => this.move(event), signal);
    listen(canvas, "pointerup", (event) => this.up(event), signal);
    listen(canvas, "pointercancel", () => ((this.drag = null), this.draw()), signal);
    listen(canvas, "pointerleave", () => this.drag || this.describe(), signal);
    canvas.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        this.setZoom(event.deltaY < 0 ? this.zoom * 1.5 : this.zoom / 1.5);
      },
      { signal, passive: false },
    );
  }

  private point(event: MouseEvent): [number, number] {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  private at(x: number, y: number): Cell {
    const rows = this.grid.rows(this.slice);
    return this.onScreen(cellAt(this.metrics!, rows, this.grid.cols(this.slice), x, y));
  }

  /** Whether the rows' coordinate grows upwards (latitude, height): row 0 is then at the bottom. */
  private get upward(): boolean {
    return this.map?.labels[this.slice.y]?.up === true;
  }

  /** From a cell of the array to where it is drawn, and back. */
  private onScreen({ row, col }: Cell): Cell {
    return { row: this.upward ? this.grid.rows(this.slice) - 1 - row : row, col };
  }

  private down(event: PointerEvent): void {
    if (event.button !== 0 || !this.metrics || !this.grid.size) return;
    const [x, y] = this.point(event);
    if (!inPlot(this.metrics, x, y)) return;
    this.canvas.focus({ preventScroll: true });
    event.preventDefault();
    event.stopPropagation();
    this.canvas.setPointerCapture?.(event.pointerId);
    const cell = this.at(x, y);
    this.drag = { a: cell, b: cell, moved: false, x, y };
  }

  private move(event: PointerEvent): void {
    if (!this.metrics || !this.grid.size) return;
    const [x, y] = this.point(event);
    if (!this.drag) {
      if (inPlot(this.metrics, x, y)) {
        const { row, col } = this.at(x, y);
        this.describe(this.grid.cell(this.slice, row, col));
      } else this.describe();
      return;
    }
    if (Math.hypot(x - this.drag.x, y - this.drag.y) > 3) this.drag.moved = true;
    this.drag.b = this.at(x, y);
    this.draw(event.altKey);
  }

  private up(event: PointerEvent): void {
    const drag = this.drag;
    if (!drag) return;
    event.stopPropagation();
    this.drag = null;
    const moved = drag.moved && (drag.a.row !== drag.b.row || drag.a.col !== drag.b.col);
    const flat = this.grid.cell(this.slice, drag.b.row, drag.b.col);
    this.moveTo(flat, event.shiftKey);
    const every = moved && this.axes.everySlice;
    const runs = this.grid.rectangle(this.slice, drag.a, drag.b, every);
    if (event.altKey) this.apply(runs, "remove");
    else if (event.shiftKey) this.apply(runs, "add");
    else if ((event.ctrlKey || event.metaKey) && !moved)
      this.apply(runs, this.selection.mask[flat] ? "remove" : "add");
    else this.apply(runs, "replace");
    if (moved) this.frame.announce(`${grouped(this.selectedCount)} chunks selected`);
  }

  private key(event: KeyboardEvent): void {
    if (!this.grid.size || event.key === "Tab") return;
    // Front ends bind single letters to commands; keys typed here must not reach them.
    event.stopPropagation();
    if (this.gridKey(event) || this.options.onKey?.(event)) event.preventDefault();
  }

  private gridKey(event: KeyboardEvent): boolean {
    const { key } = event;
    const command = event.ctrlKey || event.metaKey;
    const rows = this.grid.rows(this.slice);
    const cols = this.grid.cols(this.slice);
    const place = this.grid.locate(this.slice, this.cursor);
    const go = (row: number, col: number): true => {
      const target = {
        row: Math.max(0, Math.min(rows - 1, row)),
        col: Math.max(0, Math.min(cols - 1, col)),
      };
      this.moveTo(this.grid.cell(this.slice, target.row, target.col), event.shiftKey);
      if (event.shiftKey) this.apply(this.grid.rectangle(this.slice, this.anchor, target), "replace");
      return true;
    };
    if (command && key.toLowerCase() === "a") return this.selectAll(), true;
    if (command || event.altKey) return false;
    const down = this.upward ? -1 : 1;
    switch (key) {
      case "ArrowUp":
        return go(place.row - down, place.col);
      case "ArrowDown":
        return go(place.row + down, place.col);
      case "ArrowLeft":
        return go(place.row, place.col - 1);
      case "ArrowRight":
        return go(place.row, place.col + 1);
      case "Home":
        return go(place.row, 0);
      case "End":
        return go(place.row, cols - 1);
      case "PageUp":
      case "PageDown": {
        const axis = this.grid.fixedAxes(this.slice)[0];
        if (axis !== undefined)
          this.setFixed(axis, this.slice.fixed[axis]! + (key === "PageDown" ? 1 : -1));
        return true;
      }
      case " ":
        this.apply([this.cursor, 1], this.selection.mask[this.cursor] ? "remove" : "add");
        return true;
      case "Escape":
        this.selectNone();
        return true;
      case "n":
      case "N":
        this.next(key === "N" ? -1 : 1);
        return true;
      case "+":
      case "=":
        return this.setZoom(this.zoom * 1.5), true;
      case "-":
        return this.setZoom(this.zoom / 1.5), true;
      case "0":
        return this.setZoom(1), true;
      default:
        return false;
    }
  }

  private setZoom(zoom: number): void {
    this.zoom = Math.max(1, Math.min(64, zoom));
    this.centre = this.grid.locate(this.slice, this.cursor);
    this.draw();
  }

  /** Show another axis as rows or columns; if it is shown already, the two are swapped. */
  private turn(role: "y" | "x", axis: number): void {
    const other = role === "y" ? "x" : "y";
    if (this.slice[other] === axis) this.slice[other] = this.slice[role];
    this.slice[role] = axis;
    this.slice.fixed = this.grid.coords(this.cursor);
    this.zoom = 1;
    this.anchor = this.centre = this.grid.locate(this.slice, this.cursor);
    this.axes.build(this.map!, this.grid, this.slice);
    this.changed();
  }

  private drawLegend(): void {
    fill(this.legend, ...legendItems(this.options.styles, this.states));
  }

  // ---- drawing ----------------------------------------------------------------------------------

  private describe(flat = this.cursor): void {
    if (!this.map || !this.grid.size) return this.status.replaceChildren();
    const label = this.options.styles[this.states[flat]!]?.label ?? "";
    const more = this.options.note?.(flat) ?? "";
    const { title, state, where } = chunkText(this.map, this.grid.coords(flat), label + more);
    // Unchanged text is not set again, so that screen readers do not repeat it.
    if (this.status.dataset.text === title + state + where) return;
    this.status.dataset.text = title + state + where;
    fill(this.status, h("div", null, h("b", null, title), state), h("div", { class: "icechunk-where" }, where));
  }

  private removing = false;

  private draw(removing = false): void {
    this.removing = removing;
    this.layout();
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() => {
      this.queued = false;
      if (!this.frame.signal.aborted) this.render();
    });
  }

  private layout(): void {
    if (!this.map) return;
    const { slice, map } = this;
    const aspect = slice.y < 0 || slice.x < 0 ? 1.4 : map.chunks[slice.x]! / map.chunks[slice.y]!;
    const rows = this.grid.rows(slice);
    const cols = this.grid.cols(slice);
    const centre = this.onScreen(this.centre);
    const m = measure(rows, cols, aspect, this.width, MAX_HEIGHT, this.zoom, centre);
    this.metrics = m;
    // The middle of cell (r, c) is at origin + (r + 0.5, c + 0.5) * size; upwards the height is
    // negative, and the origin below row 0.
    const up = this.upward;
    Object.assign(this.canvas.dataset, {
      gridRows: String(rows),
      gridCols: String(cols),
      cellWidth: String(m.cellWidth),
      cellHeight: String(up ? -m.cellHeight : m.cellHeight),
      originX: String(m.originX),
      originY: String(up ? m.originY + rows * m.cellHeight : m.originY),
      flipY: String(up),
    });
  }

  private render(): void {
    const m = this.metrics;
    if (!m || !this.map) return;
    this.options.onView?.(() => this.onView());
    const drawn = surface(this.canvas, m.width, m.height);
    if (!drawn) return;
    const { slice } = this;
    const up = this.upward;
    const rows = this.grid.rows(slice);
    const cut = (values: Uint8Array): Uint8Array => {
      const held = this.grid.slice(values, slice);
      return up ? ChunkGrid.flipped(held, rows) : held;
    };
    const place = this.grid.locate(slice, this.cursor);
    const { drag } = this;
    paint(
      drawn.context,
      {
        metrics: m,
        rows,
        cols: this.grid.cols(slice),
        up,
        states: cut(this.states),
        strength: this.options.strength ? (row, col) => this.options.strength!(this.flatAt(row, col)) : null,
        selected: cut(this.selection.mask),
        styles: this.options.styles,
        cursor: this.grid.size && place.inSlice ? this.onScreen(place) : null,
        focused: this.focused,
        drag: drag?.moved
          ? { a: this.onScreen(drag.a), b: this.onScreen(drag.b), remove: this.removing }
          : null,
        xTitle: axisTitle(this.map, slice.x),
        yTitle: axisTitle(this.map, slice.y),
        ratio: drawn.ratio,
      },
      this.frame.palette(),
    );
  }

  /** The chunk drawn in a row and a column of the screen. */
  private flatAt(row: number, col: number): number {
    const cell = this.onScreen({ row, col });
    return this.grid.cell(this.slice, cell.row, cell.col);
  }

  private onView(): number[] {
    const rows = this.grid.rows(this.slice);
    const [r0, r1, c0, c1] = visible(this.metrics!, rows, this.grid.cols(this.slice));
    const flats: number[] = [];
    for (let r = r0; r < r1; r++) for (let c = c0; c < c1; c++) flats.push(this.flatAt(r, c));
    return flats;
  }
}
