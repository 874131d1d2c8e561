/** What can be done with a commit: branch, tag, check out, reset; each shown as the Python it runs. */

import { button, fill, h, listen, say } from "../core/dom";
import { type Host, HostError, isSilent } from "../core/host";
import type { Ref } from "../core/protocol";
import type { Frame } from "./frame";

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
  /** Told when something was done: a sentence, and the Python. */
  onDone(text: string, python: string): void;
}

/** Buttons for one commit, and below them the form of the one that was pressed. */
export function commitActions(frame: Frame, host: Host, id: string, options: ActionOptions): HTMLElement {
  const { signal } = frame;
  const form = h("form", { class: "icechunk-actform", hidden: true });
  let open: Name | null = null;
  const buttons = LABELS.filter(([name]) => name !== "reset" || others().length).map(([name, label]) => {
    const element = button(label, {
      class: "icechunk-button icechunk-quiet icechunk-small",
      testid: `icechunk-act-${name}`,
      "aria-expanded": "false",
    });
    listen(element, "click", () => show(open === name ? null : name), signal);
    return [name, element] as const;
  });

  function others(): Ref[] {
    return options.refs.filter((ref) => ref.kind === "branch" && ref.id !== id);
  }

  function show(name: Name | null): void {
    open = name;
    for (const [other, element] of buttons) element.setAttribute("aria-expanded", String(other === name));
    form.hidden = name === null;
    if (name !== null) build(name);
  }

  function field(name: Name): HTMLInputElement | HTMLSelectElement {
    if (name === "branch" || name === "tag")
      return h("input", {
        class: "icechunk-input",
        type: "text",
        spellcheck: "false",
        placeholder: name === "branch" ? "Name of the branch" : "Name of the tag",
        "aria-label": name === "branch" ? "Name of the branch" : "Name of the tag",
      });
    const select = h("select", { class: "icechunk-select", "aria-label": name === "reset" ? "Branch to reset" : "What to check out" });
    const branches = name === "reset" ? others() : options.refs.filter((ref) => ref.kind === "branch" && ref.id === id);
    for (const ref of branches)
      select.append(h("option", { value: ref.name }, name === "reset" ? ref.name : `${ref.name}, to change it`));
    if (name === "checkout") select.append(h("option", { value: "" }, "this commit, read-only"));
    return select;
  }

  function build(name: Name): void {
    const input = field(name);
    const python = h("code", { class: "icechunk-python", testid: "icechunk-act-python" });
    const warning = h("p", { class: "icechunk-actwarning", role: "status" });
    const run = button(LABELS.find(([other]) => other === name)![2], {
      class: "icechunk-button icechunk-small icechunk-primary",
      testid: "icechunk-act-run",
      type: "submit",
      disabled: true,
    });
    const cancel = button("Cancel", { class: "icechunk-button icechunk-quiet icechunk-small" });
    let timer = 0;
    let asked = 0;

    const look = async (): Promise<void> => {
      const turn = ++asked;
      run.disabled = true;
      if (!input.value && name !== "checkout") {
        fill(python);
        return say(warning, "");
      }
      try {
        const { result } = await host.request<ActionReply>("action", { action: name, id, name: input.value });
        if (turn !== asked || signal.aborted) return;
        say(python, result.python);
        say(warning, result.warning);
        run.disabled = false;
      } catch (error) {
        if (turn !== asked || isSilent(error)) return;
        fill(python);
        say(warning, error instanceof HostError ? `${error.message}. ${error.hint}` : String(error));
      }
    };
    const later = (): void => {
      clearTimeout(timer);
      timer = window.setTimeout(() => void look(), WAIT);
    };
    input.addEventListener("input", later);
    input.addEventListener("change", later);
    form.onkeydown = (event) => {
      event.stopPropagation();
      if (event.key !== "Escape") return;
      show(null);
      buttons.find(([other]) => other === name)?.[1].focus();
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      if (!run.disabled) void act(name, input.value, run);
    };
    cancel.addEventListener("click", () => show(null));
    fill(form, h("div", { class: "icechunk-actline" }, input, run, cancel), python, warning);
    form.dataset.action = name;
    input.focus();
    void look();
  }

  async function act(name: Name, value: string, run: HTMLButtonElement): Promise<void> {
    run.disabled = true;
    try {
      const { result } = await host.request<ActionReply>("action", { action: name, id, name: value, run: true });
      if (signal.aborted) return;
      show(null);
      options.onDone(result.done ?? "Done.", result.python);
    } catch (error) {
      run.disabled = false;
      frame.fail(error);
    }
  }

  return h(
    "div",
    { class: "icechunk-acts" },
    h("div", { class: "icechunk-actbuttons", role: "group", "aria-label": "Do with this commit" }, ...buttons.map(([, element]) => element)),
    form,
  );
}
