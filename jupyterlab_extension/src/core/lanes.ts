/** Assigns lanes of the commit graph. */

/** Parent index of a commit without a parent, of a commit whose parent is not listed, or whose parent expired. */
export const ROOT = -1;
export const NOT_LISTED = -2;
export const EXPIRED = -3;

const NONE = new Int32Array(0);

export interface LaneLayout {
  /** Lane of every row; 0 is the main line. */
  lane: Int32Array;
  /** Row of the first parent; -1 for a root, -2 for a parent outside the list. */
  parent: Int32Array;
  /** Pairs of rows: a merge and a further parent, which may be -2 or -3. */
  merges: Int32Array;
  /** Number of the line a row belongs to (a line is a run of commits down one lane). */
  line: Int32Array;
  /** Top row of every line; line 0 is the main line when there is one. */
  lineTop: number[];
  width: number;
  /** Rows of every lane from top to bottom. */
  rows: number[][];
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
 * The lane of a further parent is reserved from the merge on, so that the edge has it to itself.
 *
 * @param parent index of every commit's first parent, greater than its own; or `ROOT` or `NOT_LISTED`
 * @param main index of the newest commit of the line that has the leftmost lane to itself, -1 for none
 * @param merges pairs of a merge and a further parent, in the order of the merges
 */
export function assignLanes(parent: Int32Array, main: number, merges: Int32Array = NONE): LaneLayout {
  const n = parent.length;
  const lane = new Int32Array(n).fill(-1);
  const line = new Int32Array(n).fill(-1);
  const lineTop: number[] = [];
  if (main >= 0) {
    lineTop.push(main);
    for (let at = main; at >= 0 && lane[at]! < 0; at = parent[at]!) {
      lane[at] = 0;
      line[at] = 0;
    }
  }
  const free = new FreeLanes(main < 0 ? 0 : 1);
  // Lanes that end at a row: those of all its children except the one that it continues.
  const ending: (number[] | undefined)[] = new Array<number[] | undefined>(n);
  let edge = 0;
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
    for (; edge < merges.length && merges[edge] === i; edge += 2) {
      const other = merges[edge + 1]!;
      if (other <= i || lane[other]! >= 0) continue;
      lane[other] = free.take();
      line[other] = lineTop.length;
      lineTop.push(other);
    }
  }
  const rows: number[][] = [];
  for (let i = 0; i < n; i++) {
    const own = lane[i]!;
    while (rows.length <= own) rows.push([]);
    rows[own]!.push(i);
  }
  return { lane, parent, merges, line, lineTop, width: rows.length, rows };
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

/** Pairs of a merge and a further parent whose edge meets the rows `from..to` (inclusive). */
export function mergesTouching({ merges }: LaneLayout, from: number, to: number): [number, number][] {
  const hits: [number, number][] = [];
  for (let k = 0; k < merges.length && merges[k]! <= to; k += 2) {
    const end = merges[k + 1]!;
    if (end >= from || (end < 0 && merges[k]! + 1 >= from)) hits.push([merges[k]!, end]);
  }
  return hits;
}
