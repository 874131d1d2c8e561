/** The conflicts of a rebase, grouped by node, each with its number of undecided chunks. */

import { closest, fill, h, listen } from "../../core/dom";
import type { ConflictItem } from "../../core/protocol";
import { grouped, plural } from "../../core/text";
import { type Frame, uid } from "../common/frame";
import { pathText } from "../common/nodes";

export class ConflictList {
  readonly element: HTMLElement;
  private items: ConflictItem[] = [];
  private current: number | null = null;
  private readonly prefix = uid();
  private readonly list = h("div", {
    class: "icechunk-conflicts",
    role: "listbox",
    tabindex: 0,
    "aria-label": "Conflicts",
  });

  constructor(
    frame: Frame,
    private readonly choose: (item: ConflictItem) => void,
  ) {
    this.element = h("nav", { class: "icechunk-left", "aria-label": "Conflicts" }, this.list);
    listen(
      this.list,
      "click",
      (event) => {
        const row = closest(event, "[data-key]");
        const item = this.items.find((other) => String(other.key) === row?.dataset.key);
        if (item) this.choose(item);
      },
      frame.signal,
    );
    listen(this.list, "keydown", (event) => this.key(event), frame.signal);
  }

  show(items: ConflictItem[]): void {
    // A node may have several conflicts; they are listed together under its path.
    const groups = new Map<string, ConflictItem[]>();
    for (const item of items) {
      const group = groups.get(item.path);
      if (group) group.push(item);
      else groups.set(item.path, [item]);
    }
    this.items = [...groups.values()].flat();
    fill(
      this.list,
      ...[...groups].map(([path, group]) =>
        h(
          "div",
          { class: "icechunk-group", role: "group", "aria-label": path },
          h("div", { class: "icechunk-grouphead", "aria-hidden": "true" }, pathText(path)),
          ...group.map((item) => this.row(item)),
        ),
      ),
    );
  }

  private row(item: ConflictItem): HTMLElement {
    return h(
      "div",
      {
        class: "icechunk-option",
        role: "option",
        testid: "icechunk-conflict-item",
        id: `${this.prefix}-${item.key}`,
        "data-key": item.key,
        "data-path": item.path,
        "aria-selected": String(item.key === this.current),
      },
      h("span", { class: "icechunk-optiontext" }, h("span", { class: "icechunk-conflicttitle" }, item.title)),
      h("span", { class: "icechunk-left-count", "data-left": true }, ...leftText(item)),
    );
  }

  update(items: ConflictItem[]): void {
    for (const item of items) {
      const row = this.find(item.key);
      const left = row?.querySelector<HTMLElement>("[data-left]");
      if (left) fill(left, ...leftText(item));
      row?.classList.toggle("icechunk-done", item.undecided === 0);
    }
  }

  select(key: number): void {
    this.current = key;
    for (const row of this.list.querySelectorAll<HTMLElement>("[data-key]"))
      row.setAttribute("aria-selected", String(row.dataset.key === String(key)));
    const row = this.find(key);
    if (row) {
      this.list.setAttribute("aria-activedescendant", row.id);
      row.scrollIntoView?.({ block: "nearest" });
    }
    this.update(this.items);
  }

  /** Select the next undecided conflict; returns whether there is one. */
  next(): boolean {
    const at = this.items.findIndex((item) => item.key === this.current);
    const n = this.items.length;
    for (let k = 1; k <= n; k++) {
      const item = this.items[(at + k) % n]!;
      if (item.undecided > 0) {
        this.choose(item);
        return true;
      }
    }
    return false;
  }

  private find(key: number): HTMLElement | null {
    return this.list.querySelector<HTMLElement>(`[data-key="${Number(key)}"]`);
  }

  private key(event: KeyboardEvent): void {
    const at = this.items.findIndex((item) => item.key === this.current);
    const moves: Record<string, number> = {
      ArrowUp: at - 1,
      ArrowDown: at + 1,
      Home: 0,
      End: this.items.length - 1,
    };
    const to = moves[event.key];
    const item = to === undefined ? undefined : this.items[Math.max(0, Math.min(this.items.length - 1, to))];
    if (!item) return;
    event.preventDefault();
    event.stopPropagation();
    this.choose(item);
  }
}

function leftText(item: ConflictItem): (HTMLElement | string)[] {
  if (item.undecided > 0) {
    if (item.kind === "node") return [h("b", null, "undecided")];
    const sr = h("span", { class: "icechunk-sr" }, " undecided");
    return [h("b", null, `${grouped(item.undecided)} left`), ` of ${grouped(item.chunks)}`, sr];
  }
  const what = item.kind === "chunks" ? plural(item.chunks, "chunk") : (item.choice ?? "");
  return [h("span", { class: "icechunk-tick", "aria-hidden": "true" }, "✓ "), what, h("span", { class: "icechunk-sr" }, " decided")];
}
