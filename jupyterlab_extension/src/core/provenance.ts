/** The provenance in the metadata of a commit: notebook, cell, git commit, package versions. */

type Metadata = Record<string, unknown> | undefined;

const record = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
const text = (value: unknown): string => (typeof value === "string" || typeof value === "number" ? String(value) : "");

/** The notebook that a commit was made in; empty when the metadata do not name one. */
export function notebookOf(metadata: Metadata): string {
  return text(record(metadata?.provenance).notebook) || text(metadata?.notebook);
}

/** Names and values of the provenance; other metadata are not included. */
export function provenanceFields(metadata: Metadata): [string, string][] {
  const source = record(metadata?.provenance);
  const fields: [string, string][] = [];
  const notebook = text(source.notebook);
  const count = text(source.execution_count);
  if (notebook || count) fields.push(["Notebook", [notebook, count && `cell [${count}]`].filter(Boolean).join(", ")]);
  const git = record(source.git);
  if (text(git.commit)) {
    const notes = [text(git.branch), git.dirty === true ? "with changes" : ""].filter(Boolean);
    fields.push(["Git", text(git.commit).slice(0, 10) + (notes.length ? ` (${notes.join(", ")})` : "")]);
  }
  const packages = Object.entries(record(source.packages)).flatMap(([name, version]) =>
    text(version) ? [`${name} ${text(version)}`] : [],
  );
  if (packages.length) fields.push(["Packages", packages.join(", ")]);
  return fields;
}
