/** Buttons that copy a text to the clipboard. */

import { copyText } from "../../core/dom";

/**
 * Handle a click on a copy button.
 *
 * An empty `data-copy` copies the code that the button belongs to.
 *
 * @returns whether `target` is a copy button
 */
export function handleCopy(target: HTMLElement, announce: (text: string) => void): boolean {
  const text = target.dataset.copy;
  const shown = (target.closest("figure") ?? target.parentElement)?.querySelector<HTMLElement>("code, pre");
  if (text === undefined || !shown) return false;
  void copyText(text || (shown.textContent ?? ""), shown).then((copied) =>
    announce(copied ? "Copied" : "Press Control C to copy"),
  );
  return true;
}
