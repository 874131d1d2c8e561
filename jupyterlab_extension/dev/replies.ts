/** Replies of the fake kernel. */

import { type Reply } from "../src/core/host";
import type { ChunkMapReply, CommitRow, DiffReply, PreviewReply, Ref } from "../src/core/protocol";
import { type PlainHistory } from "./columns";
import { CHUNKS, field, GRID, SHAPE, type Side, stats } from "./fields";

export function ago(hours: number): string {
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

export function commitReply(id: string): unknown {
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

export function diffStates(): Uint8Array<ArrayBuffer> {
  const states = new Uint8Array(108);
  for (let i = 54; i < 99; i++) states[i] = i % 9 === 8 ? 0 : 1;
  for (let i = 99; i < 108; i++) states[i] = 2;
  states[54] = states[63] = 3;
  return states;
}

export function preview(path: string, chunk: number[], shown: [string, Side][]): Reply<unknown> {
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

export const NODE_CONFLICT = {
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

export const METADATA = [
  { key: "attributes.units", change: "changed", before: "K", after: "degC" },
  { key: "attributes.history", change: "added", after: "2024-07-01 drift correction" },
  { key: "attributes.valid_range", change: "removed", before: [271.0, 310.5] },
  { key: "codecs", change: "changed", before: [{ name: "bytes" }], after: [{ name: "bytes" }, { name: "zstd", configuration: { level: 3 } }] },
];

export const VERDICTS = {
  "": { state: "conflicts", text: "14 chunk conflicts with main", chunks: 14, nodes: [{ path: "/ocean/sst", title: "Chunk double update", chunks: 14 }] },
  main: { state: "same", text: "the same commit as main", ours: 0, theirs: 0, chunks: 0, nodes: [] },
  "bias-correction": { state: "conflicts", text: "40 chunk conflicts and 1 other conflict with main", ours: 2, theirs: 2, chunks: 40, nodes: [{ path: "/ocean/sst", title: "Chunk double update", chunks: 40 }, { path: "/ocean", title: "Zarr metadata double update", chunks: 0 }] },
  "ice-mask": { state: "clean", text: "rebases cleanly onto main", ours: 1, theirs: 5, chunks: 0, nodes: [] },
};

export const TREE = {
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

export function sizes(): Reply<unknown> {
  const cells = Float32Array.from({ length: 108 }, (_, i) => (i % 9 === 4 ? NaN : 1000 + ((i * 7919) % 4000)));
  const result = { side: "after", label: "main (ZR8V4T2Q)", stored: 96, total: 288_000, smallest: 1000, largest: 4999 };
  return { result, buffers: [new DataView(cells.buffer)] };
}

export function writers(after: string | null): unknown {
  const [a, , b] = commits();
  return after
    ? { commits: [{ ...b, made: true, wrote: true }], uncommitted: false, looked: 3, last: null, note: "" }
    : { commits: [{ ...a, made: false, wrote: true }], uncommitted: false, looked: 2, last: b!.id, note: "" };
}

export const SCRIPT = `import icechunk

decisions = [
    {"path": "/ocean/sst", "type": "ChunkDoubleUpdate", "choice": "ours", "runs": [37, 1, 39, 3]},
    {"path": "/ocean/sst", "type": "ChunkDoubleUpdate", "choice": "theirs", "runs": [46, 1]},
]
session.rebase(icechunk.DecisionSolver(decisions))
session.commit("Merge my corrections")
`;
