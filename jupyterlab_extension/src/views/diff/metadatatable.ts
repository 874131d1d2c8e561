/** The changed metadata of a node: key, before, after. */

import { fill, h } from "../../core/dom";
import { type Host, isSilent } from "../../core/host";
import type { NodeChange } from "../../core/protocol";
import type { Frame } from "../common/frame";
import { mark } from "../common/nodes";

interface MetadataRow {
  key: string;
  change: NodeChange;
  before?: unknown;
  after?: unknown;
}

/** Characters of a value that are shown. */
const LONG = 400;

export class MetadataTable {
  readonly element = h("details", { class: "icechunk-metadata", testid: "icechunk-metadata", hidden: true });
  private running: AbortController | null = null;

  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
  ) {
    frame.signal.addEventListener("abort", () => this.running?.abort(), { once: true });
  }

  clear(): void {
    this.running?.abort();
    this.element.hidden = true;
  }

  /** @param open whether the table is unfolded, because the node has no other changes */
  async show(path: string, open: boolean): Promise<void> {
    this.running?.abort();
    const running = (this.running = new AbortController());
    try {
      const { result } = await this.host.request<{ rows: MetadataRow[] }>("metadata", { path }, { signal: running.signal });
      if (running.signal.aborted || this.frame.signal.aborted) return;
      this.element.hidden = result.rows.length === 0;
      this.element.open = open;
      fill(
        this.element,
        h("summary", null, `Metadata: ${result.rows.length} ${result.rows.length === 1 ? "key" : "keys"}`),
        h(
          "table",
          { class: "icechunk-metatable" },
          h("thead", null, h("tr", null, ...["Key", "Before", "After"].map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", null, ...result.rows.map(tableRow)),
        ),
      );
    } catch (error) {
      if (isSilent(error)) return;
      this.element.hidden = true;
      this.frame.fail(error, () => void this.show(path, open));
    }
  }
}

function tableRow(row: MetadataRow): HTMLElement {
  return h(
    "tr",
    { "data-change": row.change },
    h("th", { scope: "row" }, mark(row.change), h("code", null, row.key)),
    h("td", null, "before" in row ? value(row.before) : h("i", null, "–")),
    h("td", null, "after" in row ? value(row.after) : h("i", null, "–")),
  );
}

function value(json: unknown): HTMLElement {
  const text = JSON.stringify(json);
  const shown = text.length > LONG ? `${text.slice(0, LONG)}…` : text;
  return h("code", { title: text.length > LONG ? `${text.length} characters` : null }, shown);
}
