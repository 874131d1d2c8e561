/** Decides many chunks at once: merges by element, rules, files of decisions, a check of chunk borders. */

import { button, fill, h, listen, say } from "../../core/dom";
import { type Host, isSilent } from "../../core/host";
import type { ConflictItem, DecideReply } from "../../core/protocol";
import type { Runs } from "../../core/runs";
import { grouped, plural, short } from "../../core/text";
import type { Frame } from "../common/frame";
import { capital, type Words, wordsOf } from "./words";
import { savedAt } from "../common/frame";

export interface ToolHooks {
  /** The chunk conflict on screen. */
  item(): ConflictItem | null;
  /** The chunks that a decision would be about; null runs stand for every conflicting chunk. */
  target(): { runs: Runs | null; count: number } | null;
  /** Run a request after those already waiting. */
  inTurn(work: () => Promise<void>): void;
  absorb(reply: DecideReply): void;
  reload(): Promise<void>;
  goTo(chunk: number[]): void;
  notice(text: string): void;
}

interface MergeReply extends DecideReply {
  done: boolean;
  /** Until it is done: number of chunks compared so far, and of all. */
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
  /** Number of undecided chunks; the kernel has checked `looked` of them so far. */
  of: number;
  unreadable: number;
  parts: { path: string; choice: string; chunks: number }[];
}

interface SeamsReply {
  borders: number;
  more: number;
  steep: { chunk: number[]; next: number[]; axis: number; step: number; inside: number }[];
}

const rulesOf = ({ ours, theirs }: Words): [string, string][] => [
  ["theirs-where-mine-empty", `${capital(theirs)} where all of ${ours} is missing`],
  ["mine-where-theirs-empty", `${capital(ours)} where all of ${theirs} is missing`],
  ["mine-where-close", `${capital(ours)} where they differ by at most`],
  ["theirs-where-close", `${capital(theirs)} where they differ by at most`],
  ["merge-where-apart", "Merge where no element was changed by both"],
  ["same-region", "Same decisions for the same region of other arrays"],
];
/** Milliseconds without input before the kernel is asked. */
const WAIT = 250;
/** Seconds that the kernel works on chunks before it replies, so that other requests are not blocked. */
const STEP_SECONDS = 0.8;

export class ResolverTools {
  readonly element: HTMLElement;
  readonly merge = button("Merge elements", {
    class: "icechunk-button icechunk-small",
    testid: "icechunk-merge",
    title: "Take every element from the side that changed it (M)",
  });
  readonly save = button("Save decisions", { class: "icechunk-button icechunk-quiet icechunk-undo", testid: "icechunk-save" });
  readonly load = button("Load", { class: "icechunk-button icechunk-quiet icechunk-undo", title: "Load decisions from a file" });
  private readonly file = h("input", { type: "file", accept: ".json", class: "icechunk-file", tabindex: -1, "aria-label": "File of decisions", hidden: true });
  private readonly cells = h("span", { class: "icechunk-muted icechunk-cells", testid: "icechunk-cells" });
  private readonly ask = h("div", { class: "icechunk-ask", role: "group", "aria-label": "Elements that both changed", hidden: true });
  private readonly rules: HTMLDetailsElement;
  private readonly rule = h("select", { class: "icechunk-select", "aria-label": "Rule", testid: "icechunk-rule" });
  private readonly limit = h("input", { class: "icechunk-input icechunk-limit", type: "number", min: 0, step: "any", value: 0, "aria-label": "Largest difference" });
  private readonly takes = h("span", { class: "icechunk-takes", role: "status", testid: "icechunk-takes" });
  private readonly apply = button("Apply", { class: "icechunk-button icechunk-small", testid: "icechunk-apply", disabled: true });
  private readonly onward = button("Check all chunks", { class: "icechunk-button icechunk-small icechunk-quiet", testid: "icechunk-onward", hidden: true });
  private readonly seam = button("Check borders", { class: "icechunk-button icechunk-small icechunk-quiet", testid: "icechunk-seams" });
  private readonly seams = h("div", { class: "icechunk-seams", role: "status" });
  private timer = 0;
  private turn = 0;
  private going = false;

  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
    private readonly hooks: ToolHooks,
  ) {
    for (const [value, label] of rulesOf(wordsOf(host))) this.rule.append(h("option", { value }, label));
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

  /** The cursor moved to another chunk or array. */
  moved(chunk: number[] | null): void {
    clearTimeout(this.timer);
    say(this.cells, "");
    this.ask.hidden = true;
    if (!chunk || savedAt(this.host)) return;
    this.timer = window.setTimeout(() => void this.count(chunk), WAIT);
  }

  /** A decision was made: count again what the rule applies to. */
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
      const { byOurs, byTheirs } = wordsOf(this.host);
      const counts = { [byOurs]: result.ours, [byTheirs]: result.theirs, both: result.both };
      const parts = Object.entries(counts).map(([by, count]) => `${grouped(count)} by ${by}`);
      say(this.cells, `Elements changed in this chunk: ${parts.join(", ")}`);
    } catch {
      // Chunks that cannot be compared by element can still be decided as a whole.
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
        const params = { path: item.path, runs: target.runs, both, seconds: STEP_SECONDS };
        const { result } = await this.host.request<MergeReply>("merge", params);
        if (this.frame.signal.aborted || stopped) return;
        if (!result.done) {
          this.progress(result, () => (stopped = true));
          // Requests of other input, and drawing, come before the next step.
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

  /** Show the progress of a merge of many chunks, with a button to stop it. */
  private progress(result: MergeReply, stop: () => void): void {
    const text = `Compared ${grouped(result.looked ?? 0)} of ${plural(result.of ?? 0, "chunk")}`;
    const shown = this.ask.querySelector("[data-progress]");
    if (shown && !this.ask.hidden) return say(shown as HTMLElement, text);
    const end = button("Stop", { class: "icechunk-button icechunk-small", testid: "icechunk-stop" });
    end.addEventListener("click", () => {
      stop();
      this.ask.hidden = true;
      this.frame.announce("Stopped. Nothing was merged.");
    });
    fill(this.ask, h("span", { "data-progress": true }, text), end);
    this.ask.hidden = false;
    this.frame.announce(text);
  }

  private asked(result: MergeReply, target: { runs: Runs | null; count: number }): void {
    if (result.merged) this.frame.announce(`${plural(result.merged, "chunk")} merged by element`);
    if (result.unreadable) this.hooks.notice(`${plural(result.unreadable, "chunk")} cannot be read: choose a side for them as a whole.`);
    this.ask.hidden = result.left === 0;
    if (!result.left) return;
    const sides = (["ours", "theirs"] as const).map((side) => {
      const element = button(`Keep ${wordsOf(this.host)[side]}`, {
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
    const text = `${plural(result.left, "chunk")} ${verb} ${plural(result.cells, "element")} that both changed. For these:`;
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
    return { path: item.path, rule: this.rule.value, limit: Number(this.limit.value) || 0, seconds: STEP_SECONDS };
  }

  private async counted(item: ConflictItem, turn: number): Promise<void> {
    if (turn !== this.turn) return;
    try {
      const { result } = await this.host.request<RuleReply>("rule", this.params(item));
      if (turn !== this.turn || this.frame.signal.aborted) return;
      say(this.takes, takesText(result));
      this.apply.disabled = result.takes === 0;
      this.onward.hidden = result.looked >= result.of;
      say(this.onward, this.going ? "Stop" : "Check all chunks");
      if (this.going && !this.onward.hidden) window.setTimeout(() => this.going && this.hooks.inTurn(() => this.counted(item, turn)));
    } catch (error) {
      if (isSilent(error)) return;
      say(this.takes, "");
      this.frame.fail(error);
    }
  }

  /** Check chunks until all are checked, or stop. */
  private goOn(): void {
    const item = this.hooks.item();
    this.going = !this.going;
    say(this.onward, this.going ? "Stop" : "Check all chunks");
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

  // ---- borders ----------------------------------------------------------------------------------------

  private async checkSeams(): Promise<void> {
    const item = this.hooks.item();
    if (!item) return;
    try {
      const { result } = await this.host.request<SeamsReply>("seams", { path: item.path });
      if (this.frame.signal.aborted) return;
      const looked = plural(result.borders, "border") + (result.more ? ` of ${grouped(result.borders + result.more)}` : "");
      const head = result.steep.length
        ? `Large jumps at ${grouped(result.steep.length)} of ${looked} between chunks from different sides:`
        : `No large jump at ${looked} between chunks from different sides.`;
      const list = result.steep.map((seam) => {
        const label = `[${seam.chunk.join(", ")}] | [${seam.next.join(", ")}]`;
        const go = button(label, { class: "icechunk-link" });
        go.addEventListener("click", () => this.hooks.goTo(seam.chunk));
        return h("li", null, go, ` jump ${short(seam.step)}, inside the chunks ${short(seam.inside)}`);
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
      const { result } = await this.host.request<DecideReply & { notice: string }>("load", { text: await file.text() });
      if (this.frame.signal.aborted) return;
      this.hooks.absorb(result);
      await this.hooks.reload();
      this.hooks.notice(result.notice);
    } catch (error) {
      this.frame.fail(error);
    } finally {
      this.file.value = "";
    }
  }
}

function takesText(reply: RuleReply): string {
  const all = plural(reply.of, "undecided chunk");
  const looked = reply.looked < reply.of ? `${grouped(reply.looked)} checked of ${all}` : all;
  const unread = reply.unreadable ? `; ${grouped(reply.unreadable)} cannot be read` : "";
  return `applies to ${grouped(reply.takes)} of ${looked}${where(reply)}${unread}`;
}

/** The arrays that a rule applies to, if there are several. */
function where(reply: RuleReply): string {
  const paths = [...new Set(reply.parts.map((part) => part.path))];
  return reply.parts.length > 1 ? ` (${paths.join(", ")})` : "";
}
