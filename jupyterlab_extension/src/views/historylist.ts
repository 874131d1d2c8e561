/** The commit list with its lanes: only the rows on screen are in the document. */

import { LINE_COLOURS } from "../core/colour";
import { fill, h, listen, s } from "../core/dom";
import { assignLanes, childrenFirst, type LaneLayout, rowsTouching } from "../core/lanes";
import type { CommitRow, HistoryReply, Ref, SessionState } from "../core/protocol";
import { firstLine, plural, shortId } from "../core/text";
import { absoluteTime, relativeTime } from "../core/time";
import { type Frame, onWidth, uid } from "./frame";

export const ROW = 28;
const LANE = 16;
const PAD = 12;
const MAX_ROWS = 16;
const MAX_LANES = 14;

/** Id of the row that stands for uncommitted changes; no commit can have it. */
export const SESSION_ROW = "session";

export interface HistoryListOptions {
  onSelect(ids: string[]): void;
}

export class HistoryList {
  readonly element: HTMLElement;
  rows: CommitRow[] = [];
  selected: string[] = [];
  private layout: LaneLayout = assignLanes([], null);
  private refs = new Map<string, Ref[]>();
  private colours: string[] = [];
  private session: SessionState | null = null;
  private index = new Map<string, number>();
  private matches: Set<number> | null = null;
  private cursor = 0;
  private readonly spacer = h("div", { class: "ick-spacer" });
  private readonly graph = s("svg", { class: "ick-graph", "aria-hidden": "true" });
  private readonly window = h("div", { class: "ick-rows", role: "presentation" });
  private readonly prefix = uid();
  private queued = false;

  constructor(
    private readonly frame: Frame,
    private readonly options: HistoryListOptions,
  ) {
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
    this.rows = childrenFirst(rows);
    this.layout = assignLanes(
      this.rows,
      session?.dirty && session.base === tip ? SESSION_ROW : tip,
    );
    this.index = new Map(this.rows.map((row, i) => [row.id, i]));
    this.refs = new Map();
    for (const ref of reply.refs) {
      const list = this.refs.get(ref.id);
      if (list) list.push(ref);
      else this.refs.set(ref.id, [ref]);
    }
    this.colours = this.pickColours(reply.refs);
    this.selected = selected.filter((id) => this.index.has(id));
    const at = this.selected.length ? this.index.get(this.selected[this.selected.length - 1]!) : 0;
    this.cursor = at ?? 0;
    this.spacer.style.height = `${this.rows.length * ROW}px`;
    this.element.style.height = `${Math.min(MAX_ROWS, Math.max(3, this.rows.length)) * ROW}px`;
    this.draw();
  }

  /** Branches keep their colour by their place in the list of branches, other lines follow. */
  private pickColours(refs: Ref[]): string[] {
    const branches = refs.filter((ref) => ref.kind === "branch");
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
    const at = this.index.get(id);
    if (at !== undefined) this.goTo(at, "one");
  }

  refsOf(id: string): Ref[] {
    return this.refs.get(id) ?? [];
  }

  has(id: string): boolean {
    return this.index.has(id);
  }

  /** Older first, as a comparison reads. */
  olderFirst(ids: string[]): string[] {
    return [...ids].sort((a, b) => (this.index.get(b) ?? 0) - (this.index.get(a) ?? 0));
  }

  redraw(): void {
    this.draw();
  }

  // ---- events -----------------------------------------------------------------------------------

  private click(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    const row = target?.closest<HTMLElement>("[data-row]");
    if (!row) return;
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
      this.goTo(this.cursor, event.ctrlKey || event.key === " " ? "two" : "one");
    } else if (event.key === "Escape" && this.selected.length > 1) {
      event.preventDefault();
      this.goTo(this.cursor, "one");
    }
  }

  /** `two` adds or removes the second commit; `extend` compares where it started with here. */
  private goTo(at: number, how: "one" | "two" | "extend"): void {
    const id = this.rows[at]?.id;
    if (id === undefined) return;
    this.cursor = at;
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
    fill(this.window, ...parts);
    this.window.style.transform = `translateY(${from * ROW}px)`;
    this.renderGraph(from, to, gutter);
    if (this.rows.length)
      this.element.setAttribute("aria-activedescendant", `${this.prefix}-${this.cursor}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  private renderRow(i: number, gutter: number, now: number): HTMLElement {
    const row = this.rows[i]!;
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
      session ? null : h("code", { class: "ick-rowid", title: row.id }, shortId(row.id)),
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
      const path = this.edge(i, x, y, height);
      if (path)
        this.graph.append(
          s("path", {
            d: path,
            stroke: colour,
            class: session || layout.parent[i] === -2 ? "ick-edge ick-dashed" : "ick-edge",
          }),
        );
      if (i < from || i > to) continue;
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

  /** The line from a commit down its lane and over to its parent. */
  private edge(
    i: number,
    x: (lane: number) => number,
    y: (row: number) => number,
    height: number,
  ): string | null {
    const { layout } = this;
    const parent = layout.parent[i]!;
    if (parent === -1) return null;
    const x0 = x(layout.lane[i]!);
    const y0 = Math.max(-ROW, y(i));
    if (parent === -2) return `M${x0} ${y0}V${height + ROW}`;
    const x1 = x(layout.lane[parent]!);
    const y1 = y(parent);
    if (x0 === x1) return `M${x0} ${y0}V${Math.min(height + ROW, y1)}`;
    if (y1 - ROW > height + ROW) return `M${x0} ${y0}V${height + ROW}`;
    const bend = y1 - ROW;
    return `M${x0} ${Math.min(y0, bend)}V${bend}C${x0} ${bend + ROW * 0.7} ${x1} ${bend + ROW * 0.3} ${x1} ${y1}`;
  }
}

/** A branch or tag as a small label. */
export function refLabel(ref: Ref, colour: string): HTMLElement {
  const element = h(
    "span",
    { class: `ick-ref ick-ref-${ref.kind}`, title: `${ref.kind} ${ref.name}` },
    h("span", { class: "ick-refmark", "aria-hidden": "true" }, ref.kind === "tag" ? "◆" : "●"),
    ref.name,
    h("span", { class: "ick-sr" }, ` (${ref.kind}) `),
  );
  element.style.setProperty("--ick-ref", colour);
  return element;
}
