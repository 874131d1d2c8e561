/** Pictures of one chunk on every side, on one colour scale, with statistics and the difference. */

import { type ColourMap, diverging, MAP_SIZE, mapIndex, pack, viridis } from "../../core/colour";
import { fill, h, listen, say } from "../../core/dom";
import { floatsOf, type Host, isSilent } from "../../core/host";
import type { PreviewReply } from "../../core/protocol";
import { grouped, short, unitSign } from "../../core/text";
import { css, type Frame, mixRgb, onWidth, surface } from "../common/frame";
import { type StateStyle, swatch } from "../common/states";

export interface PreviewSide {
  side: string;
  /** Shown until the kernel names the side. */
  label: string;
  style?: StateStyle;
}

export interface PreviewOptions {
  sides: PreviewSide[];
  /** Indices of the sides whose difference (first minus second) is drawn as well. */
  difference: [number, number];
  differenceLabel: string;
  /** Elements under the picture of each side. */
  actions?: HTMLElement[];
  /** Text for a side without a picture. */
  absent?: string;
}

interface Card {
  side: string;
  canvas: HTMLCanvasElement;
  stats: HTMLElement;
  label: HTMLElement;
  field: Float32Array | null;
}

/** Milliseconds that the cursor rests before values are read. */
const WAIT = 70;

export class PreviewPanel {
  readonly element: HTMLElement;
  private readonly cards: Card[] = [];
  private readonly delta: Card;
  private readonly caption = h("div", { class: "icechunk-caption" });
  private readonly scale: Scale;
  private readonly deltaScale: Scale;
  private readonly others = h("div", { class: "icechunk-others" });
  private readonly note = h("div", { class: "icechunk-note" });
  private reply: PreviewReply | null = null;
  private index: Record<number, number> = {};
  private asked: { path: string; chunk: number[] } | null = null;
  private running: AbortController | null = null;
  private timer = 0;
  private width = 0;

  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
    private readonly options: PreviewOptions,
  ) {
    const pictures = h("div", { class: "icechunk-pictures" });
    options.sides.forEach((side, i) => {
      const card = makeCard(side.label, side.side, side.style);
      this.cards.push(card.card);
      const action = options.actions?.[i];
      if (action) card.element.append(action);
      pictures.append(card.element);
    });
    const delta = makeCard(options.differenceLabel, "difference");
    this.delta = delta.card;
    delta.element.classList.add("icechunk-delta");
    pictures.append(delta.element);
    this.scale = makeScale(viridis, "values");
    this.deltaScale = makeScale(diverging, "difference");
    delta.element.append(
      h("div", { class: "icechunk-scales" }, this.scale.element, this.deltaScale.element),
    );
    this.element = h(
      "div",
      { class: "icechunk-preview" },
      h("div", { class: "icechunk-previewhead" }, this.caption, this.others),
      pictures,
      this.note,
    );
    listen(
      this.others,
      "input",
      (event) => {
        const input = event.target as HTMLInputElement;
        this.index[Number(input.dataset.axis)] = Number(input.value);
        this.again();
      },
      frame.signal,
    );
    onWidth(pictures, (width) => ((this.width = width), this.draw()), frame.signal);
    frame.onTheme(() => this.draw());
    frame.signal.addEventListener("abort", () => clearTimeout(this.timer), { once: true });
  }

  /** Set the names of the sides. */
  name(labels: string[]): void {
    labels.forEach((label, i) => {
      const card = this.cards[i];
      if (card) say(card.label, label);
    });
  }

  clear(text = ""): void {
    this.running?.abort();
    clearTimeout(this.timer);
    this.reply = this.asked = null;
    fill(this.others);
    say(this.caption, text);
    this.element.classList.add("icechunk-empty");
  }

  /** Request a chunk after a short wait; a newer call replaces one that is still waiting. */
  show(path: string, chunk: number[], keepIndex = false): void {
    if (!keepIndex && this.asked?.path !== path) this.index = {};
    this.asked = { path, chunk };
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.load(path, chunk), WAIT);
  }

  /** Request the same chunk again, because a decision changed its result. */
  again(): void {
    if (this.asked) this.show(this.asked.path, this.asked.chunk, true);
  }

  private async load(path: string, chunk: number[]): Promise<void> {
    this.running?.abort();
    const running = (this.running = new AbortController());
    this.element.classList.add("icechunk-busy");
    const positions = Object.values(this.index).some((at) => at > 0)
      ? chunk.map((_, axis) => this.index[axis] ?? 0)
      : null;
    try {
      const { result, buffers } = await this.host.request<PreviewReply>(
        "preview",
        { path, chunk, sides: this.options.sides.map((side) => side.side), index: positions },
        { signal: running.signal },
      );
      if (running.signal.aborted || this.frame.signal.aborted) return;
      this.reply = result;
      this.element.classList.remove("icechunk-empty");
      for (const card of this.cards) {
        const at = result.sides.findIndex((side) => side.side === card.side);
        card.field = buffers[at] ? floatsOf(buffers[at]) : null;
      }
      this.describe(result);
      this.draw();
    } catch (error) {
      if (isSilent(error)) return;
      this.clear("No preview of this chunk.");
      this.frame.fail(error, () => this.show(path, chunk));
    } finally {
      if (this.running === running) this.element.classList.remove("icechunk-busy");
    }
  }

  private describe(reply: PreviewReply): void {
    say(this.caption, `Values of chunk [${reply.chunk.join(", ")}], ${reply.dtype}${extentText(reply)}`);
    for (const card of this.cards) {
      const side = reply.sides.find((one) => one.side === card.side);
      if (!side) {
        fill(card.stats, this.options.absent ?? "");
        card.canvas.setAttribute("aria-label", `${card.label.textContent}: ${this.options.absent ?? "no picture"}`);
        continue;
      }
      if (side.label) say(card.label, side.label);
      if (side.unread) {
        fill(card.stats, side.unread);
        card.canvas.setAttribute("aria-label", `${side.label}: ${side.unread}`);
        continue;
      }
      const { min, max, mean, nan, count } = side.stats;
      fill(
        card.stats,
        ...pairs(
          count === 0
            ? [["", "no data"]]
            : [
                ["mean", short(mean)],
                ["range", `${short(min)} … ${short(max)}`],
                ...(nan ? [["missing", String(nan)] as [string, string]] : []),
              ],
        ),
      );
      card.canvas.setAttribute(
        "aria-label",
        `${side.label}: mean ${short(mean)}, minimum ${short(min)}, maximum ${short(max)}, ${nan} missing`,
      );
    }
    const d = reply.difference;
    fill(
      this.delta.stats,
      ...pairs(
        d
          ? [
              ["max |Δ|", short(d.max_abs)],
              ["mean |Δ|", short(d.mean_abs)],
              ["rms", short(d.rms)],
              ["changed", changedText(d.changed, reply)],
            ]
          : [["", "not comparable"]],
      ),
      ...pairs(missingText(reply)),
    );
    this.delta.canvas.setAttribute(
      "aria-label",
      d ? `Difference: largest ${short(d.max_abs)}, mean ${short(d.mean_abs)}` : "No difference",
    );
    this.describeOthers(reply);
    const notes = [];
    if (reply.decimated) notes.push("The picture is subsampled; the statistics are those of the whole chunk.");
    say(this.note, notes.join(" "));
  }

  private describeOthers(reply: PreviewReply): void {
    const wanted = reply.other_axes.filter((axis) => axis.size > 1);
    const key = wanted.map((axis) => `${axis.axis}:${axis.size}`).join();
    if (this.others.dataset.key !== key) {
      this.others.dataset.key = key;
      fill(
        this.others,
        ...wanted.map((axis) =>
          h(
            "label",
            { class: "icechunk-field" },
            h("span", null, axis.name || `axis ${axis.axis}`),
            h("input", {
              type: "range",
              min: 0,
              max: axis.size - 1,
              value: axis.position,
              "data-axis": axis.axis,
            }),
            h("output", null),
          ),
        ),
      );
    }
    wanted.forEach((axis, i) => {
      this.index[axis.axis] = axis.position;
      const output = this.others.querySelectorAll("output")[i];
      if (output) say(output, `${axis.position + 1}/${axis.size}`);
    });
  }

  private draw(): void {
    const reply = this.reply;
    if (!reply) return;
    const [height, width] = reply.shape;
    for (const card of this.cards)
      this.picture(card, card.field, width, height, viridis, reply.vmin, reply.vmax);
    const [a, b] = this.options.difference;
    const [fa, fb] = [this.cards[a]?.field ?? null, this.cards[b]?.field ?? null];
    let reach = 0;
    let field: Float32Array | null = null;
    if (fa && fb && fa.length === fb.length) {
      field = fa.map((value, i) => value - fb[i]!);
      for (const value of field) if (Math.abs(value) > reach) reach = Math.abs(value);
    }
    this.delta.field = field;
    this.picture(this.delta, field, width, height, diverging, -reach, reach);
    this.scale.draw(reply.vmin, reply.vmax);
    this.deltaScale.draw(-reach, reach);
  }

  private picture(
    card: Card,
    field: Float32Array | null,
    width: number,
    height: number,
    map: ColourMap,
    low: number,
    high: number,
  ): void {
    const room = Math.max(60, Math.floor((card.canvas.parentElement?.clientWidth || this.width || 180)));
    const shape = Math.min(6, Math.max(0.75, width / Math.max(1, height)));
    const w = room;
    const hgt = Math.max(18, Math.min(170, Math.round(w / shape)));
    const drawn = surface(card.canvas, w, hgt);
    if (!drawn) return;
    const { context, ratio } = drawn;
    const palette = this.frame.palette();
    if (!field) {
      context.clearRect(0, 0, w, hgt);
      context.fillStyle = palette.soft;
      context.fillRect(0, 0, w, hgt);
      return;
    }
    const image = context.createImageData(card.canvas.width, card.canvas.height);
    const words = new Uint32Array(image.data.buffer);
    const empty = pack(mixRgb(palette.fgRgb, palette.bgRgb, 0.08));
    const stroke = pack(mixRgb(palette.fgRgb, palette.bgRgb, 0.42));
    const pitch = Math.round(6 * ratio);
    const thick = Math.max(1, Math.round(1.2 * ratio));
    for (let y = 0, p = 0; y < image.height; y++) {
      const down = Math.min(height - 1, Math.floor((y * height) / image.height));
      const row = (this.reply?.up ? height - 1 - down : down) * width;
      for (let x = 0; x < image.width; x++, p++) {
        const value = field[row + Math.min(width - 1, Math.floor((x * width) / image.width))]!;
        words[p] = Number.isNaN(value)
          ? (x + y) % pitch < thick
            ? stroke
            : empty
          : map[mapIndex(value, low, high)]!;
      }
    }
    context.putImageData(image, 0, 0);
    card.canvas.style.borderColor = css(mixRgb(palette.fgRgb, palette.bgRgb, 0.25));
  }
}

function makeCard(
  label: string,
  side: string,
  style?: StateStyle,
): { element: HTMLElement; card: Card } {
  const canvas = h("canvas", { testid: `icechunk-preview-${side}`, role: "img", "aria-label": label });
  const stats = h("div", { class: "icechunk-stats" });
  const name = h("span", { class: "icechunk-cardname" }, label);
  const element = h(
    "figure",
    { class: `icechunk-card icechunk-card-${side}` },
    h("figcaption", null, style ? swatch(style) : null, name),
    h("div", { class: "icechunk-picture" }, canvas),
    stats,
  );
  return { element, card: { side, canvas, stats, label: name, field: null } };
}

/** Numbers of values, of unequal values, and of values that became missing or are missing no longer. */
interface Counted {
  counts?: { values: number; unequal: number; gone: number; came: number } | null;
}

function changedText(share: number, reply: PreviewReply & Counted): string {
  const percent = `${short(share * 100)} %`;
  return reply.counts ? `${grouped(reply.counts.unequal)} of ${grouped(reply.counts.values)} (${percent})` : percent;
}

/** Values that became missing or are missing no longer, if one side is the earlier state. */
function missingText(reply: PreviewReply & Counted): [string, string][] {
  const { counts } = reply;
  if (!counts || reply.sides[0]?.side !== "before") return [];
  return [
    ...(counts.gone ? [["now missing", grouped(counts.gone)] as [string, string]] : []),
    ...(counts.came ? [["no longer missing", grouped(counts.came)] as [string, string]] : []),
  ];
}

function pairs(items: [string, string][]): HTMLElement[] {
  return items.map(([name, value]) =>
    h("span", null, name ? h("i", null, name) : null, name ? " " : "", value),
  );
}

/** The extent of the pictures in coordinates; empty if the array has none. */
function extentText(reply: PreviewReply): string {
  const parts = (["y", "x"] as const).flatMap((side, k) => {
    const extent = reply.extent?.[side];
    if (!extent) return [];
    const [from, to] = [extent[0], extent[1]].map((v) => (typeof v === "number" ? short(v) : v));
    return [`${reply.axes[k] ?? side} ${from} … ${to}${extent[2] ? ` ${unitSign(extent[2])}` : ""}`];
  });
  return parts.length ? ` · ${parts.join(" · ")}` : "";
}

interface Scale {
  element: HTMLElement;
  draw(low: number, high: number): void;
}

function makeScale(map: ColourMap, label: string): Scale {
  const canvas = h("canvas", { "aria-hidden": "true", class: "icechunk-ramp" });
  const ends = [h("span"), h("span"), h("span")];
  const element = h(
    "div",
    { class: "icechunk-scale" },
    h("span", { class: "icechunk-scalename" }, label),
    h("div", { class: "icechunk-rampbox" }, canvas, h("div", { class: "icechunk-ticks" }, ...ends)),
  );
  return {
    element,
    draw(low, high) {
      const known = Number.isFinite(low) && Number.isFinite(high) && low <= high;
      (known ? [low, (low + high) / 2, high] : [NaN, NaN, NaN]).forEach((value, i) => say(ends[i]!, short(value)));
      canvas.width = MAP_SIZE;
      canvas.height = 1;
      const context = canvas.getContext("2d");
      if (!context) return;
      const image = context.createImageData(MAP_SIZE, 1);
      new Uint32Array(image.data.buffer).set(map);
      context.putImageData(image, 0, 0);
    },
  };
}
