/** One row of the history: a commit, the uncommitted changes of the session, or a folded run of commits. */

import { type Child, h } from "../../core/dom";
import type { Run } from "../../core/folding";
import { notebookOf } from "../../core/provenance";
import type { CommitRow, SessionState } from "../../core/protocol";
import { firstLine, plural, shortId } from "../../core/text";
import { absoluteTime, relativeTime } from "../../core/time";

export interface RowPlace {
  row: number;
  rows: number;
  /** Id of the element. */
  id: string;
  cursor: boolean;
  /** Width of the graph in pixels. */
  gutter: number;
}

export interface RowState {
  chosen: boolean;
  /** Not among the matches of a search. */
  faint: boolean;
}

function option(place: RowPlace, names: string[], props: Record<string, string>, ...children: Child[]): HTMLElement {
  const element = h(
    "div",
    {
      class: ["icechunk-row", ...names, ...(place.cursor ? ["icechunk-cursor"] : [])].join(" "),
      id: place.id,
      role: "option",
      "aria-posinset": place.row + 1,
      "aria-setsize": place.rows,
      "data-row": place.row,
      ...props,
    },
    ...children,
  );
  element.style.paddingLeft = `${place.gutter}px`;
  return element;
}

function commitOption(row: CommitRow, place: RowPlace, state: RowState, names: string[], ...children: Child[]): HTMLElement {
  const all = [...names, ...(state.chosen ? ["icechunk-chosen"] : []), ...(state.faint ? ["icechunk-faint"] : [])];
  const props = { testid: "icechunk-history-row", "aria-selected": String(state.chosen), "data-id": row.id };
  return option(place, all, props, ...children);
}

export function commitRow(
  row: CommitRow,
  labels: Child[],
  bar: HTMLElement,
  now: number,
  place: RowPlace,
  state: RowState,
): HTMLElement {
  const where = notebookOf(row.metadata);
  return commitOption(
    row,
    place,
    state,
    [],
    h(
      "span",
      { class: "icechunk-rowtext" },
      ...labels,
      h("span", { class: "icechunk-message", title: row.message }, firstLine(row.message) || "(no message)"),
    ),
    h(
      "span",
      { class: "icechunk-rowauthor", title: [row.author, where].filter(Boolean).join(", ") },
      row.author ?? "",
      where ? h("span", { class: "icechunk-rownotebook" }, `${row.author ? " · " : ""}${where.split("/").at(-1)}`) : null,
    ),
    h(
      "time",
      { class: "icechunk-rowtime", datetime: row.time, title: absoluteTime(row.time) },
      relativeTime(row.time, now),
    ),
    bar,
    h("code", { class: "icechunk-rowid", title: row.id }, shortId(row.id)),
  );
}

/** The uncommitted changes of the session. */
export function sessionRow(
  row: CommitRow,
  session: SessionState,
  badge: HTMLElement | null,
  place: RowPlace,
  state: RowState,
): HTMLElement {
  const where = session.branch ? `session on ${session.branch}` : "session";
  return commitOption(
    row,
    place,
    state,
    ["icechunk-session"],
    h("span", { class: "icechunk-rowtext" }, h("span", { class: "icechunk-message" }, row.message), badge),
    h("span", { class: "icechunk-rowmeta" }, `${where} · ${plural(session.changes, "change")}`),
  );
}

export function runRow(run: Run, place: RowPlace): HTMLElement {
  return option(
    place,
    ["icechunk-run"],
    { testid: "icechunk-history-fold", "aria-selected": "false", title: "Show these commits" },
    h("span", { class: "icechunk-message" }, `⋯ ${plural(run.hidden.length, "folded commit")}`),
  );
}
