/** Where a commit comes from, as its metadata tell: notebook, cell, git commit, versions. */

type Metadata = Record<string, unknown> | undefined;

const record = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
const text = (value: unknown): string => (typeof value === "string" || typeof value === "number" ? String(value) : "");

/** The notebook that a commit was made in; empty where nothing says so. */
export function notebookOf(metadata: Metadata): string {
  return text(record(metadata?.provenance).notebook) || text(metadata?.notebook);
}

/** Provenance as names and words; metadata that are something else are left to the caller. */
export function provenanceFacts(metadata: Metadata): [string, string][] {
  const told = record(metadata?.provenance);
  const facts: [string, string][] = [];
  const notebook = text(told.notebook);
  const count = text(told.execution_count);
  if (notebook || count) facts.push(["Notebook", [notebook, count && `cell [${count}]`].filter(Boolean).join(", ")]);
  const git = record(told.git);
  if (text(git.commit)) {
    const notes = [text(git.branch), git.dirty === true ? "with changes" : ""].filter(Boolean);
    facts.push(["Git", text(git.commit).slice(0, 10) + (notes.length ? ` (${notes.join(", ")})` : "")]);
  }
  const packages = Object.entries(record(told.packages)).flatMap(([name, version]) =>
    text(version) ? [`${name} ${text(version)}`] : [],
  );
  if (packages.length) facts.push(["Made with", packages.join(", ")]);
  return facts;
}
