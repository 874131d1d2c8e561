/** The history of a repository: lanes, refs, search, details of one commit, comparison of two. */

import { Commits, SESSION_ROW, UNKNOWN } from "../core/commits";
import { button, closest, h, listen, say, fill } from "../core/dom";
import { asHostError, type Host, isSilent } from "../core/host";
import type { CommitReply, DiffReply, HistoryReply } from "../core/protocol";
import { plural } from "../core/text";
import { handleCopy, hint, showComparison, showCommit, showSession } from "./commitpane";
import { commitActions } from "./commitactions";
import { ComparisonBelow } from "./comparison";
import { commitTree } from "./committree";
import { createFrame, type Dispose, savedAt } from "./frame";
import { HistoryList } from "./historylist";
import { SESSION, verdictDetails } from "./rebases";
import { watch } from "./watch";

/** Commits whose texts come with the first answer; of a saved page there is no second one. */
const FIRST = 200;
const SAVED = 2000;

export function mount(el: HTMLElement, host: Host): Dispose {
  const frame = createFrame(el, host, {
    name: "history",
    testid: "icechunk-history",
    label: String(host.get("title") || "History"),
  });
  const { signal } = frame;
  let commits: Commits | null = null;
  let detail: AbortController | null = null;
  let quiet = false;

  const title = h("h2", { class: "icechunk-heading" });
  const counts = h("span", { class: "icechunk-counts" });
  const search = h("input", {
    type: "search",
    class: "icechunk-input",
    placeholder: "Search message, author, id",
    "aria-label": "Search commits",
  });
  const found = h("span", { class: "icechunk-muted icechunk-found", "aria-live": "polite" });
  const pane = h("div", { class: "icechunk-pane", tabindex: 0, role: "region", "aria-label": "Details" });
  const fold = button("", { class: "icechunk-link icechunk-fold", hidden: true });
  const dryRuns = h("div", { class: "icechunk-rebases", testid: "icechunk-rebases" });
  const list = new HistoryList(frame, host, { onSelect: (ids) => choose(ids), onFold: showFold, onNews: news });
  const onto = h("select", { class: "icechunk-select icechunk-small", "aria-label": "Branch that the others would be rebased onto", disabled: savedAt(host) !== "" });
  const ontoField = h("label", { class: "icechunk-field", hidden: true }, "Dry runs onto", onto);
  const bars = h("select", { class: "icechunk-select icechunk-small", "aria-label": "What the bars tell" },
    h("option", { value: "chunks" }, "chunks"), h("option", { value: "bytes" }, "bytes"));
  const barsField = h("label", { class: "icechunk-field" }, "Bars show", bars);
  const footnote = h("span", { class: "icechunk-footnote" });
  const footer = h("div", { class: "icechunk-foot" }, footnote, h("span", { class: "icechunk-grow" }), ontoField, barsField, fold);
  const notice = h("div", { class: "icechunk-notice", role: "status", testid: "icechunk-done", hidden: true });
  const below = new ComparisonBelow(frame, host);
  fill(
    frame.body,
    h("header", { class: "icechunk-head" }, title, counts, h("span", { class: "icechunk-grow" }), found, search),
    notice,
    h("div", { class: "icechunk-split" }, h("div", { class: "icechunk-left" }, list.element, footer), pane),
    below.element,
  );

  const selectedTrait = (): string[] => {
    const value = host.get("selected");
    return Array.isArray(value) ? value.map(String) : [];
  };

  async function load(): Promise<void> {
    try {
      const saved = savedAt(host) !== "";
      const asked = saved ? { rows: SAVED, limit: SAVED } : { rows: FIRST };
      const answer = await host.request<HistoryReply>("history", asked);
      if (signal.aborted) return;
      commits = new Commits(answer.result, answer.buffers);
      frame.clearError();
      present(commits);
    } catch (error) {
      frame.fail(error, () => void load());
    }
  }

  function present(shown: Commits): void {
    const { reply } = shown;
    say(title, String(host.get("title") || "History"));
    const branches = reply.refs.filter((ref) => ref.kind === "branch").length;
    const tags = reply.refs.length - branches;
    say(
      counts,
      [
        plural(shown.count - shown.shift, "commit"),
        plural(branches, "branch", "branches"),
        ...(tags ? [plural(tags, "tag")] : []),
      ].join(" · "),
    );
    const kept = list.selected.length ? list.selected : selectedTrait();
    list.show(shown, kept);
    ontoField.hidden = branches < 2;
    fill(onto, ...list.rebases.branches.map((name) => h("option", { value: name, selected: name === list.rebases.onto }, name)));
    if (search.value) void runSearch();
    say(
      footnote,
      reply.truncated
        ? "Older commits are not shown."
        : "Ctrl click a second commit to compare",
    );
    if (list.selected.length) show(list.selected);
    else if (list.newest) choose([list.newest], true);
    else hint(pane, "No commits yet.");
  }

  /** What became known of the rebases of what is on show. */
  function news(): void {
    const [id] = list.selected;
    if (id === undefined || list.selected.length > 1) return fill(dryRuns);
    const names = id === SESSION_ROW ? [SESSION] : list.refsOf(id).filter((ref) => ref.kind === "branch").map((ref) => ref.name);
    const told = names.flatMap((name) => {
      const verdict = list.rebases.verdict(name);
      return verdict && name !== list.rebases.onto ? [verdictDetails(name, verdict)] : [];
    });
    fill(dryRuns, told.length ? h("h4", null, "Dry run of a rebase") : null, ...told);
  }

  function showFold(hidden: number): void {
    fold.hidden = !hidden && list.folding;
    say(fold, hidden ? `Unfold ${plural(hidden, "commit")}` : "Fold long runs");
  }

  function choose(ids: string[], first = false): void {
    list.selected = ids;
    const snapshots = ids.filter((id) => id !== SESSION_ROW);
    if (!first) {
      quiet = true;
      host.set("selected", snapshots);
      quiet = false;
    }
    show(ids);
  }

  function show(ids: string[]): void {
    detail?.abort();
    detail = new AbortController();
    const scope = detail.signal;
    const reply = commits?.reply;
    news();
    if (ids[0] === SESSION_ROW && reply?.session) return showSession(pane, reply.session, reply.refs, dryRuns);
    if (ids.length === 2) return void compare(ids, scope);
    const row = list.row(ids[0]);
    if (!row) return hint(pane, "Select a commit.");
    const actions = savedAt(host) ? null : commitActions(frame, host, row.id, { refs: reply?.refs ?? [], onDone: done });
    const more = [dryRuns, commitTree(host, row.id, scope)];
    showCommit(pane, row, list.refsOf(row.id), null, actions, more);
    host.request<CommitReply>("commit", { id: row.id }, { signal: scope }).then(
      ({ result }) => {
        if (!scope.aborted && !signal.aborted) showCommit(pane, row.message === UNKNOWN ? result : row, list.refsOf(row.id), result, actions, more);
      },
      (error) => {
        if (isSilent(error) || scope.aborted) return;
        showCommit(pane, row, list.refsOf(row.id), null, actions, more, asHostError(error).message);
        frame.fail(error, () => show(ids));
      },
    );
  }

  function done(text: string, python: string): void {
    fill(notice, h("span", null, text, " "), h("code", null, python));
    notice.hidden = false;
  }

  async function compare(ids: string[], scope: AbortSignal): Promise<void> {
    const [a, b] = list.olderFirst(ids).map((id) => list.row(id));
    if (!a || !b) return;
    showComparison(pane, a, b, null);
    try {
      const { result } = await host.request<DiffReply>(
        "diff_summary",
        { a: a.id, b: b.id },
        { signal: scope },
      );
      if (scope.aborted || signal.aborted) return;
      showComparison(pane, a, b, result);
      frame.announce(`Comparison: ${plural(result.nodes.length, "changed node")}`);
    } catch (error) {
      frame.fail(error, () => show(ids));
    }
  }

  async function runSearch(): Promise<void> {
    try {
      const n = await list.search(search.value);
      if (n !== null) say(found, search.value.trim() ? plural(n, "match", "matches") : "");
    } catch (error) {
      frame.fail(error, () => void runSearch());
    }
  }

  listen(fold, "click", () => list.setFolding(!list.folding), signal);
  listen(search, "input", () => void runSearch(), signal);
  listen(onto, "change", () => (list.rebases.choose(onto.value), list.draw()), signal);
  listen(bars, "change", () => ((list.activity.kind = bars.value as "chunks" | "bytes"), list.draw()), signal);
  listen(
    search,
    "keydown",
    (event) => {
      event.stopPropagation();
      if (event.key === "Enter") list.nextMatch(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") {
        search.value = "";
        void runSearch();
      }
    },
    signal,
  );
  listen(
    pane,
    "click",
    (event) => {
      const target = closest(event, "button");
      if (!target) return;
      if (handleCopy(target, frame.announce)) return;
      if (target.dataset.goto) list.select(target.dataset.goto);
      const pair = target.dataset.compare?.split(" ");
      if (pair) below.open(pair[0]!, pair[1]!);
    },
    signal,
  );
  listen(
    below.element,
    "click",
    (event) => {
      const target = closest(event, "[data-goto]");
      if (!target?.dataset.goto) return;
      list.select(target.dataset.goto);
      list.element.focus();
    },
    signal,
  );
  host.onChange("revision", () => void load(), signal);
  host.onChange("title", () => commits && present(commits), signal);
  host.onChange(
    "selected",
    () => {
      if (quiet || !commits) return;
      const ids = selectedTrait().filter((id) => list.has(id));
      if (String(ids) === String(list.selected)) return;
      list.take(ids);
      show(ids);
    },
    signal,
  );
  host.onEvent((event) => event.event === "changed" && void load(), signal);
  signal.addEventListener("abort", () => detail?.abort(), { once: true });
  watch(frame, host);
  say(title, String(host.get("title") || "History"));
  hint(pane, "Loading…");
  void load();
  return frame.dispose;
}
