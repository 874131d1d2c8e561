/** Texts of the commits on screen, asked for once scrolling rests. */

import type { Commits } from "../../core/commits";
import type { Host } from "../../core/host";
import type { CommitRow } from "../../core/protocol";

const WAIT = 60;
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

  /** Commits that are looked at; whoever scrolls past is not waited for. */
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
      // Ids and times stand there already; the next scroll asks again.
    }
  }
}
