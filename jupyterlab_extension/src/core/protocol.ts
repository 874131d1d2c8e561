/** Types of the messages between the views and the kernel. */

export type RefKind = "branch" | "tag";
export type Choice = "ours" | "theirs" | "base";

export interface Ref {
  name: string;
  id: string;
  kind: RefKind;
  /** Index of its commit in the history. */
  at?: number;
}

export interface CommitRow {
  id: string;
  parent: string | null;
  /** Further parents of a merge; expired ones are not listed. */
  others?: string[];
  /** Where the changes come from. */
  origin?: { kind: "merge" | "pick" | "revert" | "squash" | "stash"; of: string[] };
  message: string;
  /** ISO 8601, UTC. */
  time: string;
  author?: string | null;
  metadata?: Record<string, unknown>;
}

export interface SessionState {
  branch: string | null;
  base: string;
  dirty: boolean;
  changes: number;
}

/**
 * Buffers: ids (20 ASCII characters per commit), indices of the first parents (int32), times (float64, ms), and
 * pairs of the indices of a merge and a further parent (int32).
 */
export interface HistoryReply {
  /** Rows of the newest commits, as many as were requested. */
  commits: CommitRow[];
  count: number;
  version: string;
  refs: Ref[];
  session: SessionState | null;
  truncated: boolean;
}

/** Result of a dry run: the rebase of a branch or of the session. */
export interface Verdict {
  state: "same" | "behind" | "ahead" | "clean" | "conflicts" | "unknown";
  text: string;
  ours?: number;
  theirs?: number;
  chunks: number;
  nodes: { path: string; title: string; chunks: number }[];
}

/** What the dry run of a merge, cherry-pick or revert found. */
export interface MergeOutcome {
  state: "clean" | "forward" | "same" | "conflicts" | "blocked";
  /** Whether running the action opens a merge session, in which the conflicts are decided. */
  session?: boolean;
  chunks: number;
  nodes: { path: string; title: string; chunks: number }[];
}

export interface Written {
  chunks: number;
  /** Stored bytes; null if they were not computed. */
  bytes: number | null;
}

export interface TreeReply {
  nodes: { path: string; type: "array" | "group"; shape?: number[]; dims?: (string | null)[]; dtype?: string }[];
  count: number;
  python: { group: string; lines: string[] }[];
}

export interface SizesReply {
  side: string;
  label: string;
  stored: number;
  total: number;
  smallest: number;
  largest: number;
}

export interface WritersReply {
  commits: (CommitRow & { made: boolean; wrote: boolean })[];
  uncommitted: boolean;
  looked: number;
  last: string | null;
  note: string;
}

export interface CommitChanges {
  new_groups?: string[];
  new_arrays?: string[];
  deleted_groups?: string[];
  deleted_arrays?: string[];
  updated_groups?: string[];
  updated_arrays?: string[];
  updated_chunks?: { path: string; chunks: number }[];
  moved?: { from: string; to: string }[];
  counts?: Record<string, number>;
}

export interface CommitReply extends CommitRow {
  changes: CommitChanges | null;
}

export type NodeChange = "added" | "removed" | "changed" | "moved";

export interface DiffNode {
  path: string;
  type: "array" | "group";
  change: NodeChange;
  from: string | null;
  metadata_changed: boolean;
  chunks_changed: number;
  chunks_total: number;
}

export interface DiffReply {
  a: { id: string; label: string };
  b: { id: string; label: string };
  nodes: DiffNode[];
  counts: { added: number; removed: number; changed: number; moved: number; chunks: number };
}

export interface AxisLabel {
  first: number | string;
  last: number | string;
  units: string | null;
  /** The coordinate grows towards the top of a picture: north, or height. */
  up?: boolean;
  /** Coordinates of the first and last element of every chunk; left out for long axes. */
  starts?: (number | string)[];
  ends?: (number | string)[];
}

export interface ChunkMapReply {
  path: string;
  shape: number[];
  chunks: number[];
  grid: number[];
  dims: (string | null)[];
  dtype: string;
  labels: (AxisLabel | null)[];
}

export interface SideStats {
  count: number;
  nan: number;
  min: number | null;
  max: number | null;
  mean: number | null;
}

export interface PreviewReply {
  path: string;
  chunk: number[];
  shape: [number, number];
  axes: [string | null, string | null];
  extent: {
    y: [number | string, number | string, string | null] | null;
    x: [number | string, number | string, string | null] | null;
  };
  /** The first row is drawn at the bottom. */
  up?: boolean;
  origin: number[];
  vmin: number;
  vmax: number;
  fill: number | null;
  other_axes: { axis: number; name: string | null; size: number; position: number }[];
  sides: { side: string; label: string; stats: SideStats; /** Why there are no values. */ unread?: string }[];
  difference: { max_abs: number; mean_abs: number; rms: number; changed: number } | null;
  dtype: string;
  decimated?: boolean;
}

export interface ConflictItem {
  key: number;
  path: string;
  type: string;
  title: string;
  kind: "chunks" | "node";
  choices: Choice[];
  chunks: number;
  undecided: number;
  /** A `Choice`, or for nodes also "merge" or "rename". */
  choice: string | null;
}

/** A key of the metadata in which the two sides differ. */
export interface ConflictKey {
  /** JSON Pointer of the key, which requests use. */
  pointer: string;
  key: string;
  base?: unknown;
  ours?: unknown;
  theirs?: unknown;
  /** The side that changed it; null if both did. */
  changed_by: "ours" | "theirs" | null;
  choice: Choice | null;
}

export interface NodeConflictReply {
  path: string;
  rows: ConflictKey[];
  merge: boolean;
  rename: boolean;
  new_path: string | null;
  facts: string[];
}

export interface SideName {
  label: string;
  detail: string;
}

export interface ConflictsReply {
  branch: string;
  commit: { id: string; message: string; time: string } | null;
  sides: Record<Choice, SideName>;
  conflicts: ConflictItem[];
  total: number;
  undecided: number;
  can_undo: boolean;
  can_redo: boolean;
  /** The commit message that is used if the user types none. */
  message?: string;
}

export interface DecideReply {
  undecided: number;
  total: number;
  can_undo: boolean;
  can_redo: boolean;
  conflicts: { key: number; undecided: number; choice: string | null }[];
}

export interface RepositoryRow {
  name: string;
  location: string;
  spec_version: number | null;
  branches: { name: string; id: string; message: string; time: string; current: boolean }[];
  tags: { name: string; id: string }[];
  session: { branch: string | null; dirty: boolean; changes: number } | null;
}

export interface RepositoriesReply {
  repositories: RepositoryRow[];
  version: string;
}
