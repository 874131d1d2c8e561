/** The diff view of two commits, opened below their history. */

import { button, h, listen } from "../../core/dom";
import type { Host, RequestOptions } from "../../core/host";
import { mount as mountDiff } from "../diff/diff";
import type { Frame } from "../common/frame";

export class ComparisonBelow {
  readonly element = h("div", { class: "icechunk-below", testid: "icechunk-below", hidden: true });
  private dispose: (() => void) | null = null;
  private pair = "";

  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
  ) {
    frame.signal.addEventListener("abort", () => this.close(), { once: true });
  }

  open(a: string, b: string): void {
    if (this.pair !== `${a} ${b}`) {
      this.close();
      this.pair = `${a} ${b}`;
      const close = button("Close", { class: "icechunk-button icechunk-quiet icechunk-small icechunk-closebelow" });
      listen(close, "click", () => this.close(), this.frame.signal);
      const place = h("div");
      this.element.append(close, place);
      this.dispose = mountDiff(place, pairHost(this.host, a, b));
      this.element.hidden = false;
    }
    this.element.scrollIntoView?.({ block: "nearest" });
  }

  close(): void {
    this.dispose?.();
    this.dispose = null;
    this.pair = "";
    this.element.hidden = true;
    this.element.replaceChildren();
  }
}

/** A host that sends every request to the history widget, as a request about two of its commits. */
function pairHost(host: Host, a: string, b: string): Host {
  const own = new Map<string, unknown>([
    ["title", "Comparison"],
    ["goto", true],
  ]);
  return {
    get: (name) => own.get(name) ?? (name === "theme" || name === "saved" ? host.get(name) : undefined),
    set: (name, value) => void own.set(name, value),
    onChange(name, callback, signal) {
      if (name === "theme") host.onChange(name, callback, signal);
    },
    onEvent: () => undefined, // commits do not change
    request: async <T>(method: string, params: Record<string, unknown> = {}, options?: RequestOptions) =>
      method === "look" ? { result: null as T, buffers: [] } : host.request("compare", { a, b, method, params }, options),
  };
}
