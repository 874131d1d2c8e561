/** Badges with the result of a dry run: whether a branch would rebase without conflicts. */

import { h } from "../../core/dom";
import { type Host, isSilent } from "../../core/host";
import type { Ref, SessionState, Verdict } from "../../core/protocol";
import { savedAt } from "../common/frame";
import { plural } from "../../core/text";

/** Milliseconds that scrolling rests before dry runs are requested. */
const WAIT = 150;
/** Up to this number of branches, all are requested at once; otherwise only those on screen. */
const FEW = 60;
/** Name of the session in requests and replies; no branch has an empty name. */
export const SESSION = "";

const SIGNS: Record<Verdict["state"], string> = {
  same: "=",
  behind: "✓",
  ahead: "✓",
  clean: "✓",
  conflicts: "✕",
  unknown: "?",
};

interface RebasesReply {
  onto: string;
  verdicts: Record<string, Verdict | null>;
}

export class Rebases {
  /** The branch that the others would be rebased onto. */
  onto = "";
  branches: string[] = [];
  private session = false;
  private known = new Map<string, Verdict>();
  private asked = new Set<string>();
  private timer = 0;

  constructor(
    private readonly host: Host,
    private readonly signal: AbortSignal,
    private readonly changed: () => void,
  ) {
    host.onEvent((event) => {
      if (event.event === "rebases") this.take(event as unknown as RebasesReply);
    }, signal);
    signal.addEventListener("abort", () => clearTimeout(this.timer), { once: true });
  }

  /** Take the current refs and request all results again; the kernel has unchanged ones cached. */
  reset(refs: readonly Ref[], session: SessionState | null): void {
    this.branches = refs.filter((ref) => ref.kind === "branch").map((ref) => ref.name);
    this.session = session?.dirty === true;
    if (!this.branches.includes(this.onto)) {
      const own = session?.branch ?? "main";
      this.onto = this.branches.includes(own) ? own : (this.branches.find((name) => name === "main") ?? this.branches[0] ?? "");
    }
    this.choose(this.onto);
  }

  choose(onto: string): void {
    this.onto = onto;
    this.known = new Map();
    this.asked = new Set();
    this.want([]);
  }

  private all(): string[] {
    return [...(this.session ? [SESSION] : []), ...this.branches];
  }

  /** Request the branches on screen; a newer call replaces a request that is still waiting. */
  want(visible: string[]): void {
    const all = this.all();
    const names = all.length <= FEW || savedAt(this.host) ? all : [...(this.session ? [SESSION] : []), ...visible];
    if (!names.some((name) => !this.asked.has(name)) || !this.onto) return;
    clearTimeout(this.timer);
    const wait = savedAt(this.host) ? 0 : WAIT;
    this.timer = window.setTimeout(() => void this.ask(names.filter((name) => !this.known.has(name))), wait);
  }

  private async ask(branches: string[]): Promise<void> {
    const { onto } = this;
    if (!branches.length) return;
    for (const name of branches) this.asked.add(name);
    try {
      const { result } = await this.host.request<RebasesReply>("rebases", { onto, branches }, { signal: this.signal });
      this.take(result);
    } catch (error) {
      // The history works without badges, so the error is not shown; the next draw requests them again.
      if (!isSilent(error)) for (const name of branches) this.asked.delete(name);
    }
  }

  private take(reply: RebasesReply): void {
    if (reply.onto !== this.onto) return;
    let changed = false;
    for (const [name, verdict] of Object.entries(reply.verdicts)) {
      if (!verdict) continue;
      this.known.set(name, verdict);
      changed = true;
    }
    if (changed) this.changed();
  }

  verdict(name: string): Verdict | undefined {
    return this.known.get(name);
  }

  /** The badge beside the name of a branch; null for the branch that the others are rebased onto. */
  badge(name: string): HTMLElement | null {
    const verdict = this.known.get(name);
    if (!verdict || name === this.onto || (name === SESSION && verdict.state === "ahead")) return null;
    const text = verdictText(name, verdict);
    return h(
      "span",
      { class: `icechunk-verdict icechunk-verdict-${verdict.state}`, testid: "icechunk-verdict", title: text },
      h("span", { "aria-hidden": "true" }, `${SIGNS[verdict.state]} ${few(verdict)}`),
      h("span", { class: "icechunk-sr" }, ` ${text} `),
    );
  }
}

function few(verdict: Verdict): string {
  switch (verdict.state) {
    case "conflicts":
      return plural(verdict.chunks || verdict.nodes.length, "conflict");
    case "clean":
      return "rebases";
    case "ahead":
      return `+${verdict.ours ?? ""}`;
    case "behind":
      return "merged";
    case "unknown":
      return "not tried";
    default:
      return verdict.state;
  }
}

export function verdictText(name: string, verdict: Verdict): string {
  return `${name === SESSION ? "Session" : name}: ${verdict.text}`;
}

/** The result of a dry run in full, for the details of a commit. */
export function verdictDetails(name: string, verdict: Verdict): HTMLElement {
  const counts =
    verdict.ours !== undefined && verdict.theirs !== undefined && verdict.ours + verdict.theirs > 0
      ? ` (${plural(verdict.ours, "commit")} here, ${verdict.theirs} there)`
      : "";
  return h(
    "div",
    { class: "icechunk-rebase" },
    h(
      "p",
      { class: `icechunk-verdictline icechunk-verdict-${verdict.state}` },
      h("span", { "aria-hidden": "true" }, `${SIGNS[verdict.state]} `),
      verdictText(name, verdict) + counts,
    ),
    verdict.nodes.length
      ? h(
          "ul",
          { class: "icechunk-nodes" },
          ...verdict.nodes.map((node) =>
            h(
              "li",
              { class: "icechunk-node" },
              h("code", null, node.path || "(moves)"),
              h("span", { class: "icechunk-nodedetail" }, node.chunks ? plural(node.chunks, "chunk") : node.title),
            ),
          ),
        )
      : null,
  );
}
