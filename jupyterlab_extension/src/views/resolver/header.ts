/** The top of the resolver: title, target of the rebase or merge, undo and redo, the decisions as Python, notices. */

import { button, closest, fill, h, listen, say } from "../../core/dom";
import type { Host } from "../../core/host";
import type { ConflictsReply } from "../../core/protocol";
import { shortId } from "../../core/text";
import { absoluteTime, relativeTime } from "../../core/time";
import { handleCopy } from "../common/copy";
import type { Frame } from "../common/frame";
import { wordsOf } from "./words";

export type Travel = "undo" | "redo";

export interface HeaderOptions {
  onTravel(method: Travel): void;
  /** Run a request after those already waiting. */
  inTurn(work: () => Promise<void>): void;
}

export class ResolverHeader {
  readonly element: HTMLElement;
  readonly notice = h("div", { class: "icechunk-notice", role: "status", hidden: true });
  readonly code = h("div", { class: "icechunk-code", hidden: true });
  private readonly title = h("h2", { class: "icechunk-heading" });
  private readonly onto = h("span", { class: "icechunk-between" });
  private readonly undo = travelButton("Undo", "Ctrl+Z");
  private readonly redo = travelButton("Redo", "Ctrl+Shift+Z");
  private readonly script = button("Show as Python", { class: "icechunk-button icechunk-quiet", "aria-expanded": "false" });

  /** @param files buttons that save and load decisions */
  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
    files: HTMLElement[],
    private readonly options: HeaderOptions,
  ) {
    this.element = h("header", { class: "icechunk-head" }, this.title, this.onto, this.undo, this.redo, ...files, this.script);
    const { signal } = frame;
    listen(this.undo, "click", () => options.onTravel("undo"), signal);
    listen(this.redo, "click", () => options.onTravel("redo"), signal);
    listen(this.script, "click", () => void this.toggleScript(), signal);
    const copy = (event: MouseEvent): void => {
      const target = closest(event, "[data-copy]");
      if (target) handleCopy(target, frame.announce);
    };
    listen(this.code, "click", copy, signal);
  }

  showTitle(): void {
    say(this.title, String(this.host.get("title") || "Resolve conflicts"));
  }

  /** Name the branch and the commit that the session is rebased onto, or merged into. */
  showTarget({ branch, commit }: ConflictsReply): void {
    const state = h("span", { class: "icechunk-state" }, branch);
    const { onto } = wordsOf(this.host);
    if (!commit) return fill(this.onto, onto, state);
    const text = ` @ ${shortId(commit.id)} “${commit.message}”, ${relativeTime(commit.time)}`;
    fill(this.onto, onto, state, h("span", { title: `${commit.id}\n${absoluteTime(commit.time)}` }, text));
  }

  enable(canUndo: boolean, canRedo: boolean): void {
    this.undo.disabled = !canUndo;
    this.redo.disabled = !canRedo;
  }

  /** Show a notice, or hide it with an empty text; `again` adds a button that looks for conflicts again. */
  notify(text: string, again?: () => Promise<unknown>): void {
    this.notice.hidden = !text;
    say(this.notice, text);
    if (!again) return;
    const element = button("Check again", { class: "icechunk-button icechunk-small", testid: "icechunk-renew" });
    const look = async (): Promise<void> => {
      try {
        await again();
      } catch (error) {
        this.frame.fail(error);
      }
    };
    element.addEventListener("click", () => this.options.inTurn(look));
    this.notice.append(" ", element);
  }

  private async toggleScript(): Promise<void> {
    if (!this.code.hidden) return this.expand(false);
    try {
      const { result } = await this.host.request<{ text: string }>("script");
      if (this.frame.signal.aborted) return;
      const copy = button("Copy", { class: "icechunk-button icechunk-quiet icechunk-small", "data-copy": result.text });
      fill(this.code, copy, h("pre", { tabindex: 0, "aria-label": "Decisions as Python" }, result.text));
      this.expand(true);
    } catch (error) {
      this.frame.fail(error, () => void this.toggleScript());
    }
  }

  private expand(open: boolean): void {
    this.code.hidden = !open;
    this.script.setAttribute("aria-expanded", String(open));
  }
}

function travelButton(label: string, keys: string): HTMLButtonElement {
  return button(label, { class: "icechunk-button icechunk-quiet icechunk-undo", title: keys, disabled: true });
}
