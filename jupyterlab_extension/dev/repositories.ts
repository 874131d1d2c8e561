import type { RepositoriesReply } from "../src/core/protocol";

export function repositories(): RepositoriesReply {
  const hours = (n: number): string => new Date(Date.now() - n * 3_600_000).toISOString();
  return {
    version: "2.3.0",
    repositories: [
      {
        name: "repo, ocean",
        location: "s3://climate-archive/ocean-sst",
        spec_version: 2,
        branches: [
          { name: "main", id: "ZR8V4T2QKXW0M9C3B7HG", message: "Reprocess the equatorial Pacific", time: hours(3.2), current: true },
          { name: "bias-correction", id: "T0M3C9XB5VQW81KZJH4E", message: "Try a shorter smoothing window", time: hours(5.5), current: false },
          { name: "ice-mask", id: "W9C5E2VT8JZQ0X6KR1MB", message: "Draft of the ice mask", time: hours(90), current: false },
        ],
        tags: [{ name: "v1.0", id: "R6N8ZKB3W5TQ2XV1MC0J" }],
        session: { branch: "main", dirty: true, changes: 14 },
      },
      {
        name: "scratch",
        location: "memory://",
        spec_version: 2,
        branches: [{ name: "main", id: "1CECHNKREP0F1RSTCMT0", message: "Repository initialized", time: hours(0.3), current: true }],
        tags: [],
        session: null,
      },
    ],
  };
}
