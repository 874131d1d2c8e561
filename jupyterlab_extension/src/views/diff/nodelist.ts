/** The changed nodes of a comparison: a list to select from, and filters by kind of change. */

import { closest, fill, h, listen } from "../../core/dom";
import type { DiffNode, DiffReply, NodeChange } from "../../core/protocol";
import { grouped, plural } from "../../core/text";
import { type Frame, uid } from "../common/frame";
import { CHANGES, mark, nodeDetail, pathText, share } from "../common/nodes";

/** Rows in the document; a comparison with more changed nodes says how many are left out. */
const MAX_ROWS = 500;

export class NodeList {
  readonly element: HTMLElement;
  /** Nodes that pass the filters, by path. */
  nodes: DiffNode[] = [];
  /** Path of the selected node. */
  selected = "";
  private reply: DiffReply | null = null;
  private hidden = new Set<NodeChange>();
  private readonly prefix = uid();
  private readonly filters = h("div", { class: "icechunk-filters", role: "group", "aria-label": "Show" });
  private readonly list = h("div", {
    class: "icechunk-nodelist",
    role: "listbox",
    tabindex: 0,
    "aria-label": "Changed nodes",
  });

  constructor(
    private readonly frame: Frame,
    private readonly onChoose: (node: DiffNode) => void,
  ) {
    this.element = h("div", { class: "icechunk-left" }, this.filters, this.list);
    listen(this.list, "click", (event) => this.click(event), frame.signal);
    listen(this.list, "keydown", (event) => this.key(event), frame.signal);
    listen(this.filters, "click", (event) => this.filter(event), frame.signal);
  }

  show(reply: DiffReply): void {
    this.reply = reply;
    const present = CHANGES.filter((change) => reply.nodes.some((node) => node.change === change));
    fill(this.filters, ...(present.length > 1 ? present.map((change) => this.chip(change, reply.counts[change])) : []));
    this.draw(reply);
  }

  find(path: string): DiffNode | undefined {
    return this.nodes.find((node) => node.path === path);
  }

  /** Mark a node as selected and scroll to it. */
  select(path: string): void {
    this.selected = path;
    this.nodes.forEach((node, i) => {
      const option = this.list.children[i];
      // The last child says how many nodes are left out; it has no id.
      if (!(option instanceof HTMLElement) || !option.id) return;
      option.setAttribute("aria-selected", String(node.path === path));
      if (node.path !== path) return;
      this.list.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView?.({ block: "nearest" });
    });
  }

  /** The changed array with the most changed chunks, else another array with changed chunks, else any node. */
  get start(): DiffNode | undefined {
    const weight = (node: DiffNode): number => node.chunks_changed + (node.change === "changed" ? 1e12 : 0);
    const arrays = this.nodes.filter((node) => node.type === "array" && node.chunks_changed > 0);
    return arrays.sort((a, b) => weight(b) - weight(a))[0] ?? this.nodes[0];
  }

  // ---- drawing ----------------------------------------------------------------------------------

  private chip(change: NodeChange, count: number): HTMLElement {
    const pressed = String(!this.hidden.has(change));
    return h(
      "button",
      { type: "button", class: "icechunk-chip", "data-change": change, "aria-pressed": pressed },
      mark(change),
      `${change} `,
      h("b", null, grouped(count)),
    );
  }

  private draw(reply: DiffReply): void {
    this.nodes = reply.nodes
      .filter((node) => !this.hidden.has(node.change))
      .sort((a, b) => (a.path < b.path ? -1 : 1));
    const more = this.nodes.length - MAX_ROWS;
    fill(
      this.list,
      ...this.nodes.slice(0, MAX_ROWS).map((node, i) => this.option(node, i)),
      more > 0 ? h("div", { class: "icechunk-hint" }, `and ${grouped(more)} more`) : null,
    );
  }

  private option(node: DiffNode, i: number): HTMLElement {
    return h(
      "div",
      {
        class: "icechunk-option",
        role: "option",
        id: `${this.prefix}-${i}`,
        testid: "icechunk-diff-node",
        "data-path": node.path,
        "aria-selected": String(node.path === this.selected),
      },
      mark(node.change),
      h(
        "span",
        { class: "icechunk-optiontext" },
        pathText(node.path),
        h("span", { class: "icechunk-nodedetail" }, nodeDetail(node) || node.type),
      ),
      share(node),
    );
  }

  // ---- input ------------------------------------------------------------------------------------

  private click(event: MouseEvent): void {
    const path = closest(event, "[data-path]")?.dataset.path;
    const node = path === undefined ? undefined : this.find(path);
    if (node) this.onChoose(node);
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Tab") return;
    event.stopPropagation();
    const at = this.nodes.findIndex((node) => node.path === this.selected);
    const last = this.nodes.length - 1;
    const moves: Record<string, number> = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: last };
    const to = moves[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const node = this.nodes[Math.max(0, Math.min(last, to))];
    if (node) this.onChoose(node);
  }

  private filter(event: MouseEvent): void {
    const chip = closest(event, "[data-change]");
    if (!chip || !this.reply) return;
    const change = chip.dataset.change as NodeChange;
    if (!this.hidden.delete(change)) this.hidden.add(change);
    chip.setAttribute("aria-pressed", String(!this.hidden.has(change)));
    this.draw(this.reply);
    const node = this.find(this.selected) ?? this.nodes[0];
    if (node) this.onChoose(node);
    this.frame.announce(plural(this.nodes.length, "node"));
  }
}
