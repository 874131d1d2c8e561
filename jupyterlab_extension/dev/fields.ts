/** Smooth example sea surface temperatures for the development page. */

export const SHAPE = [12, 90, 180];
export const CHUNKS = [1, 30, 60];
export const GRID = [12, 3, 3];

function noise(x: number, y: number, t: number): number {
  return (
    Math.sin(x * 0.071 + t * 0.8) * Math.cos(y * 0.113 - t * 0.5) +
    0.5 * Math.sin(x * 0.19 - y * 0.16 + t * 1.7) +
    0.25 * Math.cos(x * 0.41 + y * 0.33 + t)
  );
}

function land(x: number, y: number): boolean {
  const v =
    Math.sin(x * 0.052 + 1.3) * Math.sin(y * 0.083 + 0.4) +
    0.35 * Math.sin(x * 0.17 + y * 0.06) +
    0.14 * Math.sin(x * 0.43 - y * 0.37);
  return v > 0.62;
}

export type Side = "base" | "ours" | "theirs" | "before" | "after";

/** One chunk of one side, row-major, NaN over land. */
export function field(side: Side, chunk: number[]): Float32Array {
  const [t, cy, cx] = chunk as [number, number, number];
  const out = new Float32Array(CHUNKS[1]! * CHUNKS[2]!);
  let k = 0;
  for (let j = 0; j < CHUNKS[1]!; j++)
    for (let i = 0; i < CHUNKS[2]!; i++, k++) {
      const y = cy * CHUNKS[1]! + j;
      const x = cx * CHUNKS[2]! + i;
      if (land(x, y)) {
        out[k] = NaN;
        continue;
      }
      const latitude = -90 + y * 2;
      let value = 28 * Math.cos((latitude * Math.PI) / 180) ** 1.4 - 1 + 1.3 * noise(x, y, t);
      if (side === "ours" || side === "after") value += 0.42 * noise(x * 1.7, y * 1.3, t + 3) - 0.12;
      if (side === "theirs") value += 0.9 * Math.exp(-(((x - 95) / 38) ** 2) - ((y - 44) / 22) ** 2) + 0.06;
      out[k] = value;
    }
  return out;
}

export function stats(values: Float32Array): {
  count: number;
  nan: number;
  min: number | null;
  max: number | null;
  mean: number | null;
} {
  let [nan, sum, min, max] = [0, 0, Infinity, -Infinity];
  for (const value of values) {
    if (Number.isNaN(value)) {
      nan++;
      continue;
    }
    sum += value;
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  const n = values.length - nan;
  return n
    ? { count: values.length, nan, min, max, mean: sum / n }
    : { count: values.length, nan, min: null, max: null, mean: null };
}
