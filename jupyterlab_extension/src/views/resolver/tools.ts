/** Deciding many chunks at once: merges of cells, rules, files of decisions, and a check of the seams. */

import { button, fill, h, listen, say } from "../../core/dom";
import { type Host, isSilent } from "../../core/host";
import type { ConflictItem, DecideReply } from "../../core/protocol";
import type { Runs } from "../../core/runs";
import { grouped, plural, short } from "../../core/text";
import type { Frame } from "../common/frame";
import { savedAt } from "../common/frame";

export interface ToolHooks {
  /** The conflict of chunks on show. */
  item(): ConflictItem | null;
  /** What a decision would be about: null runs stand for every conflicting chunk. */
  target(): { runs: Runs | null; count: number } | null;
  /** One request after the other. */
  inTurn(work: () => Promise<void>): void;
  absorb(reply: DecideReply): void;
  reload(): Promise<void>;
  goTo(chunk: number[]): void;
  notice(text: string): void;
}

interface MergeReply extends DecideReply {
  done: boolean;
  /** Until it is done: chunks looked into, of how many. */
  looked?: number;
  of?: number;
  merged: number;
  left: number;
  cells: number;
  unreadable?: number;
}

interface RuleReply extends Partial<DecideReply> {
  takes: number;
  looked: number;
  /** How many there are to look at. */
  of: number;
  unreadable: number;
  parts: { path: string; choice: string; chunks: number }[];
}

interface SeamsReply {
  borders: number;
  more: number;
  steep: { chunk: number[]; next: number[]; axis: number; step: number; inside: number }[];
}

const RULES: [string, string][] = [
  ["theirs-where-mine-empty", "Theirs where mine is all missing"],
  ["mine-where-theirs-empty", "Mine where theirs is all missing"],
  ["mine-where-close", "Mine where they differ by at most"],
  ["theirs-where-close", "Theirs where they differ by at most"],
  ["merge-where-apart", "Merge where no cell was changed by both"],
  ["same-region", "As here, for the same region of other arrays"],
];
const WAIT = 250;
/** Seconds that the kernel looks into chunks before it answers. */
const WHILE = 0.8;

export class ResolverTools {
  readonly element: HTMLElement;
  readonly merge = button("Merge cells", {
    class: "icechunk-button icechunk-small",
    testid: "icechunk-merge",
    title: "Take every cell from the side that changed it (M)",
  });
  readonly save = button("Save decisions", { class: "icechunk-button icechunk-quiet icechunk-undo", testid: "icechunk-save" });
  readonly load = button("Load", { class: "icechunk-button icechunk-quiet icechunk-undo", title: "Take decisions from a file" });
  private readonly file = h("input", { type: "file", accept: ".json", class: "icechunk-file", tabindex: -1, "aria-label": "File of decisions", hidden: true });
  private readonly cells = h("span", { class: "icechunk-muted icechunk-cells", testid: "icechunk-cells" });
  private readonly ask = h("div", { class: "icechunk-ask", role: "group", "aria-label": "Cells that both changed", hidden: true });
  private readonly rules: HTMLDetailsElement;
  private readonly rule = h("select", { class: "icechunk-select", "aria-label": "Rule", testid: "icechunk-rule" });
  private readonly limit = h("input", { class: "icechunk-input icechunk-limit", type: "number", min: 0, step: "any", value: 0, "aria-label": "Largest difference" });
  private readonly takes = h("span", { class: "icechunk-takes", role: "status", testid: "icechunk-takes" });
  private readonly apply = button("Apply", { class: "icechunk-button icechunk-small", testid: "icechunk-apply", disabled: true });
  private readonly onward = button("Look at all", { class: "icechunk-button icechunk-small icechunk-quiet", testid: "icechunk-onward", hidden: true });
  private readonly seam = button("Check seams", { class: "icechunk-button icechunk-small icechunk-quiet", testid: "icechunk-seams" });
  private readonly seams = h("div", { class: "icechunk-seams", role: "status" });
  private timer = 0;
  private turn = 0;
  private going = false;

  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
    private readonly hooks: ToolHooks,
  ) {
    for (const [value, label] of RULES) this.rule.append(h("option", { value }, label));
    this.rules = h(
      "details",
      { class: "icechunk-rules" },
      h("summary", null, "Rules"),
      h("div", { class: "icechunk-ruleline" }, this.rule, this.limit, this.takes, this.onward, this.apply),
    );
    this.element = h(
      "div",
      { class: "icechunk-more" },
      h("div", { class: "icechunk-moreline" }, this.merge, this.cells, h("span", { class: "icechunk-grow" }), this.seam),
      this.ask,
      this.rules,
      this.seams,
      this.file,
    );
    const { signal } = frame;
    listen(this.merge, "click", () => this.mergeCells(), signal);
    listen(this.rules, "toggle", () => this.look(), signal);
    listen(this.rule, "change", () => this.look(), signal);
    listen(this.limit, "input", () => this.look(), signal);
    listen(this.limit, "keydown", (event) => event.stopPropagation(), signal);
    listen(this.apply, "click", () => hooks.inTurn(() => this.applyRule()), signal);
    listen(this.onward, "click", () => this.goOn(), signal);
    listen(this.seam, "click", () => hooks.inTurn(() => this.checkSeams()), signal);
    listen(this.save, "click", () => void this.download(), signal);
    listen(this.load, "click", () => this.file.click(), signal);
    listen(this.file, "change", () => hooks.inTurn(() => this.upload()), signal);
    signal.addEventListener("abort", () => clearTimeout(this.timer), { once: true });
    this.showLimit();
  }

  /** Another chunk or array is looked at. */
  moved(chunk: number[] | null): void {
    clearTimeout(this.timer);
    say(this.cells, "");
    this.ask.hidden = true;
    if (!chunk || savedAt(this.host)) return;
    this.timer = window.setTimeout(() => void this.count(chunk), WAIT);
  }

  /** Something was decided: what a rule takes is another number. */
  decided(): void {
    fill(this.seams);
    this.look();
  }

  update(possible: boolean): void {
    this.merge.disabled = !possible;
  }

  private async count(chunk: number[]): Promise<void> {
    const item = this.hooks.item();
    if (!item) return;
    try {
      const { result } = await this.host.request<Record<"ours" | "theirs" | "both", number>>("cells", { path: item.path, chunk });
      if (this.hooks.item() !== item || this.frame.signal.aborted) return;
      const parts = [`I changed ${grouped(result.ours)}`, `they ${grouped(result.theirs)}`, `both ${grouped(result.both)}`];
      say(this.cells, `Cells of this chunk: ${parts.join(", ")}`);
    } catch {
      // Chunks that cannot be compared cell by cell are decided as a whole.
    }
  }

  // ---- merging --------------------------------------------------------------------------------------

  mergeCells(both: "ours" | "theirs" | null = null, target = this.hooks.target()): void {
    const item = this.hooks.item();
    if (!item || !target) return;
    let stopped = false;
    const step = async (): Promise<void> => {
      if (stopped) return;
      try {
        const params = { path: item.path, runs: target.runs, both, seconds: WHILE };
        const { result } = await this.host.request<MergeReply>("merge", params);
        if (this.frame.signal.aborted || stopped) return;
        if (!result.done) {
          this.looking(result, () => (stopped = true));
          // Other gestures, and the screen, come in between.
          return void window.setTimeout(() => this.hooks.inTurn(step));
        }
        this.hooks.absorb(result);
        await this.hooks.reload();
        this.asked(result, target);
      } catch (error) {
        this.ask.hidden = true;
        this.frame.fail(error);
      }
    };
    this.hooks.inTurn(step);
  }

  /** Many chunks take long: tell how far it is, and let it be stopped. */
  private looking(result: MergeReply, stop: () => void): void {
    const text = `Looked into ${grouped(result.looked ?? 0)} of ${plural(result.of ?? 0, "chunk")}`;
    const shown = this.ask.querySelector("[data-looking]");
    if (shown && !this.ask.hidden) return say(shown as HTMLElement, text);
    const end = button("Stop", { class: "icechunk-button icechunk-small", testid: "icechunk-stop" });
    end.addEventListener("click", () => {
      stop();
      this.ask.hidden = true;
      this.frame.announce("Stopped. Nothing was merged.");
    });
    fill(this.ask, h("span", { "data-looking": true }, text), end);
    this.ask.hidden = false;
    this.frame.announce(text);
  }

  private asked(result: MergeReply, target: { runs: Runs | null; count: number }): void {
    if (result.merged) this.frame.announce(`${plural(result.merged, "chunk")} merged cell by cell`);
    if (result.unreadable) this.hooks.notice(`${plural(result.unreadable, "chunk")} cannot be read: choose a side for them as a whole.`);
    this.ask.hidden = result.left === 0;
    if (!result.left) return;
    const sides = (["ours", "theirs"] as const).map((side) => {
      const element = button(side === "ours" ? "Mine there" : "Theirs there", {
        class: "icechunk-button icechunk-small",
        testid: `icechunk-both-${side}`,
      });
      element.addEventListener("click", () => {
        this.ask.hidden = true;
        this.mergeCells(side, target);
      });
      return element;
    });
    const verb = result.left === 1 ? "holds" : "hold";
    const text = `${plural(result.left, "chunk")} ${verb} ${plural(result.cells, "cell")} that both changed. Keep`;
    fill(this.ask, h("span", null, text), ...sides);
    sides[0]!.focus();
    this.frame.announce(text);
  }

  // ---- rules ----------------------------------------------------------------------------------------

  private showLimit(): void {
    this.limit.hidden = !this.rule.value.endsWith("close");
  }

  private look(): void {
    this.showLimit();
    this.apply.disabled = this.onward.hidden = true;
    this.going = false;
    const turn = ++this.turn;
    const item = this.hooks.item();
    if (!this.rules.open || !item) return say(this.takes, "");
    say(this.takes, "Counting…");
    window.setTimeout(() => {
      if (turn === this.turn) this.hooks.inTurn(() => this.counted(item, turn));
    }, WAIT);
  }

  private params(item: ConflictItem): Record<string, unknown> {
    return { path: item.path, rule: this.rule.value, limit: Number(this.limit.value) || 0, seconds: WHILE };
  }

  private async counted(item: ConflictItem, turn: number): Promise<void> {
    if (turn !== this.turn) return;
    try {
      const { result } = await this.host.request<RuleReply>("rule", this.params(item));
      if (turn !== this.turn || this.frame.signal.aborted) return;
      say(this.takes, takesText(result));
      this.apply.disabled = result.takes === 0;
      this.onward.hidden = result.looked >= result.of;
      say(this.onward, this.going ? "Stop" : "Look at all");
      if (this.going && !this.onward.hidden) window.setTimeout(() => this.going && this.hooks.inTurn(() => this.counted(item, turn)));
    } catch (error) {
      if (isSilent(error)) return;
      say(this.takes, "");
      this.frame.fail(error);
    }
  }

  /** Look on until every chunk has been looked at, or stop doing so. */
  private goOn(): void {
    const item = this.hooks.item();
    this.going = !this.going;
    say(this.onward, this.going ? "Stop" : "Look at all");
    if (this.going && item) this.hooks.inTurn(() => this.counted(item, this.turn));
  }

  private async applyRule(): Promise<void> {
    const item = this.hooks.item();
    if (!item || this.apply.disabled) return;
    try {
      const { result } = await this.host.request<RuleReply & DecideReply>("rule", { ...this.params(item), seconds: 0, apply: true });
      if (this.frame.signal.aborted) return;
      this.hooks.absorb(result);
      await this.hooks.reload();
      this.frame.announce(`${plural(result.takes, "chunk")} decided by the rule`);
    } catch (error) {
      this.frame.fail(error);
    }
  }

  // ---- seams ----------------------------------------------------------------------------------------

  private async checkSeams(): Promise<void> {
    const item = this.hooks.item();
    if (!item) return;
    try {
      const { result } = await this.host.request<SeamsReply>("seams", { path: item.path });
      if (this.frame.signal.aborted) return;
      const looked = plural(result.borders, "border") + (result.more ? ` of ${grouped(result.borders + result.more)}` : "");
      const head = result.steep.length
        ? `${grouped(result.steep.length)} of ${looked} between different sides stand out:`
        : `No step stands out at ${looked} between different sides.`;
      const list = result.steep.map((seam) => {
        const label = `[${seam.chunk.join(", ")}] | [${seam.next.join(", ")}]`;
        const go = button(label, { class: "icechunk-link" });
        go.addEventListener("click", () => this.hooks.goTo(seam.chunk));
        return h("li", null, go, ` step ${short(seam.step)}, inside ${short(seam.inside)}`);
      });
      fill(this.seams, h("p", null, head), list.length ? h("ul", null, ...list) : null);
    } catch (error) {
      this.frame.fail(error);
    }
  }

  // ---- files ----------------------------------------------------------------------------------------

  private async download(): Promise<void> {
    try {
      const { result } = await this.host.request<{ text: string; name: string }>("save");
      const link = h("a", { download: result.name, href: URL.createObjectURL(new Blob([result.text], { type: "application/json" })) });
      link.click();
      window.setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
      this.frame.announce(`Saved as ${result.name}`);
    } catch (error) {
      this.frame.fail(error);
    }
  }

  private async upload(): Promise<void> {
    const file = this.file.files?.[0];
    if (!file) return;
    try {
      const { result } = await this.host.request<DecideReply & { told: string }>("load", { text: await file.text() });
      if (this.frame.signal.aborted) return;
      this.hooks.absorb(result);
      await this.hooks.reload();
      this.hooks.notice(result.told);
    } catch (error) {
      this.frame.fail(error);
    } finally {
      this.file.value = "";
    }
  }
}

function takesText(reply: RuleReply): string {
  const all = plural(reply.of, "undecided chunk");
  const looked = reply.looked < reply.of ? `${grouped(reply.looked)} looked at, of ${all}` : all;
  const unread = reply.unreadable ? `; ${grouped(reply.unreadable)} cannot be read` : "";
  return `takes ${grouped(reply.takes)} of ${looked}${where(reply)}${unread}`;
}

/** Which arrays, when a rule reaches beyond one. */
function where(reply: RuleReply): string {
  const paths = [...new Set(reply.parts.map((part) => part.path))];
  return reply.parts.length > 1 ? ` (${paths.join(", ")})` : "";
}
