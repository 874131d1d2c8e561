/** The history of a repository: lanes, refs, search, details of one commit, comparison of two. */

import { button, closest, h, listen, say, fill } from "../core/dom";
import { type Host } from "../core/host";
import type { CommitReply, DiffReply, HistoryReply } from "../core/protocol";
import { plural } from "../core/text";
import { handleCopy, hint, showComparison, showCommit, showSession } from "./commitpane";
import { commitActions } from "./commitactions";
import { ComparisonBelow } from "./comparison";
import { createFrame, type Dispose } from "./frame";
import { HistoryList, SESSION_ROW } from "./historylist";

export function mount(el: HTMLElement, host: Host): Dispose {
  const frame = createFrame(el, host, {
    name: "history",
    testid: "ick-history",
    label: String(host.get("title") || "History"),
  });
  const { signal } = frame;
  let reply: HistoryReply | null = null;
  let detail: AbortController | null = null;
  let quiet = false;

  const title = h("h2", { class: "ick-heading" });
  const counts = h("span", { class: "ick-counts" });
  const search = h("input", {
    type: "search",
    class: "ick-input",
    placeholder: "Search message, author, id",
    "aria-label": "Search commits",
  });
  const found = h("span", { class: "ick-muted ick-found", "aria-live": "polite" });
  const pane = h("div", { class: "ick-pane", tabindex: 0, role: "region", "aria-label": "Details" });
  const fold = button("", { class: "ick-link ick-fold", hidden: true });
  const list = new HistoryList(frame, host, { onSelect: (ids) => choose(ids), onFold: showFold });
  const footnote = h("span");
  const footer = h("div", { class: "ick-foot" }, footnote, h("span", { class: "ick-grow" }), fold);
  const notice = h("div", { class: "ick-notice", role: "status", testid: "ick-done", hidden: true });
  const below = new ComparisonBelow(frame, host);
  fill(
    frame.body,
    h("header", { class: "ick-head" }, title, counts, h("span", { class: "ick-grow" }), found, search),
    notice,
    h("div", { class: "ick-split" }, h("div", { class: "ick-left" }, list.element, footer), pane),
    below.element,
  );

  const selectedTrait = (): string[] => {
    const value = host.get("selected");
    return Array.isArray(value) ? value.map(String) : [];
  };

  async function load(): Promise<void> {
    try {
      const answer = await host.request<HistoryReply>("history");
      if (signal.aborted) return;
      reply = answer.result;
      frame.clearError();
      present(reply);
    } catch (error) {
      frame.fail(error, () => void load());
    }
  }

  function present(state: HistoryReply): void {
    say(title, String(host.get("title") || "History"));
    const branches = state.refs.filter((ref) => ref.kind === "branch").length;
    const tags = state.refs.length - branches;
    say(
      counts,
      [
        plural(state.commits.length, "commit"),
        plural(branches, "branch", "branches"),
        ...(tags ? [plural(tags, "tag")] : []),
      ].join(" · "),
    );
    const kept = list.selected.length ? list.selected : selectedTrait();
    list.show(state, kept);
    if (search.value) runSearch();
    say(
      footnote,
      state.truncated
        ? "Older commits are not shown."
        : "Ctrl or Shift click a second commit to compare",
    );
    if (list.selected.length) show(list.selected);
    else if (list.rows.length)
      choose([(list.rows.find((row) => row.id !== SESSION_ROW) ?? list.rows[0]!).id], true);
    else hint(pane, "No commits yet.");
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
    const rows = ids.map((id) => list.row(id));
    if (ids[0] === SESSION_ROW && reply?.session) return showSession(pane, reply.session, reply.refs);
    if (ids.length === 2) return void compare(ids, scope);
    const row = rows[0];
    if (!row) return hint(pane, "Select a commit.");
    const actions = commitActions(frame, host, row.id, { refs: reply?.refs ?? [], onDone: done });
    showCommit(pane, row, list.refsOf(row.id), null, actions);
    host.request<CommitReply>("commit", { id: row.id }, { signal: scope }).then(
      ({ result }) => {
        if (!scope.aborted && !signal.aborted) showCommit(pane, row, list.refsOf(row.id), result, actions);
      },
      (error) => frame.fail(error, () => show(ids)),
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

  function runSearch(): void {
    const n = list.search(search.value);
    say(found, search.value.trim() ? plural(n, "match", "matches") : "");
  }

  listen(fold, "click", () => list.setFolding(!list.folding), signal);
  listen(search, "input", runSearch, signal);
  listen(
    search,
    "keydown",
    (event) => {
      event.stopPropagation();
      if (event.key === "Enter") list.nextMatch(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") {
        search.value = "";
        runSearch();
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
  host.onChange("revision", () => void load(), signal);
  host.onChange("title", () => reply && present(reply), signal);
  host.onChange(
    "selected",
    () => {
      if (quiet || !reply) return;
      const ids = selectedTrait().filter((id) => list.has(id));
      if (String(ids) === String(list.selected)) return;
      list.take(ids);
      show(ids);
    },
    signal,
  );
  host.onEvent((event) => event.event === "changed" && void load(), signal);
  signal.addEventListener("abort", () => detail?.abort(), { once: true });
  say(title, String(host.get("title") || "History"));
  hint(pane, "Loading…");
  void load();
  return frame.dispose;
}
