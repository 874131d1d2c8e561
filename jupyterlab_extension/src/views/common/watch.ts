/** Ask the kernel now and then whether something changed, while somebody can see the view. */

import { asHostError, type Host } from "../../core/host";
import { type Frame, savedAt } from "./frame";

const FIRST = 4_000;
const LONGEST = 30_000;
const QUIET = new Set(["timeout", "no-kernel", "closed", "aborted"]);

/** The kernel answers a look by a new `revision` where there is news; nothing is done here. */
export function watch(frame: Frame, host: Host): void {
  const { signal } = frame;
  if (savedAt(host)) return;
  let told = "";
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
      if (told) frame.clearError();
      told = "";
    } catch (error) {
      wait = LONGEST;
      const { kind, message } = asHostError(error);
      // A kernel that is busy or gone is said when something is asked of it.
      if (!QUIET.has(kind) && message !== told) frame.fail(error, soon);
      told = QUIET.has(kind) ? told : message;
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
