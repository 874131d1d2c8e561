import { describe, expect, it, vi } from "vitest";
import { FakeHost } from "../../dev/fake-host";
import { HostError } from "../../src/core/host";
import { mount } from "../../src/views/resolver/resolver";
import { allById, byId, disposeLater, key, place, settle } from "./page";

async function open(answers = {}) {
  const host = new FakeHost({ title: "", status: "pending" }, answers, "resolver");
  const el = place();
  const dispose = disposeLater(mount(el, host));
  await settle();
  const canvas = byId(el, "icechunk-grid");
  const decisions = () => host.calls.filter((call) => call.method === "decide").map((call) => call.params);
  return { host, el, dispose, canvas, decisions, counter: () => byId(el, "icechunk-counter").textContent };
}

function pointer(canvas: HTMLElement, type: string, row: number, col: number, options: PointerEventInit = {}): void {
  const { cellWidth, cellHeight, originX, originY } = canvas.dataset;
  canvas.dispatchEvent(
    new PointerEvent(type, {
      bubbles: true,
      cancelable: true,
      button: 0,
      pointerId: 1,
      clientX: Number(originX) + (col + 0.5) * Number(cellWidth),
      clientY: Number(originY) + (row + 0.5) * Number(cellHeight),
      ...options,
    }),
  );
}

function drag(canvas: HTMLElement, from: [number, number], to: [number, number], options: PointerEventInit = {}): void {
  pointer(canvas, "pointerdown", ...from, options);
  pointer(canvas, "pointermove", ...to, options);
  pointer(canvas, "pointerup", ...to, options);
}

describe("resolver", () => {
  it("starts at the first conflicting chunk with all sides named", async () => {
    const { host, el, counter } = await open();
    expect(counter()).toBe("41 of 41 decisions undecided");
    expect(allById(el, "icechunk-conflict-item").map((item) => item.textContent)).toEqual([
      expect.stringContaining("40 left of 40"),
      expect.stringContaining("undecided"),
    ]);
    expect(byId(el, "icechunk-keep-ours").textContent).toContain("Keep mine: Session on main");
    expect(byId(el, "icechunk-keep-ours").textContent).toContain("ours · 14 changes, not committed");
    expect(byId(el, "icechunk-keep-theirs").textContent).toContain("Keep theirs: main @ ZR8V4T2Q, Ana");
    expect(host.calls.filter((c) => c.method === "preview").at(-1)!.params).toEqual({
      path: "/ocean/sst",
      chunk: [4, 0, 1],
      sides: ["ours", "theirs", "base", "result"],
      index: null,
    });
    expect(el.querySelector(".icechunk-gridstatus")!.textContent).toContain("undecided");
    expect((byId(el, "icechunk-complete") as HTMLButtonElement).disabled).toBe(true);
  });

  it("decides the chunk at the cursor and goes on to the next", async () => {
    const { el, canvas, decisions, counter } = await open();
    key(canvas, "t");
    await settle();
    expect(decisions()).toEqual([
      { path: "/ocean/sst", type: "ChunkDoubleUpdate", choice: "theirs", runs: [37, 1] },
    ]);
    expect(counter()).toBe("40 of 41 decisions undecided");
    expect(el.querySelector(".icechunk-gridstatus")!.textContent).toContain("Chunk [4, 1, 0]");
    expect(el.querySelector('.icechunk-sr[role="status"]')!.textContent).toContain("1 chunk: keep theirs");
  });

  it("applies fast keys in order, each to the chunk on screen", async () => {
    const { canvas, decisions, counter } = await open();
    for (const name of ["o", "t", "b"]) key(canvas, name);
    key(canvas, "z", { ctrlKey: true });
    key(canvas, "a", { ctrlKey: true });
    key(canvas, "t");
    await settle();
    expect(decisions().map((d) => [d.choice, d.runs])).toEqual([
      ["ours", [37, 1]],
      ["theirs", [39, 1]],
      ["base", [40, 1]],
      ["theirs", null],
    ]);
    expect(counter()).toBe("1 of 41 decisions undecided");
  });

  it("decides a rectangle: only conflicting chunks count, runs cross the rest", async () => {
    const { el, canvas, decisions } = await open();
    drag(canvas, [0, 0], [1, 2]);
    expect(el.querySelector(".icechunk-scope")!.textContent).toBe("Decide for 4 selected chunks");
    byId(el, "icechunk-keep-ours").click();
    await settle();
    // Chunk 38 is in the rectangle but in no conflict, so the run may cross it.
    expect(decisions()[0]).toMatchObject({ choice: "ours", runs: [37, 5] });
    expect(el.querySelector(".icechunk-legend")!.textContent).toContain("keep mine 4");
  });

  it("adds with Shift and removes with Alt", async () => {
    const { el, canvas } = await open();
    const scope = () => el.querySelector(".icechunk-scope")!.textContent;
    drag(canvas, [0, 0], [0, 2]);
    expect(scope()).toBe("Decide for 1 selected chunk");
    drag(canvas, [1, 0], [1, 2], { shiftKey: true });
    expect(scope()).toBe("Decide for 4 selected chunks");
    drag(canvas, [0, 1], [1, 1], { altKey: true });
    expect(scope()).toBe("Decide for 2 selected chunks");
    drag(canvas, [2, 1], [2, 1]);
    expect(scope()).toBe("Decide for 1 selected chunk");
    key(canvas, "Escape");
    expect(scope()).toBe("Decide for chunk [4, 2, 1]");
  });

  it("selects a rectangle in every slice if that is checked", async () => {
    const { el, canvas, decisions } = await open();
    const box = el.querySelector<HTMLInputElement>("[data-every]")!;
    box.checked = true;
    box.dispatchEvent(new Event("input", { bubbles: true }));
    drag(canvas, [0, 0], [0, 2]);
    expect(el.querySelector(".icechunk-scope")!.textContent).toBe("Decide for 8 selected chunks");
    byId(el, "icechunk-keep-base").click();
    await settle();
    expect(decisions()[0]!.runs).toEqual([37, 1, 46, 1, 55, 1, 64, 1, 73, 1, 82, 1, 91, 1, 100, 1]);
  });

  it("selects with keys: space, shift and arrows, control A, invert, none", async () => {
    const { el, canvas, decisions } = await open();
    const scope = () => el.querySelector(".icechunk-scope")!.textContent;
    key(canvas, " ");
    expect(scope()).toBe("Decide for 1 selected chunk");
    key(canvas, " ");
    key(canvas, "ArrowUp", { shiftKey: true });
    key(canvas, "ArrowUp", { shiftKey: true });
    expect(scope()).toBe("Decide for 3 selected chunks");
    [...el.querySelectorAll("button")].find((b) => b.textContent === "Invert")!.click();
    expect(scope()).toBe("Decide for 37 selected chunks");
    key(canvas, "a", { ctrlKey: true });
    expect(scope()).toBe("Decide for 40 selected chunks");
    key(canvas, "b");
    await settle();
    expect(decisions()[0]).toMatchObject({ choice: "base", runs: null });
  });

  it("draws latitudes north up: row 0 is the lowest, and Up goes north", async () => {
    const { el, canvas } = await open();
    const { cellHeight, originY, gridRows, flipY } = canvas.dataset;
    expect(flipY).toBe("true");
    expect(Number(cellHeight)).toBeLessThan(0);
    expect(Number(originY) + Number(gridRows) * Number(cellHeight)).toBeGreaterThan(0);
    key(canvas, "ArrowUp");
    expect(el.querySelector(".icechunk-gridstatus")!.textContent).toContain("Chunk [4, 1, 1]");
    key(canvas, "ArrowDown");
    expect(el.querySelector(".icechunk-gridstatus")!.textContent).toContain("Chunk [4, 0, 1]");
    pointer(canvas, "pointermove", 2, 0);
    expect(el.querySelector(".icechunk-gridstatus")!.textContent).toContain("Chunk [4, 2, 0]");
  });

  it("offers a commit message and keeps typed text", async () => {
    const { host, el } = await open();
    const field = byId(el, "icechunk-message") as HTMLInputElement;
    expect(field.value).toBe("Merge my corrections");
    field.value = "My own words";
    host.set("revision", 2);
    await settle();
    expect(field.value).toBe("My own words");
  });

  it("merges by element, and asks about elements that both changed", async () => {
    const { host, el, canvas, counter } = await open();
    const merges = () => host.calls.filter((c) => c.method === "merge").map((c) => c.params);
    key(canvas, "a", { ctrlKey: true });
    key(canvas, "m");
    await settle();
    expect(merges()).toEqual([{ path: "/ocean/sst", runs: null, both: null, seconds: 0.8 }]);
    expect(counter()).toBe("2 of 41 decisions undecided");
    const ask = el.querySelector<HTMLElement>(".icechunk-ask")!;
    expect(ask.textContent).toContain("1 chunk holds 12 elements that both changed");
    byId(el, "icechunk-both-theirs").click();
    await settle();
    expect(merges()[1]).toMatchObject({ both: "theirs", runs: null });
    expect(counter()).toBe("1 of 41 decisions undecided");
    expect(ask.hidden).toBe(true);
    expect(el.querySelector(".icechunk-legend")!.textContent).toContain("merge elements, mine where both 39");
  });

  it("shows how many elements of the chunk each side changed", async () => {
    const { el } = await open();
    await new Promise((resolve) => setTimeout(resolve, 350));
    expect(byId(el, "icechunk-cells").textContent).toBe(
      "Elements changed in this chunk: 120 by me, 83 by them, 12 by both",
    );
  });

  it("counts the chunks that a rule applies to before it decides", async () => {
    const { host, el, counter } = await open();
    const details = el.querySelector<HTMLDetailsElement>(".icechunk-rules")!;
    details.open = true;
    details.dispatchEvent(new Event("toggle"));
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(byId(el, "icechunk-takes").textContent).toBe("applies to 7 of 40 undecided chunks");
    expect(counter()).toBe("41 of 41 decisions undecided");
    byId(el, "icechunk-apply").click();
    await settle();
    expect(host.calls.filter((c) => c.params.apply)).toHaveLength(1);
    expect(counter()).not.toBe("41 of 41 decisions undecided");
  });

  it("checks many chunks in steps, and can be stopped", async () => {
    let looked = 0;
    const rule = (params: { apply?: boolean }) => {
      if (!params.apply) looked = Math.min(9000, looked + 2000);
      return { takes: looked / 2, looked, of: 9000, unreadable: 3, parts: [] };
    };
    const { host, el } = await open({ rule });
    const details = el.querySelector<HTMLDetailsElement>(".icechunk-rules")!;
    details.open = true;
    details.dispatchEvent(new Event("toggle"));
    await new Promise((resolve) => setTimeout(resolve, 400));
    const text = () => byId(el, "icechunk-takes").textContent!.replaceAll("\u202f", ",");
    expect(text()).toBe("applies to 1,000 of 2,000 checked of 9,000 undecided chunks; 3 cannot be read");
    byId(el, "icechunk-onward").click();
    await settle();
    expect(text()).toBe("applies to 4,500 of 9,000 undecided chunks; 3 cannot be read");
    expect(byId(el, "icechunk-onward").hidden).toBe(true);
    expect(host.calls.filter((c) => c.method === "rule")).toHaveLength(5);

    const merging = await open({ merge: () => ({ done: false, looked: 100, of: 9000 }) });
    key(merging.canvas, "m");
    await settle();
    expect(merging.el.querySelector(".icechunk-ask")!.textContent).toMatch(/Compared 100 of 9.000 chunks/);
    byId(merging.el, "icechunk-stop").click();
    await settle();
    const asked = merging.host.calls.length;
    await settle();
    expect(merging.host.calls.length).toBe(asked);
    expect(merging.counter()).toBe("41 of 41 decisions undecided");
  });

  it("selects by ranges of elements along dimensions", async () => {
    const { el, canvas, decisions } = await open();
    const picker = byId(el, "icechunk-ranges");
    const fields = [...picker.querySelectorAll<HTMLInputElement>("input")];
    expect(fields.map((field) => field.getAttribute("aria-label")).slice(0, 2)).toEqual([
      expect.stringMatching(/ from element$/),
      expect.stringMatching(/ to element$/),
    ]);
    const [from, to] = fields as [HTMLInputElement, HTMLInputElement];
    const size = Number(to.max) + 1;
    to.value = String(size - 1);
    from.value = String(size);
    from.dispatchEvent(new Event("input", { bubbles: true }));
    expect(picker.querySelector("output")!.textContent).toBe("nothing");
    from.value = "0";
    from.dispatchEvent(new Event("input", { bubbles: true }));
    key(from, "Enter");
    expect(picker.textContent).toContain("40 chunks selected");
    key(canvas, "b");
    await settle();
    expect(decisions()).toEqual([expect.objectContaining({ choice: "base", runs: null })]);
  });

  it("shows that the branch has moved, and checks again on request", async () => {
    const { host, el } = await open();
    host.push({ event: "moved", notice: "main has moved to <b>Z", closed: false });
    expect(el.querySelector(".icechunk-notice")!.textContent).toContain("main has moved to <b>Z");
    byId(el, "icechunk-renew").click();
    await settle();
    expect(host.calls.map((call) => call.method)).toContain("renew");
    host.push({ event: "moved", notice: "committed elsewhere", closed: true });
    expect(el.querySelector(".icechunk-notice button")).toBeNull();
  });

  it("shows why a chunk cannot be read, beside the other sides", async () => {
    const { el } = await open({
      preview: () => ({
        path: "/ocean/sst", chunk: [4, 0, 1], shape: [1, 1], axes: ["y", "x"], extent: { y: null, x: null },
        origin: [0, 0, 0], vmin: 0, vmax: 1, fill: null, other_axes: [], difference: null, dtype: "f4",
        sides: ["ours", "theirs", "base"].map((side) => ({
          side, label: side, stats: { count: 1, nan: 0, min: 1, max: 1, mean: 1 },
          ...(side === "theirs" ? { unread: "a chunk cannot be decoded" } : {}),
        })),
      }),
    });
    await settle();
    expect(el.querySelector(".icechunk-card-theirs .icechunk-stats")!.textContent).toBe("a chunk cannot be decoded");
    expect(el.querySelector(".icechunk-card-ours .icechunk-stats")!.textContent).toContain("mean");
  });

  it("lists borders with large jumps and goes to them", async () => {
    const { el, canvas } = await open();
    key(canvas, "n");
    byId(el, "icechunk-seams").click();
    await settle();
    expect(el.querySelector(".icechunk-seams")!.textContent).toContain("Large jumps at 1 of 14 borders between chunks");
    el.querySelector<HTMLElement>(".icechunk-seams button")!.click();
    expect(el.querySelector(".icechunk-gridstatus")!.textContent).toContain("Chunk [4, 0, 1]");
  });

  it("offers no changes in a saved copy", async () => {
    const host = new FakeHost({ title: "", status: "pending", saved: "2026-01-01T00:00:00Z" }, {}, "resolver");
    const el = place();
    disposeLater(mount(el, host));
    await settle();
    expect(el.textContent).toContain("Saved copy of 2026-01-01 00:00:00 UTC");
    key(byId(el, "icechunk-grid"), "t");
    key(byId(el, "icechunk-grid"), "m");
    await settle();
    expect(host.calls.filter((c) => ["decide", "merge", "cells"].includes(c.method))).toEqual([]);
  });

  it("keeps its keys from the notebook", async () => {
    const { canvas, el } = await open();
    const outside = vi.fn();
    document.body.addEventListener("keydown", outside);
    for (const name of ["a", "b", "x", "ArrowDown", "Escape"]) key(canvas, name);
    expect(outside).not.toHaveBeenCalled();
    expect(canvas.hasAttribute("data-lm-suppress-shortcuts")).toBe(true);
    expect(byId(el, "icechunk-keep-ours").hasAttribute("data-lm-suppress-shortcuts")).toBe(true);
    document.body.removeEventListener("keydown", outside);
  });

  it("undoes and redoes with the keyboard and reads the map again", async () => {
    const { host, canvas, counter } = await open();
    key(canvas, "o");
    await settle();
    key(canvas, "z", { ctrlKey: true });
    await settle();
    expect(counter()).toBe("41 of 41 decisions undecided");
    expect(host.calls.at(-1)!.method).toMatch(/chunk_map|preview|cells/);
    key(canvas, "z", { ctrlKey: true, shiftKey: true });
    await settle();
    expect(counter()).toBe("40 of 41 decisions undecided");
  });

  it("resolves a node conflict and clears a decision", async () => {
    const { el, decisions, counter } = await open();
    allById(el, "icechunk-conflict-item")[1]!.click();
    await settle();
    expect(byId(el, "icechunk-keep-base").hidden).toBe(true);
    byId(el, "icechunk-keep-theirs").click();
    await settle();
    expect(decisions()).toEqual([
      { path: "/ocean/sst", type: "ZarrMetadataDoubleUpdate", choice: "theirs", runs: null },
    ]);
    expect(byId(el, "icechunk-keep-theirs").getAttribute("aria-pressed")).toBe("true");
    expect(counter()).toBe("40 of 41 decisions undecided");
    key(byId(el, "icechunk-keep-theirs"), "u");
    await settle();
    expect(decisions()[1]!.choice).toBeNull();
    expect(counter()).toBe("41 of 41 decisions undecided");
  });

  it("merges metadata by key, once every key that both changed has a choice", async () => {
    const { el, decisions, counter } = await open();
    allById(el, "icechunk-conflict-item")[1]!.click();
    await settle();
    const panel = byId(el, "icechunk-node-conflict");
    expect(panel.hidden).toBe(false);
    expect(panel.textContent).toContain("They changed its metadata.");
    expect(panel.textContent).toContain("<b>corrected</b>");
    expect(panel.querySelector("b")).toBeNull();
    const merge = byId(el, "icechunk-merge-keys") as HTMLButtonElement;
    expect(merge.disabled).toBe(true);
    expect(panel.textContent).toContain("1 key changed by both still to choose");
    const pick = (pointer: string, side: string): void => {
      const input = panel.querySelector<HTMLInputElement>(`[data-pointer="${pointer}"][value="${side}"]`)!;
      input.checked = true;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    };
    expect(panel.querySelector<HTMLInputElement>('[data-pointer="/shape"][value="theirs"]')!.checked).toBe(true);
    pick("/attributes/units", "theirs");
    expect(merge.disabled).toBe(false);
    pick("/attributes/history", "base");
    merge.click();
    await settle();
    expect(decisions()).toMatchObject([
      { choice: "merge", keys: { "/attributes/units": "theirs", "/attributes/history": "base" } },
    ]);
    expect(counter()).toBe("40 of 41 decisions undecided");
    expect(byId(el, "icechunk-rename").closest<HTMLElement>(".icechunk-nodeline")!.hidden).toBe(true);
    allById(el, "icechunk-conflict-item")[0]!.click();
    await settle();
    expect(panel.hidden).toBe(true);
  });

  async function finish(message = "") {
    const opened = await open();
    const { el } = opened;
    byId(el, "icechunk-select-all").click();
    byId(el, "icechunk-keep-ours").click();
    await settle();
    allById(el, "icechunk-conflict-item")[1]!.click();
    byId(el, "icechunk-keep-ours").click();
    await settle();
    const complete = byId(el, "icechunk-complete") as HTMLButtonElement;
    (byId(el, "icechunk-message") as HTMLInputElement).value = message;
    return { ...opened, complete };
  }

  it("completes when nothing is undecided and shows the new snapshot", async () => {
    const { host, el, complete, counter } = await finish(" Merge ");
    expect(counter()).toBe("All 41 decisions made");
    expect(complete.disabled).toBe(false);
    complete.click();
    expect(complete.disabled).toBe(true);
    await settle();
    expect(host.calls.at(-1)).toMatchObject({ method: "complete", params: { message: "Merge" } });
    expect(byId(el, "icechunk-result").textContent).toContain("Committed to main: Merge");
    expect(byId(el, "icechunk-result").textContent).toContain("H2V9M6QX");
    expect(complete.disabled).toBe(true);
  });

  it("opens again for a further conflicting commit, with a notice", async () => {
    const { host, el, complete } = await finish();
    vi.spyOn(host, "push").mockImplementation(() => undefined);
    complete.click();
    await settle();
    vi.restoreAllMocks();
    host.states.fill(1, 36, 40); // two chunks more than before
    host.push({ event: "state", notice: "A newer commit conflicts too." });
    await settle();
    expect(el.querySelector(".icechunk-notice")!.textContent).toBe("A newer commit conflicts too.");
    expect(byId(el, "icechunk-counter").textContent).toBe("4 of 43 decisions undecided");
    expect(complete.disabled).toBe(true);
  });

  it("shows why completing failed and lets the user go on", async () => {
    const { host, el, complete } = await finish();
    host.failures.set("complete", new HostError("conflict", "The branch moved.", "Try again."));
    complete.click();
    await settle();
    expect(byId(el, "icechunk-result").textContent).toContain("The branch moved. Try again.");
    expect(complete.disabled).toBe(false);
  });

  it("shows an error of a decision and changes nothing", async () => {
    const { host, el, canvas, counter } = await open();
    host.failures.set("decide", new HostError("timeout", "The kernel did not answer within 30 s."));
    key(canvas, "o");
    await settle();
    const alert = el.querySelector('[role="alert"]')!;
    expect(alert.textContent).toContain("did not answer");
    expect(counter()).toBe("41 of 41 decisions undecided");
    expect(el.querySelector(".icechunk-legend")!.textContent).toContain("undecided 40");
    [...alert.querySelectorAll("button")].find((b) => b.textContent === "Try again")!.click();
    await settle();
    expect(counter()).toBe("40 of 41 decisions undecided");
    expect(el.querySelector(".icechunk-legend")!.textContent).toContain("undecided 39");
  });

  it("shows what a chunk will be once it is decided", async () => {
    const { host, el, canvas } = await open();
    const card = el.querySelector<HTMLElement>(".icechunk-card-result")!;
    expect(card.textContent).toContain("not decided yet");
    key(canvas, "t");
    await settle();
    drag(canvas, [0, 1], [0, 1]);
    await settle();
    const asked = host.calls.filter((call) => call.method === "preview").at(-1)!;
    expect(asked.params).toMatchObject({ chunk: [4, 0, 1] });
    const theirs = el.querySelector<HTMLElement>(".icechunk-card-theirs .icechunk-stats")!;
    expect(card.querySelector(".icechunk-stats")!.textContent).toBe(theirs.textContent);
    expect(byId(el, "icechunk-preview-result").getAttribute("aria-label")).toContain("Result: mean");
  });

  it("cancels and closes", async () => {
    const { host, el } = await open();
    byId(el, "icechunk-cancel").click();
    await settle();
    expect(host.calls.map((call) => call.method)).toContain("cancel");
    expect(byId(el, "icechunk-result").textContent).toContain("The session is as it was.");
    expect((byId(el, "icechunk-cancel") as HTMLButtonElement).disabled).toBe(true);
  });

  it("shows the decisions as Python, as text", async () => {
    const { el } = await open({ script: () => ({ text: "<script>x</script>" }) });
    [...el.querySelectorAll("button")].find((b) => b.textContent === "Show as Python")!.click();
    await settle();
    expect(el.querySelector("pre")!.textContent).toBe("<script>x</script>");
    expect(el.querySelector("script")).toBeNull();
  });

  it("leaves no listener behind", async () => {
    const { host, el, dispose } = await open();
    dispose();
    expect(host.listenerCount).toBe(0);
    expect(el.childElementCount).toBe(0);
  });
});
