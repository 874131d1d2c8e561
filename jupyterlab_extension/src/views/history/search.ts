/** Search in a history: here where every message is known, otherwise in the kernel. */

import type { Commits } from "../../core/commits";
import type { Host } from "../../core/host";
import type { Ref } from "../../core/protocol";

/** Indices of the commits whose message, id, author, refs or metadata contain a text in lower case. */
export function searchTexts(commits: Commits, refs: ReadonlyMap<number, Ref[]>, text: string): Set<number> {
  const found = new Set<number>();
  for (let at = 0; at < commits.count; at++) {
    const row = commits.row(at);
    const names = (refs.get(at) ?? []).map((ref) => ref.name).join(" ");
    const metadata = row.metadata ? JSON.stringify(Object.values(row.metadata)) : "";
    const searched = `${row.message} ${row.id} ${row.author ?? ""} ${names} ${metadata}`.toLowerCase();
    if (searched.includes(text)) found.add(at);
  }
  return found;
}

/** Search in the kernel; null if its history has changed meanwhile. */
export async function searchInKernel(
  commits: Commits,
  host: Host,
  text: string,
  signal: AbortSignal,
): Promise<Set<number> | null> {
  const { version } = commits.reply;
  const { result, buffers } = await host.request<{ current: boolean }>("search", { text, version }, { signal });
  if (!result.current) return null;
  const view = buffers[0];
  const found = new Set<number>();
  for (let i = 0; view && i + 4 <= view.byteLength; i += 4) found.add(view.getUint32(i, true) + commits.shift);
  return found;
}
