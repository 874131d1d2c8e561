/** The commit list with its lanes: only the rows on screen are in the document. */

import { LINE_COLOURS } from "../core/colour";
import { fill, h, listen, s } from "../core/dom";
import { type Run, straightRuns } from "../core/folding";
import type { Host } from "../core/host";
import { assignLanes, childrenFirst, type LaneLayout, rowsTouching } from "../core/lanes";
import type { CommitRow, HistoryReply, Ref, SessionState } from "../core/protocol";
import { firstLine, plural, shortId } from "../core/text";
import { absoluteTime, relativeTime } from "../core/time";
import { Activity } from "./activity";
import { type Frame, onWidth, uid } from "./frame";
import { edgePath } from "./graphedge";
import { refLabel } from "./reflabel";

export const ROW = 28;
const LANE = 16;
const PAD = 12;
const MAX_ROWS = 16;
const MAX_LANES = 14;

/** Id of the row that stands for uncommitted changes; no commit can have it. */
export const SESSION_ROW = "session";

export interface HistoryListOptions {
  onSelect(ids: string[]): void;
  /** The number of commits that are folded away has changed. */
  onFold(hidden: number): void;
}

/** A commit, or a run of commits folded into one row. */
type Row = CommitRow & { run?: Run };

export class HistoryList {
  readonly element: HTMLElement;
  rows: Row[] = [];
  selected: string[] = [];
  /** Fold long straight runs. */
  folding = true;
  /** Commits that are folded away. */
  hidden = 0;
  private commits: CommitRow[] = [];
  private byId = new Map<string, CommitRow>();
  private order = new Map<string, number>();
  private opened = new Set<string>();
  private tip: string | null = null;
  private branches: Ref[] = [];
  private layout: LaneLayout = assignLanes([], null);
  private refs = new Map<string, Ref[]>();
  private colours: string[] = [];
  private session: SessionState | null = null;
  private index = new Map<string, number>();
  private matches: Set<number> | null = null;
  private searched = false;
  private cursor = 0;
  private readonly spacer = h("div", { class: "ick-spacer" });
  private readonly graph = s("svg", { class: "ick-graph", "aria-hidden": "true" });
  private readonly window = h("div", { class: "ick-rows", role: "presentation" });
  private readonly prefix = uid();
  private readonly activity: Activity;
  private queued = false;

  constructor(
    private readonly frame: Frame,
    host: Host,
    private readonly options: HistoryListOptions,
  ) {
    this.activity = new Activity(host, frame.signal, () => this.draw());
    this.spacer.append(this.graph, this.window);
    this.element = h(
      "div",
      {
        class: "ick-history-list",
        tabindex: 0,
        role: "listbox",
        "aria-label": "Commits, newest first",
        "aria-multiselectable": "true",
      },
      this.spacer,
    );
    const { signal } = frame;
    listen(this.element, "scroll", () => this.draw(), signal);
    listen(this.element, "keydown", (event) => this.key(event), signal);
    listen(this.element, "click", (event) => this.click(event), signal);
    listen(this.element, "focus", () => this.draw(), signal);
    listen(this.element, "blur", () => this.draw(), signal);
    onWidth(this.element, () => this.draw(), signal);
  }

  show(reply: HistoryReply, selected: string[]): void {
    const { session } = reply;
    const rows: CommitRow[] = [...reply.commits];
    if (session?.dirty)
      rows.unshift({
        id: SESSION_ROW,
        parent: session.base,
        message: "Uncommitted changes",
        time: "",
        author: null,
      });
    const main = reply.refs.find((ref) => ref.kind === "branch" && ref.name === "main");
    const first = main ?? reply.refs.find((ref) => ref.kind === "branch");
    const tip = first?.id ?? rows[0]?.id ?? null;
    this.session = session;
    this.tip = session?.dirty && session.base === tip ? SESSION_ROW : tip;
    this.branches = reply.refs.filter((ref) => ref.kind === "branch");
    this.commits = childrenFirst(rows);
    this.byId = new Map(this.commits.map((row) => [row.id, row]));
    this.order = new Map(this.commits.map((row, i) => [row.id, i]));
    this.refs = new Map();
    for (const ref of reply.refs) {
      const list = this.refs.get(ref.id);
      if (list) list.push(ref);
      else this.refs.set(ref.id, [ref]);
    }
    this.selected = selected.filter((id) => this.byId.has(id));
    this.arrange();
    const at = this.selected.length ? this.index.get(this.selected[this.selected.length - 1]!) : 0;
    this.cursor = at ?? 0;
    this.draw();
  }

  /** Fold what is to be folded, and give every row left its lane. */
  private arrange(): void {
    const keep = (id: string): boolean =>
      this.refs.has(id) || this.selected.includes(id) || this.opened.has(id) || id === this.session?.base;
    const runs = this.folding && !this.searched ? straightRuns(this.commits, keep) : new Map<string, Run>();
    const gone = new Set<string>();
    const heads = new Map<string, string>();
    for (const [first, run] of runs) {
      heads.set(first, run.id);
      for (const id of run.hidden) gone.add(id);
    }
    this.rows = this.commits.flatMap((row): Row[] => {
      const run = runs.get(row.id);
      if (run) return [{ id: run.id, parent: run.parent, message: "", time: "", run }];
      return gone.has(row.id) ? [] : [row];
    });
    const linked = this.rows.map(({ id, parent }) => ({
      id,
      parent: parent === null ? null : (heads.get(parent) ?? parent),
    }));
    this.layout = assignLanes(linked, this.tip);
    this.index = new Map(this.rows.map((row, i) => [row.id, i]));
    this.colours = this.pickColours();
    this.hidden = gone.size;
    this.spacer.style.height = `${this.rows.length * ROW}px`;
    this.element.style.height = `${Math.min(MAX_ROWS, Math.max(3, this.rows.length)) * ROW}px`;
    this.options.onFold(gone.size);
  }

  /** Arrange anew and keep the row of a commit where it is on screen. */
  private rearrange(id: string | undefined): void {
    const before = id === undefined ? undefined : this.index.get(id);
    const offset = before === undefined ? 0 : before * ROW - this.element.scrollTop;
    this.arrange();
    const after = id === undefined ? undefined : this.index.get(id);
    this.cursor = after ?? Math.min(this.cursor, this.rows.length - 1);
    if (after !== undefined && before !== undefined) this.element.scrollTop = after * ROW - offset;
    this.draw();
  }

  setFolding(on: boolean): void {
    this.folding = on;
    this.opened.clear();
    this.rearrange(this.selected[0] ?? this.rows[this.cursor]?.id);
    const at = this.index.get(this.selected[0] ?? "");
    if (at !== undefined) this.reveal(at);
  }

  private unfold(run: Run, at: number): void {
    for (const id of run.hidden) this.opened.add(id);
    const scroll = this.element.scrollTop;
    this.arrange();
    this.cursor = Math.min(at, this.rows.length - 1);
    this.element.scrollTop = scroll;
    this.draw();
    this.frame.announce(`${plural(run.hidden.length, "commit")} unfolded`);
  }

  /** Branches keep their colour by their place in the list of branches, other lines follow. */
  private pickColours(): string[] {
    const { branches } = this;
    const ordered = [
      ...branches.filter((ref) => ref.name === "main"),
      ...branches.filter((ref) => ref.name !== "main"),
    ];
    const place = new Map<number, number>();
    ordered.forEach((ref, i) => {
      const row = this.index.get(ref.id);
      if (row === undefined) return;
      const line = this.layout.line[row]!;
      if (!place.has(line)) place.set(line, i);
    });
    let extra = ordered.length;
    return this.layout.lineTop.map((_, line) => {
      const at = place.get(line) ?? (line === 0 ? 0 : extra++);
      return LINE_COLOURS[at % LINE_COLOURS.length]!;
    });
  }

  /** Mark the commits a search text matches; an empty text clears. Returns how many match. */
  search(text: string): number {
    const wanted = text.trim().toLowerCase();
    if (this.searched !== (wanted !== "")) {
      this.searched = wanted !== "";
      this.rearrange(this.rows[this.cursor]?.id);
    }
    if (!wanted) {
      this.matches = null;
      this.draw();
      return 0;
    }
    this.matches = new Set();
    this.rows.forEach((row, i) => {
      const names = (this.refs.get(row.id) ?? []).map((ref) => ref.name).join(" ");
      const text = `${row.message} ${row.id} ${row.author ?? ""} ${names}`.toLowerCase();
      if (text.includes(wanted)) this.matches!.add(i);
    });
    this.draw();
    return this.matches.size;
  }

  /** Go to the next match below the cursor, around the end. */
  nextMatch(step: 1 | -1): void {
    const n = this.rows.length;
    for (let k = 1; k <= n; k++) {
      const at = (this.cursor + step * k + 2 * n) % n;
      if (this.matches?.has(at)) return this.goTo(at, "one");
    }
  }

  select(id: string): void {
    if (!this.byId.has(id)) return;
    this.uncover(id);
    this.goTo(this.index.get(id)!, "one");
  }

  /** Select what somebody else selected. */
  take(ids: string[]): void {
    this.selected = ids;
    for (const id of ids) this.uncover(id);
    this.draw();
  }

  /** Unfold the run that hides a commit. */
  private uncover(id: string): void {
    if (this.index.has(id)) return;
    const run = this.rows.find((row) => row.run?.hidden.includes(id))?.run;
    for (const hidden of run?.hidden ?? []) this.opened.add(hidden);
    this.arrange();
  }

  /** A commit, also one that is folded away. */
  row(id: string | undefined): CommitRow | undefined {
    return id === undefined ? undefined : this.byId.get(id);
  }

  refsOf(id: string): Ref[] {
    return this.refs.get(id) ?? [];
  }

  has(id: string): boolean {
    return this.byId.has(id);
  }

  /** Older first, as a comparison reads. */
  olderFirst(ids: string[]): string[] {
    return [...ids].sort((a, b) => (this.order.get(b) ?? 0) - (this.order.get(a) ?? 0));
  }

  // ---- events -----------------------------------------------------------------------------------

  private click(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    const row = target?.closest<HTMLElement>("[data-row]");
    if (!row) return;
    const run = this.rows[Number(row.dataset.row)]?.run;
    if (run) return this.unfold(run, Number(row.dataset.row));
    const two = event.ctrlKey || event.metaKey || event.shiftKey;
    this.goTo(Number(row.dataset.row), two ? "two" : "one");
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Tab" || !this.rows.length) return;
    event.stopPropagation();
    const page = Math.max(1, Math.floor(this.element.clientHeight / ROW) - 1);
    const last = this.rows.length - 1;
    const moves: Record<string, number> = {
      ArrowUp: this.cursor - 1,
      ArrowDown: this.cursor + 1,
      PageUp: this.cursor - page,
      PageDown: this.cursor + page,
      Home: 0,
      End: last,
    };
    const to = moves[event.key];
    if (to !== undefined) {
      event.preventDefault();
      this.goTo(Math.max(0, Math.min(last, to)), event.shiftKey ? "extend" : "one");
    } else if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      const run = this.rows[this.cursor]?.run;
      if (run) this.unfold(run, this.cursor);
      else this.goTo(this.cursor, event.ctrlKey || event.key === " " ? "two" : "one");
    } else if (event.key === "Escape" && this.selected.length > 1) {
      event.preventDefault();
      this.goTo(this.cursor, "one");
    }
  }

  /** `two` adds or removes the second commit; `extend` compares where it started with here. */
  private goTo(at: number, how: "one" | "two" | "extend"): void {
    const row = this.rows[at];
    if (!row) return;
    const { id } = row;
    this.cursor = at;
    if (row.run) {
      this.reveal(at);
      this.draw();
      return;
    }
    const before = this.selected.filter((other) => other !== SESSION_ROW);
    if (how === "one" || id === SESSION_ROW || before.length === 0) this.selected = [id];
    else if (how === "extend") this.selected = before[0] === id ? [id] : [before[0]!, id];
    else if (before.includes(id)) this.selected = before.length > 1 ? before.filter((x) => x !== id) : before;
    else this.selected = [before[before.length - 1]!, id];
    this.reveal(at);
    this.draw();
    this.options.onSelect(this.selected);
  }

  private reveal(at: number): void {
    const top = at * ROW;
    const height = this.element.clientHeight || MAX_ROWS * ROW;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + ROW > this.element.scrollTop + height) this.element.scrollTop = top + ROW - height;
  }

  // ---- drawing ------------------------------------------------------------------------------------

  private draw(): void {
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() => {
      this.queued = false;
      if (!this.frame.signal.aborted) this.render();
    });
  }

  private render(): void {
    const height = this.element.clientHeight || MAX_ROWS * ROW;
    const from = Math.max(0, Math.floor(this.element.scrollTop / ROW) - 4);
    const to = Math.min(this.rows.length - 1, Math.ceil((this.element.scrollTop + height) / ROW) + 4);
    const lanes = Math.min(MAX_LANES, Math.max(1, this.layout.width));
    const gutter = PAD * 2 + 4 + (lanes - 1) * LANE;
    const now = Date.now();
    const parts: HTMLElement[] = [];
    for (let i = from; i <= to; i++) parts.push(this.renderRow(i, gutter, now));
    this.activity.want(this.rows.slice(from, to + 1).flatMap((row) => (row.time ? [row.id] : [])));
    fill(this.window, ...parts);
    this.window.style.transform = `translateY(${from * ROW}px)`;
    this.renderGraph(from, to, gutter);
    if (this.rows.length)
      this.element.setAttribute("aria-activedescendant", `${this.prefix}-${this.cursor}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  private renderRow(i: number, gutter: number, now: number): HTMLElement {
    const row = this.rows[i]!;
    if (row.run) return this.renderRun(row.run, i, gutter);
    const chosen = this.selected.includes(row.id);
    const session = row.id === SESSION_ROW;
    const colour = this.colours[this.layout.line[i]!]!;
    const labels = (this.refs.get(row.id) ?? []).map((ref) => refLabel(ref, colour));
    const classes = ["ick-row"];
    if (chosen) classes.push("ick-chosen");
    if (i === this.cursor) classes.push("ick-cursor");
    if (this.matches && !this.matches.has(i)) classes.push("ick-faint");
    if (session) classes.push("ick-session");
    const element = h(
      "div",
      {
        class: classes.join(" "),
        testid: "ick-history-row",
        id: `${this.prefix}-${i}`,
        role: "option",
        "aria-selected": String(chosen),
        "aria-posinset": i + 1,
        "aria-setsize": this.rows.length,
        "data-row": i,
        "data-id": row.id,
      },
      h(
        "span",
        { class: "ick-rowtext" },
        ...labels,
        h("span", { class: "ick-message", title: row.message }, firstLine(row.message) || "(no message)"),
      ),
      session
        ? h("span", { class: "ick-rowmeta" }, this.sessionText())
        : h("span", { class: "ick-rowauthor" }, row.author ?? ""),
      session
        ? null
        : h(
            "time",
            { class: "ick-rowtime", datetime: row.time, title: absoluteTime(row.time) },
            relativeTime(row.time, now),
          ),
      session ? null : this.activity.bar(row.id),
      session ? null : h("code", { class: "ick-rowid", title: row.id }, shortId(row.id)),
    );
    element.style.paddingLeft = `${gutter}px`;
    return element;
  }

  private renderRun(run: Run, i: number, gutter: number): HTMLElement {
    const element = h(
      "div",
      {
        class: i === this.cursor ? "ick-row ick-run ick-cursor" : "ick-row ick-run",
        testid: "ick-history-fold",
        id: `${this.prefix}-${i}`,
        role: "option",
        "aria-selected": "false",
        "aria-posinset": i + 1,
        "aria-setsize": this.rows.length,
        "data-row": i,
        title: "Show these commits",
      },
      h("span", { class: "ick-message" }, `⋯ ${plural(run.hidden.length, "commit")} in a row`),
    );
    element.style.paddingLeft = `${gutter}px`;
    return element;
  }

  private sessionText(): string {
    const { session } = this;
    if (!session) return "";
    const where = session.branch ? `session on ${session.branch}` : "session";
    return `${where} · ${plural(session.changes, "change")}`;
  }

  private renderGraph(from: number, to: number, gutter: number): void {
    const { layout } = this;
    const x = (lane: number): number => PAD + Math.min(lane, MAX_LANES - 1) * LANE;
    const y = (row: number): number => (row - from + 0.5) * ROW;
    const height = (to - from + 1) * ROW;
    this.graph.style.transform = `translateY(${from * ROW}px)`;
    this.graph.setAttribute("width", String(gutter));
    this.graph.setAttribute("height", String(Math.max(0, height)));
    this.graph.replaceChildren();
    const dots: SVGElement[] = [];
    for (const i of rowsTouching(layout, from, to)) {
      const lane = layout.lane[i]!;
      const colour = this.colours[layout.line[i]!]!;
      const session = this.rows[i]!.id === SESSION_ROW;
      const path = edgePath(layout, i, x, y, height);
      if (path)
        this.graph.append(
          s("path", {
            d: path,
            stroke: colour,
            class: session || layout.parent[i] === -2 ? "ick-edge ick-dashed" : "ick-edge",
          }),
        );
      if (i < from || i > to) continue;
      if (this.rows[i]!.run) {
        for (const dy of [-6, 0, 6])
          dots.push(s("circle", { cx: x(lane), cy: y(i) + dy, r: 2, class: "ick-dot", fill: colour }));
        continue;
      }
      const chosen = this.selected.includes(this.rows[i]!.id);
      if (chosen)
        dots.push(s("circle", { cx: x(lane), cy: y(i), r: 8, class: "ick-halo", stroke: colour }));
      dots.push(
        s("circle", {
          cx: x(lane),
          cy: y(i),
          r: 4.5,
          class: session ? "ick-dot ick-hollow" : "ick-dot",
          fill: colour,
          color: colour,
        }),
      );
    }
    this.graph.append(...dots);
  }
}
