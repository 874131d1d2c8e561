/** Selects chunks by a range of elements along each dimension. */

import { button, fill, h, listen, say } from "../../core/dom";
import type { ChunkMapReply } from "../../core/protocol";
import { axisName, coordinate, plural } from "../../core/text";

type Pick = (low: number[], high: number[], how: "replace" | "add" | "remove") => number;

export class RangePicker {
  readonly element: HTMLDetailsElement;
  private readonly rows = h("div", { class: "icechunk-rangerows" });
  private readonly summary = h("span", { class: "icechunk-muted", role: "status" });
  private map: ChunkMapReply | null = null;

  constructor(
    signal: AbortSignal,
    private readonly pick: Pick,
  ) {
    const select = button("Select range", { class: "icechunk-button icechunk-small", testid: "icechunk-select-range" });
    const add = button("Add", { class: "icechunk-button icechunk-small icechunk-quiet", title: "Add to the selection" });
    const remove = button("Remove", { class: "icechunk-button icechunk-small icechunk-quiet", title: "Remove from the selection" });
    this.element = h(
      "details",
      { class: "icechunk-ranges", testid: "icechunk-ranges" },
      h("summary", null, "By range of a dimension"),
      this.rows,
      h("div", { class: "icechunk-moreline" }, select, add, remove, this.summary),
    );
    listen(select, "click", () => this.go("replace"), signal);
    listen(add, "click", () => this.go("add"), signal);
    listen(remove, "click", () => this.go("remove"), signal);
    listen(this.rows, "input", () => this.describe(), signal);
    listen(
      this.rows,
      "keydown",
      (event) => {
        if (event.key === "Tab") return;
        event.stopPropagation();
        if (event.key !== "Enter") return;
        event.preventDefault();
        this.go("replace");
      },
      signal,
    );
  }

  /** Show fields for an array; typed numbers stay while it is the same one. */
  show(map: ChunkMapReply): void {
    const same = this.map?.path === map.path && String(this.map.shape) === String(map.shape);
    this.map = map;
    this.element.hidden = !map.shape.length;
    if (same) return;
    say(this.summary, "");
    fill(
      this.rows,
      ...map.shape.map((size, axis) => {
        const name = axisName(map.dims, axis);
        const field = (end: "from" | "to"): HTMLInputElement =>
          h("input", {
            class: "icechunk-input icechunk-limit",
            type: "number",
            min: 0,
            max: size - 1,
            placeholder: end === "from" ? "0" : String(size - 1),
            "data-axis": axis,
            "data-end": end,
            "aria-label": `${name} ${end} element`,
          });
        return h(
          "div",
          { class: "icechunk-rangerow" },
          h("span", { class: "icechunk-rangename" }, name),
          field("from"),
          h("span", { "aria-hidden": "true" }, "…"),
          field("to"),
          h("output", { "data-covers": axis }),
        );
      }),
    );
    this.describe();
  }

  /** First and last element that were typed for an axis; null if the range is empty. */
  private ends(axis: number): [number, number] | null {
    const size = this.map!.shape[axis]!;
    const typed = (end: string, missing: number): number => {
      const input = this.rows.querySelector<HTMLInputElement>(`[data-axis="${axis}"][data-end="${end}"]`)!;
      return input.value === "" ? missing : Math.trunc(Number(input.value));
    };
    const [from, to] = [Math.max(0, typed("from", 0)), Math.min(size - 1, typed("to", size - 1))];
    return from <= to ? [from, to] : null;
  }

  private describe(): void {
    const { map } = this;
    if (!map) return;
    map.shape.forEach((size, axis) => {
      const output = this.rows.querySelector<HTMLElement>(`[data-covers="${axis}"]`)!;
      const ends = this.ends(axis);
      const label = map.labels[axis];
      if (!ends) return say(output, "nothing");
      const [from, to] = ends.map((at) => (label ? coordinate(label, at, size) : ""));
      const chunks = Math.floor(ends[1] / map.chunks[axis]!) - Math.floor(ends[0] / map.chunks[axis]!) + 1;
      say(output, `${plural(chunks, "chunk")}${from && to ? `, ${from} … ${to}` : ""}`);
    });
  }

  private go(how: "replace" | "add" | "remove"): void {
    const { map } = this;
    if (!map) return;
    const ends = map.shape.map((_, axis) => this.ends(axis));
    if (ends.some((range) => !range)) return say(this.summary, "A range ends before it starts");
    const low = ends.map((range, axis) => Math.floor(range![0] / map.chunks[axis]!));
    const high = ends.map((range, axis) => Math.floor(range![1] / map.chunks[axis]!) + 1);
    const count = this.pick(low, high, how);
    say(this.summary, count ? `${plural(count, "chunk")} selected` : "No conflicting chunk in this range");
  }
}
