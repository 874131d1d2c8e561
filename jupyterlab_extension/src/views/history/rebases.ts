/** Badges that tell whether branches would rebase cleanly; the kernel tries it without writing. */

import { h } from "../../core/dom";
import { type Host, isSilent } from "../../core/host";
import type { Ref, SessionState, Verdict } from "../../core/protocol";
import { savedAt } from "../common/frame";
import { plural } from "../../core/text";

const WAIT = 150;
/** Up to so many branches are asked about at once, whether or not they are on screen. */
const FEW = 60;
/** Name that stands for the working session. */
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

  /** What the repository has now; everything is asked anew (what is known costs nothing). */
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

  /** Names on screen; a request replaces an earlier one that is still at work. */
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
      // Badges are an extra; the history is complete without them.
      if (!isSilent(error)) for (const name of branches) this.asked.delete(name);
    }
  }

  private take(reply: RebasesReply): void {
    if (reply.onto !== this.onto) return;
    let news = false;
    for (const [name, verdict] of Object.entries(reply.verdicts)) {
      if (!verdict) continue;
      this.known.set(name, verdict);
      news = true;
    }
    if (news) this.changed();
  }

  verdict(name: string): Verdict | undefined {
    return this.known.get(name);
  }

  /** A few letters behind the name of a branch; nothing for the branch itself. */
  badge(name: string): HTMLElement | null {
    const verdict = this.known.get(name);
    if (!verdict || name === this.onto || (name === SESSION && verdict.state === "ahead")) return null;
    const told = verdictText(name, verdict);
    return h(
      "span",
      { class: `icechunk-verdict icechunk-verdict-${verdict.state}`, testid: "icechunk-verdict", title: told },
      h("span", { "aria-hidden": "true" }, `${SIGNS[verdict.state]} ${few(verdict)}`),
      h("span", { class: "icechunk-sr" }, ` ${told} `),
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

/** What a rebase would meet, for the details of a commit. */
export function verdictDetails(name: string, verdict: Verdict): HTMLElement {
  const apart =
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
      verdictText(name, verdict) + apart,
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
