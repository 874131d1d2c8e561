/** Asks the kernel of the current notebook or console for its repositories. */

import type { RepositoriesReply } from "../core/protocol";
import type { PanelState } from "../views/repositories";

const EXPRESSION =
  "__import__('icechunk_widgets.sidebar', fromlist=['_']).repositories_json(globals())";

/** The part of a kernel connection that is used here. */
export interface KernelLike {
  readonly id: string;
  readonly status: string;
  readonly info: Promise<{ language_info: { name: string } }>;
  requestExecute(content: {
    code: string;
    silent: boolean;
    store_history: boolean;
    user_expressions: Record<string, string>;
    stop_on_error?: boolean;
  }): { done: Promise<{ content: unknown } | undefined>; dispose(): void };
}

interface SignalLike {
  connect(slot: () => void): boolean;
  disconnect(slot: () => void): boolean;
}

/** The part of a session context that is used here; notebooks and consoles both have one. */
export interface ContextLike {
  readonly session: { readonly kernel: KernelLike | null } | null;
  readonly statusChanged?: SignalLike;
  readonly kernelChanged?: SignalLike;
}

/** The session context of a notebook or console; null for other documents. */
export function contextOf(widget: unknown): ContextLike | null {
  if (typeof widget !== "object" || widget === null) return null;
  const own = widget as { sessionContext?: unknown; content?: { sessionContext?: unknown } };
  const found = own.sessionContext ?? own.content?.sessionContext;
  return typeof found === "object" && found !== null && "session" in found
    ? (found as ContextLike)
    : null;
}

/** Ask a kernel once; the request prints nothing and leaves execution count and history alone. */
export async function askKernel(kernel: KernelLike): Promise<PanelState> {
  const language = (await kernel.info).language_info.name;
  if (language !== "python") return { state: "not-python", language };
  const future = kernel.requestExecute({
    code: "",
    silent: true,
    store_history: false,
    stop_on_error: false,
    user_expressions: { r: EXPRESSION },
  });
  const message = await future.done;
  return readReply(message?.content);
}

/** The panel's state from the content of an execute reply. */
export function readReply(content: unknown): PanelState {
  const reply = content as
    | { user_expressions?: Record<string, Record<string, unknown>> }
    | undefined;
  const answer = reply?.user_expressions?.r;
  if (!answer) return { state: "failed", message: "The kernel did not return a result." };
  if (answer.status !== "ok") {
    const name = String(answer.ename ?? "");
    const text = String(answer.evalue ?? "");
    const absent = name === "ModuleNotFoundError" || name === "ImportError";
    if (absent && text.includes("icechunk")) return { state: "missing" };
    return { state: "failed", message: [name, text].filter(Boolean).join(": ") };
  }
  const plain = (answer.data as Record<string, unknown> | undefined)?.["text/plain"];
  try {
    const parsed = JSON.parse(parsePythonString(String(plain))) as RepositoriesReply;
    if (!Array.isArray(parsed.repositories)) throw new Error("no list of repositories");
    return { state: "ready", reply: parsed };
  } catch (error) {
    return {
      state: "failed",
      message: `The reply could not be read: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

const ESCAPES: Record<string, string> = { n: "\n", r: "\r", t: "\t", "\\": "\\", "'": "'", '"': '"' };

/** The text of a Python string literal as `repr` writes it. */
export function parsePythonString(literal: string): string {
  const text = literal.trim();
  const quote = text[0];
  if ((quote !== "'" && quote !== '"') || text.length < 2 || text[text.length - 1] !== quote)
    throw new Error("not a Python string");
  return text
    .slice(1, -1)
    .replace(
      /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/gs,
      (_, x: string, u: string, U: string, other: string) =>
        other === undefined
          ? String.fromCodePoint(parseInt(x ?? u ?? U, 16))
          : (ESCAPES[other] ?? `\\${other}`),
    );
}
