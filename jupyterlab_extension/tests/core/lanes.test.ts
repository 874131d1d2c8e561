import { describe, expect, it } from "vitest";
import { arrange } from "../../src/core/arrangement";
import { assignLanes, EXPIRED, mergesTouching, NOT_LISTED, ROOT, rowsTouching } from "../../src/core/lanes";

interface Linked {
  id: string;
  parent: string | null;
}

const c = (id: string, parent: string | null): Linked => ({ id, parent });

function parents(list: Linked[]): Int32Array {
  const place = new Map(list.map((x, i) => [x.id, i]));
  return Int32Array.from(list, (x) => (x.parent === null ? ROOT : (place.get(x.parent) ?? NOT_LISTED)));
}

const layoutOf = (list: Linked[], main: string | null) =>
  assignLanes(parents(list), list.findIndex((x) => x.id === main));

/** Node's; CPU time does not depend on what else the machine does. */
declare const process: { cpuUsage(start?: object): { user: number; system: number } };

describe("assignLanes", () => {
  const commits = [
    c("f2", "f1"),
    c("m3", "m2"),
    c("f1", "m1"),
    c("m2", "m1"),
    c("t1", "m1"),
    c("m1", "m0"),
    c("m0", null),
  ];

  it("keeps the main line leftmost even when another branch is newer", () => {
    const layout = layoutOf(commits, "m3");
    const lane = Object.fromEntries(commits.map((x, i) => [x.id, layout.lane[i]]));
    expect(lane).toEqual({ f2: 1, m3: 0, f1: 1, m2: 0, t1: 2, m1: 0, m0: 0 });
    expect(layout.width).toBe(3);
    expect([...layout.parent]).toEqual([2, 3, 5, 5, 5, 6, -1]);
    expect(layout.lineTop).toEqual([1, 0, 4]);
  });

  it("reuses a lane once its line has joined another", () => {
    const list = [
      c("b1", "m2"),
      c("m3", "m2"),
      c("m2", "m1"),
      c("a1", "m1"),
      c("m1", null),
    ];
    const layout = layoutOf(list, "m3");
    expect([...layout.lane]).toEqual([1, 0, 0, 1, 0]);
    expect(layout.width).toBe(2);
  });

  it("works without a main line and with parents that are not listed", () => {
    const layout = layoutOf([c("b", "a"), c("z", null), c("a", "gone")], null);
    expect([...layout.lane]).toEqual([0, 1, 0]);
    expect(layout.parent[2]).toBe(-2);
  });

  it("never lets two lines share a lane at the same row", () => {
    let seed = 7;
    const random = (n: number) => ((seed = (seed * 1103515245 + 12345) & 0x7fffffff) >> 8) % n;
    const list = [c("0", null)];
    for (let i = 1; i < 400; i++) list.push(c(String(i), String(Math.max(0, i - 1 - random(12)))));
    list.reverse();
    const layout = layoutOf(list, "399");
    const taken = new Map<string, number>();
    list.forEach((_, i) => {
      const end = layout.parent[i]!;
      for (let row = i; row < Math.max(end, i + 1); row++) {
        const key = `${layout.lane[i]}@${row}`;
        expect(taken.has(key)).toBe(false);
        taken.set(key, i);
      }
    });
  });

  it("reserves the lane of a further parent from the merge on", () => {
    //            0 M (1, 3)  1 m1 (4)  2 x1 (4)  3 f1 (4)  4 root
    const above = Int32Array.from([1, 4, 4, 4, ROOT]);
    const layout = assignLanes(above, 0, Int32Array.from([0, 3]));
    expect([...layout.lane]).toEqual([0, 0, 2, 1, 0]);
    expect(layout.line[3]).not.toBe(layout.line[2]);
  });

  it("leads a merge to the lane in which the branch goes on", () => {
    //            0 f2 (2)  1 M (3, 2)  2 f1 (3)  3 root
    const layout = assignLanes(Int32Array.from([2, 3, 3, ROOT]), 1, Int32Array.from([1, 2]));
    expect([...layout.lane]).toEqual([1, 0, 1, 0]);
  });

  it("lets no line of another branch into the lane of a merge's edge", () => {
    let seed = 11;
    const random = (n: number) => ((seed = (seed * 1103515245 + 12345) & 0x7fffffff) >> 8) % n;
    const n = 300;
    const above = Int32Array.from({ length: n }, (_, i) => (i + 1 < n ? Math.min(n - 1, i + 1 + random(9)) : ROOT));
    const edges: number[] = [];
    for (let i = 0; i < n - 20; i += 1 + random(6)) edges.push(i, i + 1 + random(18));
    const layout = assignLanes(above, 0, Int32Array.from(edges));
    const line = new Map<string, number>();
    for (let i = 0; i < n; i++)
      for (let row = i; row < Math.max(above[i]!, i + 1); row++) line.set(`${layout.lane[i]}@${row}`, layout.line[i]!);
    for (let k = 0; k < edges.length; k += 2)
      for (let row = edges[k]! + 1; row < edges[k + 1]!; row++) {
        const other = line.get(`${layout.lane[edges[k + 1]!]}@${row}`);
        expect(other === undefined || other === layout.line[edges[k + 1]!]).toBe(true);
      }
  });

  it("finds the merges whose edges are in view", () => {
    const edges = Int32Array.from([0, 9, 2, 3, 4, EXPIRED]);
    const layout = assignLanes(Int32Array.from({ length: 10 }, (_, i) => (i < 9 ? i + 1 : ROOT)), 0, edges);
    expect(mergesTouching(layout, 4, 5)).toEqual([[0, 9], [4, EXPIRED]]);
    expect(mergesTouching(layout, 6, 9)).toEqual([[0, 9]]);
    expect(mergesTouching(layout, 0, 1)).toEqual([[0, 9]]);
  });

  it("finds the rows whose lines are in view", () => {
    const layout = layoutOf(commits, "m3");
    expect(rowsTouching(layout, 3, 3).sort((a, b) => a - b)).toEqual([1, 2, 3]);
    expect(rowsTouching(layout, 6, 6)).toContain(6);
    expect(rowsTouching(layout, 0, 6)).toHaveLength(7);
  });

  it("arranges 100,000 commits in less than a second of CPU time", () => {
    const n = 100_000;
    const above = Int32Array.from({ length: n }, (_, i) => (i + 1 < n ? Math.min(n - 1, i + 1 + (i % 7)) : ROOT));
    const start = process.cpuUsage();
    arrange(above, new Uint8Array(n), 0);
    const { user, system } = process.cpuUsage(start);
    expect((user + system) / 1e6).toBeLessThan(1);
  });
});

describe("arrange", () => {
  it("folds straight runs, their ends left, and keeps every commit's row", () => {
    const n = 60;
    const above = Int32Array.from({ length: n }, (_, i) => (i + 1 < n ? i + 1 : ROOT));
    const kept = new Uint8Array(n);
    kept[45] = 1;
    const held = arrange(above, kept, 0);
    expect(held.runs.map((run) => [run.hidden[0], run.hidden.at(-1)])).toEqual([
      [31, 43],
      [47, 57],
    ]);
    expect(held.hidden).toBe(24);
    expect(held.rows).toHaveLength(n - 24 + 2);
    expect(held.rows[held.rowOf[31]!]).toBe(-1);
    expect(held.rowOf[43]).toBe(held.rowOf[31]);
    expect(held.rows[held.rowOf[44]!]).toBe(44);
    expect([...held.layout.lane].every((lane) => lane === 0)).toBe(true);
    expect(held.layout.parent[held.rowOf[31]!]).toBe(held.rowOf[44]);
    expect(arrange(above, null, 0).rows).toHaveLength(n);
  });

  it("folds neither merges nor their parents", () => {
    const n = 80;
    const above = Int32Array.from({ length: n }, (_, i) => (i + 1 < n ? i + 1 : ROOT));
    const held = arrange(above, new Uint8Array(n), 0, Int32Array.from([50, 65, 60, EXPIRED]));
    for (const at of [50, 60, 65]) expect(held.rows[held.rowOf[at]!]).toBe(at);
    expect([...held.layout.merges]).toEqual([held.rowOf[50], held.rowOf[65], held.rowOf[60], EXPIRED]);
  });
});
