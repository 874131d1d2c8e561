/** Where a decision is made: which chunks it is about, the values of each side, a button per side. */

import { button, h, listen, say } from "../../core/dom";
import type { Host } from "../../core/host";
import type { Choice, ConflictItem, SideName } from "../../core/protocol";
import type { Frame } from "../common/frame";
import { RESOLVER_STATES } from "../common/states";
import { PreviewPanel } from "../grid/preview";
import { CHOICES, type KeepButton, keepButton, STATE } from "./keepbutton";
import { type Words, wordsOf } from "./words";

export interface DecisionOptions {
  /** Decide what is on screen; null makes it undecided again. */
  onDecide(choice: Choice | null): void;
  onNext(): void;
}

export class DecisionPanel {
  readonly element: HTMLElement;
  readonly preview: PreviewPanel;
  private readonly words: Words;
  private readonly keep: Map<Choice, KeepButton>;
  private readonly scope = h("span", { class: "icechunk-scope" });
  private readonly clear = button("Clear decision", { class: "icechunk-button icechunk-quiet icechunk-small", title: "U" });

  /** @param tools controls that decide many chunks, below the pictures */
  constructor(frame: Frame, host: Host, tools: HTMLElement, options: DecisionOptions) {
    const words = (this.words = wordsOf(host));
    this.keep = new Map(CHOICES.map((choice) => [choice, keepButton(choice, words)]));
    const sides = CHOICES.map((side) => ({ side, label: words[side], style: RESOLVER_STATES[STATE[side]]! }));
    this.preview = new PreviewPanel(frame, host, {
      sides: [...sides, { side: "result", label: "Result" }],
      absent: "not decided yet",
      difference: [0, 1],
      differenceLabel: `${words.ours} − ${words.theirs}`,
      actions: CHOICES.map((choice) => this.keep.get(choice)!.element),
    });
    const next = button("Next undecided", { class: "icechunk-button icechunk-quiet icechunk-small", title: "N" });
    const space = h("span", { class: "icechunk-grow" });
    this.element = h(
      "div",
      { class: "icechunk-decision", role: "group", "aria-label": "Decision" },
      h("div", { class: "icechunk-decisionhead" }, this.scope, space, this.clear, next),
      this.preview.element,
      tools,
    );
    const { signal } = frame;
    listen(next, "click", () => options.onNext(), signal);
    listen(this.clear, "click", () => options.onDecide(null), signal);
    for (const [choice, { element }] of this.keep) listen(element, "click", () => options.onDecide(choice), signal);
  }

  /** Name the sides as the kernel does: the session, the other commit, their common base. */
  name(sides: Partial<Record<Choice, SideName>>): void {
    for (const [choice, control] of this.keep)
      control.name(sides[choice]?.label ?? this.words[choice], sides[choice]?.detail ?? "");
    this.preview.name(CHOICES.map((choice) => sides[choice]?.label ?? this.words[choice]));
  }

  /** Show buttons for the choices that this conflict has. */
  offer(choices: Choice[]): void {
    for (const [choice, { element }] of this.keep) element.hidden = !choices.includes(choice);
  }

  /**
   * @param possible whether there is something to decide
   * @param scope what a decision would be about, in words
   * @param decided whether some of it is decided and can be made undecided again
   */
  update(item: ConflictItem | null, possible: boolean, scope: string, decided: boolean): void {
    say(this.scope, scope);
    for (const [choice, { element }] of this.keep) {
      element.disabled = !possible;
      element.setAttribute("aria-pressed", String(item?.kind === "node" && item.choice === choice));
    }
    this.clear.hidden = !decided;
  }
}
