/** Settling the conflicts of a rebase: see, compare, choose per chunk, complete. */

import { button, closest, fill, h, listen, say } from "../core/dom";
import { bytesOf, type Host, type PushEvent } from "../core/host";
import type { ChunkMapReply, Choice, ConflictItem, ConflictsReply, DecideReply } from "../core/protocol";
import { eachIndex, type Runs } from "../core/runs";
import { grouped, plural, shortId } from "../core/text";
import { absoluteTime, relativeTime } from "../core/time";
import { handleCopy } from "./commitpane";
import { ChunkGridView } from "./chunkgrid";
import { ConflictList } from "./conflictlist";
import { createFrame, type Dispose, savedAt } from "./frame";
import { PreviewPanel } from "./preview";
import { CompleteBar } from "./completebar";
import { CHOICES, KEY, keepButton, STATE, WORD } from "./keepbutton";
import { RangePicker } from "./rangepicker";
import { watch } from "./watch";
import { ResolverTools } from "./resolvertools";
import { NodeConflictPanel } from "./nodeconflict";
import { inConflict, RESOLVER_STATES } from "./states";

export function mount(el: HTMLElement, host: Host): Dispose {
  const frame = createFrame(el, host, {
    name: "resolver",
    testid: "icechunk-resolver",
    label: String(host.get("title") || "Resolve conflicts"),
  });
  const { signal } = frame;
  const saved = Boolean(savedAt(host));
  let reply: ConflictsReply | null = null;
  let current: ConflictItem | null = null;
  let scope: AbortController | null = null;
  let map: ChunkMapReply | null = null;
  let queue: Promise<void> = Promise.resolve();

  const title = h("h2", { class: "icechunk-heading" });
  const onto = h("span", { class: "icechunk-between" });
  const undo = button("Undo", { class: "icechunk-button icechunk-quiet icechunk-undo", title: "Ctrl Z", disabled: true });
  const redo = button("Redo", { class: "icechunk-button icechunk-quiet icechunk-undo", title: "Ctrl Shift Z", disabled: true });
  const script = button("Show as Python", { class: "icechunk-button icechunk-quiet", "aria-expanded": "false" });
  const codeBox = h("div", { class: "icechunk-code", hidden: true });
  const notice = h("div", { class: "icechunk-notice", role: "status", hidden: true });
  const list = new ConflictList(frame, (item) => select(item));
  const heading = h("div", { class: "icechunk-nodehead" });
  const keep = new Map(CHOICES.map((choice) => [choice, keepButton(choice)]));
  const preview = new PreviewPanel(frame, host, {
    sides: [
      ...CHOICES.map((side) => ({ side, label: WORD[side], style: RESOLVER_STATES[STATE[side]]! })),
      { side: "result", label: "Result" },
    ],
    absent: "not decided yet",
    difference: [0, 1],
    differenceLabel: "mine − theirs",
    actions: CHOICES.map((choice) => keep.get(choice)!.element),
  });
  const selectAll = button("All", { class: "icechunk-button icechunk-quiet icechunk-small", testid: "icechunk-select-all", title: "Select every conflicting chunk of this array (Ctrl A)" });
  const selectSlice = button("This slice", { class: "icechunk-button icechunk-quiet icechunk-small", title: "Select the conflicting chunks on screen" });
  const invert = button("Invert", { class: "icechunk-button icechunk-quiet icechunk-small" });
  const none = button("None", { class: "icechunk-button icechunk-quiet icechunk-small", title: "Esc" });
  const nextOpen = button("Next undecided", { class: "icechunk-button icechunk-quiet icechunk-small", title: "N" });
  const ranges: RangePicker = new RangePicker(signal, (low, high, how) => grid.selectBox(low, high, how));
  const tools = h(
    "div",
    { class: "icechunk-tools", role: "group", "aria-label": "Selection" },
    h("span", { class: "icechunk-muted" }, "Select"),
    selectAll,
    selectSlice,
    invert,
    none,
    ranges.element,
  );
  const more: ResolverTools = new ResolverTools(frame, host, {
    item: () => (current?.kind === "chunks" ? current : null),
    target: () => (bar.locked || saved ? null : chunkTarget()),
    inTurn,
    absorb,
    reload: async () => {
      grid.selectNone();
      if (current?.kind === "chunks") await loadMap(current);
    },
    goTo: (chunk) => grid.moveTo(grid.grid.flat(chunk)),
    notice: showNotice,
  });
  const grid: ChunkGridView = new ChunkGridView(frame, {
    styles: RESOLVER_STATES,
    selectable: inConflict,
    wanted: (state) => state === 1,
    tools,
    onCursor: (flat) => {
      if (current) preview.show(current.path, grid.grid.coords(flat));
      more.moved(inConflict(grid.states[flat] ?? 0) ? grid.grid.coords(flat) : null);
      updateKeep();
    },
    onSelect: () => updateKeep(),
    onKey: (event) => key(event),
  });
  const clear = button("Back to undecided", { class: "icechunk-button icechunk-quiet icechunk-small", title: "U" });
  const scopeText = h("span", { class: "icechunk-scope" });
  const decision = h(
    "div",
    { class: "icechunk-decision", role: "group", "aria-label": "Decision" },
    h("div", { class: "icechunk-decisionhead" }, scopeText, h("span", { class: "icechunk-grow" }), clear, nextOpen),
    preview.element,
    more.element,
  );
  const explain = h("p", { class: "icechunk-hint" });
  const whole: NodeConflictPanel = new NodeConflictPanel(frame, host, {
    decide: (choice, extra) => {
      const item = current;
      if (item?.kind === "node" && !bar.locked && !saved)
        inTurn(() => send(item, { runs: null, count: 1 }, choice, extra));
    },
  });
  const centre = h("div", { class: "icechunk-centre" }, heading, explain, grid.element, whole.element, decision);
  const three = h("div", { class: "icechunk-three" }, list.element, centre);
  const bar = new CompleteBar(frame, host, { reload: () => void load(), notice: showNotice });
  bar.onLock = lock;
  fill(
    frame.body,
    h("header", { class: "icechunk-head" }, title, onto, undo, redo, more.save, more.load, script),
    notice,
    codeBox,
    three,
    bar.element,
  );

  function showNotice(text: string, again?: () => Promise<unknown>): void {
    notice.hidden = !text;
    say(notice, text);
    if (!again) return;
    const go = button("Look again", { class: "icechunk-button icechunk-small", testid: "icechunk-renew" });
    go.addEventListener("click", () => inTurn(() => again().then(() => undefined, (error) => frame.fail(error))));
    notice.append(" ", go);
  }

  // ---- state --------------------------------------------------------------------------------------

  async function load(): Promise<void> {
    try {
      const answer = await host.request<ConflictsReply>("conflicts");
      if (signal.aborted) return;
      frame.clearError();
      present(answer.result);
    } catch (error) {
      frame.fail(error, () => void load());
    }
  }

  function present(state: ConflictsReply): void {
    reply = state;
    say(title, String(host.get("title") || "Resolve conflicts"));
    fill(
      onto,
      "rebase onto ",
      h("span", { class: "icechunk-state" }, state.branch),
      state.commit
        ? h(
            "span",
            { title: `${state.commit.id}\n${absoluteTime(state.commit.time)}` },
            ` @ ${shortId(state.commit.id)} “${state.commit.message}”, ${relativeTime(state.commit.time)}`,
          )
        : null,
    );
    for (const choice of CHOICES) keep.get(choice)!.name(state.sides[choice]?.label ?? WORD[choice], state.sides[choice]?.detail ?? "");
    preview.name(CHOICES.map((choice) => state.sides[choice]?.label ?? WORD[choice]));
    list.show(state.conflicts);
    bar.suggest(state.message ?? "");
    tally();
    const again = state.conflicts.find(
      (item) => item.path === current?.path && item.type === current?.type,
    );
    const start = again ?? state.conflicts.find((item) => item.undecided > 0) ?? state.conflicts[0];
    current = null;
    if (start) select(start);
    else {
      fill(heading);
      centre.dataset.kind = "none";
      say(explain, "No conflicts: the session can be rebased and committed as it is.");
      preview.clear();
    }
  }

  function tally(): void {
    if (!reply) return;
    bar.tally(reply.undecided, reply.total, reply.conflicts);
  }

  function lock(): void {
    undo.disabled = bar.locked || !reply?.can_undo;
    redo.disabled = bar.locked || !reply?.can_redo;
    three.toggleAttribute("inert", bar.locked);
  }

  function absorb(small: DecideReply): void {
    if (!reply) return;
    Object.assign(reply, {
      undecided: small.undecided,
      total: small.total,
      can_undo: small.can_undo,
      can_redo: small.can_redo,
    });
    const now = new Map(small.conflicts.map((item) => [item.key, item]));
    for (const item of reply.conflicts) {
      const update = now.get(item.key);
      if (update) Object.assign(item, { undecided: update.undecided, choice: update.choice });
    }
    list.update(reply.conflicts);
    tally();
    updateKeep();
    more.decided();
    if (current?.kind === "chunks") preview.again();
    else if (current) void whole.show(current);
  }

  function select(item: ConflictItem): void {
    if (current?.key === item.key) return;
    if (map?.path !== item.path) map = null;
    tools.toggleAttribute("inert", !map); // the grid still shows another array
    current = item;
    list.select(item.key);
    fill(heading, h("span", { class: "icechunk-path" }, item.path), h("span", { class: "icechunk-nodedetail" }, item.title));
    centre.dataset.kind = item.kind;
    const node = item.kind === "node";
    say(explain, node ? nodeText(item) : "");
    grid.element.hidden = more.element.hidden = node;
    more.decided();
    for (const choice of CHOICES) keep.get(choice)!.element.hidden = !item.choices.includes(choice);
    updateKeep();
    if (node) {
      scope?.abort();
      preview.clear();
      void whole.show(item);
    } else {
      whole.hide();
      void loadMap(item);
    }
  }

  async function loadMap(item: ConflictItem): Promise<void> {
    scope?.abort();
    const running = (scope = new AbortController());
    grid.element.classList.add("icechunk-busy");
    try {
      const { result, buffers } = await host.request<ChunkMapReply>(
        "chunk_map",
        { path: item.path },
        { signal: running.signal },
      );
      if (running.signal.aborted || signal.aborted) return;
      map = result;
      tools.removeAttribute("inert");
      grid.show(result, bytesOf(buffers[0]));
      ranges.show(result);
      selectSlice.hidden = grid.grid.ndim < 3;
      preview.show(item.path, grid.grid.coords(grid.cursor));
      updateKeep();
    } catch (error) {
      frame.fail(error, () => void loadMap(item));
    } finally {
      if (scope === running) grid.element.classList.remove("icechunk-busy");
    }
  }

  // ---- deciding -------------------------------------------------------------------------------------

  function updateKeep(): void {
    const node = current?.kind === "node";
    const count = node ? 1 : (map && current ? grid.targetCount : 0);
    say(scopeText, node ? "" : scopeOf(count));
    for (const choice of CHOICES) {
      const control = keep.get(choice)!;
      control.element.disabled = !current || count === 0;
      control.element.setAttribute("aria-pressed", String(node && current?.choice === choice));
    }
    more.update(!node && count > 0);
    const state = grid.states[grid.cursor] ?? 0;
    clear.hidden = node ? current?.choice === null : grid.selectedCount === 0 && (state < 2 || !inConflict(state));
  }

  function scopeOf(count: number): string {
    if (grid.selectedCount) return `Decide for ${plural(grid.selectedCount, "selected chunk")}`;
    const where = `chunk [${grid.grid.coords(grid.cursor).join(", ")}]`;
    return count ? `Decide for ${where}` : map ? `${where[0]!.toUpperCase()}${where.slice(1)} is not in conflict` : "";
  }

  function decide(choice: Choice | null): void {
    if (!current || bar.locked || saved) return;
    if (choice && !current.choices.includes(choice)) return;
    const item = current;
    const target = item.kind === "node" ? { runs: null, count: 1 } : chunkTarget();
    if (!target) return frame.announce("This chunk is not in conflict");
    // Shown at once, so that quick hands are never ahead of what they see.
    if (item.kind === "chunks") {
      paintChoice(item, target.runs, choice);
      grid.selectNone();
      if (target.count === 1 && choice) grid.next();
    }
    inTurn(() => send(item, target, choice));
  }

  async function send(
    item: ConflictItem,
    target: Target,
    choice: string | null,
    extra: Record<string, unknown> = {},
  ): Promise<void> {
    try {
      const { result } = await host.request<DecideReply>("decide", {
        path: item.path,
        type: item.type,
        choice,
        runs: target.runs,
        ...extra,
      });
      if (signal.aborted) return;
      if (item.kind === "chunks") paintChoice(item, target.runs, choice as Choice | null);
      absorb(result);
      const what = item.kind === "node" ? item.path : plural(target.count, "chunk");
      const verb = choice ? (choice in WORD ? `keep ${WORD[choice as Choice]}` : choice) : "undecided again";
      frame.announce(
        `${what}: ${verb}. ${grouped(result.undecided)} of ${grouped(result.total)} undecided.`,
      );
    } catch (error) {
      frame.fail(error, () => inTurn(() => send(item, target, choice, extra)));
      if (current?.kind === "chunks" && !signal.aborted) await loadMap(current);
    }
  }

  /** One request after the other: the kernel's undo history follows the order of the gestures. */
  function inTurn(work: () => Promise<void>): void {
    queue = queue.then(() => (signal.aborted ? undefined : work()));
  }

  function chunkTarget(): Target | null {
    // Until the map of this array has arrived, the grid still shows another one.
    if (!map) return null;
    const { runs, count, all } = grid.target();
    if (!count) return null;
    return { runs: all ? null : runs, count };
  }

  function paintChoice(item: ConflictItem, runs: Runs | null, choice: Choice | null): void {
    if (current !== item || !map) return;
    const states = grid.states.slice();
    const value = choice ? STATE[choice] : 1;
    const open = Uint8Array.from({ length: 256 }, (_, state) => Number(inConflict(state)));
    eachIndex(runs ?? [0, states.length], states.length, (i) => {
      if (open[states[i]!]) states[i] = value;
    });
    grid.setStates(states);
  }

  async function travel(method: "undo" | "redo"): Promise<void> {
    if (bar.locked || !(method === "undo" ? reply?.can_undo : reply?.can_redo)) return;
    try {
      const { result } = await host.request<DecideReply>(method);
      if (signal.aborted) return;
      absorb(result);
      if (current?.kind === "chunks") await loadMap(current);
      frame.announce(
        `${method === "undo" ? "Undone" : "Redone"}. ${grouped(result.undecided)} of ${grouped(result.total)} undecided.`,
      );
    } catch (error) {
      frame.fail(error);
    }
  }

  async function showScript(): Promise<void> {
    if (!codeBox.hidden) {
      codeBox.hidden = true;
      script.setAttribute("aria-expanded", "false");
      return;
    }
    try {
      const { result } = await host.request<{ text: string }>("script");
      if (signal.aborted) return;
      fill(
        codeBox,
        button("Copy", { class: "icechunk-button icechunk-quiet icechunk-small", "data-copy": result.text }),
        h("pre", { tabindex: 0, "aria-label": "Decisions as Python" }, result.text),
      );
      codeBox.hidden = false;
      script.setAttribute("aria-expanded", "true");
    } catch (error) {
      frame.fail(error, () => void showScript());
    }
  }

  // ---- events ---------------------------------------------------------------------------------------

  function key(event: KeyboardEvent): boolean {
    const command = event.ctrlKey || event.metaKey;
    const letter = event.key.toLowerCase();
    if (command && letter === "z") {
      const method = event.shiftKey ? "redo" : "undo";
      inTurn(() => travel(method));
      return true;
    }
    if (command && letter === "y") {
      inTurn(() => travel("redo"));
      return true;
    }
    if (command || event.altKey) return false;
    const choice = KEY[letter];
    if (choice) decide(choice);
    else if (letter === "m") more.mergeCells();
    else if (letter === "u" || event.key === "Delete") decide(null);
    else return false;
    return true;
  }

  listen(
    frame.root,
    "keydown",
    (event) => {
      const target = event.target as HTMLElement;
      if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && (target as HTMLInputElement).type !== "range") return;
      if (bar.locked || !key(event)) return;
      event.preventDefault();
      event.stopPropagation();
    },
    signal,
  );
  listen(undo, "click", () => inTurn(() => travel("undo")), signal);
  listen(redo, "click", () => inTurn(() => travel("redo")), signal);
  listen(script, "click", () => void showScript(), signal);
  listen(selectAll, "click", () => grid.selectAll(), signal);
  listen(selectSlice, "click", () => grid.selectSlice(), signal);
  listen(invert, "click", () => grid.invert(), signal);
  listen(none, "click", () => grid.selectNone(), signal);
  listen(nextOpen, "click", () => void (grid.next() || list.next()), signal);
  listen(clear, "click", () => decide(null), signal);
  for (const choice of CHOICES) listen(keep.get(choice)!.element, "click", () => decide(choice), signal);
  listen(codeBox, "click", (event) => {
    const target = closest(event, "[data-copy]");
    if (target) handleCopy(target, frame.announce);
  }, signal);
  host.onChange("revision", () => void load(), signal);
  host.onChange("title", () => say(title, String(host.get("title") || "Resolve conflicts")), signal);
  host.onEvent((event: PushEvent) => {
    if (event.event === "changed") void load();
    if (event.event === "moved" && !bar.locked)
      showNotice(String(event.notice), event.closed ? undefined : () => host.request("renew"));
    if (event.event === "state") {
      showNotice(String(event.notice ?? "The branch has another commit that conflicts. Your earlier decisions are kept."));
      bar.reopen();
      current = null;
      void load();
    }
  }, signal);
  signal.addEventListener("abort", () => scope?.abort(), { once: true });
  say(title, String(host.get("title") || "Resolve conflicts"));
  watch(frame, host);
  void load();
  return frame.dispose;
}

function nodeText(item: ConflictItem): string {
  return item.choices.length
    ? "This conflict is about the node as a whole."
    : "This conflict cannot be settled here. Cancel, change the session, and try again.";
}

interface Target {
  /** Null stands for every conflicting chunk of the array, or for the node. */
  runs: Runs | null;
  count: number;
}
