/** Labels of branches and tags. */

import { h } from "../../core/dom";
import type { Ref } from "../../core/protocol";

/** A branch or tag as a small label. */
export function refLabel(ref: Ref, colour: string): HTMLElement {
  const element = h(
    "span",
    { class: `icechunk-ref icechunk-ref-${ref.kind}`, title: `${ref.kind} ${ref.name}` },
    h("span", { class: "icechunk-refmark", "aria-hidden": "true" }, ref.kind === "tag" ? "◆" : "●"),
    ref.name,
    h("span", { class: "icechunk-sr" }, ` (${ref.kind}) `),
  );
  element.style.setProperty("--icechunk-ref", colour);
  return element;
}
