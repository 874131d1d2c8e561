/** The history of a repository: lanes, refs, search, details of one commit, comparison of two. */

import { closest, h, listen, say, fill } from "../core/dom";
import { type Host } from "../core/host";
import type { CommitReply, DiffReply, HistoryReply } from "../core/protocol";
import { plural } from "../core/text";
import { handleCopy, hint, showComparison, showCommit, showSession } from "./commitpane";
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
  const list = new HistoryList(frame, { onSelect: (ids) => choose(ids) });
  const footer = h("div", { class: "ick-foot" });
  fill(
    frame.body,
    h("header", { class: "ick-head" }, title, counts, h("span", { class: "ick-grow" }), found, search),
    h("div", { class: "ick-split" }, h("div", { class: "ick-left" }, list.element, footer), pane),
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
      footer,
      state.truncated
        ? "Older commits are not shown."
        : "Ctrl or Shift click a second commit to compare",
    );
    if (list.selected.length) show(list.selected);
    else if (list.rows.length)
      choose([(list.rows.find((row) => row.id !== SESSION_ROW) ?? list.rows[0]!).id], true);
    else hint(pane, "No commits yet.");
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
    const rows = ids.map((id) => list.rows.find((row) => row.id === id));
    if (ids[0] === SESSION_ROW && reply?.session) return showSession(pane, reply.session, reply.refs);
    if (ids.length === 2) return void compare(ids, scope);
    const row = rows[0];
    if (!row) return hint(pane, "Select a commit.");
    showCommit(pane, row, list.refsOf(row.id), null);
    host.request<CommitReply>("commit", { id: row.id }, { signal: scope }).then(
      ({ result }) => {
        if (!scope.aborted && !signal.aborted) showCommit(pane, row, list.refsOf(row.id), result);
      },
      (error) => frame.fail(error, () => show(ids)),
    );
  }

  async function compare(ids: string[], scope: AbortSignal): Promise<void> {
    const [a, b] = list.olderFirst(ids).map((id) => list.rows.find((row) => row.id === id)!);
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
      list.selected = ids;
      list.redraw();
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
