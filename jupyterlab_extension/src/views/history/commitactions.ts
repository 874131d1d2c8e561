/** Actions for a commit, from branch to revert; each shows the Python that it runs, merges also their dry run. */

import { button, fill, h, listen, say } from "../../core/dom";
import { type Host, HostError, isSilent } from "../../core/host";
import type { MergeOutcome, Ref } from "../../core/protocol";
import { plural } from "../../core/text";
import type { Frame } from "../common/frame";

type Name = "branch" | "tag" | "checkout" | "reset" | "merge" | "pick" | "revert";

interface ActionReply {
  python: string;
  warning: string;
  done?: string;
  outcome?: MergeOutcome;
}

const LABELS: [Name, string, string][] = [
  ["branch", "Branch here…", "Create branch"],
  ["tag", "Tag here…", "Create tag"],
  ["checkout", "Check out…", "Check out"],
  ["reset", "Reset a branch…", "Reset branch"],
  ["merge", "Merge…", "Merge"],
  ["pick", "Cherry-pick…", "Cherry-pick"],
  ["revert", "Revert…", "Revert"],
];
/** Labels of the choice of a branch. */
const BRANCH: Partial<Record<Name, string>> = {
  reset: "Branch to reset",
  merge: "Branch to merge into",
  pick: "Branch that gets the changes",
  revert: "Branch on which the changes are taken back",
};
/** Conflicts that are listed; the rest is counted. */
const MAX_CONFLICTS = 8;
const WAIT = 150;

export interface ActionOptions {
  /** Every ref of the repository. */
  refs: Ref[];
  /** The branch that merges go into by default: that of the session. */
  target: string;
  /** Called after an action, with a sentence and the line of Python. */
  onDone(text: string, python: string): void;
}

/** Buttons for one commit, and below them the form of the one that was pressed. */
export function commitActions(frame: Frame, host: Host, id: string, options: ActionOptions): HTMLElement {
  return new CommitActions(frame, host, id, options).element;
}

class CommitActions {
  readonly element: HTMLElement;
  private readonly form = h("form", { class: "icechunk-actform", hidden: true });
  private readonly buttons: (readonly [Name, HTMLButtonElement])[];
  private open: Name | null = null;
  /** Number of the newest plan that was asked for: replies to earlier ones are dropped. */
  private asked = 0;

  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
    private readonly id: string,
    private readonly options: ActionOptions,
  ) {
    const offered = LABELS.filter(([name]) => !BRANCH[name] || this.targets(name).length);
    this.buttons = offered.map(([name, label]) => [name, this.makeButton(name, label)] as const);
    const group = { class: "icechunk-actbuttons", role: "group", "aria-label": "Actions for this commit" };
    const buttons = h("div", group, ...this.buttons.map(([, element]) => element));
    this.element = h("div", { class: "icechunk-acts" }, buttons, this.form);
  }

  private makeButton(name: Name, label: string): HTMLButtonElement {
    const element = button(label, {
      class: "icechunk-button icechunk-quiet icechunk-small",
      testid: `icechunk-act-${name}`,
      "aria-expanded": "false",
    });
    listen(element, "click", () => this.show(this.open === name ? null : name), this.frame.signal);
    return element;
  }

  /** Branches that an action could move; all but a revert need one at another commit. */
  private targets(name: Name): Ref[] {
    const branches = this.options.refs.filter((ref) => ref.kind === "branch" && (name === "revert" || ref.id !== this.id));
    if (name === "reset") return branches;
    const first = (ref: Ref): number => Number(ref.name !== this.options.target);
    return branches.sort((a, b) => first(a) - first(b));
  }

  private show(name: Name | null): void {
    this.open = name;
    for (const [other, element] of this.buttons) element.setAttribute("aria-expanded", String(other === name));
    this.form.hidden = name === null;
    if (name !== null) this.build(name);
  }

  // ---- form -------------------------------------------------------------------------------------

  private field(name: Name): HTMLInputElement | HTMLSelectElement {
    if (name === "branch" || name === "tag") {
      const label = name === "branch" ? "Name of the branch" : "Name of the tag";
      return h("input", { class: "icechunk-input", type: "text", spellcheck: "false", placeholder: label, "aria-label": label });
    }
    const label = BRANCH[name] ?? "What to check out";
    const select = h("select", { class: "icechunk-select", "aria-label": label });
    const here = this.options.refs.filter((ref) => ref.kind === "branch" && ref.id === this.id);
    for (const ref of BRANCH[name] ? this.targets(name) : here)
      select.append(h("option", { value: ref.name }, BRANCH[name] ? ref.name : `${ref.name}, writable`));
    if (name === "checkout") select.append(h("option", { value: "" }, "this commit, read-only"));
    return select;
  }

  private build(name: Name): void {
    const input = this.field(name);
    const python = h("code", { class: "icechunk-python", testid: "icechunk-act-python" });
    const warning = h("p", { class: "icechunk-actwarning", role: "status" });
    const conflicts = h("ul", { class: "icechunk-nodes", testid: "icechunk-act-conflicts", "aria-label": "Conflicts", hidden: true });
    const run = button(LABELS.find(([other]) => other === name)![2], {
      class: "icechunk-button icechunk-small icechunk-primary",
      testid: "icechunk-act-run",
      type: "submit",
      disabled: true,
    });
    const cancel = button("Cancel", { class: "icechunk-button icechunk-quiet icechunk-small" });
    const parts = { name, input, python, warning, conflicts, run };
    let timer = 0;
    const later = (): void => {
      clearTimeout(timer);
      timer = window.setTimeout(() => void this.plan(parts), WAIT);
    };
    input.addEventListener("input", later);
    input.addEventListener("change", later);
    cancel.addEventListener("click", () => this.show(null));
    this.form.onkeydown = (event) => this.key(event, name);
    this.form.onsubmit = (event) => {
      event.preventDefault();
      if (!run.disabled) void this.act(parts);
    };
    fill(this.form, h("div", { class: "icechunk-actline" }, input, run, cancel), python, warning, conflicts);
    this.form.dataset.action = name;
    input.focus();
    void this.plan(parts);
  }

  private key(event: KeyboardEvent, name: Name): void {
    event.stopPropagation();
    if (event.key !== "Escape") return;
    this.show(null);
    this.buttons.find(([other]) => other === name)?.[1].focus();
  }

  // ---- kernel -----------------------------------------------------------------------------------

  /** Ask for the Python of the action and for a warning; nothing is changed. */
  private async plan(form: Form): Promise<void> {
    const { name, input, python, warning, run } = form;
    const turn = ++this.asked;
    run.disabled = true;
    showOutcome(form, undefined);
    if (!input.value && name !== "checkout") {
      fill(python);
      return say(warning, "");
    }
    try {
      const params = { action: name, id: this.id, name: input.value };
      const { result } = await this.host.request<ActionReply>("action", params);
      if (turn !== this.asked || this.frame.signal.aborted) return;
      say(python, result.python);
      say(warning, result.warning);
      run.disabled = false;
      showOutcome(form, result.outcome);
    } catch (error) {
      if (turn !== this.asked || isSilent(error)) return;
      fill(python);
      say(warning, error instanceof HostError ? `${error.message}. ${error.hint}` : String(error));
    }
  }

  private async act({ name, input, run }: Form): Promise<void> {
    run.disabled = true;
    try {
      const params = { action: name, id: this.id, name: input.value, run: true };
      const { result } = await this.host.request<ActionReply>("action", params);
      if (this.frame.signal.aborted) return;
      this.show(null);
      this.options.onDone(result.done ?? "Done.", result.python);
    } catch (error) {
      run.disabled = false;
      this.frame.fail(error);
    }
  }
}

/** Show what a dry run found; what cannot be done is not offered. */
function showOutcome({ name, warning, conflicts, run }: Form, outcome: MergeOutcome | undefined): void {
  const nodes = outcome?.nodes ?? [];
  const label = outcome?.state === "conflicts" && outcome.session ? "Open a merge session" : LABELS.find(([other]) => other === name)![2];
  say(run, label);
  if (outcome) run.disabled = outcome.state === "same" || outcome.state === "blocked" || (nodes.length > 0 && !outcome.session);
  if (outcome) warning.dataset.outcome = outcome.state;
  else delete warning.dataset.outcome;
  conflicts.hidden = !nodes.length;
  const more = nodes.length - MAX_CONFLICTS;
  const items = nodes.slice(0, MAX_CONFLICTS).map(({ path, title, chunks }) => {
    const detail = chunks ? `${title}, ${plural(chunks, "chunk")}` : title;
    return h("li", { class: "icechunk-node" }, h("code", null, path), h("span", { class: "icechunk-nodedetail" }, detail));
  });
  fill(conflicts, ...items, more > 0 ? h("li", { class: "icechunk-muted" }, `and ${more} more`) : null);
}

/** The elements of the form that is open. */
interface Form {
  name: Name;
  input: HTMLInputElement | HTMLSelectElement;
  python: HTMLElement;
  warning: HTMLElement;
  conflicts: HTMLElement;
  run: HTMLButtonElement;
}
