import { describe, expect, it } from "vitest";
import { FakeHost } from "../../dev/fake-host";
import { mount } from "../../src/views/diff/diff";
import { allById, byId, disposeLater, key, place, settle } from "./page";

async function open(answers = {}, traits = {}) {
  const host = new FakeHost({ title: "", selected_path: "", ...traits }, answers, "diff");
  const el = place();
  const dispose = disposeLater(mount(el, host));
  await settle();
  return { host, el, dispose, nodes: () => allById(el, "icechunk-diff-node") };
}

describe("diff", () => {
  it("lists the changed nodes and opens the array that changed most", async () => {
    const { host, el, nodes } = await open();
    expect(nodes().map((node) => node.dataset.path)).toEqual([
      "/archive/sst_v0",
      "/ocean",
      "/ocean/ice/fraction",
      "/ocean/quality_flag",
      "/ocean/sst",
      "/scratch/test_01",
    ]);
    expect(host.get("selected_path")).toBe("/ocean/sst");
    expect(el.querySelector(".icechunk-counts")!.textContent).toBe(
      "1 added · 1 removed · 3 changed · 1 moved · 173 changed chunks",
    );
    const canvas = byId(el, "icechunk-grid");
    expect(canvas.dataset).toMatchObject({ gridRows: "3", gridCols: "3" });
    expect(Number(canvas.dataset.cellWidth)).toBeGreaterThan(10);
    const preview = host.calls.filter((c) => c.method === "preview").at(-1)!;
    expect(preview.params).toEqual({ path: "/ocean/sst", chunk: [6, 0, 0], sides: ["before", "after"], index: null });
    expect(el.querySelector(".icechunk-delta")!.textContent).toContain("max |Δ|");
  });

  it("goes through the nodes with keys and explains nodes without chunks", async () => {
    const { host, el } = await open();
    const list = el.querySelector('[role="listbox"]')!;
    key(list, "Home");
    await settle();
    expect(host.get("selected_path")).toBe("/archive/sst_v0");
    expect(el.textContent).toContain("This array was moved; its content is the same.");
    key(list, "ArrowDown");
    await settle();
    expect(el.textContent).toContain("Only the metadata of this group changed");
    expect(el.querySelector<HTMLElement>(".icechunk-work")!.hidden).toBe(true);
  });

  it("hides kinds of changes", async () => {
    const { el, nodes } = await open();
    const chip = el.querySelector<HTMLButtonElement>('[data-change="changed"]')!;
    chip.click();
    expect(chip.getAttribute("aria-pressed")).toBe("false");
    expect(nodes()).toHaveLength(3);
    chip.click();
    expect(nodes()).toHaveLength(6);
  });

  it("moves over the chunks and requests values once the cursor rests", async () => {
    const { host, el } = await open();
    const canvas = byId(el, "icechunk-grid");
    const before = host.calls.length;
    for (let i = 0; i < 5; i++) key(canvas, "ArrowRight");
    key(canvas, "ArrowUp");
    key(canvas, "PageDown");
    await settle();
    const asked = host.calls.slice(before).filter((c) => c.method === "preview");
    expect(asked.map((c) => c.params.chunk)).toEqual([[7, 1, 2]]);
    expect(el.querySelector(".icechunk-gridstatus")!.textContent).toContain("Chunk [7, 1, 2]");
    key(canvas, "n");
    expect(el.querySelector(".icechunk-gridstatus")!.textContent).toContain("Chunk [7, 2, 0]");
  });

  it("colours changed chunks by how much they changed, and marks those rewritten with equal values", async () => {
    const { host, el } = await open();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const asked = host.calls.filter((c) => c.method === "magnitudes");
    expect(asked[0]!.params).toMatchObject({ path: "/ocean/sst" });
    // Only what is on screen: one slice of nine chunks, without those added, removed or the same.
    expect((asked[0]!.params.chunks as number[][]).every(([time]) => time === 6)).toBe(true);
    expect(el.querySelector(".icechunk-heat")!.textContent).toContain("Largest difference");
    const canvas = byId(el, "icechunk-grid");
    key(canvas, "ArrowRight");
    expect(el.querySelector(".icechunk-gridstatus")!.textContent).toMatch(/changed, largest difference \d/);
    key(canvas, "PageDown");
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(el.querySelector(".icechunk-legend")!.textContent).toContain("rewritten, same values 3");
  });

  it("shows metadata key by key, as text", async () => {
    const evil = "<img src=x onerror=alert(1)>";
    const { el } = await open({ metadata: () => ({ rows: [{ key: `attributes.${evil}`, change: "added", after: { [evil]: evil } }] }) });
    const table = byId(el, "icechunk-metadata");
    expect(table.hidden).toBe(false);
    expect(table.querySelector("summary")!.textContent).toBe("Metadata: 1 key");
    expect(table.textContent).toContain(evil);
    expect(el.querySelector("img")).toBeNull();
  });

  it("follows the kernel and says when nothing differs", async () => {
    const { host, el } = await open();
    host.set("selected_path", "/ocean/quality_flag");
    await settle();
    expect(el.querySelector('[aria-selected="true"]')!.textContent).toContain("quality_flag");
    const same = await open({
      diff: () => ({ a: { id: "A", label: "a" }, b: { id: "B", label: "b" }, nodes: [], counts: { added: 0, removed: 0, changed: 0, moved: 0, chunks: 0 } }),
    });
    expect(same.el.textContent).toContain("The two states are the same.");
  });

  it("shows paths and labels as text and cleans up", async () => {
    const evil = "<script>1</script>";
    const { el, host, dispose } = await open({
      diff: () => ({
        a: { id: "A", label: evil },
        b: { id: "B", label: evil },
        nodes: [{ path: `/${evil}`, type: "group", change: "moved", from: evil, metadata_changed: false, chunks_changed: 0, chunks_total: 0 }],
        counts: { added: 0, removed: 0, changed: 0, moved: 1, chunks: 0 },
      }),
    });
    expect(el.querySelector("script")).toBeNull();
    expect(el.querySelector(".icechunk-between")!.textContent).toContain(evil);
    dispose();
    expect(host.listenerCount).toBe(0);
  });

  it("maps the stored sizes, and returns to the changes", async () => {
    const { el, host } = await open();
    const kind = byId(el, "icechunk-mapkind") as HTMLSelectElement;
    kind.value = "size";
    kind.dispatchEvent(new Event("change"));
    await settle();
    expect(host.calls.filter((c) => c.method === "sizes").map((c) => c.params)).toEqual([{ path: "/ocean/sst" }]);
    expect(byId(el, "icechunk-sizes").textContent).toBe("96 chunks, 288 kB in main (ZR8V4T2Q)");
    const legend = () => [...el.querySelectorAll(".icechunk-legend .icechunk-key")].map((key) => key.textContent);
    expect(legend()[0]).toContain("not stored 12");
    expect(legend()).toHaveLength(7);
    expect(el.querySelector(".icechunk-gridstatus")!.textContent).toContain("kB");
    kind.value = "change";
    kind.dispatchEvent(new Event("change"));
    await settle();
    expect(legend().join()).toContain("changed");
    expect(legend().join()).not.toContain("not stored");
  });

  it("lists the commits that wrote the chunk at the cursor, searching in steps", async () => {
    const { el, host } = await open();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const asked = host.calls.filter((c) => c.method === "writers").map((c) => c.params);
    expect(asked).toEqual([
      { path: "/ocean/sst", chunk: [6, 0, 0], after: null },
      { path: "/ocean/sst", chunk: [6, 0, 0], after: "5K1QPD8NVE63YJ0RA2WT" },
    ]);
    const panel = byId(el, "icechunk-writers");
    expect([...panel.querySelectorAll("li")].map((row) => row.dataset.id)).toEqual([
      "ZR8V4T2QKXW0M9C3B7HG",
      "5K1QPD8NVE63YJ0RA2WT",
    ]);
    expect(panel.textContent).toContain("created the array");
    expect(panel.querySelector<HTMLElement>(".icechunk-link")!.hidden).toBe(true);
  });
});
