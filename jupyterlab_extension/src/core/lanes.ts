/** Lane assignment for a history in which every commit has at most one parent. */

export interface LaneInput {
  id: string;
  parent: string | null;
}

export interface LaneLayout {
  /** Lane of every row; 0 is the main line. */
  lane: Int32Array;
  /** Row of the parent; -1 for a root, -2 for a parent outside the list. */
  parent: Int32Array;
  /** Number of the line a row belongs to (a line is a run of commits down one lane). */
  line: Int32Array;
  /** Top row of every line; line 0 is the main line when there is one. */
  lineTop: number[];
  width: number;
  /** Rows of every lane from top to bottom. */
  rows: number[][];
}

/** Order commits so that children stand above their parents, else keeping the given order. */
export function childrenFirst<T extends LaneInput>(commits: readonly T[]): T[] {
  const index = new Map(commits.map((commit, i) => [commit.id, i]));
  const waiting = new Int32Array(commits.length);
  const parents = commits.map((commit) =>
    commit.parent === null ? -1 : (index.get(commit.parent) ?? -1),
  );
  for (const parent of parents) if (parent >= 0) waiting[parent]!++;
  const ordered: T[] = [];
  const done = new Uint8Array(commits.length);
  for (let i = 0; i < commits.length; i++) {
    // A parent that was passed over because of a child below it follows that child at once.
    for (let at = i; at >= 0 && at <= i && !done[at] && waiting[at] === 0; ) {
      done[at] = 1;
      ordered.push(commits[at]!);
      const parent = parents[at]!;
      if (parent < 0) break;
      waiting[parent]!--;
      at = parent;
    }
  }
  // Only a damaged (cyclic) history leaves commits behind; show them all the same.
  for (let i = 0; i < commits.length; i++) if (!done[i]) ordered.push(commits[i]!);
  return ordered;
}

/** Smallest free lane first, in constant time for any usual number of lanes. */
class FreeLanes {
  private words: number[] = [];
  width: number;

  constructor(reserved: number) {
    this.width = reserved;
  }

  take(): number {
    for (let w = 0; w < this.words.length; w++) {
      const word = this.words[w]!;
      if (word) {
        const bit = 31 - Math.clz32(word & -word);
        this.words[w] = word & (word - 1);
        return w * 32 + bit;
      }
    }
    return this.width++;
  }

  release(lane: number): void {
    const w = lane >> 5;
    while (this.words.length <= w) this.words.push(0);
    this.words[w] = (this.words[w] ?? 0) | (1 << (lane & 31));
  }
}

/**
 * Give every commit a lane, in time linear in the number of commits.
 *
 * @param commits children above parents (see `childrenFirst`)
 * @param mainTip id at the top of the line that keeps the leftmost lane for itself
 */
export function assignLanes(commits: readonly LaneInput[], mainTip: string | null): LaneLayout {
  const n = commits.length;
  const row = new Map<string, number>();
  for (let i = 0; i < n; i++) row.set(commits[i]!.id, i);
  const parent = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    const id = commits[i]!.parent;
    parent[i] = id === null ? -1 : (row.get(id) ?? -2);
  }
  const lane = new Int32Array(n).fill(-1);
  const line = new Int32Array(n).fill(-1);
  const lineTop: number[] = [];
  const main = mainTip === null ? undefined : row.get(mainTip);
  if (main !== undefined) {
    lineTop.push(main);
    for (let at = main; at >= 0 && lane[at]! < 0; at = parent[at]!) {
      lane[at] = 0;
      line[at] = 0;
    }
  }
  const free = new FreeLanes(main === undefined ? 0 : 1);
  // Lanes that end at a row: those of all children but the one whose lane goes on.
  const ending: (number[] | undefined)[] = new Array<number[] | undefined>(n);
  for (let i = 0; i < n; i++) {
    if (lane[i]! < 0) {
      lane[i] = free.take();
      line[i] = lineTop.length;
      lineTop.push(i);
    }
    for (const ended of ending[i] ?? []) free.release(ended);
    const own = lane[i]!;
    const up = parent[i]!;
    if (up > i && lane[up]! < 0) {
      lane[up] = own;
      line[up] = line[i]!;
    } else if (up > i && lane[up] !== own) {
      (ending[up] ??= []).push(own);
    } else if (up === -1 && own !== 0) {
      free.release(own);
    }
  }
  const rows: number[][] = [];
  for (let i = 0; i < n; i++) {
    const own = lane[i]!;
    while (rows.length <= own) rows.push([]);
    rows[own]!.push(i);
  }
  return { lane, parent, line, lineTop, width: rows.length, rows };
}

/** Rows whose dot or whose line down to the parent meets the rows `from..to` (inclusive). */
export function rowsTouching(layout: LaneLayout, from: number, to: number): number[] {
  const hits: number[] = [];
  for (const rows of layout.rows) {
    // Lines in one lane do not overlap, so only the last row above `from` can reach into view.
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle]! < from) low = middle + 1;
      else high = middle;
    }
    if (low > 0) {
      const above = rows[low - 1]!;
      const end = layout.parent[above]!;
      if (end >= from || end === -2) hits.push(above);
    }
    for (let k = low; k < rows.length && rows[k]! <= to; k++) hits.push(rows[k]!);
  }
  return hits;
}
