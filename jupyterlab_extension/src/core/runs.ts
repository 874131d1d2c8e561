/** Sets of flat indices written as runs `[start, length, start, length, ...]`, sorted and disjoint. */

export type Runs = number[];

/** Pack the set positions of a mask. */
export function packMask(mask: Uint8Array): Runs {
  return packMaskOver(mask, null);
}

/**
 * Pack the set positions of a mask, letting a run cross positions where `touchable` is 0.
 *
 * The kernel ignores runs at untouchable positions, so crossing them only makes the message
 * shorter.
 */
export function packMaskOver(mask: Uint8Array, touchable: Uint8Array | null): Runs {
  const runs: Runs = [];
  let start = -1;
  let end = -1;
  for (let i = 0; i < mask.length; i++) {
    if (mask[i]) {
      if (start < 0) start = i;
      end = i + 1;
    } else if (start >= 0 && (touchable === null || touchable[i])) {
      runs.push(start, end - start);
      start = -1;
    }
  }
  if (start >= 0) runs.push(start, end - start);
  return runs;
}

/** Pack indices in any order; duplicates are merged. */
export function packIndices(indices: Iterable<number>): Runs {
  const sorted = [...new Set(indices)].sort((a, b) => a - b);
  const runs: Runs = [];
  for (const index of sorted) {
    const last = runs.length - 2;
    if (last >= 0 && runs[last]! + runs[last + 1]! === index) runs[last + 1]!++;
    else runs.push(index, 1);
  }
  return runs;
}

/** Call `visit` with every index of the runs that lies in `[0, size)`. */
export function eachIndex(runs: Runs, size: number, visit: (index: number) => void): void {
  for (let k = 0; k + 1 < runs.length; k += 2) {
    const from = Math.max(0, runs[k]!);
    const to = Math.min(size, runs[k]! + runs[k + 1]!);
    for (let i = from; i < to; i++) visit(i);
  }
}

/** The runs as a list of indices. */
export function unpack(runs: Runs): number[] {
  const indices: number[] = [];
  eachIndex(runs, Number.MAX_SAFE_INTEGER, (index) => indices.push(index));
  return indices;
}

/** Number of indices in the runs. */
export function runCount(runs: Runs): number {
  let count = 0;
  for (let k = 1; k < runs.length; k += 2) count += runs[k]!;
  return count;
}
