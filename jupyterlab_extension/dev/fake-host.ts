/** A kernel made of plain data, for the development page and the tests. */

import { type Host, HostError, type PushEvent, type Reply } from "../src/core/host";
import type {
  ChunkMapReply,
  Choice,
  CommitRow,
  ConflictItem,
  DiffReply,
  PreviewReply,
  Ref,
} from "../src/core/protocol";
import { columns, lookup, type PlainHistory, search } from "./columns";
import { eachIndex, type Runs } from "../src/core/runs";
import { CHUNKS, field, GRID, SHAPE, type Side, stats } from "./fields";

export interface Call {
  method: string;
  params: Record<string, unknown>;
}

export class FakeHost implements Host {
  readonly calls: Call[] = [];
  readonly traits = new Map<string, unknown>();
  /** Methods that fail next time, with the error they give. */
  readonly failures = new Map<string, HostError>();
  private readonly watchers = new Map<string, Set<() => void>>();
  private readonly listeners = new Set<(event: PushEvent) => void>();
  /** Which fields to draw: the result is the side that was chosen, and absent before. */
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
    if (["history", "rows", "search"].includes(method)) return this.historic(method, params) as Reply<T>;
    const own = this.answer[method] as ((params: Record<string, unknown>) => unknown) | undefined;
    if (own) return { result: own(params) as T, buffers: [] };
    return this.reply(method, params) as Reply<T>;
  }

  /** What is asked of a history, made up or given by a test. */
  private historic(method: string, params: Record<string, unknown>): Reply<unknown> {
    const own = this.answer.history as ((params: Record<string, unknown>) => unknown) | undefined;
    const plain = (own ? own(params) : historyReply()) as PlainHistory;
    if (method === "rows") return { result: lookup(plain, params.ids as string[]), buffers: [] };
    if (method === "search") return { result: { current: true }, buffers: [search(plain, String(params.text))] };
    return columns(plain, Number(params.rows ?? 200));
  }

  private reply(method: string, params: Record<string, unknown>): Reply<unknown> {
    const plain = (result: unknown): Reply<unknown> => ({ result, buffers: [] });
    switch (method) {
      case "look":
        return plain(null);
      case "rebases":
        return plain({ onto: params.onto, verdicts: VERDICTS });
      case "tree":
        return plain(TREE);
      case "sizes":
        return sizes();
      case "writers":
        return plain(writers(params.after as string | null));
      case "commit":
        return plain(commitReply(String(params.id)));
      case "activity":
        return plain(Object.fromEntries((params.ids as string[]).map((id, i) => [id, { chunks: [12, 148, 3, 0, 40][i % 5], bytes: [9_300, 151_000, 800, 0, 2_100_000][i % 5] }])));
      case "action":
        return plain({
          python: `repo.create_${String(params.action)}(${JSON.stringify(params.name)}, "${String(params.id)}")`,
          warning: params.action === "reset" ? "main moves and lets go of 2 commits." : "",
          ...(params.run ? { done: "Done as asked." } : {}),
        });
      case "metadata":
        return plain({ rows: METADATA });
      case "magnitudes":
        return plain({
          chunks: (params.chunks as number[][]).map(([t, y, x]) =>
            t === 7 && y === 1 ? { equal: true, largest: 0 } : { equal: false, largest: ((t! * 5 + y! * 3 + x! * 2) % 11) / 8 + 0.05 },
          ),
        });
      case "compare":
        return this.reply(String(params.method), params.params as Record<string, unknown>);
      case "diff":
      case "diff_summary":
        return plain(diffReply());
      case "chunk_map":
        return {
          result: chunkMap(String(params.path)),
          buffers: [new DataView((this.kind === "diff" ? diffStates() : this.states.slice()).buffer)],
        };
      case "node_conflict":
        return { result: NODE_CONFLICT, buffers: [] };
      case "preview":
        return preview(String(params.path), params.chunk as number[], this.shown(params.chunk as number[], params.sides as string[]));
      case "conflicts":
        return plain(this.conflicts());
      case "decide":
        return plain(this.decide(params));
      case "undo":
        return plain(this.travel(this.past, this.future));
      case "redo":
        return plain(this.travel(this.future, this.past));
      case "script":
        return plain({ text: SCRIPT });
      case "cells":
        return plain({ ours: 120, theirs: 83, both: 12, alike: 0 });
      case "merge":
        return plain(this.merge(params));
      case "rule":
        return plain({ takes: 7, looked: 40, of: 40, unreadable: 0, parts: [{ path: "/ocean/sst", choice: "theirs", chunks: 7 }], ...(params.apply ? this.decide({ type: "ChunkDoubleUpdate", choice: "theirs", runs: [37, 12] }) as object : {}) });
      case "seams":
        return plain({ borders: 14, more: 0, steep: [{ chunk: [4, 0, 1], next: [4, 1, 1], axis: 1, step: 2.31, inside: 0.4 }] });
      case "save":
        return plain({ text: "{}", name: "decisions-main-ZR8V4T2Q.json" });
      case "load":
        return plain({ ...this.small(), told: "3 of 4 decisions in the file still hold." });
      case "complete":
        queueMicrotask(() => this.finish(String(params.message ?? "")));
        return plain({ job: "job-1" });
      case "cancel":
      case "renew":
        return plain({});
      default:
        throw new HostError("unknown-method", `There is no method ${method}.`);
    }
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

  private decide(params: Record<string, unknown>): unknown {
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

  /** The first chunk asked for has cells that both changed. */
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

function ago(hours: number): string {
  return new Date(Date.now() - hours * 3_600_000).toISOString();
}

const COMMITS: [string, string | null, string, number, string][] = [
  ["ZR8V4T2QKXW0M9C3B7HG", "5K1QPD8NVE63YJ0RA2WT", "Reprocess the equatorial Pacific\n\nDrift correction of the buoys applied before gridding.", 3.2, "Ana"],
  ["T0M3C9XB5VQW81KZJH4E", "M7WJ2R6ZEC9X4Q1BVT0K", "Try a shorter smoothing window", 5.5, "Priya"],
  ["5K1QPD8NVE63YJ0RA2WT", "8D0VTC2M7QKX5R9ZJB1W", "Append June 2024", 20, "Tom"],
  ["M7WJ2R6ZEC9X4Q1BVT0K", "8D0VTC2M7QKX5R9ZJB1W", "Bias correction, first version", 26, "Priya"],
  ["8D0VTC2M7QKX5R9ZJB1W", "A4X1JQ7E0RMT6K2ZW9VC", "Append May 2024", 45, "Tom"],
  ["A4X1JQ7E0RMT6K2ZW9VC", "R6N8ZKB3W5TQ2XV1MC0J", "Add quality flags", 74, "Ana"],
  ["W9C5E2VT8JZQ0X6KR1MB", "R6N8ZKB3W5TQ2XV1MC0J", "Draft of the ice mask", 90, "Jo"],
  ["R6N8ZKB3W5TQ2XV1MC0J", "V2T4Q8XM6KZJ1W0CR9EB", "Append April 2024", 168, "Tom"],
  ["V2T4Q8XM6KZJ1W0CR9EB", "C1B7M9KTQ0X5ZJ3VW2RE", "Rechunk to one month per chunk", 240, "Ana"],
  ["C1B7M9KTQ0X5ZJ3VW2RE", "1CECHNKREP0F1RSTCMT0", "Import January to March 2024", 410, "Ana"],
  ["1CECHNKREP0F1RSTCMT0", null, "Repository initialized", 412, ""],
];

export function commits(): CommitRow[] {
  return COMMITS.map(([id, parent, message, hours, author]) => ({
    id,
    parent,
    message,
    time: ago(hours),
    author: author || null,
    metadata: author ? { author, pipeline: "sst-monthly 2.3", input_files: 31 } : {},
  }));
}

const REFS: Ref[] = [
  { name: "main", id: "ZR8V4T2QKXW0M9C3B7HG", kind: "branch" },
  { name: "bias-correction", id: "T0M3C9XB5VQW81KZJH4E", kind: "branch" },
  { name: "ice-mask", id: "W9C5E2VT8JZQ0X6KR1MB", kind: "branch" },
  { name: "v1.0", id: "R6N8ZKB3W5TQ2XV1MC0J", kind: "tag" },
];

export function historyReply(): PlainHistory {
  return {
    commits: commits(),
    refs: REFS,
    session: { branch: "main", base: "5K1QPD8NVE63YJ0RA2WT", dirty: true, changes: 14 },
    truncated: false,
  };
}

function commitReply(id: string): unknown {
  const row = commits().find((commit) => commit.id === id) ?? commits()[0]!;
  return {
    ...row,
    changes: row.parent
      ? {
          new_arrays: ["/ocean/quality_flag"],
          updated_arrays: ["/ocean/sst"],
          updated_groups: ["/ocean"],
          updated_chunks: [
            { path: "/ocean/quality_flag", chunks: 108 },
            { path: "/ocean/sst", chunks: 40 },
          ],
          counts: { chunks: 148 },
        }
      : null,
  };
}

export function diffReply(): DiffReply {
  return {
    a: { id: "8D0VTC2M7QKX5R9ZJB1W", label: "v1.0 (8D0VTC2M)" },
    b: { id: "ZR8V4T2QKXW0M9C3B7HG", label: "main (ZR8V4T2Q)" },
    nodes: [
      { path: "/ocean/sst", type: "array", change: "changed", from: null, metadata_changed: true, chunks_changed: 52, chunks_total: 108 },
      { path: "/ocean/quality_flag", type: "array", change: "added", from: null, metadata_changed: true, chunks_changed: 108, chunks_total: 108 },
      { path: "/ocean", type: "group", change: "changed", from: null, metadata_changed: true, chunks_changed: 0, chunks_total: 0 },
      { path: "/ocean/ice/fraction", type: "array", change: "changed", from: null, metadata_changed: false, chunks_changed: 9, chunks_total: 108 },
      { path: "/scratch/test_01", type: "array", change: "removed", from: null, metadata_changed: true, chunks_changed: 4, chunks_total: 4 },
      { path: "/archive/sst_v0", type: "array", change: "moved", from: "/ocean/sst_v0", metadata_changed: false, chunks_changed: 0, chunks_total: 108 },
    ],
    counts: { added: 1, removed: 1, changed: 3, moved: 1, chunks: 173 },
  };
}

export function chunkMap(path: string): ChunkMapReply {
  return {
    path,
    shape: SHAPE,
    chunks: CHUNKS,
    grid: GRID,
    dims: ["time", "lat", "lon"],
    dtype: "float32",
    labels: [
      { first: "2023-07-01", last: "2024-06-01", units: null, starts: MONTHS },
      { first: -90, last: 88, units: "degrees_north", up: true },
      { first: -180, last: 178, units: "degrees_east" },
    ],
  };
}

const MONTHS = Array.from({ length: 12 }, (_, i) =>
  new Date(Date.UTC(2023, 6 + i, 1)).toISOString().slice(0, 10),
);

/** Forty chunks in conflict, some changed by one side only. */
export function conflictStates(): Uint8Array<ArrayBuffer> {
  const states = new Uint8Array(108);
  let left = 40;
  for (let t = 4; t < 12; t++)
    for (let c = 0; c < 9; c++) {
      const i = t * 9 + c;
      if (left > 0 && [1, 3, 4, 5, 7].includes(c)) {
        states[i] = 1;
        left--;
      } else if (c === 0 || (t > 9 && c === 2)) states[i] = 5;
      else if (c === 8 && t % 2 === 0) states[i] = 6;
    }
  return states;
}

function diffStates(): Uint8Array<ArrayBuffer> {
  const states = new Uint8Array(108);
  for (let i = 54; i < 99; i++) states[i] = i % 9 === 8 ? 0 : 1;
  for (let i = 99; i < 108; i++) states[i] = 2;
  states[54] = states[63] = 3;
  return states;
}

function preview(path: string, chunk: number[], shown: [string, Side][]): Reply<unknown> {
  const sides = shown.map(([, side]) => side);
  const fields = sides.map((side) => field(side, chunk));
  const all = fields.map(stats);
  const [a, b] = [fields[0]!, fields[1]!];
  let [worst, sum, square, n] = [0, 0, 0, 0];
  a.forEach((value, i) => {
    const d = Math.abs(value - b[i]!);
    if (Number.isNaN(d)) return;
    worst = Math.max(worst, d);
    sum += d;
    square += d * d;
    n++;
  });
  const label: Record<Side, string> = {
    ours: "Session on main",
    theirs: "main @ ZR8V4T2Q, Ana",
    base: "main @ 5K1QPD8N",
    before: "v1.0 (8D0VTC2M)",
    after: "main (ZR8V4T2Q)",
  };
  const result: PreviewReply = {
    path,
    chunk,
    shape: [CHUNKS[1]!, CHUNKS[2]!],
    axes: ["lat", "lon"],
    extent: {
      y: [-90 + chunk[1]! * 60, -32 + chunk[1]! * 60, "degrees_north"],
      x: [-180 + chunk[2]! * 120, -62 + chunk[2]! * 120, "degrees_east"],
    },
    up: true,
    origin: chunk.map((c, axis) => c * CHUNKS[axis]!),
    vmin: Math.min(...all.map((s) => s.min ?? Infinity)),
    vmax: Math.max(...all.map((s) => s.max ?? -Infinity)),
    fill: null,
    other_axes: [{ axis: 0, name: "time", size: 1, position: 0 }],
    sides: shown.map(([name, side], i) => ({ side: name, label: name === "result" ? "Result" : label[side], stats: all[i]! })),
    difference: n
      ? { max_abs: worst, mean_abs: sum / n, rms: Math.sqrt(square / n), changed: 1 }
      : null,
    dtype: "float32",
  };
  return { result, buffers: fields.map((values) => new DataView(values.buffer)) };
}

const NODE_CONFLICT = {
  path: "/ocean/sst",
  rows: [
    { pointer: "/attributes/units", key: "attributes.units", base: "K", ours: "degC", theirs: "degF", changed_by: null, choice: null },
    { pointer: "/attributes/history", key: "attributes.history", ours: "<b>corrected</b>", changed_by: "ours", choice: null },
    { pointer: "/shape", key: "shape", base: [12, 180, 360], ours: [12, 180, 360], theirs: [24, 180, 360], changed_by: "theirs", choice: null },
  ],
  merge: true,
  rename: false,
  new_path: null,
  facts: ["I changed its metadata.", "They changed its metadata."],
};

const METADATA = [
  { key: "attributes.units", change: "changed", before: "K", after: "degC" },
  { key: "attributes.history", change: "added", after: "2024-07-01 drift correction" },
  { key: "attributes.valid_range", change: "removed", before: [271.0, 310.5] },
  { key: "codecs", change: "changed", before: [{ name: "bytes" }], after: [{ name: "bytes" }, { name: "zstd", configuration: { level: 3 } }] },
];

const VERDICTS = {
  "": { state: "conflicts", text: "14 chunk conflicts with main", chunks: 14, nodes: [{ path: "/ocean/sst", title: "Chunk double update", chunks: 14 }] },
  main: { state: "same", text: "the same commit as main", ours: 0, theirs: 0, chunks: 0, nodes: [] },
  "bias-correction": { state: "conflicts", text: "40 chunk conflicts and 1 other conflict with main", ours: 2, theirs: 2, chunks: 40, nodes: [{ path: "/ocean/sst", title: "Chunk double update", chunks: 40 }, { path: "/ocean", title: "Zarr metadata double update", chunks: 0 }] },
  "ice-mask": { state: "clean", text: "rebases cleanly onto main", ours: 1, theirs: 5, chunks: 0, nodes: [] },
};

const TREE = {
  nodes: [
    { path: "/", type: "group" },
    { path: "/ocean", type: "group" },
    { path: "/ocean/sst", type: "array", shape: SHAPE, dims: ["time", "lat", "lon"], dtype: "float32" },
  ],
  count: 3,
  python: [
    { group: "", lines: ["session = repo.readonly_session(snapshot_id='ZR8V4T2QKXW0M9C3B7HG')", 'root = zarr.open_group(session.store, mode="r")'] },
    { group: "/ocean", lines: ["session = repo.readonly_session(snapshot_id='ZR8V4T2QKXW0M9C3B7HG')", "ds = xarray.open_zarr(session.store, group='ocean', consolidated=False)"] },
  ],
};

function sizes(): Reply<unknown> {
  const cells = Float32Array.from({ length: 108 }, (_, i) => (i % 9 === 4 ? NaN : 1000 + ((i * 7919) % 4000)));
  const told = { side: "after", label: "main (ZR8V4T2Q)", stored: 96, total: 288_000, smallest: 1000, largest: 4999 };
  return { result: told, buffers: [new DataView(cells.buffer)] };
}

function writers(after: string | null): unknown {
  const [a, , b] = commits();
  return after
    ? { commits: [{ ...b, made: true, wrote: true }], uncommitted: false, looked: 3, last: null, note: "" }
    : { commits: [{ ...a, made: false, wrote: true }], uncommitted: false, looked: 2, last: b!.id, note: "" };
}

const SCRIPT = `import icechunk

decisions = [
    {"path": "/ocean/sst", "type": "ChunkDoubleUpdate", "choice": "ours", "runs": [37, 1, 39, 3]},
    {"path": "/ocean/sst", "type": "ChunkDoubleUpdate", "choice": "theirs", "runs": [46, 1]},
]
session.rebase(icechunk.DecisionSolver(decisions))
session.commit("Merge my corrections")
`;
