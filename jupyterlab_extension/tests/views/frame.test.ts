import { expect, it } from "vitest";
import { FakeHost } from "../../dev/fake-host";
import { createFrame } from "../../src/views/common/frame";
import { disposeLater, place } from "./page";

function frameWith(traits: Record<string, unknown>) {
  const host = new FakeHost(traits);
  const frame = createFrame(place(), host, { name: "test", testid: "icechunk-test", label: "Test" });
  disposeLater(frame.dispose);
  return { host, frame };
}

it("takes the theme that Python asks for, and the page's when it asks for none", () => {
  const { host, frame } = frameWith({ theme: "dark" });
  expect(frame.root.getAttribute("data-icechunk-theme")).toBe("dark");
  host.set("theme", "light");
  expect(frame.root.getAttribute("data-icechunk-theme")).toBe("light");
  host.set("theme", null);
  expect(frame.root.hasAttribute("data-icechunk-theme")).toBe(false);
});

it("hides an error when it is dismissed, and when the request is tried again", () => {
  const { frame } = frameWith({});
  const banner = frame.root.querySelector<HTMLElement>(".icechunk-error")!;
  let tries = 0;
  frame.fail(new Error("no answer"), () => tries++);
  expect([banner.hidden, banner.textContent]).toEqual([false, "no answerTry againDismiss"]);
  const [again, dismiss] = banner.querySelectorAll("button");
  again!.click();
  expect([banner.hidden, tries]).toEqual([true, 1]);
  banner.hidden = false;
  dismiss!.click();
  expect([banner.hidden, tries]).toEqual([true, 1]);
});
