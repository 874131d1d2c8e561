/** Assigns the commits of a history to rows; long straight runs are folded into one row each. */

import { type Run, straightRuns } from "./folding";
import { assignLanes, type LaneLayout } from "./lanes";

export interface Arrangement {
  /** Index of the commit in every row; a folded run is `-1 - n` for the n-th of `runs`. */
  rows: Int32Array;
  /** Row of every commit; a folded commit has the row of its run. */
  rowOf: Int32Array;
  runs: Run[];
  /** Number of folded commits. */
  hidden: number;
  layout: LaneLayout;
}

/**
 * Arrange a history in rows and lanes.
 *
 * @param parents index of every commit's parent; children come before parents
 * @param kept 1 for commits that must not be folded; null folds nothing
 * @param main index of the newest commit of the main line, -1 for none
 * @param merges pairs of a merge and a further parent, in the order of the merges; these are not folded
 */
export function arrange(
  parents: Int32Array,
  kept: Uint8Array | null,
  main: number,
  merges: Int32Array = new Int32Array(0),
): Arrangement {
  const n = parents.length;
  if (kept) for (const at of merges) if (at >= 0) kept[at] = 1;
  const found = kept ? straightRuns(parents, kept) : new Map<number, Run>();
  const runOf = new Int32Array(found.size ? n : 0);
  const runs: Run[] = [];
  let hidden = 0;
  for (const run of found.values()) {
    runs.push(run);
    hidden += run.hidden.length;
    for (const at of run.hidden) runOf[at] = runs.length;
  }
  const rows = new Int32Array(n - hidden + runs.length);
  const rowOf = new Int32Array(n);
  let row = 0;
  for (let at = 0; at < n; at++) {
    const run = runs.length ? runOf[at]! : 0;
    if (!run) {
      rowOf[at] = row;
      rows[row++] = at;
    } else if (runs[run - 1]!.hidden[0] === at) {
      for (const inner of runs[run - 1]!.hidden) rowOf[inner] = row;
      rows[row++] = -run;
    }
  }
  const above = rows.map((at) => {
    const parent = at >= 0 ? parents[at]! : parents[runs[-at - 1]!.hidden.at(-1)!]!;
    return parent < 0 ? parent : rowOf[parent]!;
  });
  const edges = merges.map((at) => (at < 0 ? at : rowOf[at]!));
  return { rows, rowOf, runs, hidden, layout: assignLanes(above, main < 0 ? -1 : rowOf[main]!, edges) };
}
