/** The elements of the history view and where they stand. */

import { button, fill, h, say, update } from "../../core/dom";
import { plural } from "../../core/text";
import type { HistoryReply } from "../../core/protocol";

export class HistoryLayout {
  readonly search = h("input", {
    type: "search",
    class: "icechunk-input",
    placeholder: "Search message, author, id",
    "aria-label": "Search commits",
  });
  readonly found = h("span", { class: "icechunk-muted icechunk-found", "aria-live": "polite" });
  readonly fold = button("", { class: "icechunk-link icechunk-fold", hidden: true });
  readonly onto: HTMLSelectElement;
  readonly bars = h(
    "select",
    { class: "icechunk-select icechunk-small", "aria-label": "What the bars show" },
    h("option", { value: "chunks" }, "chunks"),
    h("option", { value: "bytes" }, "bytes"),
  );
  readonly footer: HTMLElement;
  readonly notice = h("div", { class: "icechunk-notice", role: "status", testid: "icechunk-done", hidden: true });
  private readonly title = h("h2", { class: "icechunk-heading" });
  private readonly counts = h("span", { class: "icechunk-counts" });
  private readonly footnote = h("span", { class: "icechunk-footnote" });
  private readonly ontoField: HTMLElement;

  /** @param saved whether the view is in a saved page, without a kernel */
  constructor(saved: boolean) {
    this.onto = h("select", {
      class: "icechunk-select icechunk-small",
      "aria-label": "Branch to rebase the others onto in the dry runs",
      disabled: saved,
    });
    this.ontoField = h("label", { class: "icechunk-field", hidden: true }, "Dry runs onto", this.onto);
    const barsField = h("label", { class: "icechunk-field" }, "Bars show", this.bars);
    const space = h("span", { class: "icechunk-grow" });
    this.footer = h("div", { class: "icechunk-foot" }, this.footnote, space, this.ontoField, barsField, this.fold);
  }

  /** Put everything into the body of the view. */
  place(body: HTMLElement, list: HTMLElement, details: HTMLElement, below: HTMLElement): void {
    const space = h("span", { class: "icechunk-grow" });
    fill(
      body,
      h("header", { class: "icechunk-head" }, this.title, this.counts, space, this.found, this.search),
      this.notice,
      h("div", { class: "icechunk-split" }, h("div", { class: "icechunk-left" }, list, this.footer), details),
      below,
    );
  }

  setTitle(title: unknown): void {
    say(this.title, String(title || "History"));
  }

  /** Show how many commits, branches and tags there are, and the branches to rebase onto. */
  describe(reply: HistoryReply, commits: number, branches: string[], onto: string): void {
    const count = reply.refs.filter((ref) => ref.kind === "branch").length;
    const tags = reply.refs.length - count;
    const parts = [plural(commits, "commit"), plural(count, "branch", "branches"), ...(tags ? [plural(tags, "tag")] : [])];
    say(this.counts, parts.join(" · "));
    this.ontoField.hidden = count < 2;
    update(this.onto, ...branches.map((name) => h("option", { value: name, selected: name === onto }, name)));
    this.onto.value = onto; // options that move into the list one by one may have changed the choice
    say(this.footnote, reply.truncated ? "Older commits are not shown." : "Ctrl-click a second commit to compare");
  }

  /** @param hidden number of commits in folded runs */
  describeFold(hidden: number, folding: boolean): void {
    this.fold.hidden = !hidden && folding;
    say(this.fold, hidden ? `Unfold ${plural(hidden, "commit")}` : "Fold long runs");
  }

  /** Show what an action did, and the line of Python that does the same. */
  notify(text: string, python: string): void {
    fill(this.notice, h("span", null, text, " "), h("code", null, python));
    this.notice.hidden = false;
  }
}
