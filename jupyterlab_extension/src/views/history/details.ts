/** The pane beside the history: the selected commit, the session, or the comparison of two commits. */

import { SESSION_ROW, UNKNOWN } from "../../core/commits";
import { fill, h } from "../../core/dom";
import { asHostError, type Host, isSilent } from "../../core/host";
import type { CommitReply, CommitRow, DiffReply, HistoryReply } from "../../core/protocol";
import { plural } from "../../core/text";
import { type Frame, savedAt } from "../common/frame";
import { commitActions } from "./commitactions";
import { CommitDetails, hint, showComparison, showSession } from "./commitpane";
import { commitTree } from "./committree";
import type { HistoryList } from "./list";
import { SESSION, verdictDetails } from "./rebases";

export class DetailsPane {
  readonly element = h("div", { class: "icechunk-pane", tabindex: 0, role: "region", "aria-label": "Details" });
  private readonly dryRuns = h("div", { class: "icechunk-rebases", testid: "icechunk-rebases" });
  private running: AbortController | null = null;

  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
    private readonly list: HistoryList,
    /** Called after an action, with a sentence and the line of Python. */
    private readonly onDone: (text: string, python: string) => void,
  ) {
    frame.signal.addEventListener("abort", () => this.running?.abort(), { once: true });
  }

  hint(text: string): void {
    hint(this.element, text);
  }

  /** Show what is selected; a newer call abandons the requests of the one before. */
  show(ids: string[], reply: HistoryReply | undefined): void {
    this.running?.abort();
    this.running = new AbortController();
    const { signal } = this.running;
    this.updateDryRuns();
    if (ids[0] === SESSION_ROW && reply?.session)
      return showSession(this.element, reply.session, reply.refs, this.dryRuns);
    const again = (): void => this.show(ids, reply);
    if (ids.length === 2) return void this.compare(ids, signal, again);
    const row = this.list.row(ids[0]);
    if (!row) return this.hint("Select a commit.");
    void this.showCommit(row, reply, signal, again);
  }

  /** Show the dry runs of rebases of the branches at the selected commit. */
  updateDryRuns(): void {
    const [id] = this.list.selected;
    if (id === undefined || this.list.selected.length > 1) return fill(this.dryRuns);
    const { rebases } = this.list;
    const branches = this.list.refsOf(id).filter((ref) => ref.kind === "branch");
    const names = id === SESSION_ROW ? [SESSION] : branches.map((ref) => ref.name);
    const results = names.flatMap((name) => {
      const verdict = rebases.verdict(name);
      return verdict && name !== rebases.onto ? [verdictDetails(name, verdict)] : [];
    });
    fill(this.dryRuns, results.length ? h("h4", null, "Dry run of a rebase") : null, ...results);
  }

  private async showCommit(row: CommitRow, reply: HistoryReply | undefined, signal: AbortSignal, again: () => void): Promise<void> {
    const { frame, host } = this;
    const options = { refs: reply?.refs ?? [], target: reply?.session?.branch ?? "main", onDone: this.onDone };
    const actions = savedAt(host) ? null : commitActions(frame, host, row.id, options);
    const extras = [actions, this.dryRuns, commitTree(host, row.id, signal)];
    const details = new CommitDetails(this.element, () => this.list.refsOf(row.id), (id) => this.list.has(id), extras);
    details.show(row, null);
    try {
      const { result } = await host.request<CommitReply>("commit", { id: row.id }, { signal });
      if (signal.aborted || frame.signal.aborted) return;
      details.show(row.message === UNKNOWN ? result : row, result);
    } catch (error) {
      if (isSilent(error) || signal.aborted) return;
      details.show(row, null, asHostError(error).message);
      frame.fail(error, again);
    }
  }

  private async compare(ids: string[], signal: AbortSignal, again: () => void): Promise<void> {
    const [a, b] = this.list.olderFirst(ids).map((id) => this.list.row(id));
    if (!a || !b) return;
    showComparison(this.element, a, b, null);
    try {
      const { result } = await this.host.request<DiffReply>("diff_summary", { a: a.id, b: b.id }, { signal });
      if (signal.aborted || this.frame.signal.aborted) return;
      showComparison(this.element, a, b, result);
      this.frame.announce(`Comparison: ${plural(result.nodes.length, "changed node")}`);
    } catch (error) {
      this.frame.fail(error, again);
    }
  }
}
