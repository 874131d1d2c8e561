/** Names of commits as small labels. */

import { h } from "../core/dom";
import type { Ref } from "../core/protocol";

/** A branch or tag as a small label. */
export function refLabel(ref: Ref, colour: string): HTMLElement {
  const element = h(
    "span",
    { class: `ick-ref ick-ref-${ref.kind}`, title: `${ref.kind} ${ref.name}` },
    h("span", { class: "ick-refmark", "aria-hidden": "true" }, ref.kind === "tag" ? "◆" : "●"),
    ref.name,
    h("span", { class: "ick-sr" }, ` (${ref.kind}) `),
  );
  element.style.setProperty("--ick-ref", colour);
  return element;
}
