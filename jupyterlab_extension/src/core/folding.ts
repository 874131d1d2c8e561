/** Folding of long straight runs of commits, so that a history shows where something happens. */

import { NOT_LISTED, ROOT } from "./lanes";

export interface Run {
  /** The commits it hides, newest first, by their places. */
  hidden: number[];
}

/** Rows at the top of a history that always stay. */
const RECENT = 30;
/** Fewer commits than this are not worth a fold. */
const LEAST = 8;

/**
 * Find the runs to fold: commits with one child and a parent, none of which is to be kept.
 *
 * @param parents place of every commit's parent, children above parents
 * @param kept one for commits that must stay visible: with names, selected or unfolded ones
 * @returns runs by the place of the first commit they hide
 */
export function straightRuns(parents: Int32Array, kept: Uint8Array): Map<number, Run> {
  const n = parents.length;
  const children = new Uint8Array(n); // two stands for more
  for (let i = 0; i < n; i++) {
    const parent = parents[i]!;
    if (parent >= 0 && children[parent]! < 2) children[parent]!++;
  }
  const quiet = (i: number): boolean =>
    i >= RECENT && parents[i] !== ROOT && children[i] === 1 && !kept[i];
  const runs = new Map<number, Run>();
  const seen = new Uint8Array(n);
  for (let i = RECENT; i < n; i++) {
    if (seen[i] || !quiet(i)) continue;
    const chain: number[] = [];
    for (let at = i; at >= 0 && !seen[at] && quiet(at); at = parents[at]!) {
      seen[at] = 1;
      chain.push(at);
      if (parents[at] === NOT_LISTED) break;
    }
    // The ends stay, so that what happened around the run can be read.
    const inner = chain.slice(1, -1);
    if (inner.length >= LEAST) runs.set(inner[0]!, { hidden: inner });
  }
  return runs;
}
