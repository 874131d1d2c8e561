/** Controls for the two axes that a chunk grid shows and the positions along the others. */

import { fill, h, listen, s, say } from "../../core/dom";
import type { ChunkGrid, Slice } from "../../core/grid";
import type { ChunkMapReply } from "../../core/protocol";
import { axisName, coverage, grouped } from "../../core/text";
import { uid } from "../common/frame";

export interface AxisOptions {
  /** Offer rectangles that span all positions along the axes not shown. */
  rectangles: boolean;
  /** States that the bars above the sliders count. */
  wanted: (state: number) => boolean;
  onFixed(axis: number, position: number): void;
  onTurn(role: "y" | "x", axis: number): void;
}

/** Bars above a slider; longer axes share a bar between several positions. */
const MAX_BARS = 96;

export class AxisControls {
  readonly element = h("div", { class: "icechunk-axes" });
  everySlice = false;
  private map: ChunkMapReply | null = null;
  private grid: ChunkGrid | null = null;
  private slice: Slice | null = null;

  constructor(
    signal: AbortSignal,
    private readonly options: AxisOptions,
  ) {
    const { element } = this;
    listen(
      element,
      "input",
      (event) => {
        const input = event.target as HTMLInputElement;
        if (input.dataset.axis) options.onFixed(Number(input.dataset.axis), Number(input.value));
        if (input.dataset.every) this.everySlice = input.checked;
      },
      signal,
    );
    listen(
      element,
      "change",
      (event) => {
        const { role } = (event.target as HTMLElement).dataset;
        if (role === "y" || role === "x")
          options.onTurn(role, Number((event.target as HTMLSelectElement).value));
      },
      signal,
    );
    listen(
      element,
      "click",
      (event) => {
        const bar = (event.target as Element).closest<SVGElement>("[data-position]");
        if (bar) options.onFixed(Number(bar.dataset.strip), Number(bar.dataset.position));
      },
      signal,
    );
  }

  /** Controls for an array; `slice` is read again at every `sync`. */
  build(map: ChunkMapReply, grid: ChunkGrid, slice: Slice): void {
    Object.assign(this, { map, grid, slice });
    const fixed = grid.fixedAxes(slice);
    const parts: HTMLElement[] = [];
    if (grid.ndim > 2) {
      const picks = h(
        "div",
        { class: "icechunk-axispick" },
        this.choice("y", "Rows", map, slice),
        this.choice("x", "Columns", map, slice),
      );
      if (this.options.rectangles && fixed.length) {
        const names = fixed.map((axis) => axisName(map.dims, axis)).join(" and ");
        const box = h("input", { type: "checkbox", "data-every": 1, checked: this.everySlice });
        picks.append(h("label", { class: "icechunk-check" }, box, `Rectangle spans every ${names}`));
      }
      parts.push(picks);
    }
    for (const axis of fixed) parts.push(slider(map, grid, slice, axis));
    fill(this.element, ...parts);
    this.sync();
  }

  private choice(role: "y" | "x", label: string, map: ChunkMapReply, slice: Slice): HTMLElement {
    const select = h("select", { class: "icechunk-select", "data-role": role });
    map.grid.forEach((_, axis) =>
      select.append(
        h("option", { value: axis, selected: axis === slice[role] }, axisName(map.dims, axis)),
      ),
    );
    return h("label", { class: "icechunk-field" }, h("span", null, label), select);
  }

  /** Show the current positions. */
  sync(): void {
    const { map, grid, slice } = this;
    if (!map || !grid || !slice) return;
    for (const row of this.element.querySelectorAll<HTMLElement>("[data-slider]")) {
      const axis = Number(row.dataset.slider);
      const position = slice.fixed[axis]!;
      const count = `${position + 1}/${grid.grid[axis]}`;
      const name = `${axisName(map.dims, axis)} `;
      const text = coverage(map, axis, position);
      const input = row.querySelector("input")!;
      input.value = String(position);
      input.setAttribute("aria-valuetext", `${text}, ${position + 1} of ${grid.grid[axis]}`);
      const shown = text.startsWith(name) ? text.slice(name.length) : text;
      say(row.querySelector("output")!, `${shown} · ${count}`);
      for (const bar of row.querySelectorAll<SVGElement>("[data-position]")) {
        const [from, to] = [Number(bar.dataset.position), Number(bar.dataset.end)];
        bar.classList.toggle("icechunk-here", from <= position && position < to);
      }
    }
  }

  /** Draw above every slider the number of wanted chunks at each position. */
  strips(states: Uint8Array): void {
    const { map, grid } = this;
    if (!map || !grid) return;
    for (const strip of this.element.querySelectorAll<HTMLElement>("[data-stripof]")) {
      const axis = Number(strip.dataset.stripof);
      const counts = grid.profile(states, axis, this.options.wanted);
      const per = Math.ceil(counts.length / MAX_BARS);
      const sums = Array.from({ length: Math.ceil(counts.length / per) }, (_, b) =>
        counts.slice(b * per, (b + 1) * per).reduce((sum, n) => sum + n, 0),
      );
      const most = Math.max(1, ...sums);
      const svg = s("svg", { viewBox: `0 0 ${sums.length} 10`, preserveAspectRatio: "none" });
      sums.forEach((sum, b) => {
        const height = sum ? 2.2 + 7.8 * (sum / most) : 1;
        const place = { x: b + 0.08, y: 10 - height, width: 0.84, height };
        const span = { "data-strip": axis, "data-position": b * per, "data-end": (b + 1) * per };
        const title = s("title", null, `${coverage(map, axis, b * per)}: ${grouped(sum)}`);
        svg.append(s("rect", { ...place, ...span, class: sum ? "icechunk-bar" : "icechunk-bar icechunk-bar-none" }, title));
      });
      fill(strip, svg);
    }
    this.sync();
  }
}

function slider(map: ChunkMapReply, grid: ChunkGrid, slice: Slice, axis: number): HTMLElement {
  const id = uid();
  const range = h("input", {
    id,
    type: "range",
    min: 0,
    max: grid.grid[axis]! - 1,
    value: slice.fixed[axis]!,
    "data-axis": axis,
  });
  return h(
    "div",
    { class: "icechunk-slider", "data-slider": axis },
    h("label", { for: id }, axisName(map.dims, axis)),
    h(
      "div",
      { class: "icechunk-track" },
      h("div", { class: "icechunk-strip", "data-stripof": axis, "aria-hidden": "true" }),
      range,
    ),
    h("output", { for: id }),
  );
}
