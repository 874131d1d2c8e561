/** Numbers, ids and coordinates as short text. */

import type { AxisLabel, ChunkMapReply } from "./protocol";

/** "1 chunk", "12 000 chunks". */
export function plural(count: number, noun: string, nouns = `${noun}s`): string {
  return `${grouped(count)} ${count === 1 ? noun : nouns}`;
}

/** An integer with thin group separators. */
export function grouped(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/** A measured value with about four significant digits. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text =
    size >= 1e5 || size < 1e-3
      ? value.toExponential(2).replace("e+", "e")
      : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
}

/** A number of bytes: "264 B", "1.5 kB", "20 MB". */
export function byteSize(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let step = 0;
  let size = bytes;
  while (size >= 1000 && step < units.length - 1) {
    size /= 1000;
    step++;
  }
  return `${step && size < 10 ? size.toFixed(1) : Math.round(size)} ${units[step]}`;
}

/** The first eight characters of an id. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}

export function firstLine(message: string): string {
  const end = message.indexOf("\n");
  return end < 0 ? message : message.slice(0, end);
}

/** The name of an axis, or its number where it has none. */
export function axisName(dims: readonly (string | null)[], axis: number): string {
  return dims[axis] || `axis ${axis}`;
}

/** Elements `first..last` of an axis that one chunk covers. */
export function chunkRange(map: ChunkMapReply, axis: number, position: number): [number, number] {
  const first = position * map.chunks[axis]!;
  return [first, Math.min(map.shape[axis]!, first + map.chunks[axis]!) - 1];
}

/** The coordinate at element `index`, interpolated between the ends of the axis. */
export function coordinate(label: AxisLabel, index: number, size: number): string {
  const t = size > 1 ? index / (size - 1) : 0;
  const { first, last } = label;
  if (typeof first === "number" && typeof last === "number") {
    const value = first + (last - first) * t;
    const digits = Math.max(0, Math.min(4, 2 - Math.floor(Math.log10(Math.abs(last - first) || 1))));
    return String(Number(value.toFixed(digits))).replace("-", "−");
  }
  if (index === 0) return String(first);
  if (index === size - 1) return String(last);
  const [from, to] = [Date.parse(String(first)), Date.parse(String(last))];
  if (Number.isNaN(from) || Number.isNaN(to)) return "";
  return `≈ ${new Date(from + (to - from) * t).toISOString().slice(0, 10)}`;
}

/** The label of an axis, with its first and last coordinate: "lat  −89 … 89 °N". */
export function axisTitle(map: ChunkMapReply, axis: number): string {
  if (axis < 0) return "";
  const label = map.labels[axis];
  const name = axisName(map.dims, axis);
  const size = map.shape[axis]!;
  if (!label) return `${name}  0 … ${size - 1}`;
  const units = label.units ? ` ${unitSign(label.units)}` : "";
  return `${name}  ${coordinate(label, 0, size)} … ${coordinate(label, size - 1, size)}${units}`;
}

/** The coordinates of one chunk along an axis: "lat −45 … 0 °N", or its elements: "time 30–59". */
export function coverage(map: ChunkMapReply, axis: number, position: number): string {
  const [first, last] = chunkRange(map, axis, position);
  const name = axisName(map.dims, axis);
  const label = map.labels[axis];
  if (label) {
    const exact = (value: number | string | undefined): string | null =>
      value === undefined ? null : typeof value === "number" ? short(value) : value;
    const from = exact(label.starts?.[position]) ?? coordinate(label, first, map.shape[axis]!);
    const to = exact((label.ends ?? label.starts)?.[position]) ?? coordinate(label, last, map.shape[axis]!);
    if (from && to) {
      const units = label.units ? ` ${unitSign(label.units)}` : "";
      return from === to ? `${name} ${from}${units}` : `${name} ${from} … ${to}${units}`;
    }
  }
  return first === last ? `${name} ${first}` : `${name} ${first}–${last}`;
}

/** Symbols of common CF units. */
export function unitSign(units: string): string {
  const signs: Record<string, string> = {
    degrees_north: "°N",
    degrees_east: "°E",
    degrees: "°",
    degC: "°C",
    celsius: "°C",
  };
  return signs[units] ?? units;
}
