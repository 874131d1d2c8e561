import { describe, expect, it } from "vitest";
import { notebookOf, provenanceFields } from "../../src/core/provenance";

describe("provenance", () => {
  it("becomes names and values", () => {
    const metadata = {
      provenance: {
        notebook: "ocean/sst.ipynb",
        cell: "a1",
        execution_count: 7,
        packages: { python: "3.11.7", zarr: "3.1.6", odd: { x: 1 } },
        git: { commit: "0123456789abcdef", branch: "main", dirty: true },
      },
    };
    expect(notebookOf(metadata)).toBe("ocean/sst.ipynb");
    expect(provenanceFields(metadata)).toEqual([
      ["Notebook", "ocean/sst.ipynb, cell [7]"],
      ["Git", "0123456789 (main, with changes)"],
      ["Packages", "python 3.11.7, zarr 3.1.6"],
    ]);
  });

  it("leaves out values of another type", () => {
    expect(notebookOf({ notebook: "daily.ipynb" })).toBe("daily.ipynb");
    expect(notebookOf(undefined)).toBe("");
    expect(provenanceFields({ provenance: "by hand" })).toEqual([]);
    expect(provenanceFields({ provenance: { git: null, packages: [1] } })).toEqual([]);
  });
});
