/** The sides of a conflict, and the button that keeps one of them. */

import { button, h, say } from "../../core/dom";
import type { Choice } from "../../core/protocol";
import { RESOLVER_STATES, swatch } from "../common/states";
import type { Words } from "./words";

export const CHOICES: Choice[] = ["ours", "theirs", "base"];
export const STATE: Record<Choice, number> = { ours: 2, theirs: 3, base: 4 };
export const KEY: Record<string, Choice> = { o: "ours", t: "theirs", b: "base" };

export interface KeepButton {
  element: HTMLButtonElement;
  name(label: string, detail: string): void;
}

export function keepButton(choice: Choice, words: Words): KeepButton {
  const label = h("span", { class: "icechunk-keeplabel" }, `Keep ${words[choice]}`);
  const small = h("span", { class: "icechunk-keepsmall" });
  const element = button(
    "",
    { class: "icechunk-button icechunk-keep", testid: `icechunk-keep-${choice}`, disabled: true },
    swatch(RESOLVER_STATES[STATE[choice]]!),
    h("span", { class: "icechunk-keeptext" }, label, small),
  );
  return {
    element,
    name(text, more) {
      say(label, `Keep ${words[choice]}`);
      label.append(h("span", { class: "icechunk-keepname" }, `: ${text}`));
      say(small, [words.ours === "mine" ? choice : null, more, `key ${choice[0]!.toUpperCase()}`].filter(Boolean).join(" · "));
      element.title = [text, more].filter(Boolean).join("\n");
    },
  };
}
