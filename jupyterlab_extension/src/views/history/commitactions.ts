/** Actions for a commit: branch, tag, check out, reset; each shows the Python that it runs. */

import { button, fill, h, listen, say } from "../../core/dom";
import { type Host, HostError, isSilent } from "../../core/host";
import type { Ref } from "../../core/protocol";
import type { Frame } from "../common/frame";

type Name = "branch" | "tag" | "checkout" | "reset";

interface ActionReply {
  python: string;
  warning: string;
  done?: string;
}

const LABELS: [Name, string, string][] = [
  ["branch", "Branch here…", "Create branch"],
  ["tag", "Tag here…", "Create tag"],
  ["checkout", "Check out…", "Check out"],
  ["reset", "Reset a branch…", "Reset branch"],
];
const WAIT = 150;

export interface ActionOptions {
  /** Every ref of the repository. */
  refs: Ref[];
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
    const offered = LABELS.filter(([name]) => name !== "reset" || this.otherBranches.length);
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

  /** Branches that are at another commit, which a reset could move here. */
  private get otherBranches(): Ref[] {
    return this.options.refs.filter((ref) => ref.kind === "branch" && ref.id !== this.id);
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
    const label = name === "reset" ? "Branch to reset" : "What to check out";
    const select = h("select", { class: "icechunk-select", "aria-label": label });
    const here = this.options.refs.filter((ref) => ref.kind === "branch" && ref.id === this.id);
    for (const ref of name === "reset" ? this.otherBranches : here)
      select.append(h("option", { value: ref.name }, name === "reset" ? ref.name : `${ref.name}, writable`));
    if (name === "checkout") select.append(h("option", { value: "" }, "this commit, read-only"));
    return select;
  }

  private build(name: Name): void {
    const input = this.field(name);
    const python = h("code", { class: "icechunk-python", testid: "icechunk-act-python" });
    const warning = h("p", { class: "icechunk-actwarning", role: "status" });
    const run = button(LABELS.find(([other]) => other === name)![2], {
      class: "icechunk-button icechunk-small icechunk-primary",
      testid: "icechunk-act-run",
      type: "submit",
      disabled: true,
    });
    const cancel = button("Cancel", { class: "icechunk-button icechunk-quiet icechunk-small" });
    const parts = { name, input, python, warning, run };
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
    fill(this.form, h("div", { class: "icechunk-actline" }, input, run, cancel), python, warning);
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
  private async plan({ name, input, python, warning, run }: Form): Promise<void> {
    const turn = ++this.asked;
    run.disabled = true;
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

/** The elements of the form that is open. */
interface Form {
  name: Name;
  input: HTMLInputElement | HTMLSelectElement;
  python: HTMLElement;
  warning: HTMLElement;
  run: HTMLButtonElement;
}
