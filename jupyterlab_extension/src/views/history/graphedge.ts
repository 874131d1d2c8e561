/** Draws the lines and dots of the commit graph. */

import { s } from "../../core/dom";
import { EXPIRED, type LaneLayout, NOT_LISTED, ROOT } from "../../core/lanes";

/** Height of a row, in CSS pixels. */
export const ROW = 28;

/** The line from a commit down its lane and over to its parent. */
export function edgePath(
  layout: LaneLayout,
  i: number,
  x: (lane: number) => number,
  y: (row: number) => number,
  height: number,
): string | null {
  const parent = layout.parent[i]!;
  if (parent === ROOT) return null;
  const x0 = x(layout.lane[i]!);
  const y0 = Math.max(-ROW, y(i));
  if (parent === NOT_LISTED) return `M${x0} ${y0}V${height + ROW}`;
  const x1 = x(layout.lane[parent]!);
  const y1 = y(parent);
  if (x0 === x1) return `M${x0} ${y0}V${Math.min(height + ROW, y1)}`;
  if (y1 - ROW > height + ROW) return `M${x0} ${y0}V${height + ROW}`;
  const bend = y1 - ROW;
  return `M${x0} ${Math.min(y0, bend)}V${bend}C${x0} ${bend + ROW * 0.7} ${x1} ${bend + ROW * 0.3} ${x1} ${y1}`;
}

/** The line from a merge over to the lane of a further parent and down to it; a short end if that expired. */
export function mergePath(
  layout: LaneLayout,
  [i, parent]: [number, number],
  x: (lane: number) => number,
  y: (row: number) => number,
  height: number,
): string {
  const x0 = x(layout.lane[i]!);
  const y0 = y(i);
  if (parent === NOT_LISTED || parent === EXPIRED) return `M${x0} ${y0}l${ROW * 0.4} ${ROW * 0.5}`;
  const x1 = x(layout.lane[parent]!);
  const bend = Math.min(y0 + ROW, y(parent));
  const curve = `C${x0} ${y0 + ROW * 0.7} ${x1} ${y0 + ROW * 0.3} ${x1} ${bend}`;
  return `M${x0} ${y0}${curve}V${Math.min(height + ROW, y(parent))}`;
}

/** The dot of a commit, or three small ones for a folded run; a selected commit has a ring. */
export function dotsOf(
  kind: "commit" | "session" | "run",
  cx: number,
  cy: number,
  colour: string,
  chosen: boolean,
): SVGElement[] {
  if (kind === "run")
    return [-6, 0, 6].map((dy) => s("circle", { cx, cy: cy + dy, r: 2, class: "icechunk-dot", fill: colour }));
  const shape = kind === "session" ? "icechunk-dot icechunk-hollow" : "icechunk-dot";
  const dot = s("circle", { cx, cy, r: 4.5, class: shape, fill: colour, color: colour });
  return chosen ? [s("circle", { cx, cy, r: 8, class: "icechunk-halo", stroke: colour }), dot] : [dot];
}
