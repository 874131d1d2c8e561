/** The history of a repository: commit graph, refs, search, details of one commit, comparison of two. */

import { Commits, SESSION_ROW } from "../../core/commits";
import { closest, listen, say } from "../../core/dom";
import type { Host } from "../../core/host";
import type { HistoryReply } from "../../core/protocol";
import { plural } from "../../core/text";
import { handleCopy } from "../common/copy";
import { createFrame, type Dispose, type Frame, savedAt } from "../common/frame";
import { watch } from "../common/watch";
import { ComparisonBelow } from "./comparison";
import { DetailsPane } from "./details";
import { HistoryLayout } from "./layout";
import { HistoryList } from "./list";

/** Commits whose messages come with the first reply; the others are fetched when they come on screen. */
const FIRST_ROWS = 200;
/** The same for a saved page, which has no kernel to fetch more from. */
const SAVED_ROWS = 2000;

export function mount(el: HTMLElement, host: Host): Dispose {
  const frame = createFrame(el, host, {
    name: "history",
    testid: "icechunk-history",
    label: String(host.get("title") || "History"),
  });
  new HistoryView(frame, host).start();
  return frame.dispose;
}

class HistoryView {
  private readonly layout: HistoryLayout;
  private readonly list: HistoryList;
  private readonly details: DetailsPane;
  private readonly below: ComparisonBelow;
  private commits: Commits | null = null;
  /** True while this view sets the trait `selected`, so that it ignores its own change. */
  private quiet = false;

  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
  ) {
    this.layout = new HistoryLayout(savedAt(host) !== "");
    this.list = new HistoryList(frame, host, {
      onSelect: (ids) => this.choose(ids),
      onFold: (hidden) => this.layout.describeFold(hidden, this.list.folding),
      onNews: () => this.details.updateDryRuns(),
    });
    this.details = new DetailsPane(frame, host, this.list, (text, python) => this.layout.notify(text, python));
    this.below = new ComparisonBelow(frame, host);
    this.layout.place(frame.body, this.list.element, this.details.element, this.below.element);
  }

  start(): void {
    this.listenToControls();
    this.listenToSearch();
    this.listenToLinks();
    this.listenToKernel();
    watch(this.frame, this.host);
    this.layout.setTitle(this.host.get("title"));
    this.details.hint("Loading…");
    void this.load();
  }

  // ---- state ------------------------------------------------------------------------------------

  private async load(): Promise<void> {
    try {
      const params = savedAt(this.host) ? { rows: SAVED_ROWS, limit: SAVED_ROWS } : { rows: FIRST_ROWS };
      const reply = await this.host.request<HistoryReply>("history", params);
      if (this.frame.signal.aborted) return;
      this.commits = new Commits(reply.result, reply.buffers);
      this.frame.clearError();
      this.present(this.commits);
    } catch (error) {
      this.frame.fail(error, () => void this.load());
    }
  }

  private present(commits: Commits): void {
    const { layout, list } = this;
    layout.setTitle(this.host.get("title"));
    list.show(commits, list.selected.length ? list.selected : this.selectedTrait());
    layout.describe(commits.reply, commits.count - commits.shift, list.rebases.branches, list.rebases.onto);
    if (layout.search.value) void this.search();
    if (list.selected.length) this.details.show(list.selected, commits.reply);
    else if (list.newest) {
      list.selected = [list.newest];
      this.details.show(list.selected, commits.reply);
    } else this.details.hint("No commits yet.");
  }

  private choose(ids: string[]): void {
    this.list.selected = ids;
    this.quiet = true;
    this.host.set("selected", ids.filter((id) => id !== SESSION_ROW));
    this.quiet = false;
    this.details.show(ids, this.commits?.reply);
  }

  private selectedTrait(): string[] {
    const value = this.host.get("selected");
    return Array.isArray(value) ? value.map(String) : [];
  }

  private async search(): Promise<void> {
    const { search, found } = this.layout;
    try {
      const count = await this.list.search(search.value);
      if (count !== null) say(found, search.value.trim() ? plural(count, "match", "matches") : "");
    } catch (error) {
      this.frame.fail(error, () => void this.search());
    }
  }

  // ---- input ------------------------------------------------------------------------------------

  private listenToControls(): void {
    const { layout, list } = this;
    const { signal } = this.frame;
    const { fold, onto, bars } = layout;
    listen(fold, "click", () => list.setFolding(!list.folding), signal);
    listen(onto, "change", () => (list.rebases.choose(onto.value), list.draw()), signal);
    listen(bars, "change", () => ((list.activity.kind = bars.value as "chunks" | "bytes"), list.draw()), signal);
  }

  private listenToSearch(): void {
    const { search } = this.layout;
    const { signal } = this.frame;
    listen(search, "input", () => void this.search(), signal);
    const key = (event: KeyboardEvent): void => {
      event.stopPropagation();
      if (event.key === "Enter") this.list.nextMatch(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") {
        search.value = "";
        void this.search();
      }
    };
    listen(search, "keydown", key, signal);
  }

  /** Buttons in the details and in the comparison that copy, go to a commit, or compare. */
  private listenToLinks(): void {
    const { frame, list, below } = this;
    const inDetails = (event: MouseEvent): void => {
      const target = closest(event, "button");
      if (!target || handleCopy(target, frame.announce)) return;
      if (target.dataset.goto) list.select(target.dataset.goto);
      const pair = target.dataset.compare?.split(" ");
      if (pair) below.open(pair[0]!, pair[1]!);
    };
    const inComparison = (event: MouseEvent): void => {
      const target = closest(event, "[data-goto]");
      if (!target?.dataset.goto) return;
      list.select(target.dataset.goto);
      list.element.focus();
    };
    listen(this.details.element, "click", inDetails, frame.signal);
    listen(below.element, "click", inComparison, frame.signal);
  }

  private listenToKernel(): void {
    const { host } = this;
    const { signal } = this.frame;
    host.onChange("revision", () => void this.load(), signal);
    host.onChange("title", () => this.commits && this.present(this.commits), signal);
    host.onChange("selected", () => this.followSelected(), signal);
    host.onEvent((event) => event.event === "changed" && void this.load(), signal);
  }

  /** Show the commits that Python or another view of the same widget selected. */
  private followSelected(): void {
    if (this.quiet || !this.commits) return;
    const ids = this.selectedTrait().filter((id) => this.list.has(id));
    if (String(ids) === String(this.list.selected)) return;
    this.list.take(ids);
    this.details.show(ids, this.commits.reply);
  }
}
