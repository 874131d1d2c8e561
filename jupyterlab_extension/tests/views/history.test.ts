import { describe, expect, it, vi } from "vitest";
import { FakeHost } from "../../dev/fake-host";
import { commitReply } from "../../dev/replies";
import { HostError } from "../../src/core/host";
import { mount } from "../../src/views/history/history";
import { allById, byId, disposeLater, key, place, settle } from "./page";

async function open(answers = {}, traits = {}) {
  const host = new FakeHost({ title: "ocean", selected: [], ...traits }, answers);
  const el = place();
  const dispose = disposeLater(mount(el, host));
  await settle();
  const list = el.querySelector<HTMLElement>('[role="listbox"]')!;
  return { host, el, dispose, list, rows: () => allById(el, "icechunk-history-row") };
}

const commit = (i: number, parent: string | null) => ({
  id: `C${i}`,
  parent,
  message: `commit ${i}`,
  time: "2026-01-01T00:00:00Z",
});

describe("history", () => {
  it("shows commits, refs and the session", async () => {
    const { el, rows } = await open();
    expect(rows()).toHaveLength(12);
    expect(rows()[0]!.textContent).toContain("Uncommitted changes");
    expect(rows()[1]!.textContent).toContain("main");
    expect(rows()[1]!.textContent).toContain("Reprocess the equatorial Pacific");
    expect(el.querySelector(".icechunk-counts")!.textContent).toBe("11 commits · 3 branches · 1 tag");
    expect(el.querySelectorAll("svg.icechunk-graph circle.icechunk-hollow")).toHaveLength(1);
    expect(el.querySelector("svg.icechunk-graph path.icechunk-dashed")).not.toBeNull();
  });

  it("draws merges with an edge to each parent, and a cut one to an expired parent", async () => {
    const commits = [
      { ...commit(0, "C2"), others: ["C1", "GONE"], origin: { kind: "merge" as const, of: [] } },
      commit(1, "C3"),
      { ...commit(2, "C3"), origin: { kind: "pick" as const, of: ["C1"] } },
      commit(3, null),
    ];
    const history = { commits, refs: [{ name: "main", id: "C0", kind: "branch" as const }], session: null, truncated: false };
    const { el, rows } = await open({ history: () => history });
    const edges = [...el.querySelectorAll("svg.icechunk-graph path.icechunk-merge")];
    expect(edges.map((edge) => edge.classList.contains("icechunk-dashed"))).toEqual([false, true]);
    const pane = el.querySelector(".icechunk-pane")!;
    expect(pane.textContent).toContain("Parents");
    expect([...pane.querySelectorAll("[data-goto]")].map((link) => (link as HTMLElement).dataset.goto)).toEqual(["C2", "C1"]);
    expect(pane.textContent).toContain("GONE expired");
    rows()[2]!.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await settle();
    expect(pane.textContent).toContain("Picked from");
  });

  it("selects by click and shows the changes of a commit", async () => {
    const { host, el, rows } = await open();
    rows()[3]!.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await settle();
    expect(host.get("selected")).toEqual(["5K1QPD8NVE63YJ0RA2WT"]);
    expect(rows()[3]!.getAttribute("aria-selected")).toBe("true");
    const pane = el.querySelector(".icechunk-pane")!;
    expect(pane.textContent).toContain("Append June 2024");
    expect(pane.textContent).toContain("/ocean/quality_flag");
    expect(pane.textContent).toContain("array · 108 chunks");
  });

  it("keeps the pressed row until it is released, so that the click arrives", async () => {
    const { host, list, rows } = await open();
    const row = rows()[3]!;
    row.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true }));
    list.dispatchEvent(new Event("scroll")); // draws, as news from the kernel does
    await settle();
    expect(row.isConnected).toBe(true);
    row.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
    row.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await settle();
    expect(host.get("selected")).toEqual([row.dataset.id]);
    expect(row.isConnected).toBe(false);
  });

  it("leaves an open form in place when the changes of the commit arrive", async () => {
    let answer: (reply: unknown) => void = () => undefined;
    const { el, rows } = await open({ commit: () => new Promise((resolve) => (answer = resolve)) });
    rows()[3]!.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await settle();
    byId(el, "icechunk-act-branch").click();
    const form = el.querySelector(".icechunk-actform")!;
    const removed: Node[] = [];
    const observer = new MutationObserver((records) => removed.push(...records.flatMap((one) => [...one.removedNodes])));
    observer.observe(el.querySelector(".icechunk-pane")!, { childList: true, subtree: true });
    answer(commitReply("5K1QPD8NVE63YJ0RA2WT"));
    await settle();
    observer.disconnect();
    expect(el.querySelector(".icechunk-pane")!.textContent).toContain("array · 108 chunks");
    expect(removed.filter((node) => node.contains(form))).toEqual([]);
  });

  it.each([{ ctrlKey: true }, { metaKey: true }, { shiftKey: true }])(
    "compares a second commit chosen with %o, older first",
    async (modifier) => {
      const { host, el, rows } = await open();
      rows()[1]!.dispatchEvent(new MouseEvent("click", { bubbles: true }));
      rows()[5]!.dispatchEvent(new MouseEvent("click", { bubbles: true, ...modifier }));
      await settle();
      expect(host.get("selected")).toEqual(["ZR8V4T2QKXW0M9C3B7HG", rows()[5]!.dataset.id]);
      const call = host.calls.find((c) => c.method === "diff_summary")!;
      expect(call.params).toEqual({ a: rows()[5]!.dataset.id, b: "ZR8V4T2QKXW0M9C3B7HG" });
      expect(allById(el, "icechunk-diff-node")).toHaveLength(6);
    },
  );

  it("handles keys and keeps them from the page", async () => {
    const { host, list } = await open();
    const outside = vi.fn();
    document.body.addEventListener("keydown", outside);
    key(list, "Home");
    expect(key(list, "ArrowDown").defaultPrevented).toBe(true);
    expect(host.get("selected")).toEqual(["ZR8V4T2QKXW0M9C3B7HG"]);
    key(list, "ArrowDown", { shiftKey: true });
    expect(host.get("selected")).toHaveLength(2);
    key(list, "Escape");
    expect(host.get("selected")).toHaveLength(1);
    key(list, "End");
    expect(host.get("selected")).toEqual(["1CECHNKREP0F1RSTCMT0"]);
    key(list, "a");
    expect(outside).not.toHaveBeenCalled();
    key(list, "Tab");
    expect(outside).toHaveBeenCalledTimes(1);
    document.body.removeEventListener("keydown", outside);
  });

  it("never puts a session's row into the selection of the kernel", async () => {
    const { host, rows, el } = await open();
    rows()[0]!.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await settle();
    expect(host.get("selected")).toEqual([]);
    expect(el.querySelector(".icechunk-pane")!.textContent).toContain("needs a rebase");
  });

  it("follows the selection of the kernel without sending it back", async () => {
    const { host, el } = await open();
    const before = host.calls.length;
    host.set("selected", ["R6N8ZKB3W5TQ2XV1MC0J"]);
    await settle();
    expect(el.querySelector(".icechunk-pane")!.textContent).toContain("Append April 2024");
    expect(host.calls.slice(before).filter((c) => c.method === "commit")).toHaveLength(1);
    expect(host.get("selected")).toEqual(["R6N8ZKB3W5TQ2XV1MC0J"]);
  });

  it("keeps only the rows on screen in the document", async () => {
    const commits = Array.from({ length: 20_000 }, (_, i) => commit(i, i < 19_999 ? `C${i + 1}` : null));
    const { el, rows, list, host } = await open({
      history: () => ({ commits, refs: [{ name: "main", id: "C0", kind: "branch" }], session: null, truncated: true }),
    });
    expect(rows().length).toBeLessThan(40);
    const fold = el.querySelector<HTMLElement>(".icechunk-fold")!;
    expect(rows()[0]!.getAttribute("aria-setsize")).toBe("34");
    expect(fold.textContent).toBe("Unfold 19\u202f967 commits");
    fold.click();
    await settle();
    expect(fold.textContent).toBe("Fold long runs");
    expect(rows()[0]!.getAttribute("aria-setsize")).toBe("20000");
    key(list, "End");
    await settle();
    expect(host.get("selected")).toEqual(["C19999"]);
    expect(rows().some((row) => row.dataset.id === "C19999")).toBe(true);
    expect(rows().length).toBeLessThan(40);
  });

  it("folds long straight runs and unfolds them in place", async () => {
    const commits = Array.from({ length: 80 }, (_, i) => commit(i, i < 79 ? `C${i + 1}` : null));
    const refs = [{ name: "main", id: "C0", kind: "branch" }, { name: "v1", id: "C60", kind: "tag" }];
    const { el, list, host } = await open({ history: () => ({ commits, refs, session: null, truncated: false }) });
    const folds = () => allById(el, "icechunk-history-fold");
    list.scrollTop = 1000;
    list.dispatchEvent(new Event("scroll"));
    await settle();
    expect(folds().map((row) => row.textContent)).toEqual(["⋯ 28 folded commits", "⋯ 16 folded commits"]);
    folds()[0]!.click();
    await settle();
    list.scrollTop = 60 * 28;
    list.dispatchEvent(new Event("scroll"));
    await settle();
    expect(folds()).toHaveLength(1);
    host.set("selected", ["C70"]); // in the other one
    await settle();
    expect(folds()).toHaveLength(0);
    expect(el.querySelector(".icechunk-pane")!.textContent).toContain("C70");
  });

  it("shows how much the commits on screen wrote", async () => {
    const { el, host } = await open({
      activity: ({ ids }: { ids: string[] }) =>
        Object.fromEntries(ids.map((id) => [id, id === "ZR8V4T2QKXW0M9C3B7HG" ? { chunks: 40, bytes: 51_000 } : null])),
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    const asked = host.calls.filter((c) => c.method === "activity");
    expect(asked).toHaveLength(1);
    expect(asked[0]!.params.ids).toHaveLength(11);
    expect(el.querySelectorAll(".icechunk-activitybar")).toHaveLength(1);
    expect(el.querySelector(".icechunk-activitybar")!.getAttribute("aria-label")).toBe("40 chunks, 51 kB written");
  });

  it("offers actions for a commit and shows the Python that they run", async () => {
    const { el, host, rows } = await open();
    rows()[5]!.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await settle();
    byId(el, "icechunk-act-branch").click();
    const field = el.querySelector<HTMLInputElement>(".icechunk-actform input")!;
    expect((byId(el, "icechunk-act-run") as HTMLButtonElement).disabled).toBe(true);
    field.value = "try";
    field.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(byId(el, "icechunk-act-python").textContent).toContain('repo.create_branch("try"');
    (byId(el, "icechunk-act-run") as HTMLButtonElement).click();
    await settle();
    const ran = host.calls.filter((c) => c.method === "action").at(-1)!.params;
    expect(ran).toMatchObject({ action: "branch", name: "try", run: true });
    expect(byId(el, "icechunk-done").textContent).toContain("Done as requested.");
    expect(byId(el, "icechunk-done").textContent).toContain("repo.create_branch");
  });

  it("says why an action is impossible, and keeps the form", async () => {
    const { el, host } = await open();
    host.failures.set("action", new HostError("x", "There is a tag of that name", "Choose another"));
    byId(el, "icechunk-act-checkout").click();
    await settle();
    expect(el.querySelector(".icechunk-actwarning")!.textContent).toContain("There is a tag of that name. Choose another");
    expect((byId(el, "icechunk-act-run") as HTMLButtonElement).disabled).toBe(true);
    expect(host.calls.filter((c) => c.params.run)).toHaveLength(0);
  });

  it.each([
    ["clean", "Clean: no conflicts, 3 changes in main.", [], false],
    ["same", "Nothing to do.", [], true],
    ["blocked", "The session on main has uncommitted changes.", [], true],
    ["conflicts", "2 conflicts.", [{ path: "/sst", title: "Chunk double update", chunks: 4 }], true],
  ])("shows the dry run of a merge before the click: %s", async (state, warning, nodes, disabled) => {
    const action = () => ({ python: "repo.merge('x', into='main')", warning, outcome: { state, chunks: 0, nodes } });
    const { el, host, rows } = await open({ action });
    rows()[5]!.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await settle();
    byId(el, "icechunk-act-merge").click();
    await settle();
    const asked = host.calls.filter((c) => c.method === "action").at(-1)!.params;
    expect(asked).toMatchObject({ action: "merge", name: "main" });
    expect(asked.run).toBeUndefined();
    expect(el.querySelector(".icechunk-actwarning")!.textContent).toBe(warning);
    expect((byId(el, "icechunk-act-run") as HTMLButtonElement).disabled).toBe(disabled);
    const listed = byId(el, "icechunk-act-conflicts");
    expect(listed.hidden).toBe(!nodes.length);
    if (nodes.length) expect(listed.textContent).toBe("/sstChunk double update, 4 chunks");
  });

  it("opens a merge session for conflicts where the kernel offers one", async () => {
    const nodes = [{ path: "/sst", title: "Chunk double update", chunks: 4 }];
    const outcome = { state: "conflicts", session: true, chunks: 4, nodes };
    const action = () => ({ python: "session = repo.merge_session('x')", warning: "1 conflict.", outcome });
    const { el, rows } = await open({ action });
    rows()[5]!.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await settle();
    byId(el, "icechunk-act-merge").click();
    await settle();
    const run = byId(el, "icechunk-act-run") as HTMLButtonElement;
    expect(run.textContent).toBe("Open a merge session");
    expect(run.disabled).toBe(false);
  });

  it("compares two commits below the history, with map and values", async () => {
    const { el, host, rows } = await open();
    rows()[2]!.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    rows()[6]!.dispatchEvent(new MouseEvent("click", { bubbles: true, ctrlKey: true }));
    await settle();
    byId(el, "icechunk-compare").click();
    await settle();
    const below = byId(el, "icechunk-below");
    expect(byId(below, "icechunk-grid")).toBeTruthy();
    const asked = host.calls.filter((c) => c.method === "compare").map((c) => c.params.method);
    expect(asked.slice(0, 4)).toEqual(["diff", "metadata", "chunk_map", "preview"]);
    below.querySelector<HTMLElement>(".icechunk-closebelow")!.click();
    expect(below.hidden).toBe(true);
    expect(below.childElementCount).toBe(0);
  });

  it("marks what a search finds and walks through it", async () => {
    const { el, host, rows } = await open();
    const search = el.querySelector<HTMLInputElement>('input[type="search"]')!;
    search.value = "append";
    search.dispatchEvent(new Event("input", { bubbles: true }));
    await settle();
    expect(el.querySelector(".icechunk-found")!.textContent).toBe("3 matches");
    expect(rows().filter((row) => row.classList.contains("icechunk-faint"))).toHaveLength(9);
    key(search, "Enter");
    expect(host.get("selected")).toEqual(["5K1QPD8NVE63YJ0RA2WT"]);
  });

  it("shows text from a repository as text", async () => {
    const evil = "<script>window.hacked = 1</script><img src=x onerror=alert(1)>";
    const { el } = await open({
      history: () => ({
        commits: [{ ...commit(1, null), message: evil, author: evil, metadata: { [evil]: evil } }],
        refs: [{ name: evil, id: "C1", kind: "tag" }],
        session: null,
        truncated: false,
      }),
      commit: () => ({ ...commit(1, null), message: evil, metadata: { [evil]: evil }, changes: { new_arrays: [`/${evil}`] } }),
    });
    expect(el.querySelector("script, img")).toBeNull();
    expect(el.textContent).toContain(evil);
  });

  it("shows for each branch whether it would rebase without conflicts", async () => {
    const { el, host, rows } = await open();
    await new Promise((resolve) => setTimeout(resolve, 250));
    const badges = () => allById(el, "icechunk-verdict").map((badge) => badge.firstElementChild!.textContent);
    expect(badges()).toEqual(["✕ 14 conflicts", "✕ 40 conflicts", "✓ rebases"]);
    expect(host.calls.find((c) => c.method === "rebases")!.params).toEqual({
      onto: "main",
      branches: ["", "main", "bias-correction", "ice-mask"],
    });
    rows()[2]!.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await settle();
    expect(byId(el, "icechunk-rebases").textContent).toContain("bias-correction: 40 chunk conflicts and 1 other conflict");
    expect(byId(el, "icechunk-rebases").textContent).toContain("Zarr metadata double update");
    const onto = el.querySelector<HTMLSelectElement>(".icechunk-foot select")!;
    onto.value = "ice-mask";
    onto.dispatchEvent(new Event("change"));
    expect(badges()).toHaveLength(3); // until the frame is drawn
    host.push({ event: "rebases", onto: "main", verdicts: {} }); // for branches that are no longer requested
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(host.calls.filter((c) => c.method === "rebases").at(-1)!.params.onto).toBe("ice-mask");
  });

  it("shows the contents of a commit and the Python that opens them", async () => {
    const { el, host } = await open();
    const tree = byId(el, "icechunk-tree") as HTMLDetailsElement;
    tree.open = true;
    tree.dispatchEvent(new Event("toggle"));
    await settle();
    expect(host.calls.filter((c) => c.method === "tree")).toHaveLength(1);
    expect(byId(el, "icechunk-open-python").textContent).toContain("xarray.open_zarr(session.store, group='ocean'");
    expect(tree.textContent).toContain("lat 90 × lon 180");
  });

  it("fetches messages on demand, and searches in the kernel until it has all", async () => {
    const commits = Array.from({ length: 600 }, (_, i) => commit(i, i < 599 ? `C${i + 1}` : null));
    const { el, host, list, rows } = await open({
      history: () => ({ commits, refs: [{ name: "main", id: "C0", kind: "branch" }], session: null, truncated: false }),
    });
    el.querySelector<HTMLElement>(".icechunk-fold")!.click();
    key(list, "End");
    await new Promise((resolve) => setTimeout(resolve, 250));
    const asked = host.calls.filter((c) => c.method === "rows");
    expect(asked).toHaveLength(1);
    expect(rows().at(-1)!.textContent).toContain("commit 599");
    const search = el.querySelector<HTMLInputElement>('input[type="search"]')!;
    search.value = "commit 57";
    search.dispatchEvent(new Event("input", { bubbles: true }));
    await settle();
    expect(host.calls.filter((c) => c.method === "search")).toHaveLength(1);
    expect(el.querySelector(".icechunk-found")!.textContent).toBe("11 matches");
  });

  it("shows an error with its hint and tries again", async () => {
    const host = new FakeHost({ title: "x", selected: [] });
    host.failures.set("history", new HostError("storage", "The bucket is gone.", "Check the credentials."));
    const el = place();
    disposeLater(mount(el, host));
    await settle();
    const banner = el.querySelector<HTMLElement>('[role="alert"]')!;
    expect(banner.hidden).toBe(false);
    expect(banner.textContent).toContain("The bucket is gone.");
    expect(banner.textContent).toContain("Check the credentials.");
    [...banner.querySelectorAll("button")].find((b) => b.textContent === "Try again")!.click();
    await settle();
    expect(banner.hidden).toBe(true);
    expect(allById(el, "icechunk-history-row")).toHaveLength(12);
  });

  it("loads again when the revision changes and says when there are no commits", async () => {
    const { host, el } = await open({
      history: () => ({ commits: [], refs: [], session: null, truncated: false }),
    });
    expect(el.textContent).toContain("No commits yet.");
    host.set("revision", 2);
    host.push({ event: "changed" });
    await settle();
    expect(host.calls.filter((c) => c.method === "history")).toHaveLength(3);
  });

  it("leaves no element and no listener behind", async () => {
    const { host, el, dispose } = await open();
    expect(host.listenerCount).toBeGreaterThan(0);
    dispose();
    expect(host.listenerCount).toBe(0);
    expect(el.childElementCount).toBe(0);
    expect(() => byId(el, "icechunk-history")).toThrow();
  });
});
