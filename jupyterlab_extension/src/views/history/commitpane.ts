/** Draws the details of one commit, of the comparison of two, and of the session. */

import { button, type Child, fill, h, update } from "../../core/dom";
import type { CommitChanges, CommitReply, CommitRow, DiffReply, Ref, SessionState } from "../../core/protocol";
import { provenanceFields } from "../../core/provenance";
import { grouped, plural, shortId } from "../../core/text";
import { absoluteTime, relativeTime } from "../../core/time";
import { refLabel } from "./reflabel";
import { mark, nodeDetail, pathText, share, summaryText } from "../common/nodes";

const SECTIONS: [keyof CommitChanges, "added" | "removed" | "changed", string][] = [
  ["new_groups", "added", "group"],
  ["new_arrays", "added", "array"],
  ["deleted_groups", "removed", "group"],
  ["deleted_arrays", "removed", "array"],
  ["updated_groups", "changed", "metadata"],
  ["updated_arrays", "changed", "metadata"],
];

/** Nodes that are listed; the rest is counted. */
const MAX_NODES = 200;
/** Metadata keys that repeat the author, which has a line of its own. */
const AUTHOR = /^(author|author_name|user|username|committer)$/;

export function hint(pane: HTMLElement, text: string): void {
  fill(pane, h("p", { class: "icechunk-hint" }, text));
}

/**
 * The details of one commit, in parts of their own.
 *
 * The reply of the kernel arrives while the user may be typing into a form of `extras`. That part is
 * therefore placed once; only the others are drawn again, and only where their content is different.
 */
export class CommitDetails {
  private readonly head = h("div");
  private readonly changes = h("div");

  /** @param extras elements between the facts of the commit and its changes */
  constructor(
    pane: HTMLElement,
    private readonly refs: () => Ref[],
    private readonly listed: (id: string) => boolean,
    extras: (HTMLElement | null)[],
  ) {
    fill(pane, this.head, ...extras, this.changes);
  }

  /** @param failed why the changes are unknown, empty where they may still arrive */
  show(commit: CommitRow, reply: CommitReply | null, failed = ""): void {
    const metadata = reply?.metadata ?? commit.metadata ?? {};
    const provenance = provenanceFields(metadata);
    const others = Object.entries(metadata).filter(
      ([key, value]) =>
        !(key === "provenance" && provenance.length) && !(AUTHOR.test(key) && value === commit.author),
    );
    update(this.head, ...this.describe(commit, provenance));
    update(
      this.changes,
      h("h4", null, "Changes since the parent"),
      failed ? h("p", { class: "icechunk-hint" }, `The changes could not be loaded: ${failed}`) : changes(reply),
      others.length ? h("h4", null, "Metadata") : null,
      others.length ? fields(others.map(([key, value]) => [key, code(value)])) : null,
    );
  }

  /** Links to the parents; of one that expired only its id is known. */
  private parents(commit: CommitRow): HTMLElement[] {
    const others = (commit.others ?? []).map((id) =>
      this.listed(id) ? link(id) : h("span", { class: "icechunk-muted" }, h("code", null, shortId(id)), " expired"),
    );
    return [link(commit.parent!), ...others];
  }

  private describe(commit: CommitRow, provenance: [string, string][]): Child[] {
    const [title, ...rest] = commit.message.split("\n");
    const body = rest.join("\n").trim();
    const copy = button("Copy", { class: "icechunk-button icechunk-quiet icechunk-small", "data-copy": commit.id });
    const labels = this.refs().map((ref) => refLabel(ref, "var(--icechunk-accent)"));
    const time = `${absoluteTime(commit.time)} (${relativeTime(commit.time)})`;
    return [
      h("h3", { class: "icechunk-title" }, title || "(no message)"),
      body ? h("p", { class: "icechunk-bodytext" }, body) : null,
      labels.length ? h("div", { class: "icechunk-reflist" }, ...labels) : null,
      fields([
        ["Snapshot", h("span", { class: "icechunk-idline" }, h("code", { "data-id": true }, commit.id), copy)],
        commit.parent
          ? [commit.others?.length ? "Parents" : "Parent", h("span", { class: "icechunk-parents" }, ...this.parents(commit))]
          : ["Parent", "none – the first snapshot"],
        origin(commit),
        ["Written", h("span", { title: absoluteTime(commit.time) }, time)],
        commit.author ? ["Author", commit.author] : null,
        ...provenance,
      ]),
    ];
  }
}

/** The commits that were picked, reverted or squashed; null for others. */
function origin(commit: CommitRow): [string, Child] | null {
  const { kind, of } = commit.origin ?? { kind: "merge", of: [] };
  const names: Record<string, string> = { pick: "Picked from", revert: "Reverts", squash: "Squash of" };
  const name = names[kind];
  return name && of.length ? [name, h("span", { class: "icechunk-parents" }, ...of.map(link))] : null;
}

function link(id: string): HTMLElement {
  return button(shortId(id), { class: "icechunk-link", "data-goto": id });
}

export function showSession(pane: HTMLElement, session: SessionState, refs: Ref[], more: HTMLElement | null = null): void {
  const tip = refs.find((ref) => ref.kind === "branch" && ref.name === session.branch)?.id;
  fill(
    pane,
    h("h3", { class: "icechunk-title" }, "Uncommitted changes"),
    fields([
      ["Branch", session.branch ?? "none"],
      ["Based on", button(shortId(session.base), { class: "icechunk-link", "data-goto": session.base })],
      ["Changes", `${grouped(session.changes)}, not committed`],
    ]),
    h(
      "p",
      { class: "icechunk-hint icechunk-after" },
      tip && tip !== session.base
        ? `${session.branch} has commits that this session does not have: committing needs a rebase.`
        : "These changes exist only in the session until it is committed.",
    ),
    more,
  );
}

export function showComparison(
  pane: HTMLElement,
  a: CommitRow,
  b: CommitRow,
  reply: DiffReply | null,
): void {
  const side = (name: string, row: CommitRow): HTMLElement =>
    h(
      "div",
      { class: "icechunk-compareside" },
      h("span", { class: "icechunk-muted" }, name),
      h("code", null, shortId(row.id)),
      h("span", { class: "icechunk-message", title: row.message }, row.message.split("\n")[0] ?? ""),
    );
  fill(
    pane,
    h("h3", { class: "icechunk-title" }, "Comparison"),
    h("div", { class: "icechunk-compare" }, side("from", a), side("to", b)),
    reply ? h("p", { class: "icechunk-summary" }, summaryText(reply.counts)) : busy(),
    reply?.nodes.length
      ? h("div", { class: "icechunk-acts" }, button("Compare", { class: "icechunk-button icechunk-small", testid: "icechunk-compare", "data-compare": `${a.id} ${b.id}` }))
      : null,
    reply?.nodes.length
      ? h(
          "ul",
          { class: "icechunk-nodes", "aria-label": "Changed nodes" },
          ...reply.nodes
            .slice(0, MAX_NODES)
            .map((node) =>
              h(
                "li",
                { class: "icechunk-node", testid: "icechunk-diff-node" },
                mark(node.change),
                pathText(node.path),
                h("span", { class: "icechunk-nodedetail" }, nodeDetail(node)),
                share(node),
              ),
            ),
          reply.nodes.length > MAX_NODES
            ? h("li", { class: "icechunk-muted" }, `and ${reply.nodes.length - MAX_NODES} more`)
            : null,
        )
      : null,
  );
}

function changes(reply: CommitReply | null): HTMLElement {
  if (!reply) return busy();
  const found = reply.changes;
  if (!found) return h("p", { class: "icechunk-hint" }, "The first snapshot has no parent to compare with.");
  const chunks = new Map((found.updated_chunks ?? []).map((item) => [item.path, item.chunks]));
  const items: HTMLElement[] = [];
  for (const [key, change, kind] of SECTIONS) {
    for (const path of (found[key] as string[] | undefined) ?? []) {
      const count = chunks.get(path);
      chunks.delete(path);
      const detail = count === undefined ? kind : `${kind} · ${plural(count, "chunk")}`;
      items.push(item(change, path, detail));
    }
  }
  for (const [path, count] of chunks) items.push(item("changed", path, plural(count, "chunk")));
  for (const move of found.moved ?? []) items.push(item("moved", move.to, `from ${move.from}`));
  if (!items.length) return h("p", { class: "icechunk-hint" }, "No changes: an empty commit.");
  const more = items.length - MAX_NODES;
  return h(
    "ul",
    { class: "icechunk-nodes" },
    ...items.slice(0, MAX_NODES),
    more > 0 ? h("li", { class: "icechunk-muted" }, `and ${more} more`) : null,
  );
}

function item(change: "added" | "removed" | "changed" | "moved", path: string, detail: string): HTMLElement {
  return h(
    "li",
    { class: "icechunk-node" },
    mark(change),
    pathText(path),
    h("span", { class: "icechunk-nodedetail" }, detail),
  );
}

function fields(rows: ([string, Child] | null)[]): HTMLElement {
  const list = h("dl", { class: "icechunk-facts" });
  for (const row of rows) if (row) list.append(h("dt", null, row[0]), h("dd", null, row[1]));
  return list;
}

function code(value: unknown): Child {
  return typeof value === "string" ? value : h("code", null, JSON.stringify(value));
}

export function busy(text = "Loading…"): HTMLElement {
  return h("p", { class: "icechunk-hint icechunk-loading" }, text);
}
