/** A history of many commits with short branches. */

import type { PlainHistory } from "./columns";

export function longHistory(count: number): PlainHistory {
  const commits = Array.from({ length: count }, (_, i) => {
    const side = i % 50 === 7; // a commit of its own beside the main line
    const next = i + 1 < count && (i + 1) % 50 === 7 ? i + 2 : i + 1;
    return {
      id: `C${String(i).padStart(19, "0")}`,
      parent: next < count ? `C${String(side ? i + 1 : next).padStart(19, "0")}` : null,
      message: `Append hour ${count - i}`,
      time: new Date(1.7e12 - i * 3.6e6).toISOString(),
      author: ["Ana", "Tom", "Priya"][i % 3]!,
      metadata: {},
    };
  });
  return { commits, refs: [{ name: "main", id: commits[0]!.id, kind: "branch" }], session: null, truncated: false };
}
