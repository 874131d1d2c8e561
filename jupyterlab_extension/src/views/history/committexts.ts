/** Fetches the messages of the commits on screen, once scrolling rests. */

import type { Commits } from "../../core/commits";
import type { Host } from "../../core/host";
import type { CommitRow } from "../../core/protocol";

/** Milliseconds that scrolling rests before rows are requested. */
const WAIT = 60;
/** Commits per request. */
const BLOCK = 200;

export class CommitTexts {
  private timer = 0;
  private asked: { commits: Commits; scope: AbortController } | null = null;

  constructor(
    private readonly host: Host,
    private readonly signal: AbortSignal,
    private readonly changed: () => void,
  ) {
    signal.addEventListener("abort", () => (clearTimeout(this.timer), this.asked?.scope.abort()), { once: true });
  }

  /** Request commits on screen; a newer call replaces a request that is still waiting. */
  want(commits: Commits, places: readonly number[]): void {
    const missing = places.filter((at) => !commits.known(at)).slice(0, BLOCK);
    clearTimeout(this.timer);
    if (missing.length) this.timer = window.setTimeout(() => void this.ask(commits, missing), WAIT);
  }

  private async ask(commits: Commits, missing: number[]): Promise<void> {
    this.asked?.scope.abort();
    const scope = new AbortController();
    this.asked = { commits, scope };
    const places = new Map(missing.map((at) => [commits.id(at), at]));
    try {
      const { result } = await this.host.request<CommitRow[]>(
        "rows",
        { ids: [...places.keys()] },
        { signal: scope.signal },
      );
      if (scope.signal.aborted || this.signal.aborted) return;
      commits.learn(result, places);
      this.changed();
    } catch {
      // The rows show ids and times without it; the next scroll requests them again.
    }
  }
}
