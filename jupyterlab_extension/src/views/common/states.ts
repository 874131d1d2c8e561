/** How chunks are drawn: each state has a colour and a letter or pattern, never colour alone. */

import { inkOn, OKABE_ITO } from "../../core/colour";
import { h } from "../../core/dom";

export interface StateStyle {
  label: string;
  letter: string;
  /** Null for a cell in the colour of the page. */
  colour: string | null;
  hatch?: boolean;
  /** A pale cell with a small mark, for chunks that need no attention. */
  tint?: boolean;
  /** Coloured by the size of the change, once that is known. */
  heat?: boolean;
}

export const DIFF_STATES: StateStyle[] = [
  { label: "same", letter: "", colour: null },
  { label: "changed", letter: "~", colour: OKABE_ITO.orange, heat: true },
  { label: "added", letter: "+", colour: OKABE_ITO.green },
  { label: "removed", letter: "−", colour: OKABE_ITO.vermillion, hatch: true },
  { label: "rewritten, same values", letter: "=", colour: OKABE_ITO.sky, tint: true },
];

/** Index of the state of chunks that were written again with equal values. */
export const REWRITTEN = 4;

export const RESOLVER_STATES: StateStyle[] = [
  { label: "not in conflict", letter: "", colour: null },
  { label: "undecided", letter: "?", colour: OKABE_ITO.orange, hatch: true },
  { label: "keep mine", letter: "O", colour: OKABE_ITO.blue },
  { label: "keep theirs", letter: "T", colour: OKABE_ITO.green },
  { label: "keep base", letter: "B", colour: OKABE_ITO.purple },
  { label: "changed only by me", letter: "·", colour: OKABE_ITO.blue, tint: true },
  { label: "changed only by them", letter: ":", colour: OKABE_ITO.green, tint: true },
  { label: "merge elements, mine where both", letter: "MO", colour: OKABE_ITO.sky },
  { label: "merge elements, theirs where both", letter: "MT", colour: OKABE_ITO.yellow },
];

/** Whether both sides wrote a chunk of this state, decided or not. */
export const inConflict = (state: number): boolean => (state >= 1 && state <= 4) || state === 7 || state === 8;

/** A small square that looks like a cell of that state. */
export function swatch(style: StateStyle): HTMLElement {
  const kind = style.colour === null ? "quiet" : style.tint ? "tint" : style.hatch ? "hatch" : "solid";
  const element = h(
    "span",
    { class: `icechunk-swatch icechunk-swatch-${kind}`, "aria-hidden": "true" },
    style.letter,
  );
  if (style.letter.length > 1) element.style.fontSize = "8px";
  if (style.colour) {
    element.style.setProperty("--icechunk-cell", style.colour);
    if (kind === "solid" || kind === "hatch") element.style.color = inkOn(style.colour);
  }
  return element;
}
