/** The largest difference in each changed chunk on screen; requested a few chunks at a time. */

import { h, say } from "../../core/dom";
import { type Host, isSilent } from "../../core/host";
import { short } from "../../core/text";
import { savedAt } from "../common/frame";

/** Chunks per request: the kernel reads each of them twice. */
const BATCH = 32;
/** Milliseconds that the view rests before chunks are requested. */
const WAIT = 160;
/** Index of the state "changed". */
const CHANGED = 1;

interface Magnitude {
  equal: boolean | null;
  largest: number | null;
}

export interface HeatOptions {
  coords(flat: number): number[];
  state(flat: number): number;
  /** Further differences are known. */
  changed(): void;
  /** Called with chunks that were written again with equal values. */
  rewritten(flats: number[]): void;
}

export class HeatMap {
  readonly element = h("div", { class: "icechunk-heat", hidden: true });
  private readonly ends = [h("span", null, "0"), h("span")];
  private known = new Map<number, Magnitude>();
  private path = "";
  private most = 0;
  private timer = 0;
  private running: AbortController | null = null;

  constructor(
    private readonly host: Host,
    private readonly signal: AbortSignal,
    private readonly options: HeatOptions,
  ) {
    const ramp = h("span", { class: "icechunk-heatramp", "aria-hidden": "true" });
    this.element.append(h("span", { class: "icechunk-muted" }, "Largest difference"), this.ends[0]!, ramp, this.ends[1]!);
    signal.addEventListener("abort", () => this.stop(), { once: true });
  }

  private stop(): void {
    clearTimeout(this.timer);
    this.running?.abort();
    this.running = null;
  }

  /** Start again with another array; an empty path stops. */
  reset(path: string): void {
    this.stop();
    this.path = path;
    this.known = new Map();
    this.most = 0;
    this.element.hidden = true;
  }

  /** Request the chunks on screen, once the view rests. */
  look(flats: () => number[]): void {
    if (savedAt(this.host) || this.running || !this.path) return;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.ask(flats), WAIT);
  }

  private async ask(flats: () => number[]): Promise<void> {
    const wanted = flats()
      .filter((flat) => this.options.state(flat) === CHANGED && !this.known.has(flat))
      .slice(0, BATCH);
    if (!wanted.length || this.signal.aborted) return;
    const running = (this.running = new AbortController());
    const { path } = this;
    try {
      const { result } = await this.host.request<{ chunks: Magnitude[] }>(
        "magnitudes",
        { path, chunks: wanted.map((flat) => this.options.coords(flat)) },
        { signal: running.signal },
      );
      if (path !== this.path || this.signal.aborted) return;
      this.take(wanted, result.chunks);
    } catch (error) {
      // The map is correct without these colours; chunks that cannot be compared are not requested again.
      if (!isSilent(error)) for (const flat of wanted) this.known.set(flat, { equal: null, largest: null });
    } finally {
      if (this.running === running) this.running = null;
    }
    if (path === this.path && !this.signal.aborted) this.options.changed();
  }

  private take(flats: number[], found: Magnitude[]): void {
    const same: number[] = [];
    flats.forEach((flat, i) => {
      const one = found[i] ?? { equal: null, largest: null };
      this.known.set(flat, one);
      if (one.largest !== null && one.largest > this.most) this.most = one.largest;
      if (one.equal === true) same.push(flat);
    });
    this.element.hidden = this.most === 0;
    say(this.ends[1]!, short(this.most));
    if (same.length) this.options.rewritten(same);
  }

  strength(flat: number): number {
    const largest = this.known.get(flat)?.largest;
    return largest == null || this.most === 0 ? NaN : largest / this.most;
  }

  note(flat: number): string {
    const largest = this.known.get(flat)?.largest;
    return largest == null || largest === 0 ? "" : `, largest difference ${short(largest)}`;
  }
}
