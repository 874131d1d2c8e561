/** The conflict resolver of a rebase or merge: compare the sides, choose per chunk or node, complete. */

import { fill, h, listen, say } from "../../core/dom";
import { bytesOf, type Host, type PushEvent } from "../../core/host";
import type { ChunkMapReply, Choice, ConflictItem, ConflictsReply, DecideReply } from "../../core/protocol";
import { eachIndex, type Runs } from "../../core/runs";
import { plural } from "../../core/text";
import { createFrame, type Dispose, type Frame, savedAt } from "../common/frame";
import { inConflict } from "../common/states";
import { watch } from "../common/watch";
import { ChunkGridView } from "../grid/chunkgrid";
import { CompleteBar } from "./completebar";
import { ConflictList } from "./conflictlist";
import { DecisionPanel } from "./decisionpanel";
import { DecisionQueue, type Target } from "./decisionqueue";
import { ResolverHeader, type Travel } from "./header";
import { KEY, STATE } from "./keepbutton";
import { NodeConflictPanel } from "./nodeconflict";
import { SelectBar } from "./selectbar";
import { ResolverTools } from "./tools";
import { statesOf, wordsOf } from "./words";

export function mount(el: HTMLElement, host: Host): Dispose {
  const frame = createFrame(el, host, {
    name: "resolver",
    testid: "icechunk-resolver",
    label: String(host.get("title") || "Resolve conflicts"),
  });
  new ResolverView(frame, host).start();
  return frame.dispose;
}

class ResolverView {
  private reply: ConflictsReply | null = null;
  /** The conflict on screen. */
  private current: ConflictItem | null = null;
  /** The chunk map of the current conflict's array; null until it has arrived. */
  private map: ChunkMapReply | null = null;
  private running: AbortController | null = null;
  private readonly queue: DecisionQueue;
  private readonly list: ConflictList;
  private readonly selectBar: SelectBar;
  private readonly grid: ChunkGridView;
  private readonly tools: ResolverTools;
  private readonly decision: DecisionPanel;
  private readonly node: NodeConflictPanel;
  private readonly bar: CompleteBar;
  private readonly header: ResolverHeader;
  private readonly heading = h("div", { class: "icechunk-nodehead" });
  private readonly explain = h("p", { class: "icechunk-hint" });
  private readonly centre: HTMLElement;
  private readonly columns: HTMLElement;

  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
  ) {
    this.queue = this.makeQueue();
    this.list = new ConflictList(frame, (item) => this.select(item));
    this.selectBar = new SelectBar(frame.signal, () => this.grid);
    this.tools = this.makeTools();
    this.grid = this.makeGrid();
    this.decision = new DecisionPanel(frame, host, this.tools.element, {
      onDecide: (choice) => this.decide(choice),
      onNext: () => void (this.grid.next() || this.list.next()),
    });
    this.node = this.makeNodePanel();
    this.bar = new CompleteBar(frame, host, {
      reload: () => void this.load(),
      notice: (text) => this.header.notify(text),
    });
    this.header = new ResolverHeader(frame, host, [this.tools.save, this.tools.load], {
      onTravel: (method) => this.travel(method),
      inTurn: (work) => this.queue.inTurn(work),
    });
    const parts = [this.heading, this.explain, this.grid.element, this.node.element, this.decision.element];
    this.centre = h("div", { class: "icechunk-centre" }, ...parts);
    this.columns = h("div", { class: "icechunk-three" }, this.list.element, this.centre);
    fill(frame.body, this.header.element, this.header.notice, this.header.code, this.columns, this.bar.element);
  }

  private makeQueue(): DecisionQueue {
    return new DecisionQueue(this.frame, this.host, {
      accepted: (item, target, choice) => {
        if (item.kind === "chunks") this.paint(item, target.runs, choice as Choice | null);
      },
      absorb: (reply) => this.absorb(reply),
      reload: () => this.reloadMap(),
    });
  }

  private makeTools(): ResolverTools {
    return new ResolverTools(this.frame, this.host, {
      item: () => (this.current?.kind === "chunks" ? this.current : null),
      target: () => (this.editable ? this.chunkTarget() : null),
      inTurn: (work) => this.queue.inTurn(work),
      absorb: (reply) => this.absorb(reply),
      reload: async () => {
        this.grid.selectNone();
        await this.reloadMap();
      },
      goTo: (chunk) => this.grid.moveTo(this.grid.grid.flat(chunk)),
      notice: (text) => this.header.notify(text),
    });
  }

  private makeGrid(): ChunkGridView {
    return new ChunkGridView(this.frame, {
      styles: statesOf(wordsOf(this.host)),
      selectable: inConflict,
      wanted: (state) => state === 1,
      tools: this.selectBar.element,
      onCursor: (flat) => {
        const chunk = this.grid.grid.coords(flat);
        if (this.current) this.decision.preview.show(this.current.path, chunk);
        this.tools.moved(inConflict(this.grid.states[flat] ?? 0) ? chunk : null);
        this.updateDecision();
      },
      onSelect: () => this.updateDecision(),
      onKey: (event) => this.key(event),
    });
  }

  private makeNodePanel(): NodeConflictPanel {
    return new NodeConflictPanel(this.frame, this.host, {
      decide: (choice, extra) => {
        const item = this.current;
        if (item?.kind === "node" && this.editable) this.queue.decide(item, WHOLE_NODE, choice, extra);
      },
    });
  }

  start(): void {
    const { host } = this;
    const { signal } = this.frame;
    this.bar.onLock = () => this.lock();
    listen(this.frame.root, "keydown", (event) => this.keyAnywhere(event), signal);
    host.onChange("revision", () => void this.load(), signal);
    host.onChange("title", () => this.header.showTitle(), signal);
    host.onEvent((event) => this.event(event), signal);
    signal.addEventListener("abort", () => this.running?.abort(), { once: true });
    this.header.showTitle();
    watch(this.frame, host);
    void this.load();
  }

  // ---- state --------------------------------------------------------------------------------------

  /** Whether decisions can be made: not while the kernel completes the rebase, and not in a saved page. */
  private get editable(): boolean {
    return !this.bar.locked && !savedAt(this.host);
  }

  private async load(): Promise<void> {
    try {
      const { result } = await this.host.request<ConflictsReply>("conflicts");
      if (this.frame.signal.aborted) return;
      this.frame.clearError();
      this.present(result);
    } catch (error) {
      this.frame.fail(error, () => void this.load());
    }
  }

  private present(reply: ConflictsReply): void {
    this.reply = reply;
    this.header.showTitle();
    this.header.showTarget(reply);
    this.decision.name(reply.sides);
    this.list.show(reply.conflicts);
    this.bar.suggest(reply.message ?? "");
    this.tally();
    const before = this.current;
    const same = reply.conflicts.find((item) => item.path === before?.path && item.type === before?.type);
    const start = same ?? reply.conflicts.find((item) => item.undecided > 0) ?? reply.conflicts[0];
    this.current = null;
    if (start) return this.select(start);
    fill(this.heading);
    this.centre.dataset.kind = "none";
    say(this.explain, wordsOf(this.host).nothing);
    this.decision.preview.clear();
  }

  private tally(): void {
    if (this.reply) this.bar.tally(this.reply.undecided, this.reply.total, this.reply.conflicts);
  }

  private lock(): void {
    const { locked } = this.bar;
    this.header.enable(!locked && this.reply?.can_undo === true, !locked && this.reply?.can_redo === true);
    this.columns.toggleAttribute("inert", locked);
  }

  /** Take over the counts that the kernel sends after every decision. */
  private absorb(counts: DecideReply): void {
    const { reply, current } = this;
    if (!reply) return;
    const { undecided, total, can_undo, can_redo } = counts;
    Object.assign(reply, { undecided, total, can_undo, can_redo });
    const updates = new Map(counts.conflicts.map((item) => [item.key, item]));
    for (const item of reply.conflicts) {
      const update = updates.get(item.key);
      if (update) Object.assign(item, { undecided: update.undecided, choice: update.choice });
    }
    this.list.update(reply.conflicts);
    this.tally();
    this.updateDecision();
    this.tools.decided();
    if (current?.kind === "chunks") this.decision.preview.again();
    else if (current) void this.node.show(current);
  }

  private select(item: ConflictItem): void {
    if (this.current?.key === item.key) return;
    if (this.map?.path !== item.path) {
      this.map = null;
      this.selectBar.disable();
    }
    this.current = item;
    this.list.select(item.key);
    const title = h("span", { class: "icechunk-nodedetail" }, item.title);
    fill(this.heading, h("span", { class: "icechunk-path" }, item.path), title);
    this.centre.dataset.kind = item.kind;
    const node = item.kind === "node";
    say(this.explain, node ? nodeText(item) : "");
    this.grid.element.hidden = this.tools.element.hidden = node;
    this.tools.decided();
    this.decision.offer(item.choices);
    this.updateDecision();
    if (node) {
      this.running?.abort();
      this.decision.preview.clear();
      void this.node.show(item);
    } else {
      this.node.hide();
      void this.loadMap(item);
    }
  }

  private async loadMap(item: ConflictItem): Promise<void> {
    this.running?.abort();
    const running = (this.running = new AbortController());
    const { signal } = running;
    this.grid.element.classList.add("icechunk-busy");
    try {
      const { result, buffers } = await this.host.request<ChunkMapReply>("chunk_map", { path: item.path }, { signal });
      if (signal.aborted || this.frame.signal.aborted) return;
      this.map = result;
      this.grid.show(result, bytesOf(buffers[0]));
      this.selectBar.enable(result);
      this.decision.preview.show(item.path, this.grid.grid.coords(this.grid.cursor));
      this.updateDecision();
    } catch (error) {
      this.frame.fail(error, () => void this.loadMap(item));
    } finally {
      if (this.running === running) this.grid.element.classList.remove("icechunk-busy");
    }
  }

  private async reloadMap(): Promise<void> {
    if (this.current?.kind === "chunks") await this.loadMap(this.current);
  }

  // ---- deciding -------------------------------------------------------------------------------------

  private updateDecision(): void {
    const { current, grid } = this;
    const node = current?.kind === "node";
    const count = node ? 1 : this.map && current ? grid.targetCount : 0;
    const state = grid.states[grid.cursor] ?? 0;
    const decided = node ? current.choice !== null : grid.selectedCount > 0 || (state > 1 && inConflict(state));
    this.decision.update(current, current !== null && count > 0, node ? "" : this.scopeText(count), decided);
    this.tools.update(!node && count > 0);
  }

  private scopeText(count: number): string {
    const { grid } = this;
    if (grid.selectedCount) return `Decide for ${plural(grid.selectedCount, "selected chunk")}`;
    const chunk = `[${grid.grid.coords(grid.cursor).join(", ")}]`;
    if (count) return `Decide for chunk ${chunk}`;
    return this.map ? `Chunk ${chunk} is not in conflict` : "";
  }

  private decide(choice: Choice | null): void {
    const item = this.current;
    if (!item || !this.editable) return;
    if (choice && !item.choices.includes(choice)) return;
    const target = item.kind === "node" ? WHOLE_NODE : this.chunkTarget();
    if (!target) return this.frame.announce("This chunk is not in conflict");
    // Paint before the kernel answers, so that fast input always acts on what is on screen.
    if (item.kind === "chunks") {
      this.paint(item, target.runs, choice);
      this.grid.selectNone();
      if (target.count === 1 && choice) this.grid.next();
    }
    this.queue.decide(item, target, choice);
  }

  /** The selected chunks, or the one at the cursor; null where none of them is in conflict. */
  private chunkTarget(): Target | null {
    // Until the map of this array has arrived, the grid still shows another one.
    if (!this.map) return null;
    const { runs, count, all } = this.grid.target();
    return count ? { runs: all ? null : runs, count } : null;
  }

  /** Give chunks in conflict the state of a choice. */
  private paint(item: ConflictItem, runs: Runs | null, choice: Choice | null): void {
    if (this.current !== item || !this.map) return;
    const states = this.grid.states.slice();
    const value = choice ? STATE[choice] : 1;
    const open = Uint8Array.from({ length: 256 }, (_, state) => Number(inConflict(state)));
    eachIndex(runs ?? [0, states.length], states.length, (i) => {
      if (open[states[i]!]) states[i] = value;
    });
    this.grid.setStates(states);
  }

  private travel(method: Travel): void {
    const possible = (): boolean =>
      !this.bar.locked && (method === "undo" ? this.reply?.can_undo : this.reply?.can_redo) === true;
    this.queue.travel(method, possible);
  }

  // ---- input ----------------------------------------------------------------------------------------

  /** @returns whether the key is one of the resolver's */
  private key(event: KeyboardEvent): boolean {
    const command = event.ctrlKey || event.metaKey;
    const letter = event.key.toLowerCase();
    if (command && (letter === "z" || letter === "y")) {
      this.travel(letter === "z" && !event.shiftKey ? "undo" : "redo");
      return true;
    }
    if (command || event.altKey) return false;
    const choice = KEY[letter];
    if (choice) this.decide(choice);
    else if (letter === "m") this.tools.mergeCells();
    else if (letter === "u" || event.key === "Delete") this.decide(null);
    else return false;
    return true;
  }

  /** Keys pressed outside the grid; text fields keep theirs. */
  private keyAnywhere(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && (target as HTMLInputElement).type !== "range";
    if (typing || this.bar.locked || !this.key(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  private event(event: PushEvent): void {
    if (event.event === "changed") void this.load();
    if (event.event === "moved" && !this.bar.locked)
      this.header.notify(String(event.notice), event.closed ? undefined : () => this.host.request("renew"));
    if (event.event === "state") {
      this.header.notify(String(event.notice ?? "The branch has another commit that conflicts. Your earlier decisions are kept."));
      this.bar.reopen();
      this.current = null;
      void this.load();
    }
  }
}

const WHOLE_NODE: Target = { runs: null, count: 1 };

function nodeText(item: ConflictItem): string {
  return item.choices.length
    ? "This conflict is about the node as a whole."
    : "This conflict cannot be resolved here. Cancel, change the session, and try again.";
}
