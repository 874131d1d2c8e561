/** What differs between two states of a repository: nodes, chunks, values. */

import { closest, fill, h, listen, say } from "../core/dom";
import { bytesOf, type Host } from "../core/host";
import type { ChunkMapReply, DiffNode, DiffReply, NodeChange } from "../core/protocol";
import { grouped, plural } from "../core/text";
import { ChunkGridView } from "./chunkgrid";
import { createFrame, type Dispose, uid } from "./frame";
import { CHANGES, mark, nodeDetail, pathText, share, summaryText } from "./nodes";
import { PreviewPanel } from "./preview";
import { HeatMap } from "./heatmap";
import { MetadataTable } from "./metadatatable";
import { SizeMap } from "./sizemap";
import { DIFF_STATES, REWRITTEN } from "./states";
import { watch } from "./watch";
import { Writers } from "./writers";

const MOST = 500;

export function mount(el: HTMLElement, host: Host): Dispose {
  const frame = createFrame(el, host, {
    name: "diff",
    testid: "icechunk-diff",
    label: String(host.get("title") || "Differences"),
  });
  const { signal } = frame;
  const prefix = uid();
  let reply: DiffReply | null = null;
  let shown: DiffNode[] = [];
  let path = "";
  let hidden = new Set<NodeChange>();
  let scope: AbortController | null = null;
  let quiet = false;

  const title = h("h2", { class: "icechunk-heading" });
  const between = h("span", { class: "icechunk-between" });
  const counts = h("span", { class: "icechunk-counts" });
  const filters = h("div", { class: "icechunk-filters", role: "group", "aria-label": "Show" });
  const list = h("div", {
    class: "icechunk-nodelist",
    role: "listbox",
    tabindex: 0,
    "aria-label": "Changed nodes",
  });
  const heading = h("div", { class: "icechunk-nodehead" });
  const note = h("div", { class: "icechunk-hint" });
  const preview = new PreviewPanel(frame, host, {
    sides: [
      { side: "before", label: "before" },
      { side: "after", label: "after" },
    ],
    difference: [1, 0],
    differenceLabel: "after − before",
  });
  const heat: HeatMap = new HeatMap(host, signal, {
    coords: (flat) => grid.grid.coords(flat),
    state: (flat) => changes[flat]!,
    changed: () => grid.refresh(),
    rewritten(flats) {
      for (const flat of flats) changes[flat] = REWRITTEN;
      if (!sizes.on) grid.setStates(changes.slice());
    },
  });
  let changes = new Uint8Array(0);
  const sizes: SizeMap = new SizeMap(host, signal, {
    first: DIFF_STATES.length,
    show(states) {
      heat.element.classList.toggle("icechunk-off", states !== null);
      grid.setStates(states?.length === changes.length ? states : changes.slice());
    },
    failed: (error) => frame.fail(error),
  });
  const writers = new Writers(host, signal);
  const metadata = new MetadataTable(frame, host);
  const grid: ChunkGridView = new ChunkGridView(frame, {
    styles: [...DIFF_STATES, ...sizes.styles],
    wanted: (state) => state !== 0 && state !== REWRITTEN && state !== DIFF_STATES.length,
    tools: h("div", { class: "icechunk-maptools" }, sizes.element, heat.element),
    strength: (flat) => heat.strength(flat),
    note: (flat) => sizes.note(flat) || heat.note(flat),
    onView: (flats) => sizes.on || heat.look(flats),
    onCursor: look,
  });
  const work = h("div", { class: "icechunk-work", hidden: true }, grid.element, preview.element, writers.element);

  function look(flat: number): void {
    const chunk = grid.grid.coords(flat);
    preview.show(path, chunk);
    writers.show(path, chunk);
  }
  fill(
    frame.body,
    h("header", { class: "icechunk-head" }, title, between, h("span", { class: "icechunk-grow" }), counts),
    h(
      "div",
      { class: "icechunk-difsplit" },
      h("div", { class: "icechunk-left" }, filters, list),
      h("div", { class: "icechunk-right" }, heading, note, metadata.element, work),
    ),
  );

  async function load(): Promise<void> {
    try {
      const answer = await host.request<DiffReply>("diff");
      if (signal.aborted) return;
      reply = answer.result;
      frame.clearError();
      present(reply);
    } catch (error) {
      frame.fail(error, () => void load());
    }
  }

  function present(state: DiffReply): void {
    say(title, String(host.get("title") || "Differences"));
    fill(
      between,
      h("span", { class: "icechunk-state", title: state.a.id }, state.a.label),
      h("span", { "aria-hidden": "true" }, " → "),
      h("span", { class: "icechunk-sr" }, " to "),
      h("span", { class: "icechunk-state", title: state.b.id }, state.b.label),
    );
    say(counts, summaryText(state.counts));
    const present = CHANGES.filter((change) => state.nodes.some((node) => node.change === change));
    fill(
      filters,
      ...(present.length > 1
        ? present.map((change) =>
            h(
              "button",
              {
                type: "button",
                class: "icechunk-chip",
                "data-change": change,
                "aria-pressed": String(!hidden.has(change)),
              },
              mark(change),
              `${change} `,
              h("b", null, grouped(state.counts[change])),
            ),
          )
        : []),
    );
    listNodes(state);
    const wanted = path || String(host.get("selected_path") || "");
    const start =
      shown.find((node) => node.path === wanted) ??
      mostChanged(shown) ??
      shown[0];
    if (start) select(start, true);
    else {
      heading.replaceChildren();
      say(note, state.nodes.length ? "Everything is filtered out." : "The two states are the same.");
      work.hidden = true;
    }
  }

  function listNodes(state: DiffReply): void {
    shown = state.nodes
      .filter((node) => !hidden.has(node.change))
      .sort((a, b) => (a.path < b.path ? -1 : 1));
    fill(
      list,
      ...shown.slice(0, MOST).map((node, i) =>
        h(
          "div",
          {
            class: "icechunk-option",
            role: "option",
            id: `${prefix}-${i}`,
            testid: "icechunk-diff-node",
            "data-path": node.path,
            "aria-selected": String(node.path === path),
          },
          mark(node.change),
          h(
            "span",
            { class: "icechunk-optiontext" },
            pathText(node.path),
            h("span", { class: "icechunk-nodedetail" }, nodeDetail(node) || node.type),
          ),
          share(node),
        ),
      ),
      shown.length > MOST
        ? h("div", { class: "icechunk-hint" }, `and ${grouped(shown.length - MOST)} more`)
        : null,
    );
  }

  function select(node: DiffNode, fresh = false): void {
    const changed = fresh || node.path !== path;
    path = node.path;
    shown.forEach((other, i) => {
      const option = list.children[i];
      if (!(option instanceof HTMLElement) || !option.id) return;
      option.setAttribute("aria-selected", String(other.path === path));
      if (other.path === path) {
        list.setAttribute("aria-activedescendant", option.id);
        option.scrollIntoView?.({ block: "nearest" });
      }
    });
    if (!changed) return;
    if (host.get("selected_path") !== path) {
      quiet = true;
      host.set("selected_path", path);
      quiet = false;
    }
    fill(
      heading,
      mark(node.change),
      pathText(node.path),
      h("span", { class: "icechunk-nodedetail" }, nodeDetail(node)),
    );
    void showNode(node);
  }

  async function showNode(node: DiffNode): Promise<void> {
    scope?.abort();
    const running = (scope = new AbortController());
    const chunks = node.type === "array" && node.chunks_changed > 0;
    const written = node.change === "changed" || node.change === "moved";
    if (node.metadata_changed) void metadata.show(node.path, written && !chunks);
    else metadata.clear();
    if (!chunks) {
      work.hidden = true;
      heat.reset("");
      preview.clear();
      writers.clear();
      say(note, explain(node));
      return;
    }
    say(note, "");
    work.classList.add("icechunk-busy");
    try {
      const { result, buffers } = await host.request<ChunkMapReply>(
        "chunk_map",
        { path: node.path },
        { signal: running.signal },
      );
      if (running.signal.aborted || signal.aborted) return;
      work.hidden = false;
      heat.reset(node.path);
      changes = bytesOf(buffers[0]);
      grid.show(result, changes.slice());
      sizes.reset(node.path);
      look(grid.cursor);
    } catch (error) {
      work.hidden = true;
      frame.fail(error, () => void showNode(node));
    } finally {
      if (scope === running) work.classList.remove("icechunk-busy");
    }
  }

  listen(
    list,
    "click",
    (event) => {
      const option = closest(event, "[data-path]");
      const node = shown.find((other) => other.path === option?.dataset.path);
      if (node) select(node);
    },
    signal,
  );
  listen(
    list,
    "keydown",
    (event) => {
      if (event.key === "Tab") return;
      event.stopPropagation();
      const at = shown.findIndex((node) => node.path === path);
      const moves: Record<string, number> = {
        ArrowUp: at - 1,
        ArrowDown: at + 1,
        Home: 0,
        End: shown.length - 1,
      };
      const to = moves[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const node = shown[Math.max(0, Math.min(shown.length - 1, to))];
      if (node) select(node);
    },
    signal,
  );
  listen(
    filters,
    "click",
    (event) => {
      const chip = closest(event, "[data-change]");
      if (!chip || !reply) return;
      const change = chip.dataset.change as NodeChange;
      hidden = new Set(hidden);
      if (!hidden.delete(change)) hidden.add(change);
      chip.setAttribute("aria-pressed", String(!hidden.has(change)));
      listNodes(reply);
      const node = shown.find((other) => other.path === path) ?? shown[0];
      if (node) select(node);
      frame.announce(plural(shown.length, "node"));
    },
    signal,
  );
  host.onChange("revision", () => void load(), signal);
  host.onChange("title", () => say(title, String(host.get("title") || "Differences")), signal);
  host.onChange(
    "selected_path",
    () => {
      if (quiet) return;
      const node = shown.find((other) => other.path === host.get("selected_path"));
      if (node) select(node);
    },
    signal,
  );
  host.onEvent((event) => event.event === "changed" && void load(), signal);
  signal.addEventListener("abort", () => scope?.abort(), { once: true });
  watch(frame, host);
  say(title, String(host.get("title") || "Differences"));
  say(note, "Loading…");
  void load();
  return frame.dispose;
}

/** The changed array with the most changed chunks, else any array with some. */
function mostChanged(nodes: DiffNode[]): DiffNode | undefined {
  const weight = (node: DiffNode): number =>
    node.type === "array" ? node.chunks_changed + (node.change === "changed" ? 1e12 : 0) : 0;
  const arrays = nodes.filter((node) => node.type === "array" && node.chunks_changed > 0);
  return arrays.sort((a, b) => weight(b) - weight(a))[0];
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
