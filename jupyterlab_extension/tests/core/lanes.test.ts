import { describe, expect, it } from "vitest";
import { assignLanes, childrenFirst, rowsTouching } from "../../src/core/lanes";

const c = (id: string, parent: string | null) => ({ id, parent });

describe("childrenFirst", () => {
  it("keeps an order that is right already", () => {
    const list = [c("d", "b"), c("c", "a"), c("b", "a"), c("a", null)];
    expect(childrenFirst(list)).toEqual(list);
  });

  it("moves a parent with a newer clock below its children", () => {
    const ids = childrenFirst([c("a", null), c("c", "b"), c("b", "a")]).map((x) => x.id);
    expect(ids).toEqual(["c", "b", "a"]);
  });

  it("loses nothing of a damaged history", () => {
    expect(childrenFirst([c("a", "b"), c("b", "a"), c("x", null)])).toHaveLength(3);
  });
});

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
    const layout = assignLanes(commits, "m3");
    const lane = Object.fromEntries(commits.map((x, i) => [x.id, layout.lane[i]]));
    expect(lane).toEqual({ f2: 1, m3: 0, f1: 1, m2: 0, t1: 2, m1: 0, m0: 0 });
    expect(layout.width).toBe(3);
    expect([...layout.parent]).toEqual([2, 3, 5, 5, 5, 6, -1]);
    expect(layout.lineTop).toEqual([1, 0, 4]);
  });

  it("uses a lane again once its line has joined", () => {
    const list = [
      c("b1", "m2"),
      c("m3", "m2"),
      c("m2", "m1"),
      c("a1", "m1"),
      c("m1", null),
    ];
    const layout = assignLanes(list, "m3");
    expect([...layout.lane]).toEqual([1, 0, 0, 1, 0]);
    expect(layout.width).toBe(2);
  });

  it("works without a main line and with parents that are not listed", () => {
    const layout = assignLanes([c("b", "a"), c("z", null), c("a", "gone")], null);
    expect([...layout.lane]).toEqual([0, 1, 0]);
    expect(layout.parent[2]).toBe(-2);
  });

  it("never lets two lines share a lane at the same row", () => {
    let seed = 7;
    const random = (n: number) => ((seed = (seed * 1103515245 + 12345) & 0x7fffffff) >> 8) % n;
    const list = [c("0", null)];
    for (let i = 1; i < 400; i++) list.push(c(String(i), String(Math.max(0, i - 1 - random(12)))));
    list.reverse();
    const layout = assignLanes(list, "399");
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

  it("finds the rows whose lines are in view", () => {
    const layout = assignLanes(commits, "m3");
    expect(rowsTouching(layout, 3, 3).sort((a, b) => a - b)).toEqual([1, 2, 3]);
    expect(rowsTouching(layout, 6, 6)).toContain(6);
    expect(rowsTouching(layout, 0, 6)).toHaveLength(7);
  });

  it("lays out a hundred thousand commits in well under two seconds", () => {
    const list = Array.from({ length: 100_000 }, (_, i) =>
      c(String(i), i + 1 < 100_000 ? String(Math.min(99_999, i + 1 + (i % 7))) : null),
    );
    const start = performance.now();
    assignLanes(childrenFirst(list), "0");
    expect(performance.now() - start).toBeLessThan(2000);
  });
});
