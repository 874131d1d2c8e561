/** A conflict about a whole node: what each side did, a merge of its metadata by key, another path for it. */

import { button, closest, fill, h, listen, say } from "../../core/dom";
import { type Host, isSilent } from "../../core/host";
import type { Choice, ConflictItem, ConflictKey, NodeConflictReply } from "../../core/protocol";
import { plural } from "../../core/text";
import { type Frame, savedAt, uid } from "../common/frame";
import { capital, wordsOf } from "./words";

export interface NodeConflictHooks {
  /** Decide the conflict on screen; `extra` are further parameters of the choice. */
  decide(choice: string, extra: Record<string, unknown>): void;
}

const SIDES: Choice[] = ["base", "ours", "theirs"];
/** Characters of a value that are shown. */
const LONG = 160;

export class NodeConflictPanel {
  readonly element = h("div", { class: "icechunk-nodeconflict", testid: "icechunk-node-conflict", hidden: true });
  private readonly facts = h("ul", { class: "icechunk-sidefacts" });
  private readonly table = h("div", { class: "icechunk-keys" });
  private readonly merge = button("Merge keys", { class: "icechunk-button", testid: "icechunk-merge-keys" });
  private readonly left = h("span", { class: "icechunk-muted", "aria-live": "polite" });
  private readonly name = h("input", { type: "text", testid: "icechunk-new-path" });
  private readonly rename = button("", { class: "icechunk-button", testid: "icechunk-rename" });
  private readonly mergeLine = h("div", { class: "icechunk-nodeline" }, this.merge, this.left);
  private readonly renameLine = h("div", { class: "icechunk-nodeline" }, this.name, this.rename);
  private reply: NodeConflictReply | null = null;
  private chosen = new Map<string, Choice>();
  private running: AbortController | null = null;

  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
    hooks: NodeConflictHooks,
  ) {
    const { ours } = wordsOf(host);
    this.name.setAttribute("aria-label", `New path for ${ours === "mine" ? "my node" : "the node of the source"}`);
    say(this.rename, `Keep ${ours} at this path`);
    this.element.append(this.facts, this.table, this.mergeLine, this.renameLine);
    const { signal } = frame;
    listen(
      this.table,
      "change",
      (event) => {
        const input = closest(event, "input[data-pointer]") as HTMLInputElement | null;
        if (!input) return;
        this.chosen.set(input.dataset.pointer!, input.value as Choice);
        this.count();
      },
      signal,
    );
    listen(this.merge, "click", () => hooks.decide("merge", { keys: Object.fromEntries(this.chosen) }), signal);
    listen(this.rename, "click", () => hooks.decide("rename", { new_path: this.name.value.trim() }), signal);
    signal.addEventListener("abort", () => this.running?.abort(), { once: true });
  }

  hide(): void {
    this.running?.abort();
    this.element.hidden = true;
  }

  /** Show a conflict; choices for its keys that the kernel knows are kept. */
  async show(item: ConflictItem): Promise<void> {
    this.running?.abort();
    const running = (this.running = new AbortController());
    try {
      const { result } = await this.host.request<NodeConflictReply>(
        "node_conflict",
        { path: item.path, type: item.type },
        { signal: running.signal },
      );
      if (running.signal.aborted || this.frame.signal.aborted) return;
      this.present(result, item);
    } catch (error) {
      if (isSilent(error)) return;
      this.element.hidden = true;
      this.frame.fail(error, () => void this.show(item));
    }
  }

  private present(reply: NodeConflictReply, item: ConflictItem): void {
    this.reply = reply;
    this.chosen = new Map(reply.rows.flatMap((row) => (row.choice ? [[row.pointer, row.choice]] : [])));
    this.element.hidden = false;
    fill(this.facts, ...reply.facts.map((fact) => h("li", null, fact)));
    this.table.hidden = reply.rows.length === 0;
    const head = ["Key", ...SIDES.map((side) => capital(wordsOf(this.host)[side]))];
    fill(
      this.table,
      h(
        "table",
        { class: "icechunk-metatable" },
        h("thead", null, h("tr", null, ...head.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", null, ...reply.rows.map((row) => this.row(row))),
      ),
    );
    const saved = Boolean(savedAt(this.host));
    this.mergeLine.hidden = !reply.merge || saved || !reply.rows.length;
    this.renameLine.hidden = !reply.rename || saved;
    if (reply.new_path) this.name.value = reply.new_path;
    this.merge.setAttribute("aria-pressed", String(item.choice === "merge"));
    this.rename.setAttribute("aria-pressed", String(item.choice === "rename"));
    this.count();
  }

  private row(row: ConflictKey): HTMLElement {
    const group = uid();
    const cells = SIDES.map((side) => {
      const text = side in row ? JSON.stringify(row[side]) : "–";
      const shown = h("code", { title: text.length > LONG ? text : null }, text.length > LONG ? `${text.slice(0, LONG)}…` : text);
      if (!this.reply!.merge) return h("td", null, shown);
      const input = h("input", {
        type: "radio",
        name: group,
        value: side,
        "data-pointer": row.pointer,
        "aria-label": `${row.key}: ${wordsOf(this.host)[side]}, ${text}`,
      });
      input.checked = (this.chosen.get(row.pointer) ?? row.changed_by) === side;
      return h("td", null, h("label", { class: "icechunk-pick" }, input, shown));
    });
    const { byOurs, byTheirs } = wordsOf(this.host);
    const who = row.changed_by ? `changed only by ${row.changed_by === "ours" ? byOurs : byTheirs}` : "changed by both";
    return h(
      "tr",
      { "data-both": String(row.changed_by === null) },
      h("th", { scope: "row" }, h("code", null, row.key), this.reply!.merge && h("span", { class: "icechunk-who" }, who)),
      ...cells,
    );
  }

  private count(): void {
    if (!this.reply) return;
    const open = this.reply.rows.filter((row) => !row.changed_by && !this.chosen.has(row.pointer)).length;
    this.merge.disabled = open > 0;
    say(this.left, open ? `${plural(open, "key")} changed by both still to choose` : "All keys are chosen");
  }
}
