import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { anywidgetHost, bytesOf, floatsOf, type HostError, type PushEvent } from "../../src/core/host";
import { FakeModel } from "../fake-model";

let model: FakeModel;
let end: AbortController;

beforeEach(() => {
  vi.useFakeTimers();
  model = new FakeModel({ title: "x" });
  end = new AbortController();
});
afterEach(() => vi.useRealTimers());

const kindOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "resolved",
    (error: HostError) => error.kind,
  );

describe("anywidgetHost", () => {
  it("matches replies to requests whatever their order", async () => {
    const host = anywidgetHost(model, end.signal);
    const first = host.request<number>("a", { n: 1 });
    const second = host.request<number>("b");
    const [one, two] = model.sent;
    expect(one).toMatchObject({ method: "a", params: { n: 1 } });
    expect(two).toMatchObject({ method: "b", params: {} });
    model.reply({ id: two!.id, ok: true, result: 2 });
    const buffer = new DataView(new ArrayBuffer(3));
    model.reply({ id: one!.id, ok: true, result: 1 }, [buffer]);
    expect(await second).toEqual({ result: 2, buffers: [] });
    expect(await first).toEqual({ result: 1, buffers: [buffer] });
  });

  it("rejects with the kernel's error, kind and hint", async () => {
    const host = anywidgetHost(model, end.signal);
    const request = host.request("a");
    model.reply({ id: model.sent[0]!.id, ok: false, error: { kind: "ref-not-found", message: "No branch.", hint: "Try main." } });
    await expect(request).rejects.toMatchObject({ kind: "ref-not-found", message: "No branch.", hint: "Try main." });
  });

  it("rejects a request without a reply after thirty seconds", async () => {
    const host = anywidgetHost(model, end.signal);
    const kind = kindOf(host.request("a"));
    await vi.advanceTimersByTimeAsync(29_900);
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(await kind).toBe("timeout");
    model.reply({ id: model.sent[0]!.id, ok: true, result: 1 });
  });

  it("aborts a request by its signal and leaves no timer", async () => {
    const host = anywidgetHost(model, end.signal);
    const one = new AbortController();
    const kind = kindOf(host.request("a", {}, { signal: one.signal }));
    one.abort();
    expect(await kind).toBe("aborted");
    expect(vi.getTimerCount()).toBe(0);
    expect(await kindOf(host.request("a", {}, { signal: one.signal }))).toBe("aborted");
    expect(model.sent).toHaveLength(1);
  });

  it("reports a message that cannot be sent", async () => {
    const host = anywidgetHost(model, end.signal);
    model.broken = true;
    expect(await kindOf(host.request("a"))).toBe("no-kernel");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("leaves replies to another view of the same model alone", async () => {
    const a = anywidgetHost(model, end.signal);
    const b = anywidgetHost(model, new AbortController().signal);
    const first = a.request("x");
    void b.request("x").catch(() => undefined);
    expect(model.sent[0]!.id).not.toBe(model.sent[1]!.id);
    model.reply({ id: model.sent[0]!.id, ok: true, result: "mine" });
    expect((await first).result).toBe("mine");
  });

  it("delivers pushes and trait changes until their signal ends", () => {
    const host = anywidgetHost(model, end.signal);
    const events: PushEvent[] = [];
    const changed = vi.fn();
    const scope = new AbortController();
    host.onEvent((event) => events.push(event), scope.signal);
    host.onChange("title", changed, scope.signal);
    model.reply({ event: "changed" });
    model.set("title", "y");
    scope.abort();
    model.reply({ event: "changed" });
    model.set("title", "z");
    expect(events).toEqual([{ event: "changed" }]);
    expect(changed).toHaveBeenCalledTimes(1);
  });

  it("rejects pending requests and removes its listeners when the view ends", async () => {
    const host = anywidgetHost(model, end.signal);
    const kind = kindOf(host.request("a"));
    host.onChange("title", () => undefined, end.signal);
    end.abort();
    expect(await kind).toBe("closed");
    expect(model.listenerCount).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    expect(await kindOf(host.request("a"))).toBe("closed");
  });
});

describe("buffers", () => {
  it("copies values that are not aligned", () => {
    const raw = new ArrayBuffer(13);
    const view = new DataView(raw, 1, 12);
    view.setFloat32(0, 1.5, true);
    view.setFloat32(4, NaN, true);
    view.setFloat32(8, -2, true);
    expect([...floatsOf(view)]).toEqual([1.5, NaN, -2]);
    expect(bytesOf(view)).toHaveLength(12);
    expect(bytesOf(undefined)).toHaveLength(0);
  });
});
