/** A history as the kernel sends it: columns of all commits, and rows of the newest. */

import type { CommitRow, HistoryReply, Ref, SessionState } from "../src/core/protocol";

export interface PlainHistory {
  commits: CommitRow[];
  refs: Ref[];
  session: SessionState | null;
  truncated: boolean;
}

const LETTERS = 20;

export function columns(plain: PlainHistory, rows: number): { result: HistoryReply; buffers: DataView[] } {
  const { commits } = plain;
  const n = commits.length;
  const places = new Map(commits.map((row, i) => [row.id, i]));
  const ids = new Uint8Array(n * LETTERS);
  commits.forEach((row, i) => [...row.id].forEach((letter, k) => (ids[i * LETTERS + k] = letter.charCodeAt(0))));
  const parents = Int32Array.from(commits, (row) => (row.parent === null ? -1 : (places.get(row.parent) ?? -2)));
  const merges = Int32Array.from(
    commits.flatMap((row, i) => (row.others ?? []).flatMap((id) => [i, places.get(id) ?? -3])),
  );
  const times = Float64Array.from(commits, (row) => Date.parse(row.time));
  return {
    result: {
      ...plain,
      commits: commits.slice(0, rows),
      refs: plain.refs.map((ref) => ({ ...ref, at: places.get(ref.id) })),
      count: n,
      version: "1",
    },
    buffers: [ids, parents, times, merges].map((column) => new DataView(column.buffer)),
  };
}

/** Answers of the kernel about commits whose texts it has not sent. */
export function lookup(plain: PlainHistory, ids: string[]): CommitRow[] {
  const wanted = new Set(ids);
  return plain.commits.filter((row) => wanted.has(row.id));
}

export function search(plain: PlainHistory, text: string): DataView {
  const found = plain.commits.flatMap((row, i) => (row.message.toLowerCase().includes(text) ? [i] : []));
  return new DataView(Uint32Array.from(found).buffer);
}
