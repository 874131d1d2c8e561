/** A fake kernel, for the development page and the tests. */

import { type Host, HostError, type PushEvent, type Reply } from "../src/core/host";
import type { Choice, ConflictItem } from "../src/core/protocol";
import { columns, lookup, type PlainHistory, search } from "./columns";
import { eachIndex, type Runs } from "../src/core/runs";
import { GRID, type Side } from "./fields";
import { ago, chunkMap, commitReply, conflictStates, diffReply, diffStates, historyReply, METADATA, NODE_CONFLICT, preview, SCRIPT, sizes, TREE, VERDICTS, writers } from "./replies";

export interface Call {
  method: string;
  params: Record<string, unknown>;
}

type Answers = Partial<Record<string, () => unknown>>;

/** What each commit wrote, repeated for further commits. */
const WRITTEN = [12, 148, 3, 0, 40].map((chunks, i) => ({ chunks, bytes: [9_300, 151_000, 800, 0, 2_100_000][i] }));

/** By how much a chunk changed; one chunk was written again with the values it had. */
function magnitude([t, y, x]: number[]): { equal: boolean; largest: number } {
  if (t === 7 && y === 1) return { equal: true, largest: 0 };
  return { equal: false, largest: ((t! * 5 + y! * 3 + x! * 2) % 11) / 8 + 0.05 };
}

function isReply(made: unknown): made is Reply<unknown> {
  return typeof made === "object" && made !== null && "buffers" in made;
}

export class FakeHost implements Host {
  readonly calls: Call[] = [];
  readonly traits = new Map<string, unknown>();
  /** Methods that fail next time, with the error they give. */
  readonly failures = new Map<string, HostError>();
  private readonly watchers = new Map<string, Set<() => void>>();
  private readonly listeners = new Set<(event: PushEvent) => void>();
  /** The fields of the requested sides; there is no result before a side is chosen. */
  private shown(chunk: number[], sides: string[]): [string, Side][] {
    const state = this.states[chunk.reduce((flat, c, axis) => flat * GRID[axis]! + c, 0)]!;
    const chosen: Side | null = state === 1 ? null : state === 2 || state === 5 ? "ours" : state === 4 ? "base" : "theirs";
    return sides.flatMap((name): [string, Side][] =>
      name !== "result" ? [[name, name as Side]] : chosen ? [[name, chosen]] : [],
    );
  }

  private past: { states: Uint8Array; node: Choice | null }[] = [];
  private future: { states: Uint8Array; node: Choice | null }[] = [];
  states = conflictStates();
  nodeChoice: Choice | null = null;

  constructor(
    traits: Record<string, unknown> = {},
    private readonly answer: Partial<Record<string, (params: never) => unknown>> = {},
    private readonly kind: "history" | "diff" | "resolver" = "history",
  ) {
    for (const [name, value] of Object.entries(traits)) this.traits.set(name, value);
  }

  get listenerCount(): number {
    let count = this.listeners.size;
    for (const set of this.watchers.values()) count += set.size;
    return count;
  }

  get(name: string): unknown {
    return this.traits.get(name);
  }

  set(name: string, value: unknown): void {
    this.traits.set(name, value);
    for (const callback of [...(this.watchers.get(name) ?? [])]) callback();
  }

  onChange(name: string, callback: () => void, signal: AbortSignal): void {
    const set = this.watchers.get(name) ?? new Set();
    this.watchers.set(name, set);
    set.add(callback);
    signal.addEventListener("abort", () => set.delete(callback));
  }

  onEvent(callback: (event: PushEvent) => void, signal: AbortSignal): void {
    this.listeners.add(callback);
    signal.addEventListener("abort", () => this.listeners.delete(callback));
  }

  push(event: PushEvent): void {
    for (const listener of [...this.listeners]) listener(event);
  }

  async request<T>(method: string, params: Record<string, unknown> = {}): Promise<Reply<T>> {
    this.calls.push({ method, params });
    await Promise.resolve();
    const failure = this.failures.get(method);
    if (failure) {
      this.failures.delete(method);
      throw failure;
    }
    if (["history", "rows", "search"].includes(method)) return this.historyReply(method, params) as Reply<T>;
    const own = this.answer[method] as ((params: Record<string, unknown>) => unknown) | undefined;
    if (own) return { result: (await own(params)) as T, buffers: [] };
    return this.reply(method, params) as Reply<T>;
  }

  /** Replies about a history: the one of a test, or an example. */
  private historyReply(method: string, params: Record<string, unknown>): Reply<unknown> {
    const own = this.answer.history as ((params: Record<string, unknown>) => unknown) | undefined;
    const plain = (own ? own(params) : historyReply()) as PlainHistory;
    if (method === "rows") return { result: lookup(plain, params.ids as string[]), buffers: [] };
    if (method === "search") return { result: { current: true }, buffers: [search(plain, String(params.text))] };
    return columns(plain, Number(params.rows ?? 200));
  }

  private reply(method: string, params: Record<string, unknown>): Reply<unknown> {
    const answer = { ...this.readers(params), ...this.decisions(params) }[method];
    if (!answer) throw new HostError("unknown-method", `There is no method ${method}.`);
    const made = answer();
    return isReply(made) ? made : { result: made, buffers: [] };
  }

  /** Requests that change nothing, of every view. */
  private readers(params: Record<string, unknown>): Answers {
    return {
      look: () => null,
      rebases: () => ({ onto: params.onto, verdicts: VERDICTS }),
      tree: () => TREE,
      sizes,
      writers: () => writers(params.after as string | null),
      commit: () => commitReply(String(params.id)),
      activity: () => Object.fromEntries((params.ids as string[]).map((id, i) => [id, WRITTEN[i % WRITTEN.length]])),
      action: () => ({
        python: `repo.create_${String(params.action)}(${JSON.stringify(params.name)}, "${String(params.id)}")`,
        warning: params.action === "reset" ? "main moves; 2 commits become unreachable." : "",
        ...(params.run ? { done: "Done as requested." } : {}),
      }),
      metadata: () => ({ rows: METADATA }),
      magnitudes: () => ({ chunks: (params.chunks as number[][]).map(magnitude) }),
      compare: () => this.reply(String(params.method), params.params as Record<string, unknown>),
      diff: diffReply,
      diff_summary: diffReply,
      chunk_map: () => ({
        result: chunkMap(String(params.path)),
        buffers: [new DataView((this.kind === "diff" ? diffStates() : this.states.slice()).buffer)],
      }),
      preview: () => {
        const chunk = params.chunk as number[];
        return preview(String(params.path), chunk, this.shown(chunk, params.sides as string[]));
      },
    };
  }

  /** Requests of the resolver. */
  private decisions(params: Record<string, unknown>): Answers {
    const rule = { takes: 7, looked: 40, of: 40, unreadable: 0, parts: [{ path: "/ocean/sst", choice: "theirs", chunks: 7 }] };
    return {
      node_conflict: () => NODE_CONFLICT,
      conflicts: () => this.conflicts(),
      decide: () => this.decide(params),
      undo: () => this.travel(this.past, this.future),
      redo: () => this.travel(this.future, this.past),
      script: () => ({ text: SCRIPT }),
      cells: () => ({ ours: 120, theirs: 83, both: 12, alike: 0 }),
      merge: () => this.merge(params),
      rule: () =>
        params.apply ? { ...rule, ...this.decide({ type: "ChunkDoubleUpdate", choice: "theirs", runs: [37, 12] }) } : rule,
      seams: () => ({ borders: 14, more: 0, steep: [{ chunk: [4, 0, 1], next: [4, 1, 1], axis: 1, step: 2.31, inside: 0.4 }] }),
      save: () => ({ text: "{}", name: "decisions-main-ZR8V4T2Q.json" }),
      load: () => ({ ...this.small(), notice: "3 of 4 decisions in the file still hold." }),
      complete: () => {
        queueMicrotask(() => this.finish(String(params.message ?? "")));
        return { job: "job-1" };
      },
      cancel: () => ({}),
      renew: () => ({}),
    };
  }

  // ---- resolver -------------------------------------------------------------------------------

  private items(): ConflictItem[] {
    let undecided = 0;
    let chunks = 0;
    for (const state of this.states) {
      if (state === 1) undecided++;
      if ((state >= 1 && state <= 4) || state > 6) chunks++;
    }
    const all: Choice[] = ["ours", "theirs", "base"];
    return [
      { key: 0, path: "/ocean/sst", type: "ChunkDoubleUpdate", title: "Both sides wrote the same chunks", kind: "chunks", choices: all, chunks, undecided, choice: null },
      { key: 1, path: "/ocean/sst", type: "ZarrMetadataDoubleUpdate", title: "Both sides changed the attributes", kind: "node", choices: ["ours", "theirs"], chunks: 0, undecided: this.nodeChoice ? 0 : 1, choice: this.nodeChoice },
    ];
  }

  private small(): Record<string, unknown> {
    const items = this.items();
    return {
      undecided: items.reduce((sum, item) => sum + item.undecided, 0),
      total: items[0]!.chunks + 1,
      can_undo: this.past.length > 0,
      can_redo: this.future.length > 0,
      conflicts: items.map(({ key, undecided, choice }) => ({ key, undecided, choice })),
    };
  }

  private conflicts(): unknown {
    return {
      branch: "main",
      commit: { id: "ZR8V4T2QKXW0M9C3B7HG", message: "Reprocess the equatorial Pacific", time: ago(3.2) },
      sides: {
        ours: { label: "Session on main", detail: "14 changes, not committed" },
        theirs: { label: "main @ ZR8V4T2Q, Ana", detail: "3 h ago" },
        base: { label: "main @ 5K1QPD8N", detail: "before both" },
      },
      ...this.small(),
      conflicts: this.items(),
      message: "Merge my corrections",
    };
  }

  private decide(params: Record<string, unknown>): object {
    this.past.push({ states: this.states.slice(), node: this.nodeChoice });
    this.future = [];
    const choice = params.choice as Choice | null;
    if (params.type !== "ChunkDoubleUpdate") this.nodeChoice = choice;
    else {
      const value = choice ? { ours: 2, theirs: 3, base: 4 }[choice] : 1;
      const runs = (params.runs as Runs | null) ?? [0, this.states.length];
      eachIndex(runs, this.states.length, (i) => {
        if (this.states[i]! >= 1 && this.states[i]! <= 4) this.states[i] = value;
      });
    }
    return this.small();
  }

  /** The first requested chunk has elements that both changed. */
  private merge(params: Record<string, unknown>): unknown {
    const runs = (params.runs as Runs | null) ?? [0, this.states.length];
    const value = params.both === "theirs" ? 8 : 7;
    this.past.push({ states: this.states.slice(), node: this.nodeChoice });
    let [first, merged] = [true, 0];
    eachIndex(runs, this.states.length, (i) => {
      if (this.states[i] !== 1) return;
      if (!first || params.both) {
        this.states[i] = value;
        merged++;
      }
      first = false;
    });
    return { ...this.small(), done: true, merged, left: params.both ? 0 : 1, cells: params.both ? 0 : 12 };
  }

  private travel(from: typeof this.past, to: typeof this.past): unknown {
    const step = from.pop();
    if (step) {
      to.push({ states: this.states.slice(), node: this.nodeChoice });
      this.states = step.states as typeof this.states;
      this.nodeChoice = step.node;
    }
    return this.small();
  }

  private finish(message: string): void {
    this.push({ event: "progress", job: "job-1", stage: "Writing manifests", done: 1, total: 2 });
    this.push({
      event: "done",
      job: "job-1",
      ok: true,
      snapshot: "H2V9M6QXA71T0CZK4R8D",
      message: `Committed to main: ${message || "rebased"}`,
    });
  }
}
