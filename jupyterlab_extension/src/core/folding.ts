/** Finds long straight runs of commits, which a history folds so that branches and tags stay in view. */

import { NOT_LISTED, ROOT } from "./lanes";

export interface Run {
  /** Indices of the commits that it hides, newest first. */
  hidden: number[];
}

/** The newest commits, which are never folded: about two screens of rows. */
const RECENT = 30;
/** The shortest run that is folded. */
const LEAST = 8;

/**
 * Find the runs to fold: consecutive commits with a parent and exactly one child.
 *
 * @param parents index of every commit's parent; children come before parents
 * @param kept 1 for commits that must stay visible: with refs, selected or unfolded
 * @returns runs by the index of the first commit that they hide
 */
export function straightRuns(parents: Int32Array, kept: Uint8Array): Map<number, Run> {
  const n = parents.length;
  const children = new Uint8Array(n); // 2 stands for two or more
  for (let i = 0; i < n; i++) {
    const parent = parents[i]!;
    if (parent >= 0 && children[parent]! < 2) children[parent]!++;
  }
  const foldable = (i: number): boolean =>
    i >= RECENT && parents[i] !== ROOT && children[i] === 1 && !kept[i];
  const runs = new Map<number, Run>();
  const seen = new Uint8Array(n);
  for (let i = RECENT; i < n; i++) {
    if (seen[i] || !foldable(i)) continue;
    const chain: number[] = [];
    for (let at = i; at >= 0 && !seen[at] && foldable(at); at = parents[at]!) {
      seen[at] = 1;
      chain.push(at);
      if (parents[at] === NOT_LISTED) break;
    }
    // The first and last commit stay visible: they show where the run begins and ends.
    const inner = chain.slice(1, -1);
    if (inner.length >= LEAST) runs.set(inner[0]!, { hidden: inner });
  }
  return runs;
}
