/** Texts beside a chunk grid: the legend and the chunk at the cursor. */

import { h } from "../../core/dom";
import type { ChunkMapReply } from "../../core/protocol";
import { coverage, grouped } from "../../core/text";
import { type StateStyle, swatch } from "../common/states";

/** The states that occur, each with its number of chunks. */
export function legendItems(styles: StateStyle[], states: Uint8Array): HTMLElement[] {
  const counts = new Uint32Array(256);
  for (let i = 0; i < states.length; i++) counts[states[i]!]!++;
  return styles.flatMap((style, state) => {
    const count = counts[state]!;
    if (!count) return [];
    return [h("span", { class: "icechunk-key" }, swatch(style), `${style.label} `, h("b", null, grouped(count)))];
  });
}

/** Position, state and coordinates of a chunk. */
export function chunkText(
  map: ChunkMapReply,
  coords: number[],
  state: string,
): { title: string; state: string; where: string } {
  return {
    title: `Chunk [${coords.join(", ")}] `,
    state,
    where: coords.map((position, axis) => coverage(map, axis, position)).join(" · "),
  };
}
