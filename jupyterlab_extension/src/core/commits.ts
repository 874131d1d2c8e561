/** The commits of a history as columns: ids, parents and times of all, messages of those fetched so far. */

import { bytesOf } from "./host";
import type { CommitRow, HistoryReply } from "./protocol";
import { NOT_LISTED, ROOT } from "./lanes";

/** Id of the row for uncommitted changes; snapshot ids are upper case, so no commit has it. */
export const SESSION_ROW = "session";

/** Message of a commit whose row has not been fetched yet. */
export const UNKNOWN = "…";

/** Characters of a snapshot id (12 bytes in base 32). */
const LETTERS = 20;

export class Commits {
  readonly count: number;
  /** Index of every commit's first parent, `ROOT` for none, `NOT_LISTED` for a parent outside the list. */
  readonly parents: Int32Array;
  /** Pairs of a merge and a further parent, which may be `NOT_LISTED` or `EXPIRED`; in the order of the merges. */
  readonly merges: Int32Array;
  private readonly ids: Uint8Array;
  private readonly times: Float64Array;
  private readonly texts = new Map<number, CommitRow>();
  /** 1 if the first row is the session's uncommitted changes, else 0. */
  readonly shift: number;

  constructor(
    readonly reply: HistoryReply,
    buffers: (DataView | undefined)[],
  ) {
    const { session } = reply;
    this.ids = bytesOf(buffers[0]);
    const parents = new Int32Array(bytesOf(buffers[1]).buffer);
    this.times = new Float64Array(bytesOf(buffers[2]).buffer);
    const base = session?.dirty ? this.findId(session.base) : -1;
    this.shift = session?.dirty ? 1 : 0;
    this.count = parents.length + this.shift;
    this.parents = new Int32Array(this.count);
    if (this.shift) this.parents[0] = base < 0 ? NOT_LISTED : base + 1;
    for (let i = 0; i < parents.length; i++)
      this.parents[i + this.shift] = parents[i]! < 0 ? parents[i]! : parents[i]! + this.shift;
    const merges = new Int32Array(bytesOf(buffers[3]).buffer);
    this.merges = merges.map((at) => (at < 0 ? at : at + this.shift));
    reply.commits.forEach((row, i) => this.texts.set(i + this.shift, row));
    if (this.shift)
      this.texts.set(0, { id: SESSION_ROW, parent: session!.base, message: "Uncommitted changes", time: "", author: null });
  }

  id(at: number): string {
    if (at < this.shift) return SESSION_ROW;
    const start = (at - this.shift) * LETTERS;
    let id = "";
    for (let i = start; i < start + LETTERS && this.ids[i]; i++) id += String.fromCharCode(this.ids[i]!);
    return id;
  }

  /** Index of a commit, -1 if it is not listed. */
  find(id: string): number {
    if (id === SESSION_ROW) return this.shift - 1;
    const at = this.findId(id);
    return at < 0 ? -1 : at + this.shift;
  }

  private findId(id: string): number {
    const { ids } = this;
    const wanted = Array.from({ length: LETTERS }, (_, i) => id.charCodeAt(i) || 0);
    if (id.length > LETTERS) return -1;
    const n = ids.length / LETTERS;
    for (let at = 0; at < n; at++) {
      let i = 0;
      while (i < LETTERS && ids[at * LETTERS + i] === wanted[i]) i++;
      if (i === LETTERS) return at;
    }
    return -1;
  }

  /** ISO 8601, UTC; empty for the session. */
  time(at: number): string {
    if (at < this.shift) return "";
    const date = new Date(this.times[at - this.shift]!);
    return Number.isNaN(date.getTime()) ? "" : date.toISOString();
  }

  known(at: number): boolean {
    return this.texts.has(at);
  }

  /** Whether the rows of all commits have been fetched. */
  get complete(): boolean {
    return this.texts.size === this.count;
  }

  /** The row of a commit; before it is fetched, only what the columns contain. */
  row(at: number): CommitRow {
    const found = this.texts.get(at);
    if (found) return found;
    const parent = this.parents[at]!;
    return {
      id: this.id(at),
      parent: parent === ROOT || parent === NOT_LISTED ? null : this.id(parent),
      message: UNKNOWN,
      time: this.time(at),
      author: null,
    };
  }

  learn(rows: readonly CommitRow[], places: ReadonlyMap<string, number>): void {
    for (const row of rows) {
      const at = places.get(row.id);
      if (at !== undefined) this.texts.set(at, row);
    }
  }
}
