import { afterEach, vi } from "vitest";

/** Elements of one test, removed after it. */
export function place(): HTMLElement {
  const el = document.createElement("div");
  document.body.append(el);
  return el;
}

const views: (() => void)[] = [];

/** Have a view disposed after the test: its timers must not run once the page is gone. */
export function disposeLater(dispose: () => void): () => void {
  views.push(dispose);
  return dispose;
}

afterEach(() => {
  for (const dispose of views.splice(0)) dispose();
  document.body.replaceChildren();
});

export const byId = (root: ParentNode, id: string): HTMLElement => {
  const found = root.querySelector<HTMLElement>(`[data-testid="${id}"]`);
  if (!found) throw new Error(`no element ${id}`);
  return found;
};

export const allById = (root: ParentNode, id: string): HTMLElement[] => [
  ...root.querySelectorAll<HTMLElement>(`[data-testid="${id}"]`),
];

export function key(target: Element, name: string, options: KeyboardEventInit = {}): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...options });
  target.dispatchEvent(event);
  return event;
}

/** Wait for replies, timers up to a few hundred milliseconds and animation frames. */
export async function settle(): Promise<void> {
  await vi.waitFor(() => Promise.resolve());
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setTimeout(resolve, 30));
}
