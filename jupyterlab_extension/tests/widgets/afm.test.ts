import { describe, expect, it } from "vitest";
import diff from "../../src/widgets/diff";
import history from "../../src/widgets/history";
import resolver from "../../src/widgets/resolver";
import { FakeModel } from "../fake-model";

describe.each([
  ["history", history, "history"],
  ["diff", diff, "diff"],
  ["resolver", resolver, "conflicts"],
])("%s widget", (_, widget, method) => {
  it("asks the kernel, and cleans up through the returned function", () => {
    const model = new FakeModel({ title: "t" });
    const el = document.createElement("div");
    const end = widget.render({ model, el });
    expect(model.sent.map((message) => message.method)).toEqual([method]);
    expect(el.childElementCount).toBe(1);
    end();
    end();
    expect(el.childElementCount).toBe(0);
    expect(model.listenerCount).toBe(0);
  });

  it("cleans up through the loader's signal", () => {
    const model = new FakeModel({});
    const el = document.createElement("div");
    const loader = new AbortController();
    widget.render({ model, el, signal: loader.signal });
    loader.abort();
    expect(el.childElementCount).toBe(0);
    expect(model.listenerCount).toBe(0);
  });
});
