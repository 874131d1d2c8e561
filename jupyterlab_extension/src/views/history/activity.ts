/** Bars beside the rows that show how much each commit wrote; requested for rows on screen only. */

import { h } from "../../core/dom";
import type { Host } from "../../core/host";
import type { Written } from "../../core/protocol";
import { byteSize, plural } from "../../core/text";
import { savedAt } from "../common/frame";

/** Commits per request. */
const BLOCK = 60;
/** Milliseconds that scrolling rests before rows are requested. */
const WAIT = 120;
/** Commits that a saved page has bars for. */
const SAVED = 100;

export class Activity {
  /** What the bars show. */
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

  /** Request rows on screen; rows that have left the screen meanwhile are skipped. */
  want(ids: string[]): void {
    if (this.off) return;
    this.waiting = ids.filter((id) => !this.known.has(id) && !this.asked.has(id)).slice(0, BLOCK);
    clearTimeout(this.timer);
    if (this.waiting.length) this.timer = window.setTimeout(() => void this.ask(), WAIT);
  }

  /** In a saved page, read what was saved for the newest commits. */
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
          if (Object.keys(result).length) this.asked.delete(id); // not computed yet: requested again while it is on screen
          continue;
        }
        this.known.set(id, written);
        if (!written) continue;
        this.most.chunks = Math.max(this.most.chunks, written.chunks);
        this.most.bytes = Math.max(this.most.bytes, written.bytes ?? 0);
      }
      this.changed();
    } catch {
      // The history works without bars, so an error is not shown; the next rows are requested again.
    }
  }

  /** The bar of a commit; its length is the logarithm of the amount. */
  bar(id: string): HTMLElement {
    const written = this.known.get(id);
    const box = h("span", { class: "icechunk-activity" });
    const amount = written?.[this.kind];
    if (!written || !amount) return box;
    const bytes = written.bytes === null ? "" : `, ${byteSize(written.bytes)}`;
    const text = `${plural(written.chunks, "chunk")}${bytes} written`;
    const fill = h("span", { class: "icechunk-activitybar", role: "img", "aria-label": text, title: text });
    fill.style.width = `${Math.max(6, (100 * Math.log1p(amount)) / Math.log1p(this.most[this.kind]))}%`;
    box.append(fill);
    return box;
  }
}
