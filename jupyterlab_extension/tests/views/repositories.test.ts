import { describe, expect, it, vi } from "vitest";
import { repositories } from "../../dev/repositories";
import { mount, type PanelState } from "../../src/views/repositories";
import { place } from "./page";

function open(state: PanelState) {
  const el = place();
  const onRefresh = vi.fn();
  const view = mount(el, { onRefresh });
  view.show(state);
  return { el, view, onRefresh };
}

describe("repositories", () => {
  it("lists repositories with branches, tags and sessions", () => {
    const { el } = open({ state: "ready", reply: repositories() });
    expect(el.querySelectorAll("details")).toHaveLength(2);
    expect(el.textContent).toContain("s3://climate-archive/ocean-sst");
    expect(el.querySelectorAll(".icechunk-refrow")).toHaveLength(5);
    expect(el.querySelector(".icechunk-current")!.textContent).toContain("main");
    expect(el.textContent).toContain("14 changes not committed");
  });

  it.each<[PanelState, string]>([
    [{ state: "no-kernel" }, "No kernel is running here."],
    [{ state: "missing" }, "This kernel does not have icechunk."],
    [{ state: "not-python", language: "R" }, "This kernel runs R, not Python."],
    [{ state: "failed", message: "ValueError: <b>x</b>" }, "ValueError: <b>x</b>"],
    [{ state: "ready", reply: { repositories: [], version: "" } }, "%load_ext icechunk"],
  ])("explains %o", (state, text) => {
    const { el } = open(state);
    expect(el.textContent).toContain(text);
    expect(el.querySelector("p b")).toBeNull();
  });

  it("keeps closed repositories closed", () => {
    const { el, view } = open({ state: "ready", reply: repositories() });
    const first = el.querySelector("details")!;
    first.open = false;
    first.dispatchEvent(new Event("toggle"));
    view.show({ state: "ready", reply: repositories() });
    expect([...el.querySelectorAll("details")].map((d) => d.open)).toEqual([false, true]);
  });

  it("refreshes on request and disappears when disposed", () => {
    const { el, view, onRefresh } = open({ state: "no-kernel" });
    el.querySelector("button")!.click();
    expect(onRefresh).toHaveBeenCalledTimes(1);
    view.dispose();
    expect(el.childElementCount).toBe(0);
  });
});
