/** Colour maps for values and colours for states, both readable with colour-vision deficiency. */

export type Rgb = readonly [number, number, number];

/** The eight colours of Okabe and Ito, chosen to stay apart for colour-blind readers. */
export const OKABE_ITO = {
  orange: "#e69f00",
  sky: "#56b4e9",
  green: "#009e73",
  yellow: "#f0e442",
  blue: "#0072b2",
  vermillion: "#d55e00",
  purple: "#cc79a7",
  black: "#000000",
} as const;

const VIRIDIS =
  "440154 481a6c 472f7d 414487 39568c 31688e 2a788e 23888e 1f988b 22a884 35b779 54c568 7ad151 a5db36 d2e21b fde725";
const DIVERGING =
  "053061 1a4a7f 2a6cad 4292c3 74afd2 a5cde3 d1e5f0 f3f5f6 fbe6d9 f9c6aa f0a07d dd6f59 c43c3f a8172f 850a25 67001f";

const HEAT = ["#fbe3b0", "#f5c04e", "#e69f00", "#c8690a", "#8f3d00"].map(parseHex);
const HEAT_DARK = ["#4a3810", "#7d5a06", "#b98008", "#eeb548", "#fff0cf"].map(parseHex);

/** Colour of a change by its strength from 0 to 1; 1 has the highest contrast to the page. */
export function heatColour(strength: number, dark: boolean): Rgb {
  const anchors = dark ? HEAT_DARK : HEAT;
  const at = Math.max(0, Math.min(1, strength)) * (anchors.length - 1);
  const k = Math.min(anchors.length - 2, Math.floor(at));
  const [p, q] = [anchors[k]!, anchors[k + 1]!];
  return [0, 1, 2].map((c) => Math.round(p[c]! + (q[c]! - p[c]!) * (at - k))) as unknown as Rgb;
}

export const MAP_SIZE = 256;

/** A colour map as MAP_SIZE packed little-endian RGBA words, ready for an ImageData buffer. */
export type ColourMap = Uint32Array;

export const viridis: ColourMap = table(VIRIDIS);
export const diverging: ColourMap = table(DIVERGING);

function table(anchors: string): ColourMap {
  const points = anchors.split(" ").map((hex) => parseHex(`#${hex}`));
  const out = new Uint32Array(MAP_SIZE);
  for (let i = 0; i < MAP_SIZE; i++) {
    const at = (i / (MAP_SIZE - 1)) * (points.length - 1);
    const k = Math.min(points.length - 2, Math.floor(at));
    const t = at - k;
    const [p, q] = [points[k]!, points[k + 1]!];
    out[i] = pack([0, 1, 2].map((c) => Math.round(p[c]! + (q[c]! - p[c]!) * t)) as unknown as Rgb);
  }
  return out;
}

/** Index into a colour map for `value` on the scale `low..high`. */
export function mapIndex(value: number, low: number, high: number): number {
  if (!(high > low)) return MAP_SIZE >> 1;
  const at = Math.round(((value - low) / (high - low)) * (MAP_SIZE - 1));
  return at < 0 ? 0 : at >= MAP_SIZE ? MAP_SIZE - 1 : at;
}

export function pack([r, g, b]: Rgb, alpha = 255): number {
  return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

export function parseHex(hex: string): Rgb {
  const value = parseInt(hex.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/** Read a computed CSS colour: `rgb()`, `rgba()`, `color(srgb ...)` or a hex value. */
export function parseCss(text: string): Rgb | null {
  if (/^#[0-9a-f]{6}$/i.test(text)) return parseHex(text);
  const numbers = text.match(/-?[\d.]+(e-?\d+)?/gi)?.map(Number);
  if (!numbers || numbers.length < 3) return null;
  if (numbers.length > 3 && numbers[3] === 0) return null;
  const scale = text.startsWith("color(") ? 255 : 1;
  if (!text.startsWith("rgb") && scale === 1) return null;
  return numbers.slice(0, 3).map((c) => Math.round(c * scale)) as unknown as Rgb;
}

/** Relative luminance of WCAG 2. */
export function luminance(rgb: Rgb): number {
  const [r, g, b] = rgb.map((c) => {
    const s = c / 255;
    return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Contrast ratio of WCAG 2, 1 to 21. */
export function contrast(a: Rgb, b: Rgb): number {
  const [la, lb] = [luminance(a), luminance(b)];
  return (Math.max(la, lb) + 0.05) / (Math.min(la, lb) + 0.05);
}

/** Black or white, whichever reads better on `background`. */
export function inkOn(background: string): string {
  const rgb = parseHex(background);
  return contrast(rgb, [255, 255, 255]) >= contrast(rgb, [0, 0, 0]) ? "#ffffff" : "#000000";
}

/** Line colours of the commit graph; the main line has the first. Each reads on light and dark. */
export const LINE_COLOURS = [
  "#0f83cc",
  "#c8690a",
  "#13996f",
  "#b765a0",
  "#8b7d12",
  "#8172d6",
  "#c9564f",
] as const;
