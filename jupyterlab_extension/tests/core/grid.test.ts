import { describe, expect, it } from "vitest";
import { ChunkGrid } from "../../src/core/grid";
import { eachIndex, packIndices, packMask, packMaskOver, runCount, unpack } from "../../src/core/runs";

describe("runs", () => {
  it("packs a mask and gives it back", () => {
    const mask = Uint8Array.from([0, 1, 1, 0, 1, 0, 0, 1]);
    expect(packMask(mask)).toEqual([1, 2, 4, 1, 7, 1]);
    expect(unpack(packMask(mask))).toEqual([1, 2, 4, 7]);
    expect(runCount(packMask(mask))).toBe(4);
  });

  it("bridges positions that cannot be touched", () => {
    const mask = Uint8Array.from([1, 0, 1, 0, 1]);
    const touchable = Uint8Array.from([1, 0, 1, 1, 1]);
    expect(packMaskOver(mask, touchable)).toEqual([0, 3, 4, 1]);
  });

  it("sorts and merges loose indices", () => {
    expect(packIndices([5, 3, 4, 9, 3])).toEqual([3, 3, 9, 1]);
    expect(packIndices([])).toEqual([]);
  });

  it("does not leave the grid", () => {
    const seen: number[] = [];
    eachIndex([-2, 4, 8, 5], 10, (i) => seen.push(i));
    expect(seen).toEqual([0, 1, 8, 9]);
  });
});

describe("ChunkGrid", () => {
  const grid = new ChunkGrid([12, 3, 4]);

  it("turns flat indices into coordinates and back", () => {
    for (const flat of [0, 1, 4, 12, 143]) expect(grid.flat(grid.coords(flat))).toBe(flat);
    expect(grid.coords(17)).toEqual([1, 1, 1]);
    expect(grid.size).toBe(144);
  });

  it("shows the last two axes first", () => {
    const slice = grid.defaultSlice(17);
    expect(slice).toEqual({ y: 1, x: 2, fixed: [1, 1, 1] });
    expect([grid.rows(slice), grid.cols(slice)]).toEqual([3, 4]);
    expect(grid.fixedAxes(slice)).toEqual([0]);
    expect(grid.cell(slice, 1, 1)).toBe(17);
    expect(grid.locate(slice, 17)).toEqual({ row: 1, col: 1, inSlice: true });
    expect(grid.locate(slice, 29).inSlice).toBe(false);
  });

  it("prefers axes that have several chunks", () => {
    expect(new ChunkGrid([5, 6, 1]).defaultSlice()).toMatchObject({ y: 0, x: 1 });
    expect(new ChunkGrid([5, 1, 6, 1]).defaultSlice()).toMatchObject({ y: 0, x: 2 });
    expect(new ChunkGrid([1, 1, 6]).defaultSlice()).toMatchObject({ y: 1, x: 2 });
    expect(new ChunkGrid([1, 1, 1]).defaultSlice()).toMatchObject({ y: 1, x: 2 });
  });

  it("cuts a slice along any two axes", () => {
    const values = Uint8Array.from({ length: 144 }, (_, i) => i);
    const slice = { y: 2, x: 0, fixed: [0, 1, 0] };
    const cut = grid.slice(values, slice);
    expect(cut).toHaveLength(48);
    expect(cut[0]).toBe(grid.flat([0, 1, 0]));
    expect(cut[1]).toBe(grid.flat([1, 1, 0]));
    expect(cut[12]).toBe(grid.flat([0, 1, 1]));
  });

  it("makes runs of rectangles", () => {
    const slice = grid.defaultSlice(12);
    expect(grid.rectangle(slice, { row: 0, col: 1 }, { row: 1, col: 2 })).toEqual([13, 2, 17, 2]);
    expect(grid.rectangle(slice, { row: 2, col: 3 }, { row: 1, col: 0 })).toEqual([16, 8]);
    expect(grid.rectangle(slice, { row: 0, col: 0 }, { row: 2, col: 3 }, true)).toEqual([0, 144]);
  });

  it("agrees with the plain definition of a box", () => {
    const g = new ChunkGrid([3, 4, 2, 5]);
    for (const [low, high] of [
      [[0, 0, 0, 0], [3, 4, 2, 5]],
      [[1, 1, 0, 0], [2, 3, 2, 5]],
      [[0, 3, 1, 2], [3, 4, 2, 4]],
      [[2, 0, 0, 4], [3, 4, 1, 5]],
    ] as [number[], number[]][]) {
      const wanted = Array.from({ length: g.size }, (_, i) => i).filter((i) =>
        g.coords(i).every((c, axis) => c >= low[axis]! && c < high[axis]!),
      );
      expect(unpack(g.box(low, high))).toEqual(wanted);
      expect(g.box(low, high)).toEqual(packIndices(wanted));
    }
    expect(g.box([0, 2, 0, 0], [3, 2, 2, 5])).toEqual([]);
  });

  it("handles one axis and none", () => {
    const line = new ChunkGrid([7]);
    const slice = line.defaultSlice();
    expect([line.rows(slice), line.cols(slice)]).toEqual([1, 7]);
    expect(line.rectangle(slice, { row: 0, col: 2 }, { row: 0, col: 4 })).toEqual([2, 3]);
    const point = new ChunkGrid([]);
    expect(point.size).toBe(1);
    expect(point.rectangle(point.defaultSlice(), { row: 0, col: 0 }, { row: 0, col: 0 })).toEqual([0, 1]);
    expect(point.coords(0)).toEqual([]);
  });

  it("counts along an axis", () => {
    const values = new Uint8Array(144);
    values[grid.flat([2, 0, 1])] = 1;
    values[grid.flat([2, 2, 3])] = 1;
    values[grid.flat([5, 1, 1])] = 2;
    expect(grid.profile(values, 0, (v) => v === 1)).toEqual([0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(grid.profile(values, 2, (v) => v > 0)).toEqual([0, 2, 0, 1]);
  });
});
