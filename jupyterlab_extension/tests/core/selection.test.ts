import { describe, expect, it } from "vitest";
import { Selection } from "../../src/core/selection";

function over(states: number[]): Selection {
  const selection = new Selection((state) => state > 0);
  selection.reset(states.length);
  selection.over(Uint8Array.from(states));
  return selection;
}

describe("Selection", () => {
  it("selects only what can be selected, and counts it once", () => {
    const selection = over([1, 0, 2, 3, 0, 1]);
    selection.apply([0, 4], "replace");
    selection.apply([2, 10], "add");
    expect([...selection.mask]).toEqual([1, 0, 1, 1, 0, 1]);
    expect([selection.count, selection.most]).toEqual([4, 4]);
    expect(selection.target()).toEqual({ runs: [0, 6], count: 4, all: true });
  });

  it("removes, inverts and resets", () => {
    const selection = over([1, 1, 0, 1]);
    selection.apply([0, 4], "replace");
    selection.apply([1, 1], "remove");
    selection.apply([1, 1], "remove");
    expect(selection.target()).toEqual({ runs: [0, 1, 3, 1], count: 2, all: false });
    selection.invert();
    expect([...selection.mask]).toEqual([0, 1, 0, 0]);
    expect(selection.count).toBe(1);
    selection.apply([], "replace");
    expect(selection.target()).toEqual({ runs: [], count: 0, all: false });
  });

  it("keeps what was selected when states change", () => {
    const selection = over([1, 1]);
    selection.apply([0, 1], "replace");
    selection.over(Uint8Array.from([2, 0]));
    expect([selection.count, selection.most]).toEqual([1, 1]);
  });
});
