/** The root element of a view, with its error banner, live region and theme. */

import { luminance, parseCss, type Rgb } from "../../core/colour";
import { button, fill, h, listen, say } from "../../core/dom";
import { asHostError, type Host, isSilent } from "../../core/host";
import { absoluteTime } from "../../core/time";

export type Dispose = () => void;

/** Colours for canvases, resolved from the page's theme. */
export interface Palette {
  fg: string;
  bg: string;
  muted: string;
  line: string;
  soft: string;
  accent: string;
  fgRgb: Rgb;
  bgRgb: Rgb;
  dark: boolean;
}

export interface Frame {
  root: HTMLElement;
  body: HTMLElement;
  signal: AbortSignal;
  /** Announce to screen readers, politely. */
  announce(text: string): void;
  /** Show an error, with a button that tries again if there is a `retry`; silent errors are dropped. */
  fail(error: unknown, retry?: () => void): void;
  clearError(): void;
  palette(): Palette;
  onTheme(callback: () => void): void;
  dispose: Dispose;
}

let frames = 0;

/** A number for element ids, unique within the page. */
export function uid(): string {
  return `icechunk-${++frames}`;
}

/** The banner that shows one error at a time. */
class ErrorBanner {
  readonly element = h("div", { class: "icechunk-error", role: "alert", hidden: true });

  constructor(private readonly signal: AbortSignal) {}

  show(error: unknown, retry?: () => void): void {
    if (isSilent(error) || this.signal.aborted) return;
    const { message, hint } = asHostError(error);
    const text = h("div", { class: "icechunk-error-text" }, h("strong", null, message), hint ? h("span", null, hint) : null);
    fill(this.element, text);
    if (retry) this.offer("Try again", "icechunk-button", retry);
    this.offer("Dismiss", "icechunk-button icechunk-quiet");
    this.element.hidden = false;
  }

  hide(): void {
    this.element.hidden = true;
  }

  /** Add a button that hides the banner and then runs `action`. */
  private offer(label: string, className: string, action?: () => void): void {
    const element = button(label, { class: className });
    listen(element, "click", () => (this.hide(), action?.()), this.signal);
    this.element.append(element);
  }
}

/** The colours of the page's theme, read again whenever the theme changes. */
class Theme {
  private palette: Palette | null = null;
  private readonly callbacks = new Set<() => void>();

  constructor(
    private readonly root: HTMLElement,
    private readonly host: Host,
    signal: AbortSignal,
  ) {
    const refresh = (): void => this.refresh();
    watchTheme(refresh, signal);
    host.onChange("theme", refresh, signal);
    signal.addEventListener("abort", () => this.callbacks.clear(), { once: true });
    this.refresh();
  }

  /** Colours are resolved once per theme, because that asks the browser for computed styles. */
  read(): Palette {
    return (this.palette ??= resolve(this.root));
  }

  onChange(callback: () => void): void {
    this.callbacks.add(callback);
  }

  private refresh(): void {
    this.palette = null;
    const forced = this.host.get("theme");
    if (forced === "light" || forced === "dark") this.root.dataset.icechunkTheme = forced;
    else delete this.root.dataset.icechunkTheme;
    this.root.toggleAttribute("data-icechunk-dark", this.read().dark);
    for (const callback of this.callbacks) callback();
  }
}

export function createFrame(
  el: HTMLElement,
  host: Host,
  options: { name: string; testid: string; label: string },
): Frame {
  const controller = new AbortController();
  const { signal } = controller;
  const live = h("div", { class: "icechunk-sr", role: "status", "aria-live": "polite" });
  const banner = new ErrorBanner(signal);
  const body = h("div", { class: "icechunk-body" });
  const root = h(
    "section",
    { class: `icechunk-root icechunk-${options.name}`, testid: options.testid, "aria-label": options.label },
    banner.element,
    body,
    live,
  );
  const saved = savedAt(host);
  if (saved) {
    root.classList.add("icechunk-saved");
    const text = `Saved copy of ${absoluteTime(saved)}. Nothing can be changed here.`;
    root.append(h("footer", { class: "icechunk-savednote" }, text));
  }
  el.append(root);
  const theme = new Theme(root, host, signal);
  return {
    root,
    body,
    signal,
    announce: (text) => say(live, text),
    fail: (error, retry) => banner.show(error, retry),
    clearError: () => banner.hide(),
    palette: () => theme.read(),
    onTheme: (callback) => theme.onChange(callback),
    dispose() {
      controller.abort();
      root.remove();
    },
  };
}

/** The time at which a page without a kernel was saved; empty for a view with a kernel. */
export function savedAt(host: Host): string {
  return String(host.get("saved") ?? "");
}

function watchTheme(callback: () => void, signal: AbortSignal): void {
  let queued = 0;
  const later = (): void => {
    // A theme change is a series of style sheets and attributes; read the colours once at its end.
    clearTimeout(queued);
    queued = window.setTimeout(callback, 60);
  };
  const observer = new MutationObserver(later);
  const options = { attributes: true, attributeFilter: ["class", "data-jp-theme-name", "data-theme"] };
  observer.observe(document.body, options);
  observer.observe(document.documentElement, options);
  window.matchMedia?.("(prefers-color-scheme: dark)").addEventListener?.("change", later, { signal });
  signal.addEventListener(
    "abort",
    () => {
      clearTimeout(queued);
      observer.disconnect();
    },
    { once: true },
  );
  // The view may not be in the page yet, which gives wrong colours; read them again when it is.
  later();
}

function resolve(root: HTMLElement): Palette {
  const style = getComputedStyle(root);
  const fgRgb = parseCss(style.color) ?? [34, 34, 34];
  const bgRgb = parseCss(style.backgroundColor) ?? [255, 255, 255];
  const dark = luminance(bgRgb) < 0.25;
  const ink = mixRgb(fgRgb, bgRgb, 0.9);
  return {
    fg: css(ink),
    bg: css(bgRgb),
    muted: css(mixRgb(fgRgb, bgRgb, 0.68)),
    line: css(mixRgb(fgRgb, bgRgb, 0.2)),
    soft: css(mixRgb(fgRgb, bgRgb, dark ? 0.1 : 0.065)),
    accent: dark ? "#6cb6f0" : "#0b6cb3",
    fgRgb: ink,
    bgRgb,
    dark,
  };
}

export function mixRgb(a: Rgb, b: Rgb, share: number): Rgb {
  return [0, 1, 2].map((c) => Math.round(a[c]! * share + b[c]! * (1 - share))) as unknown as Rgb;
}

export function css([r, g, b]: Rgb): string {
  return `rgb(${r}, ${g}, ${b})`;
}

/** Size a canvas for the pixels of the screen; null if it has no drawing context. */
export function surface(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
): { context: CanvasRenderingContext2D; ratio: number } | null {
  const ratio = Math.max(1, window.devicePixelRatio || 1);
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  if (!context) return null;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, ratio };
}

/** Call back when the width of the element changes. */
export function onWidth(element: HTMLElement, callback: (width: number) => void, signal: AbortSignal): void {
  if (typeof ResizeObserver === "undefined") return;
  let last = -1;
  const observer = new ResizeObserver((entries) => {
    const width = Math.floor(entries[entries.length - 1]!.contentRect.width);
    if (width === last) return;
    last = width;
    callback(width);
  });
  observer.observe(element);
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });
}
