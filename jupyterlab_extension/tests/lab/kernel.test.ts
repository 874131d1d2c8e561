import { describe, expect, it } from "vitest";
import { askKernel, contextOf, type KernelLike, parsePythonString, readReply } from "../../src/lab/kernel";

const reply = (r: unknown) => ({ status: "ok", user_expressions: { r } });
const ok = (text: string) => reply({ status: "ok", data: { "text/plain": text } });

describe("parsePythonString", () => {
  it.each([
    [`'plain'`, "plain"],
    [`"it's"`, "it's"],
    [String.raw`'a\\"b\'c\n\t\x41\u00e9\U0001f600'`, `a\\"b'c\n\tA\u00e9\u{1f600}`],
    [String.raw`'{"m": "a\\nb"}'`, String.raw`{"m": "a\nb"}`],
  ])("%s", (literal, text) => expect(parsePythonString(literal)).toBe(text));

  it("refuses anything else", () => {
    for (const text of ["None", "", "'open", "b'x'"]) expect(() => parsePythonString(text)).toThrow();
  });
});

describe("readReply", () => {
  it("reads repositories", () => {
    const state = readReply(ok(`'{"repositories": [], "version": "2.3"}'`));
    expect(state).toEqual({ state: "ready", reply: { repositories: [], version: "2.3" } });
  });

  it("distinguishes a kernel without icechunk from a failure", () => {
    const absent = { status: "error", ename: "ModuleNotFoundError", evalue: "No module named 'icechunk_widgets'" };
    expect(readReply(reply(absent))).toEqual({ state: "missing" });
    expect(readReply(reply({ ...absent, evalue: "No module named 'numpy'" }))).toMatchObject({ state: "failed" });
    expect(readReply(ok("'not json'"))).toMatchObject({ state: "failed" });
    expect(readReply(ok("'{}'"))).toMatchObject({ state: "failed" });
    expect(readReply(undefined)).toMatchObject({ state: "failed" });
  });
});

describe("askKernel", () => {
  const kernel = (language: string, content: unknown) => {
    const asked: unknown[] = [];
    return {
      asked,
      id: "k",
      status: "idle",
      info: Promise.resolve({ language_info: { name: language } }),
      requestExecute(request: unknown) {
        asked.push(request);
        return { done: Promise.resolve({ content }), dispose: () => undefined };
      },
    };
  };

  it("asks silently and without history", async () => {
    const k = kernel("python", ok(`'{"repositories": [], "version": ""}'`));
    expect((await askKernel(k as KernelLike)).state).toBe("ready");
    expect(k.asked).toEqual([
      expect.objectContaining({ code: "", silent: true, store_history: false }),
    ]);
  });

  it("leaves other languages alone", async () => {
    const k = kernel("R", null);
    expect(await askKernel(k as KernelLike)).toEqual({ state: "not-python", language: "R" });
    expect(k.asked).toHaveLength(0);
  });
});

describe("contextOf", () => {
  it("finds the session of notebooks and consoles by shape", () => {
    const sessionContext = { session: null };
    expect(contextOf({ sessionContext })).toBe(sessionContext);
    expect(contextOf({ content: { sessionContext } })).toBe(sessionContext);
    for (const other of [null, 1, {}, { sessionContext: 3 }]) expect(contextOf(other)).toBeNull();
  });
});
