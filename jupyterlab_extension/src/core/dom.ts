/** Helpers that create elements. Text always becomes a text node, never markup. */

export type Child = Node | string | number | null | undefined | false;

export interface Props {
  class?: string;
  testid?: string;
  [attribute: string]: string | number | boolean | null | undefined;
}

// Notebook front ends bind single letters to commands, some before the page gets the key event. This
// attribute switches that off; it has to be on the focused element itself.
const FOCUSABLE = /^(a|button|input|select|summary|textarea)$/;

/** Create an element; `true` sets an empty attribute, `false`/`null` leaves it out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props | null = null,
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (props) setProps(element, props);
  if (FOCUSABLE.test(tag) || element.hasAttribute("tabindex"))
    element.setAttribute("data-lm-suppress-shortcuts", "");
  append(element, children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function s<K extends keyof SVGElementTagNameMap>(
  tag: K,
  props: Props | null = null,
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag) as SVGElementTagNameMap[K];
  if (props) setProps(element, props);
  append(element, children);
  return element;
}

function setProps(element: Element, props: Props): void {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    const attribute = name === "testid" ? "data-testid" : name;
    element.setAttribute(attribute, value === true ? "" : String(value));
  }
}

function append(element: Element, children: readonly Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Replace everything inside an element. */
export function fill(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  append(element, children);
}

/** Replace everything inside an element only when it differs, so that clicks and focus inside are not lost. */
export function update(element: Element, ...children: Child[]): void {
  const next = element.cloneNode(false) as Element;
  append(next, children);
  if (!element.isEqualNode(next)) element.replaceChildren(...next.childNodes);
}

/** Set the text of an element only when it differs, so that screen readers do not repeat live regions. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** A push button. */
export function button(label: string, props: Props | null = null, ...children: Child[]): HTMLButtonElement {
  const element = h(
    "button",
    { type: "button", class: "icechunk-button", ...props },
    ...children,
  );
  if (label) element.append(label);
  return element;
}

export function listen<K extends keyof HTMLElementEventMap>(
  element: EventTarget,
  type: K,
  callback: (event: HTMLElementEventMap[K]) => void,
  signal: AbortSignal,
): void {
  element.addEventListener(type, callback as EventListener, { signal });
}

/** The closest element around the target of an event that matches, for delegated listeners. */
export function closest(event: Event, selector: string): HTMLElement | null {
  const target = event.target;
  return target instanceof Element ? target.closest<HTMLElement>(selector) : null;
}

/** Copy text to the clipboard; if the browser refuses, select it so that the user can copy it. */
export async function copyText(text: string, shown: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const range = document.createRange();
    range.selectNodeContents(shown);
    const selection = getSelection();
    selection?.removeAllRanges();
    selection?.addRange(range);
    return false;
  }
}
