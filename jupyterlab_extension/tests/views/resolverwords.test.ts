import { expect, it } from "vitest";
import { FakeHost } from "../../dev/fake-host";
import { mount } from "../../src/views/resolver/resolver";
import { byId, disposeLater, place, settle } from "./page";

async function open(traits: Record<string, unknown>): Promise<HTMLElement> {
  const el = place();
  disposeLater(mount(el, new FakeHost({ title: "", status: "pending", ...traits }, {}, "resolver")));
  await settle();
  return el;
}

it("speaks of source and target in a merge", async () => {
  const el = await open({ merging: true });
  expect(byId(el, "icechunk-keep-ours").textContent).toContain("Keep source");
  expect(byId(el, "icechunk-keep-theirs").textContent).toContain("Keep target");
  expect(byId(el, "icechunk-complete").textContent).toBe("Complete merge and commit");
  expect(el.querySelector(".icechunk-between")!.textContent).toMatch(/^merge into /);
  for (const part of el.querySelectorAll("*")) {
    const own = [...part.childNodes].filter((node) => node.nodeType === 3).map((node) => node.textContent ?? "");
    for (const text of [...own, part.getAttribute("aria-label") ?? ""])
      expect(text).not.toMatch(/\b(mine|theirs|rebased?|by me|by them)\b/i);
  }
});

it("speaks of mine and theirs in a rebase", async () => {
  const el = await open({});
  expect(byId(el, "icechunk-keep-ours").textContent).toContain("Keep mine");
  expect(byId(el, "icechunk-complete").textContent).toBe("Complete rebase and commit");
});
