/** Folding of long straight runs of commits, so that a history shows where something happens. */

export interface Foldable {
  id: string;
  parent: string | null;
}

export interface Run {
  /** Id of the row that stands for the run; no commit can have it. */
  id: string;
  /** The commits it hides, newest first. */
  hidden: string[];
  /** Parent of the oldest. */
  parent: string | null;
}

/** Rows at the top of a history that always stay. */
const RECENT = 30;
/** Fewer commits than this are not worth a fold. */
const LEAST = 8;

/**
 * Find the runs to fold: commits with one child and a parent, none of which is to be kept.
 *
 * @param rows children before parents
 * @param keep commits that must stay visible: those with names, selected ones, unfolded ones
 * @returns runs by the id of the first commit they hide
 */
export function straightRuns(rows: readonly Foldable[], keep: (id: string) => boolean): Map<string, Run> {
  const children = new Map<string, number>();
  const place = new Map(rows.map((row, i) => [row.id, i]));
  for (const { parent } of rows) if (parent !== null) children.set(parent, (children.get(parent) ?? 0) + 1);
  const quiet = (i: number): boolean => {
    const row = rows[i]!;
    return i >= RECENT && row.parent !== null && children.get(row.id) === 1 && !keep(row.id);
  };
  const runs = new Map<string, Run>();
  const seen = new Uint8Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    if (seen[i] || !quiet(i)) continue;
    const chain: number[] = [];
    for (let at: number | undefined = i; at !== undefined && !seen[at] && quiet(at); ) {
      seen[at] = 1;
      chain.push(at);
      at = place.get(rows[at]!.parent!);
    }
    // The ends stay, so that what happened around the run can be read.
    const inner = chain.slice(1, -1);
    if (inner.length < LEAST) continue;
    const hidden = inner.map((at) => rows[at]!.id);
    runs.set(hidden[0]!, { id: `fold ${hidden[0]}`, hidden, parent: rows[inner[inner.length - 1]!]!.parent });
  }
  return runs;
}
