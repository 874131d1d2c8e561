/** Buttons that select conflicting chunks of the array on screen. */

import { button, h, listen } from "../../core/dom";
import type { ChunkMapReply } from "../../core/protocol";
import type { ChunkGridView } from "../grid/chunkgrid";
import { RangePicker } from "./rangepicker";

export class SelectBar {
  readonly element: HTMLElement;
  private readonly slice = small("This slice", { title: "Select the conflicting chunks on screen" });
  private readonly ranges: RangePicker;

  /** @param grid the chunk grid, which is created after this bar */
  constructor(signal: AbortSignal, grid: () => ChunkGridView) {
    const title = "Select every conflicting chunk of this array (Ctrl+A)";
    const all = small("All", { testid: "icechunk-select-all", title });
    const invert = small("Invert");
    const none = small("None", { title: "Esc" });
    this.ranges = new RangePicker(signal, (low, high, how) => grid().selectBox(low, high, how));
    this.element = h(
      "div",
      { class: "icechunk-tools", role: "group", "aria-label": "Selection" },
      h("span", { class: "icechunk-muted" }, "Select"),
      all,
      this.slice,
      invert,
      none,
      this.ranges.element,
    );
    listen(all, "click", () => grid().selectAll(), signal);
    listen(this.slice, "click", () => grid().selectSlice(), signal);
    listen(invert, "click", () => grid().invert(), signal);
    listen(none, "click", () => grid().selectNone(), signal);
  }

  /** The grid still shows another array: nothing of it can be selected. */
  disable(): void {
    this.element.toggleAttribute("inert", true);
  }

  enable(map: ChunkMapReply): void {
    this.element.toggleAttribute("inert", false);
    this.ranges.show(map);
    this.slice.hidden = map.grid.length < 3;
  }
}

function small(label: string, props: Record<string, string> = {}): HTMLButtonElement {
  return button(label, { class: "icechunk-button icechunk-quiet icechunk-small", ...props });
}
