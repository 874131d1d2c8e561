/** Polls the kernel for changes of the repository while the view is on screen. */

import { asHostError, type Host } from "../../core/host";
import { type Frame, savedAt } from "./frame";

/** Milliseconds between requests; the interval grows while nothing changes. */
const FIRST = 4_000;
const LONGEST = 30_000;
/** Errors of a kernel that is busy or gone, which are shown when the user requests something. */
const QUIET = new Set(["timeout", "no-kernel", "closed", "aborted"]);

/** Ask the kernel to check; if the repository changed, it sets the trait `revision`, which views observe. */
export function watch(frame: Frame, host: Host): void {
  const { signal } = frame;
  if (savedAt(host)) return;
  let shown = "";
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
      if (shown) frame.clearError();
      shown = "";
    } catch (error) {
      wait = LONGEST;
      const { kind, message } = asHostError(error);
      if (!QUIET.has(kind) && message !== shown) frame.fail(error, soon);
      if (!QUIET.has(kind)) shown = message;
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
    observer.observe(frame.root);
    signal.addEventListener("abort", () => observer.disconnect(), { once: true });
  }
  host.onChange("revision", soon, signal);
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  later();
}
