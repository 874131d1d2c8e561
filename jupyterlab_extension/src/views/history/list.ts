/** The list of commits with the commit graph; only the rows on screen are in the document. */

import { arrange, type Arrangement } from "../../core/arrangement";
import { LINE_COLOURS } from "../../core/colour";
import { Commits, SESSION_ROW } from "../../core/commits";
import { closest, fill, h, listen, s } from "../../core/dom";
import type { Run } from "../../core/folding";
import type { Host } from "../../core/host";
import { mergesTouching, NOT_LISTED, rowsTouching } from "../../core/lanes";
import type { CommitRow, Ref } from "../../core/protocol";
import { plural } from "../../core/text";
import { Activity } from "./activity";
import { CommitTexts } from "./committexts";
import { type Frame, onWidth, uid } from "../common/frame";
import { dotsOf, edgePath, mergePath, ROW } from "./graphedge";
import { Rebases, SESSION } from "./rebases";
import { commitRow, runRow, sessionRow } from "./rows";
import { refLabel } from "./reflabel";
import { searchInKernel, searchTexts } from "./search";

const LANE = 16;
const PAD = 12;
const MAX_ROWS = 16;
const MAX_LANES = 14;
/** Rows above and below the screen that are fetched with those on it. */
const AHEAD = 40;

export interface HistoryListOptions {
  onSelect(ids: string[]): void;
  /** The number of folded commits changed. */
  onFold(hidden: number): void;
  /** The result of a dry run or the row of a commit arrived. */
  onNews(): void;
}

const NOTHING = new Int32Array(0);

export class HistoryList {
  readonly element: HTMLElement;
  selected: string[] = [];
  /** Fold long straight runs. */
  folding = true;
  readonly rebases: Rebases;
  readonly activity: Activity;
  private commits: Commits | null = null;
  private places: Arrangement = arrange(NOTHING, null, -1);
  private opened = new Set<number>();
  private main = -1;
  private branches: Ref[] = [];
  private refs = new Map<number, Ref[]>();
  private colours: string[] = [];
  private matches: Set<number> | null = null;
  private searched = "";
  private turn = 0;
  private cursor = 0;
  private readonly spacer = h("div", { class: "icechunk-spacer" });
  private readonly graph = s("svg", { class: "icechunk-graph", "aria-hidden": "true" });
  private readonly window = h("div", { class: "icechunk-rows", role: "presentation" });
  private readonly prefix = uid();
  private readonly texts: CommitTexts;
  private queued = false;
  private pressed = false;

  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
    private readonly options: HistoryListOptions,
  ) {
    const { signal } = frame;
    const news = (): void => (this.draw(), options.onNews());
    this.activity = new Activity(host, signal, () => this.draw());
    this.texts = new CommitTexts(host, signal, news);
    this.rebases = new Rebases(host, signal, news);
    this.spacer.append(this.graph, this.window);
    this.element = h(
      "div",
      {
        class: "icechunk-history-list",
        tabindex: 0,
        role: "listbox",
        "aria-label": "Commits, newest first",
        "aria-multiselectable": "true",
      },
      this.spacer,
    );
    listen(this.element, "scroll", () => this.draw(), signal);
    listen(this.element, "keydown", (event) => this.key(event), signal);
    listen(this.element, "click", (event) => this.click(event), signal);
    listen(this.element, "pointerdown", (event) => this.press(event), signal);
    for (const end of ["pointerup", "pointercancel"] as const) listen(window, end, () => this.release(), signal);
    listen(this.element, "focus", () => this.draw(), signal);
    listen(this.element, "blur", () => this.draw(), signal);
    onWidth(this.element, () => this.draw(), signal);
  }

  /** Number of commits, including the row of uncommitted changes. */
  get count(): number {
    return this.commits?.count ?? 0;
  }

  show(commits: Commits, selected: string[]): void {
    const opened = new Set([...this.opened].map((at) => this.commits!.id(at)));
    const top = this.element.scrollTop;
    const first = this.idAt(Math.floor(top / ROW));
    this.commits = commits;
    const { refs, session } = commits.reply;
    this.refs = new Map();
    for (const ref of refs) {
      const at = ref.at === undefined ? commits.find(ref.id) : ref.at + commits.shift;
      const list = this.refs.get(at);
      if (list) list.push(ref);
      else this.refs.set(at, [ref]);
    }
    this.branches = refs.filter((ref) => ref.kind === "branch");
    const main = this.branches.find((ref) => ref.name === "main") ?? this.branches[0];
    this.main = main ? commits.find(main.id) : commits.shift;
    if (this.main >= commits.count) this.main = -1;
    if (commits.shift && commits.parents[0] === this.main) this.main = 0;
    this.opened = new Set([...opened].map((id) => commits.find(id)).filter((at) => at >= 0));
    this.selected = selected.filter((id) => commits.find(id) >= 0);
    this.matches = null;
    this.rebases.reset(refs, session);
    this.activity.recall(commits.reply.commits);
    this.arrange();
    const at = this.selected.length ? this.rowOf(this.selected[this.selected.length - 1]!) : 0;
    this.cursor = Math.max(0, at);
    // Keep what was on screen where it was, also when new commits come above it.
    const again = top > 0 && first ? commits.find(first) : -1;
    if (again >= 0) this.element.scrollTop = this.places.rowOf[again]! * ROW + (top % ROW);
    this.draw();
  }

  /** Fold long runs and give every row its lane. */
  private arrange(): void {
    const { commits } = this;
    if (!commits) return;
    let kept: Uint8Array | null = null;
    if (this.folding && !this.searched) {
      kept = new Uint8Array(commits.count);
      for (const at of this.refs.keys()) if (at >= 0) kept[at] = 1;
      for (const at of this.opened) kept[at] = 1;
      for (const id of this.selected) kept[Math.max(0, commits.find(id))] = 1;
      const base = commits.reply.session?.base;
      const at = base === undefined ? -1 : commits.shift ? commits.parents[0]! : commits.find(base);
      if (at >= 0) kept[at] = 1;
    }
    this.places = arrange(commits.parents, kept, this.main, commits.merges);
    this.colours = this.pickColours();
    const { length } = this.places.rows;
    this.spacer.style.height = `${length * ROW}px`;
    this.element.style.height = `${Math.min(MAX_ROWS, Math.max(3, length)) * ROW}px`;
    this.options.onFold(this.places.hidden);
  }

  /** The folded run in a row. */
  private run(row: number): Run | undefined {
    const at = this.places.rows[row];
    return at === undefined || at >= 0 ? undefined : this.places.runs[-at - 1];
  }

  /** Id of the commit in a row. */
  private idAt(row: number): string | undefined {
    const at = this.places.rows[row];
    return at === undefined || at < 0 ? undefined : this.commits?.id(at);
  }

  private rowOf(id: string): number {
    const at = this.commits?.find(id) ?? -1;
    return at < 0 ? -1 : this.places.rowOf[at]!;
  }

  /** Arrange again and keep the row of a commit where it is on screen. */
  private rearrange(id: string | undefined): void {
    const before = id === undefined ? -1 : this.rowOf(id);
    const offset = before < 0 ? 0 : before * ROW - this.element.scrollTop;
    this.arrange();
    const after = id === undefined ? -1 : this.rowOf(id);
    this.cursor = after >= 0 ? after : Math.max(0, Math.min(this.cursor, this.places.rows.length - 1));
    if (after >= 0 && before >= 0) this.element.scrollTop = after * ROW - offset;
    this.draw();
  }

  setFolding(on: boolean): void {
    this.folding = on;
    this.opened.clear();
    this.rearrange(this.selected[0] ?? this.idAt(this.cursor));
    const at = this.selected.length ? this.rowOf(this.selected[0]!) : -1;
    if (at >= 0) this.reveal(at);
  }

  private unfold(run: Run, row: number): void {
    for (const at of run.hidden) this.opened.add(at);
    const scroll = this.element.scrollTop;
    this.arrange();
    this.cursor = Math.min(row, this.places.rows.length - 1);
    this.element.scrollTop = scroll;
    this.draw();
    this.frame.announce(`${plural(run.hidden.length, "commit")} unfolded`);
  }

  /** Colours of the lines: branches by their order in the repository, then the other lines. */
  private pickColours(): string[] {
    const { branches } = this;
    const { layout } = this.places;
    const ordered = [
      ...branches.filter((ref) => ref.name === "main"),
      ...branches.filter((ref) => ref.name !== "main"),
    ];
    const place = new Map<number, number>();
    ordered.forEach((ref, i) => {
      const row = ref.at === undefined ? this.rowOf(ref.id) : this.places.rowOf[ref.at + this.commits!.shift];
      if (row === undefined || row < 0) return;
      const line = layout.line[row]!;
      if (!place.has(line)) place.set(line, i);
    });
    let extra = ordered.length;
    return layout.lineTop.map((_, line) => {
      const at = place.get(line) ?? (line === 0 ? 0 : extra++);
      return LINE_COLOURS[at % LINE_COLOURS.length]!;
    });
  }

  /**
   * Mark the commits a search text matches; an empty text clears.
   *
   * @returns how many match; null when a newer search or another history came in between
   */
  async search(text: string): Promise<number | null> {
    const turn = ++this.turn;
    const wanted = text.trim().toLowerCase();
    const { commits } = this;
    if (Boolean(this.searched) !== Boolean(wanted)) {
      this.searched = wanted;
      this.rearrange(this.idAt(this.cursor));
    }
    this.searched = wanted;
    if (!wanted || !commits) {
      this.matches = null;
      this.draw();
      return 0;
    }
    const found = commits.complete
      ? searchTexts(commits, this.refs, wanted)
      : await searchInKernel(commits, this.host, wanted, this.frame.signal);
    if (turn !== this.turn || commits !== this.commits || !found) return null;
    this.matches = found;
    this.draw();
    return found.size;
  }

  /** Go to the next match below the cursor, around the end. */
  nextMatch(step: 1 | -1): void {
    const n = this.places.rows.length;
    for (let k = 1; k <= n; k++) {
      const at = (this.cursor + step * k + 2 * n) % n;
      if (this.matches?.has(this.places.rows[at]!)) return this.goTo(at, "one");
    }
  }

  select(id: string): void {
    if (!this.has(id)) return;
    this.uncover(id);
    this.goTo(this.rowOf(id), "one");
  }

  /** Select without a call of `onSelect`. */
  take(ids: string[]): void {
    this.selected = ids;
    for (const id of ids) this.uncover(id);
    this.draw();
  }

  /** Unfold the run that hides a commit. */
  private uncover(id: string): void {
    const run = this.run(this.rowOf(id));
    if (!run) return;
    for (const at of run.hidden) this.opened.add(at);
    this.arrange();
  }

  /** The row of a commit, also of a folded one; before it is fetched, only what the columns contain. */
  row(id: string | undefined): CommitRow | undefined {
    const at = id === undefined ? -1 : (this.commits?.find(id) ?? -1);
    return at < 0 ? undefined : this.commits!.row(at);
  }

  /** Id of the newest commit. */
  get newest(): string | undefined {
    const { commits } = this;
    return commits && commits.count ? commits.id(Math.min(commits.shift, commits.count - 1)) : undefined;
  }

  refsOf(id: string): Ref[] {
    return this.refs.get(this.commits?.find(id) ?? -1) ?? [];
  }

  has(id: string): boolean {
    return (this.commits?.find(id) ?? -1) >= 0;
  }

  /** Older first, as a comparison reads. */
  olderFirst(ids: string[]): string[] {
    const at = (id: string): number => this.commits?.find(id) ?? 0;
    return [...ids].sort((a, b) => at(b) - at(a));
  }

  // ---- events -----------------------------------------------------------------------------------

  /** While a row is pressed nothing is drawn: a click needs the element that was pressed. */
  private press(event: PointerEvent): void {
    this.pressed = closest(event, "[data-row]") !== null;
  }

  private release(): void {
    if (!this.pressed) return;
    this.pressed = false;
    this.draw();
  }

  private click(event: MouseEvent): void {
    const row = closest(event, "[data-row]");
    if (!row) return;
    const run = this.run(Number(row.dataset.row));
    if (run) return this.unfold(run, Number(row.dataset.row));
    const two = event.ctrlKey || event.metaKey || event.shiftKey;
    this.goTo(Number(row.dataset.row), two ? "two" : "one");
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Tab" || !this.places.rows.length) return;
    event.stopPropagation();
    const page = Math.max(1, Math.floor(this.element.clientHeight / ROW) - 1);
    const last = this.places.rows.length - 1;
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
      const run = this.run(this.cursor);
      if (run) this.unfold(run, this.cursor);
      else this.goTo(this.cursor, event.ctrlKey || event.key === " " ? "two" : "one");
    } else if (event.key === "Escape" && this.selected.length > 1) {
      event.preventDefault();
      this.goTo(this.cursor, "one");
    }
  }

  /** `two` adds or removes a second commit; `extend` compares the first selected commit with this one. */
  private goTo(at: number, how: "one" | "two" | "extend"): void {
    if (at < 0 || at >= this.places.rows.length) return;
    this.cursor = at;
    const id = this.idAt(at);
    if (id === undefined) {
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

  draw(): void {
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() => {
      this.queued = false;
      if (!this.pressed && !this.frame.signal.aborted) this.render();
    });
  }

  private render(): void {
    const { commits } = this;
    if (!commits) return;
    const { rows, layout } = this.places;
    const height = this.element.clientHeight || MAX_ROWS * ROW;
    const from = Math.max(0, Math.floor(this.element.scrollTop / ROW) - 4);
    const to = Math.min(rows.length - 1, Math.ceil((this.element.scrollTop + height) / ROW) + 4);
    const lanes = Math.min(MAX_LANES, Math.max(1, layout.width));
    const gutter = PAD * 2 + 4 + (lanes - 1) * LANE;
    const now = Date.now();
    const parts: HTMLElement[] = [];
    for (let i = from; i <= to; i++) parts.push(this.renderRow(commits, i, gutter, now));
    const shown = [...rows.subarray(from, to + 1)].filter((at) => at >= commits.shift);
    this.activity.want(shown.map((at) => commits.id(at)));
    const near = rows.subarray(Math.max(0, from - AHEAD), to + 1 + AHEAD);
    if (shown.some((at) => !commits.known(at))) this.texts.want(commits, [...near].filter((at) => at >= 0));
    const names = shown.flatMap((at) => this.refs.get(at) ?? []).filter((ref) => ref.kind === "branch");
    this.rebases.want(names.map((ref) => ref.name));
    fill(this.window, ...parts);
    this.window.style.transform = `translateY(${from * ROW}px)`;
    this.renderGraph(from, to, gutter);
    if (rows.length)
      this.element.setAttribute("aria-activedescendant", `${this.prefix}-${this.cursor}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  private renderRow(commits: Commits, i: number, gutter: number, now: number): HTMLElement {
    const place = {
      row: i,
      rows: this.places.rows.length,
      id: `${this.prefix}-${i}`,
      cursor: i === this.cursor,
      gutter,
    };
    const run = this.run(i);
    if (run) return runRow(run, place);
    const at = this.places.rows[i]!;
    const row = commits.row(at);
    const colour = this.colours[this.places.layout.line[i]!]!;
    const labels = (this.refs.get(at) ?? []).flatMap((ref) => [
      refLabel(ref, colour),
      ref.kind === "branch" ? this.rebases.badge(ref.name) : null,
    ]);
    const state = {
      chosen: this.selected.includes(row.id),
      faint: this.matches !== null && !this.matches.has(at),
    };
    const { session } = commits.reply;
    return row.id === SESSION_ROW && session
      ? sessionRow(row, session, this.rebases.badge(SESSION), place, state)
      : commitRow(row, labels, this.activity.bar(row.id), now, place, state);
  }

  private renderGraph(from: number, to: number, gutter: number): void {
    const { layout } = this.places;
    const x = (lane: number): number => PAD + Math.min(lane, MAX_LANES - 1) * LANE;
    const y = (row: number): number => (row - from + 0.5) * ROW;
    const height = (to - from + 1) * ROW;
    this.graph.style.transform = `translateY(${from * ROW}px)`;
    this.graph.setAttribute("width", String(gutter));
    this.graph.setAttribute("height", String(Math.max(0, height)));
    this.graph.replaceChildren();
    const dots: SVGElement[] = [];
    for (const edge of mergesTouching(layout, from, to)) {
      const cut = edge[1] < 0;
      const stroke = this.colours[layout.line[cut ? edge[0] : edge[1]]!]!;
      const style = `icechunk-edge icechunk-merge${cut ? " icechunk-dashed" : ""}`;
      this.graph.append(s("path", { d: mergePath(layout, edge, x, y, height), stroke, class: style }));
    }
    for (const i of rowsTouching(layout, from, to)) {
      const lane = layout.lane[i]!;
      const colour = this.colours[layout.line[i]!]!;
      const session = i === 0 && this.commits?.shift === 1;
      const path = edgePath(layout, i, x, y, height);
      if (path)
        this.graph.append(
          s("path", {
            d: path,
            stroke: colour,
            class: session || layout.parent[i] === NOT_LISTED ? "icechunk-edge icechunk-dashed" : "icechunk-edge",
          }),
        );
      if (i < from || i > to) continue;
      const kind = this.run(i) ? "run" : session ? "session" : "commit";
      dots.push(...dotsOf(kind, x(lane), y(i), colour, this.selected.includes(this.idAt(i)!)));
    }
    this.graph.append(...dots);
  }
}
