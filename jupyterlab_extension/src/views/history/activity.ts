/** How much every commit wrote, as bars beside the rows; asked only for rows that are looked at. */

import { h } from "../../core/dom";
import type { Host } from "../../core/host";
import type { Written } from "../../core/protocol";
import { byteSize, plural } from "../../core/text";
import { savedAt } from "../common/frame";

const BLOCK = 60;
const WAIT = 120;
/** How many commits a saved page has bars for. */
const SAVED = 100;

export class Activity {
  /** What the bars tell. */
  kind: "chunks" | "bytes" = "chunks";
  private readonly known = new Map<string, Written | null>();
  private readonly asked = new Set<string>();
  private waiting: string[] = [];
  private timer = 0;
  private readonly most = { chunks: 1, bytes: 1 };
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

  /** In a saved page: what was saved of the newest commits. */
  recall(newest: readonly { id: string }[]): void {
    if (!this.off) return;
    this.waiting = newest.slice(0, SAVED).map((row) => row.id);
    void this.ask();
  }

  private async ask(): Promise<void> {
    const ids = this.waiting;
    for (const id of ids) this.asked.add(id);
    try {
      const { result } = await this.host.request<Record<string, Written | null>>("activity", { ids }, { signal: this.signal });
      for (const id of ids) {
        const written = result[id];
        if (written === undefined) {
          if (Object.keys(result).length) this.asked.delete(id); // not looked at yet: asked for again while it is on screen
          continue;
        }
        this.known.set(id, written);
        if (!written) continue;
        this.most.chunks = Math.max(this.most.chunks, written.chunks);
        this.most.bytes = Math.max(this.most.bytes, written.bytes ?? 0);
      }
      this.changed();
    } catch {
      // Bars are an extra: the history is complete without them, and the next rows may do better.
    }
  }

  /** The bar of a commit: its length tells the order of magnitude. */
  bar(id: string): HTMLElement {
    const written = this.known.get(id);
    const box = h("span", { class: "icechunk-activity" });
    const amount = written?.[this.kind];
    if (!written || !amount) return box;
    const bytes = written.bytes === null ? "" : `, ${byteSize(written.bytes)}`;
    const told = `${plural(written.chunks, "chunk")}${bytes} written`;
    const fill = h("span", { class: "icechunk-activitybar", role: "img", "aria-label": told, title: told });
    fill.style.width = `${Math.max(6, (100 * Math.log1p(amount)) / Math.log1p(this.most[this.kind]))}%`;
    box.append(fill);
    return box;
  }
}
