/** A large grid for the development page: 600 x 800 chunks with blobs of conflicts. */

import type { ChunkMapReply } from "../src/core/protocol";

export const WIDE: ChunkMapReply = {
  path: "/imagery/reflectance",
  shape: [60_000, 80_000],
  chunks: [100, 100],
  grid: [600, 800],
  dims: ["y", "x"],
  dtype: "float32",
  labels: [null, null],
};

export function wideStates(): Uint8Array<ArrayBuffer> {
  const states = new Uint8Array(600 * 800);
  for (let r = 0; r < 600; r++)
    for (let c = 0; c < 800; c++) {
      const v = Math.sin(r / 70) * Math.cos(c / 95) + 0.4 * Math.sin(r / 23 + c / 31);
      states[r * 800 + c] = v > 0.9 ? 1 : v > 0.7 ? 2 : v < -0.9 ? 3 : v < -0.75 ? 5 : 0;
    }
  return states;
}
