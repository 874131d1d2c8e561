/** The commits that wrote a chunk; the kernel searches the history in steps. */

import { button, fill, h, listen, say } from "../../core/dom";
import { asHostError, type Host, isSilent } from "../../core/host";
import type { WritersReply } from "../../core/protocol";
import { firstLine, plural, shortId } from "../../core/text";
import { absoluteTime, relativeTime } from "../../core/time";
import { savedAt } from "../common/frame";

/** Milliseconds that the cursor rests before the search starts. */
const WAIT = 200;
/** Steps before the user has to ask for more. */
const MAX_STEPS = 10;
/** Commits found after which the search stops. */
const ENOUGH = 8;

export class Writers {
  readonly element: HTMLElement;
  private readonly list = h("ol", { class: "icechunk-writers", "aria-label": "Commits that wrote this chunk, newest first" });
  private readonly summary = h("span", { class: "icechunk-muted", role: "status" });
  private readonly more = button("Search older commits", { class: "icechunk-link", hidden: true });
  private asked: { path: string; chunk: number[] } | null = null;
  private scope: AbortController | null = null;
  private timer = 0;
  private last: string | null = null;
  private looked = 0;

  constructor(
    private readonly host: Host,
    private readonly signal: AbortSignal,
  ) {
    this.element = h(
      "section",
      { class: "icechunk-blame", testid: "icechunk-writers", "aria-label": "Commits that wrote this chunk" },
      h("h3", null, "Written by"),
      this.list,
      h("div", { class: "icechunk-writersfoot" }, this.summary, this.more),
    );
    listen(this.more, "click", () => void this.ask(true), signal);
    signal.addEventListener("abort", () => this.clear(), { once: true });
  }

  clear(): void {
    clearTimeout(this.timer);
    this.scope?.abort();
    this.asked = null;
  }

  /** Search for the writers of a chunk once the cursor rests on it. */
  show(path: string, chunk: number[]): void {
    clearTimeout(this.timer);
    this.scope?.abort();
    this.asked = { path, chunk };
    this.timer = window.setTimeout(() => void this.ask(false), WAIT);
  }

  private async ask(further: boolean): Promise<void> {
    const { asked } = this;
    if (!asked) return;
    this.scope?.abort();
    const scope = (this.scope = new AbortController());
    if (!further) {
      this.last = null;
      this.looked = 0;
    }
    let found = 0;
    this.more.hidden = true;
    say(this.summary, "Searching older commits…");
    try {
      for (let round = 0; round < MAX_STEPS; round++) {
        const after = this.last;
        const { result } = await this.host.request<WritersReply>("writers", { ...asked, after }, { signal: scope.signal });
        if (scope.signal.aborted || this.signal.aborted) return;
        if (!after) fill(this.list, result.uncommitted ? h("li", null, h("b", null, "Uncommitted changes"), " of the session") : null);
        for (const row of result.commits) this.list.append(this.item(row));
        found += result.commits.length;
        this.looked += result.looked;
        this.last = result.last;
        if (result.last === null || found >= ENOUGH || savedAt(this.host)) {
          this.end(result.note);
          break;
        }
        this.end("");
      }
    } catch (error) {
      if (isSilent(error)) return;
      const { message, hint } = asHostError(error);
      fill(this.list);
      say(this.summary, `${message} ${hint}`.trim());
    }
  }

  private end(note: string): void {
    const none = this.list.childElementCount ? "" : "No commit wrote this chunk. ";
    const far = `${plural(this.looked, "commit")} searched.`;
    say(this.summary, note || (this.last === null ? none || "" : `${none}${far}`));
    this.more.hidden = this.last === null || savedAt(this.host) !== "";
  }

  private item(row: WritersReply["commits"][number]): HTMLElement {
    const id = this.host.get("goto")
      ? button(shortId(row.id), { class: "icechunk-link", "data-goto": row.id, "aria-label": `Show commit ${shortId(row.id)}` })
      : h("code", { title: row.id }, shortId(row.id));
    return h(
      "li",
      { "data-id": row.id },
      id,
      h("span", { class: "icechunk-message", title: row.message }, firstLine(row.message) || "(no message)"),
      row.made ? h("span", { class: "icechunk-muted" }, row.wrote ? "created the array" : "created the array, not this chunk") : null,
      h("span", { class: "icechunk-muted" }, row.author ?? ""),
      h("time", { class: "icechunk-muted", datetime: row.time, title: absoluteTime(row.time) }, relativeTime(row.time)),
    );
  }
}
