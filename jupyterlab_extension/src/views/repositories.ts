/** The content of the side panel: the repositories of the running kernel. */

import { button, fill, h, listen, say, update } from "../core/dom";
import type { RepositoriesReply, RepositoryRow } from "../core/protocol";
import { firstLine, plural, shortId } from "../core/text";
import { absoluteTime, relativeTime } from "../core/time";

export type PanelState =
  | { state: "loading" }
  | { state: "no-kernel" }
  | { state: "busy" }
  | { state: "missing" }
  | { state: "not-python"; language: string }
  | { state: "failed"; message: string }
  | { state: "ready"; reply: RepositoriesReply };

export interface RepositoriesView {
  show(state: PanelState): void;
  dispose(): void;
}

export interface RepositoriesOptions {
  onRefresh(): void;
}

export function mount(el: HTMLElement, options: RepositoriesOptions): RepositoriesView {
  const controller = new AbortController();
  const { signal } = controller;
  const refresh = button("Refresh", { class: "icechunk-button icechunk-quiet icechunk-small", title: "Ask the kernel again" });
  const version = h("span", { class: "icechunk-counts" });
  const body = h("div", { class: "icechunk-repos" });
  const live = h("div", { class: "icechunk-sr", role: "status", "aria-live": "polite" });
  const root = h(
    "section",
    { class: "icechunk-root icechunk-panel", testid: "icechunk-panel", "aria-label": "Icechunk repositories" },
    h("header", { class: "icechunk-head" }, h("h2", { class: "icechunk-heading" }, "Icechunk"), version, h("span", { class: "icechunk-grow" }), refresh),
    body,
    live,
  );
  el.append(root);
  listen(refresh, "click", () => options.onRefresh(), signal);
  // Repositories that the user closed stay closed after a refresh.
  const closed = new Set<string>();
  body.addEventListener(
    "toggle",
    (event) => {
      const details = event.target as HTMLDetailsElement;
      const name = details.dataset.name;
      if (name === undefined) return;
      if (details.open) closed.delete(name);
      else closed.add(name);
    },
    { capture: true, signal },
  );

  return {
    show(state) {
      root.toggleAttribute("aria-busy", state.state === "loading");
      if (state.state === "loading") {
        if (!body.childElementCount) fill(body, h("p", { class: "icechunk-hint" }, "Asking the kernel…"));
        return;
      }
      if (state.state !== "ready") {
        say(version, "");
        update(body, ...message(state));
        say(live, body.textContent ?? "");
        return;
      }
      const { repositories, version: number } = state.reply;
      say(version, number);
      version.title = number ? `icechunk ${number} in this kernel` : "";
      if (repositories.length) update(body, ...repositories.map((row) => card(row, !closed.has(row.name))));
      else update(body, ...start());
      say(live, plural(repositories.length, "repository", "repositories"));
    },
    dispose() {
      controller.abort();
      root.remove();
    },
  };
}

function message(state: PanelState): HTMLElement[] {
  switch (state.state) {
    case "no-kernel":
      return [
        h("p", null, "No kernel is running here."),
        h("p", { class: "icechunk-hint" }, "Open a notebook or a console with a Python kernel; its repositories appear in this panel."),
      ];
    case "busy":
      return [
        h("p", null, "The kernel is busy."),
        h("p", { class: "icechunk-hint" }, "The panel asks again when the running cell has finished."),
      ];
    case "missing":
      return [
        h("p", null, "This kernel does not have icechunk."),
        h("p", { class: "icechunk-hint" }, "Install it into the kernel’s environment and restart the kernel:"),
        h("pre", { class: "icechunk-snippet" }, "%pip install icechunk-jupyter"),
      ];
    case "not-python":
      return [
        h("p", null, `This kernel runs ${state.language}, not Python.`),
        h("p", { class: "icechunk-hint" }, "Choose a notebook or a console with a Python kernel."),
      ];
    case "failed":
      return [
        h("p", null, "The kernel could not list its repositories."),
        h("p", { class: "icechunk-hint" }, state.message),
      ];
    default:
      return [];
  }
}

function start(): HTMLElement[] {
  return [
    h("p", null, "No repository in this kernel yet."),
    h("p", { class: "icechunk-hint" }, "Open one in a cell; it appears here by the name of its variable:"),
    h(
      "pre",
      { class: "icechunk-snippet" },
      "%load_ext icechunk\n\nimport icechunk\nrepo = icechunk.Repository.open(\n    icechunk.local_filesystem_storage(\"path\")\n)",
    ),
  ];
}

function card(row: RepositoryRow, open: boolean): HTMLElement {
  const now = Date.now();
  return h(
    "details",
    { class: "icechunk-repo", open, "data-name": row.name },
    h(
      "summary",
      null,
      h("span", { class: "icechunk-reponame" }, row.name),
      row.session?.dirty
        ? h("span", { class: "icechunk-badge", title: "Uncommitted changes" }, plural(row.session.changes, "change"))
        : null,
    ),
    h(
      "div",
      { class: "icechunk-location", title: row.location },
      row.location,
      row.spec_version === null ? null : h("span", { class: "icechunk-muted" }, ` · format ${row.spec_version}`),
    ),
    h(
      "ul",
      { class: "icechunk-refs", "aria-label": `Branches and tags of ${row.name}` },
      ...row.branches.map((branch) =>
        h(
          "li",
          { class: branch.current ? "icechunk-refrow icechunk-current" : "icechunk-refrow", title: `${branch.id}\n${branch.message}\n${absoluteTime(branch.time)}` },
          h("span", { class: "icechunk-refmark", "aria-hidden": "true" }, branch.current ? "●" : "○"),
          h("span", { class: "icechunk-refname" }, branch.name, branch.current ? h("span", { class: "icechunk-sr" }, " (session)") : null),
          h("span", { class: "icechunk-reftime" }, relativeTime(branch.time, now)),
          h("span", { class: "icechunk-refmessage" }, firstLine(branch.message)),
        ),
      ),
      ...row.tags.map((tag) =>
        h(
          "li",
          { class: "icechunk-refrow icechunk-tagrow", title: tag.id },
          h("span", { class: "icechunk-refmark", "aria-hidden": "true" }, "◆"),
          h("span", { class: "icechunk-refname" }, tag.name, h("span", { class: "icechunk-sr" }, " (tag)")),
          h("code", { class: "icechunk-reftime" }, shortId(tag.id)),
        ),
      ),
    ),
    row.session
      ? h(
          "p",
          { class: "icechunk-hint icechunk-sessionline" },
          row.session.branch ? `Session on ${row.session.branch}: ` : "Session: ",
          row.session.dirty ? `${plural(row.session.changes, "change")} not committed` : "no changes",
        )
      : null,
  );
}
