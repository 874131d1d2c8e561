/** A map of the stored size of chunks; sizes come from the chunk references, no chunk is read. */

import { h, listen, say } from "../../core/dom";
import { floatsOf, type Host } from "../../core/host";
import type { SizesReply } from "../../core/protocol";
import { byteSize, plural } from "../../core/text";
import type { StateStyle } from "../common/states";

/** From the largest to the smallest. */
const COLOURS = ["#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725"];

export interface SizeMapOptions {
  /** Index of the first state that this map uses. */
  first: number;
  /** Show these states; null shows those of the comparison. */
  show(states: Uint8Array<ArrayBuffer> | null): void;
  failed(error: unknown): void;
}

export class SizeMap {
  /** Styles of its states: one for chunks that are not stored, then one per bin. */
  readonly styles: StateStyle[] = [
    { label: "not stored", letter: "", colour: null },
    ...COLOURS.map((colour, i) => ({ label: "", letter: String(COLOURS.length - i), colour })),
  ];
  readonly element: HTMLElement;
  private readonly choice = h(
    "select",
    { class: "icechunk-select icechunk-small", testid: "icechunk-mapkind", "aria-label": "What the map shows" },
    h("option", { value: "change" }, "what changed"),
    h("option", { value: "size" }, "stored size"),
  );
  private readonly summary = h("span", { class: "icechunk-muted", testid: "icechunk-sizes" });
  private sizes: Float32Array = new Float32Array(0);
  private path = "";
  private scope: AbortController | null = null;

  constructor(
    private readonly host: Host,
    signal: AbortSignal,
    private readonly options: SizeMapOptions,
  ) {
    this.element = h("div", { class: "icechunk-sizemap" }, h("label", { class: "icechunk-field" }, "Map of", this.choice), this.summary);
    listen(this.choice, "change", () => void this.turn(), signal);
    signal.addEventListener("abort", () => this.scope?.abort(), { once: true });
  }

  get on(): boolean {
    return this.choice.value === "size";
  }

  /** Take another array, or the same one after a change. */
  reset(path: string): void {
    this.path = path;
    this.sizes = new Float32Array(0);
    say(this.summary, "");
    if (this.on) void this.turn();
  }

  /** Size of a chunk as text; empty if the legend says it already or the map shows changes. */
  note(flat: number): string {
    const size = this.sizes[flat];
    const oneSize = !this.styles[COLOURS.length - 1]!.label;
    return !this.on || oneSize || size === undefined || Number.isNaN(size) ? "" : `, ${byteSize(size)}`;
  }

  private async turn(): Promise<void> {
    this.scope?.abort();
    const scope = (this.scope = new AbortController());
    if (!this.on) {
      say(this.summary, "");
      return this.options.show(null);
    }
    try {
      const { result, buffers } = await this.host.request<SizesReply>("sizes", { path: this.path }, { signal: scope.signal });
      if (scope.signal.aborted) return;
      this.sizes = floatsOf(buffers[0]);
      say(this.summary, `${plural(result.stored, "chunk")}, ${byteSize(result.total)} in ${result.label}`);
      this.options.show(this.binned(result));
    } catch (error) {
      if (scope.signal.aborted) return;
      this.choice.value = "change";
      this.options.failed(error);
    }
  }

  /** State of every chunk: bins of equal width on a logarithmic scale. */
  private binned({ smallest, largest }: SizesReply): Uint8Array<ArrayBuffer> {
    const { first } = this.options;
    const bins = smallest === largest ? 1 : COLOURS.length;
    const low = Math.log1p(smallest);
    const span = Math.log1p(largest) - low || 1;
    const edge = (bin: number): number => Math.expm1(low + (span * bin) / bins);
    for (let bin = 0; bin < COLOURS.length; bin++) {
      const style = this.styles[COLOURS.length - bin]!;
      if (bin >= bins) style.label = "";
      else style.label = bins === 1 ? byteSize(largest) : `${byteSize(edge(bin))} … ${byteSize(edge(bin + 1))}`;
    }
    return Uint8Array.from(this.sizes, (size) => {
      if (Number.isNaN(size)) return first;
      const bin = Math.min(bins - 1, Math.floor((bins * (Math.log1p(size) - low)) / span));
      return first + COLOURS.length - bin;
    });
  }
}
