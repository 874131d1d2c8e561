/** Labels of changed nodes, used by the history and the diff view. */

import { h } from "../../core/dom";
import type { DiffNode, DiffReply, NodeChange } from "../../core/protocol";
import { grouped, plural } from "../../core/text";

export const CHANGE_MARK: Record<NodeChange, string> = {
  added: "+",
  removed: "−",
  changed: "~",
  moved: "→",
};

export const CHANGES: NodeChange[] = ["added", "removed", "changed", "moved"];

export function mark(change: NodeChange): HTMLElement {
  return h(
    "span",
    { class: `icechunk-mark icechunk-mark-${change}`, title: change },
    h("span", { "aria-hidden": "true" }, CHANGE_MARK[change]),
    h("span", { class: "icechunk-sr" }, `${change}: `),
  );
}

/** "metadata · 240 of 12 000 chunks". */
export function nodeDetail(node: DiffNode): string {
  const parts: string[] = [];
  if (node.change === "moved" && node.from) parts.push(`from ${node.from}`);
  if (node.metadata_changed && node.change !== "added" && node.change !== "removed")
    parts.push("metadata");
  if (node.type === "array" && node.chunks_total > 0 && (node.chunks_changed || node.change !== "moved"))
    parts.push(`${grouped(node.chunks_changed)} of ${plural(node.chunks_total, "chunk")}`);
  return parts.join(" · ");
}

/** The share of changed chunks as a thin bar. */
export function share(node: DiffNode): HTMLElement | null {
  if (node.type !== "array" || !node.chunks_total || !node.chunks_changed) return null;
  const part = Math.min(1, node.chunks_changed / node.chunks_total);
  const bar = h("span", { class: "icechunk-sharebar" });
  bar.style.width = `${Math.max(2, part * 100)}%`;
  return h("span", { class: `icechunk-share icechunk-share-${node.change}`, "aria-hidden": "true" }, bar);
}

export function summaryText(counts: DiffReply["counts"]): string {
  const parts = CHANGES.filter((change) => counts[change] > 0).map(
    (change) => `${grouped(counts[change])} ${change}`,
  );
  if (counts.chunks > 0) parts.push(plural(counts.chunks, "changed chunk"));
  return parts.length ? parts.join(" · ") : "No differences";
}

/** A path; its last name stands out from the groups before it. */
export function pathText(path: string): HTMLElement {
  const at = path.lastIndexOf("/");
  return h(
    "span",
    { class: "icechunk-path", title: path },
    h("span", { class: "icechunk-folder" }, path.slice(0, at + 1)),
    h("span", { class: "icechunk-leaf" }, path.slice(at + 1) || (path === "/" ? "(root)" : "")),
  );
}
