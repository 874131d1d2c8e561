/** Requests that change decisions, sent to the kernel one after the other. */

import type { Host } from "../../core/host";
import type { Choice, ConflictItem, DecideReply } from "../../core/protocol";
import type { Runs } from "../../core/runs";
import { grouped, plural } from "../../core/text";
import type { Frame } from "../common/frame";
import type { Travel } from "./header";
import { wordsOf } from "./words";

/** What a decision is about. */
export interface Target {
  /** Null stands for every conflicting chunk of the array, or for the node. */
  runs: Runs | null;
  count: number;
}

export interface QueueHooks {
  /** The kernel accepted a decision about these chunks. */
  accepted(item: ConflictItem, target: Target, choice: string | null): void;
  absorb(reply: DecideReply): void;
  /** Ask for the states of the chunks on screen again. */
  reload(): Promise<void>;
}

export class DecisionQueue {
  private last: Promise<void> = Promise.resolve();

  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
    private readonly hooks: QueueHooks,
  ) {}

  /** Start after the requests before: the kernel's undo history follows the order of the user's input. */
  inTurn(work: () => Promise<void>): void {
    this.last = this.last.then(() => (this.frame.signal.aborted ? undefined : work()));
  }

  decide(item: ConflictItem, target: Target, choice: string | null, extra: Record<string, unknown> = {}): void {
    this.inTurn(() => this.send(item, target, choice, extra));
  }

  private async send(item: ConflictItem, target: Target, choice: string | null, extra: Record<string, unknown>): Promise<void> {
    const { path, type } = item;
    try {
      const { result } = await this.host.request<DecideReply>("decide", { path, type, choice, runs: target.runs, ...extra });
      if (this.frame.signal.aborted) return;
      this.hooks.accepted(item, target, choice);
      this.hooks.absorb(result);
      const what = item.kind === "node" ? path : plural(target.count, "chunk");
      const words = wordsOf(this.host);
      const verb = choice ? (choice in words ? `keep ${words[choice as Choice]}` : choice) : "undecided again";
      this.frame.announce(`${what}: ${verb}. ${remaining(result)}`);
    } catch (error) {
      this.frame.fail(error, () => this.decide(item, target, choice, extra));
      // The chunks were painted before the kernel answered: show its states again.
      if (!this.frame.signal.aborted) await this.hooks.reload();
    }
  }

  /** Undo or redo; `possible` is asked when the requests before are done. */
  travel(method: Travel, possible: () => boolean): void {
    this.inTurn(async () => {
      if (!possible()) return;
      try {
        const { result } = await this.host.request<DecideReply>(method);
        if (this.frame.signal.aborted) return;
        this.hooks.absorb(result);
        await this.hooks.reload();
        this.frame.announce(`${method === "undo" ? "Undone" : "Redone"}. ${remaining(result)}`);
      } catch (error) {
        this.frame.fail(error);
      }
    });
  }
}

function remaining({ undecided, total }: DecideReply): string {
  return `${grouped(undecided)} of ${grouped(total)} undecided.`;
}
