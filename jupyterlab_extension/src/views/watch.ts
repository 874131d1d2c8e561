/** Ask the kernel now and then whether something changed, while somebody can see the view. */

import type { Host } from "../core/host";
import { savedAt } from "./frame";

const FIRST = 4_000;
const LONGEST = 30_000;

/** The kernel answers a look by a new `revision` where there is news; nothing is done here. */
export function watch(element: HTMLElement, host: Host, signal: AbortSignal): void {
  if (savedAt(host)) return;
  let wait = FIRST;
  let timer = 0;
  let seen = true;
  const later = (): void => {
    clearTimeout(timer);
    if (!signal.aborted) timer = window.setTimeout(() => void look(), wait);
  };
  const look = async (): Promise<void> => {
    if (!seen || document.hidden) return later();
    try {
      await host.request("look", {}, { signal });
      wait = Math.min(LONGEST, wait * 1.5);
    } catch {
      wait = LONGEST; // what is wrong is said when something is asked for
    }
    later();
  };
  const soon = (): void => {
    wait = FIRST;
    later();
  };
  if (typeof IntersectionObserver !== "undefined") {
    const observer = new IntersectionObserver((entries) => {
      const now = entries[entries.length - 1]!.isIntersecting;
      if (now && !seen) soon();
      seen = now;
    });
    observer.observe(element);
    signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  }
  host.onChange("revision", soon, signal);
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  later();
}
