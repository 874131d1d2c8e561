import { describe, expect, it } from "vitest";
import { contrast, inkOn, LINE_COLOURS, MAP_SIZE, mapIndex, OKABE_ITO, parseCss, parseHex, viridis } from "../../src/core/colour";
import { chunkMap } from "../../dev/replies";
import { coordinate, coverage, plural, short } from "../../src/core/text";
import { absoluteTime, relativeTime } from "../../src/core/time";

const NOW = Date.parse("2026-11-22T12:00:00Z");

describe("time", () => {
  it.each([
    ["2026-11-22T11:59:50Z", "just now"],
    ["2026-11-22T11:55:00Z", "5 min ago"],
    ["2026-11-22T09:00:00Z", "3 h ago"],
    ["2026-11-20T12:00:00Z", "2 d ago"],
    ["2026-01-02T12:00:00Z", "2026-01-02"],
    ["yesterday-ish", "yesterday-ish"],
  ])("%s is %s", (iso, text) => expect(relativeTime(iso, NOW)).toBe(text));

  it("gives absolute times in UTC", () => {
    expect(absoluteTime("2026-11-22T14:03:09.123456+02:00")).toBe("2026-11-22 12:03:09 UTC");
  });
});

describe("text", () => {
  it("counts", () => {
    expect(plural(1, "chunk")).toBe("1 chunk");
    expect(plural(12345, "chunk")).toBe("12\u202f345 chunks");
    expect(plural(2, "branch", "branches")).toBe("2 branches");
  });

  it("shortens numbers", () => {
    expect([0, 1.23456, -0.00012, 123456, null, NaN, -Infinity].map(short)).toEqual([
      "0", "1.235", "−1.20e-4", "1.23e5", "–", "–", "−∞",
    ]);
  });

  it("names what a chunk covers", () => {
    const map = chunkMap("/sst");
    expect(coverage(map, 1, 0)).toBe("lat −90 … −32 °N");
    expect(coverage(map, 0, 4)).toBe("time 2023-11-01");
    expect(coverage({ ...map, labels: [null, null, null] }, 2, 1)).toBe("lon 60–119");
    expect(coverage({ ...map, dims: [null, null, null], labels: [null, null, null] }, 0, 1)).toBe("axis 0 1");
  });

  it("marks interpolated dates as approximate", () => {
    const axis = { first: "2024-01-01", last: "2024-12-31", units: null };
    expect(coordinate(axis, 0, 366)).toBe("2024-01-01");
    expect(coordinate(axis, 100, 366)).toBe("≈ 2024-04-10");
  });
});

describe("colour", () => {
  it("keeps the scale inside the map", () => {
    expect([mapIndex(-5, 0, 1), mapIndex(0, 0, 1), mapIndex(1, 0, 1), mapIndex(9, 0, 1)]).toEqual([0, 0, MAP_SIZE - 1, MAP_SIZE - 1]);
    expect(mapIndex(3, 3, 3)).toBe(MAP_SIZE >> 1);
    expect(new Set(viridis).size).toBeGreaterThan(200);
  });

  it("reads computed colours", () => {
    expect(parseCss("rgb(1, 2, 3)")).toEqual([1, 2, 3]);
    expect(parseCss("rgba(0, 0, 0, 0)")).toBeNull();
    expect(parseCss("color(srgb 1 0.5 0)")).toEqual([255, 128, 0]);
    expect(parseCss("#0b6cb3")).toEqual([11, 108, 179]);
    expect(parseCss("oklch(0.5 0.1 20)")).toBeNull();
  });

  it("writes letters with enough contrast on every state colour", () => {
    for (const colour of Object.values(OKABE_ITO))
      expect(contrast(parseHex(colour), parseHex(inkOn(colour)))).toBeGreaterThanOrEqual(4.5);
  });

  it("draws graph lines that show on light and dark pages", () => {
    for (const colour of LINE_COLOURS)
      for (const page of ["#ffffff", "#111111", "#212121"])
        expect(contrast(parseHex(colour), parseHex(page))).toBeGreaterThanOrEqual(3);
  });
});
