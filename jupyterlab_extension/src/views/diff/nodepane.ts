/** What changed in one node: its metadata, a map of its chunks, the values and the writers of one chunk. */

import { fill, h, say } from "../../core/dom";
import { bytesOf, type Host } from "../../core/host";
import type { ChunkMapReply, DiffNode } from "../../core/protocol";
import { type Frame } from "../common/frame";
import { mark, nodeDetail, pathText } from "../common/nodes";
import { DIFF_STATES, REWRITTEN } from "../common/states";
import { ChunkGridView } from "../grid/chunkgrid";
import { PreviewPanel } from "../grid/preview";
import { HeatMap } from "./heatmap";
import { MetadataTable } from "./metadatatable";
import { SizeMap } from "./sizemap";
import { Writers } from "./writers";

export class NodePane {
  readonly element: HTMLElement;
  private readonly heading = h("div", { class: "icechunk-nodehead" });
  private readonly note = h("div", { class: "icechunk-hint" });
  private readonly work: HTMLElement;
  private readonly preview: PreviewPanel;
  private readonly heat: HeatMap;
  private readonly sizes: SizeMap;
  private readonly writers: Writers;
  private readonly metadata: MetadataTable;
  private readonly grid: ChunkGridView;
  /** State of every chunk; the map may show the sizes in their place. */
  private changes = new Uint8Array(0);
  private path = "";
  private running: AbortController | null = null;

  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
  ) {
    const { signal } = frame;
    this.preview = new PreviewPanel(frame, host, {
      sides: [
        { side: "before", label: "before" },
        { side: "after", label: "after" },
      ],
      difference: [1, 0],
      differenceLabel: "after − before",
    });
    this.heat = this.makeHeatMap();
    this.sizes = this.makeSizeMap();
    this.writers = new Writers(host, signal);
    this.metadata = new MetadataTable(frame, host);
    this.grid = this.makeGrid();
    const parts = [this.grid.element, this.preview.element, this.writers.element];
    this.work = h("div", { class: "icechunk-work", hidden: true }, ...parts);
    this.element = h("div", { class: "icechunk-right" }, this.heading, this.note, this.metadata.element, this.work);
    signal.addEventListener("abort", () => this.running?.abort(), { once: true });
  }

  private makeHeatMap(): HeatMap {
    return new HeatMap(this.host, this.frame.signal, {
      coords: (flat) => this.grid.grid.coords(flat),
      state: (flat) => this.changes[flat]!,
      changed: () => this.grid.refresh(),
      rewritten: (flats) => {
        for (const flat of flats) this.changes[flat] = REWRITTEN;
        if (!this.sizes.on) this.grid.setStates(this.changes.slice());
      },
    });
  }

  private makeSizeMap(): SizeMap {
    return new SizeMap(this.host, this.frame.signal, {
      first: DIFF_STATES.length,
      show: (states) => {
        this.heat.element.classList.toggle("icechunk-off", states !== null);
        this.grid.setStates(states?.length === this.changes.length ? states : this.changes.slice());
      },
      failed: (error) => this.frame.fail(error),
    });
  }

  private makeGrid(): ChunkGridView {
    const { heat, sizes } = this;
    return new ChunkGridView(this.frame, {
      styles: [...DIFF_STATES, ...sizes.styles],
      wanted: (state) => state !== 0 && state !== REWRITTEN && state !== DIFF_STATES.length,
      tools: h("div", { class: "icechunk-maptools" }, sizes.element, heat.element),
      strength: (flat) => heat.strength(flat),
      note: (flat) => sizes.note(flat) || heat.note(flat),
      onView: (flats) => sizes.on || heat.look(flats),
      onCursor: (flat) => this.showChunk(flat),
    });
  }

  private showChunk(flat: number): void {
    const chunk = this.grid.grid.coords(flat);
    this.preview.show(this.path, chunk);
    this.writers.show(this.path, chunk);
  }

  /** Show a text where no node is selected. */
  showText(text: string): void {
    this.heading.replaceChildren();
    say(this.note, text);
    this.work.hidden = true;
  }

  loading(): void {
    say(this.note, "Loading…");
  }

  async show(node: DiffNode): Promise<void> {
    this.path = node.path;
    const detail = h("span", { class: "icechunk-nodedetail" }, nodeDetail(node));
    fill(this.heading, mark(node.change), pathText(node.path), detail);
    this.running?.abort();
    const running = (this.running = new AbortController());
    const chunks = node.type === "array" && node.chunks_changed > 0;
    const existed = node.change === "changed" || node.change === "moved";
    if (node.metadata_changed) void this.metadata.show(node.path, existed && !chunks);
    else this.metadata.clear();
    if (chunks) return this.showChunks(node, running);
    this.work.hidden = true;
    this.heat.reset("");
    this.preview.clear();
    this.writers.clear();
    say(this.note, explain(node));
  }

  private async showChunks(node: DiffNode, running: AbortController): Promise<void> {
    const { signal } = running;
    say(this.note, "");
    this.work.classList.add("icechunk-busy");
    try {
      const { result, buffers } = await this.host.request<ChunkMapReply>("chunk_map", { path: node.path }, { signal });
      if (signal.aborted || this.frame.signal.aborted) return;
      this.work.hidden = false;
      this.heat.reset(node.path);
      this.changes = bytesOf(buffers[0]);
      this.grid.show(result, this.changes.slice());
      this.sizes.reset(node.path);
      this.showChunk(this.grid.cursor);
    } catch (error) {
      this.work.hidden = true;
      this.frame.fail(error, () => void this.show(node));
    } finally {
      if (this.running === running) this.work.classList.remove("icechunk-busy");
    }
  }
}

function explain(node: DiffNode): string {
  const kind = node.type;
  switch (node.change) {
    case "added":
      return `This ${kind} is new${kind === "array" ? " and has no stored chunks" : ""}.`;
    case "removed":
      return `This ${kind} was removed${kind === "array" ? " and had no stored chunks" : ""}.`;
    case "moved":
      return node.metadata_changed
        ? `This ${kind} was moved and its metadata changed; its chunks are the same.`
        : `This ${kind} was moved; its content is the same.`;
    default:
      return `Only the metadata of this ${kind} changed; its chunks are the same.`;
  }
}
