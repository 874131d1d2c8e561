/** How much every commit wrote, as bars beside the rows; asked only for rows that are looked at. */

import { h } from "../core/dom";
import type { Host } from "../core/host";
import { plural } from "../core/text";
import { savedAt } from "./frame";

const BLOCK = 60;
const WAIT = 120;

export class Activity {
  private readonly known = new Map<string, number | null>();
  private readonly asked = new Set<string>();
  private waiting: string[] = [];
  private timer = 0;
  private most = 1;
  private readonly off: boolean;

  constructor(
    private readonly host: Host,
    private readonly signal: AbortSignal,
    private readonly changed: () => void,
  ) {
    this.off = savedAt(host) !== "";
    signal.addEventListener("abort", () => clearTimeout(this.timer), { once: true });
  }

  /** Rows on screen; whoever scrolls past is not waited for. */
  want(ids: string[]): void {
    if (this.off) return;
    this.waiting = ids.filter((id) => !this.known.has(id) && !this.asked.has(id)).slice(0, BLOCK);
    clearTimeout(this.timer);
    if (this.waiting.length) this.timer = window.setTimeout(() => void this.ask(), WAIT);
  }

  private async ask(): Promise<void> {
    const ids = this.waiting;
    for (const id of ids) this.asked.add(id);
    try {
      const { result } = await this.host.request<Record<string, number | null>>("activity", { ids }, { signal: this.signal });
      for (const id of ids) {
        const chunks = result[id] ?? null;
        this.known.set(id, chunks);
        if (chunks !== null && chunks > this.most) this.most = chunks;
      }
      this.changed();
    } catch {
      // Bars are an extra: the history is complete without them, and the next rows may do better.
    }
  }

  /** The bar of a commit: its length tells the order of magnitude. */
  bar(id: string): HTMLElement {
    const chunks = this.known.get(id);
    const box = h("span", { class: "ick-activity" });
    if (!chunks) return box;
    const told = `${plural(chunks, "chunk")} written`;
    const fill = h("span", { class: "ick-activitybar", role: "img", "aria-label": told, title: told });
    fill.style.width = `${Math.max(6, (100 * Math.log1p(chunks)) / Math.log1p(this.most))}%`;
    box.append(fill);
    return box;
  }
}
