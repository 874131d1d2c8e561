/** The bottom of the resolver: progress, commit message, complete, cancel, result. */

import { button, h, listen, say, fill } from "../../core/dom";
import { asHostError, type Host, HostError, type PushEvent } from "../../core/host";
import type { ConflictItem } from "../../core/protocol";
import { grouped, shortId } from "../../core/text";
import type { Frame } from "../common/frame";
import { wordsOf } from "./words";

export interface CompleteOptions {
  reload(): void;
  notice(text: string): void;
}

export class CompleteBar {
  readonly element: HTMLElement;
  busy = false;
  private undecided = -1;
  private over = false;
  private suggested = "";
  /** Called when decisions become possible or impossible. */
  onLock: () => void = () => undefined;
  private job: string | null = null;
  private readonly counter = h("span", { class: "icechunk-counter", testid: "icechunk-counter" });
  private readonly meter = h("span", { class: "icechunk-meterfill" });
  private readonly gauge = h(
    "span",
    { class: "icechunk-meter", role: "progressbar", "aria-label": "Decided", "aria-valuemin": 0, "aria-valuemax": 100 },
    this.meter,
  );
  private readonly message = h("input", {
    class: "icechunk-input",
    type: "text",
    testid: "icechunk-message",
    placeholder: "Commit message",
    "aria-label": "Commit message",
  });
  private readonly complete = button("", {
    class: "icechunk-button icechunk-primary",
    testid: "icechunk-complete",
    disabled: true,
  });
  private readonly cancel = button("Cancel", {
    class: "icechunk-button icechunk-quiet",
    testid: "icechunk-cancel",
    title: "Leave the session as it was",
  });
  private readonly result = h("div", { class: "icechunk-result", testid: "icechunk-result", role: "status", hidden: true });

  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
    private readonly options: CompleteOptions,
  ) {
    say(this.complete, wordsOf(host).complete);
    this.element = h(
      "footer",
      { class: "icechunk-bar-complete" },
      h("div", { class: "icechunk-progressline" }, this.counter, this.gauge),
      h("div", { class: "icechunk-commitline" }, this.message, this.complete, this.cancel),
      this.result,
    );
    const { signal } = frame;
    listen(this.complete, "click", () => void this.start(), signal);
    listen(this.cancel, "click", () => void this.stop(), signal);
    listen(
      this.message,
      "keydown",
      (event) => {
        event.stopPropagation();
        if (event.key === "Enter" && !this.complete.disabled) void this.start();
      },
      signal,
    );
    host.onEvent((event) => this.event(event), signal);
    host.onChange("status", () => this.status(), signal);
    this.status();
  }

  /** True while the kernel works on the result and after the end. */
  get locked(): boolean {
    return this.busy || this.over;
  }

  tally(undecided: number, total: number, conflicts: ConflictItem[]): void {
    this.undecided = undecided;
    const chunksOnly = conflicts.every((item) => item.kind === "chunks");
    const noun = chunksOnly ? "chunks" : "decisions";
    say(
      this.counter,
      undecided
        ? `${grouped(undecided)} of ${grouped(total)} ${noun} undecided`
        : total
          ? `All ${grouped(total)} ${chunksOnly ? "chunks decided" : "decisions made"}`
          : "Nothing to decide",
    );
    this.progress(total ? (total - undecided) / total : 1, "Decided");
    this.update();
  }

  /** Offer a commit message; text that the user typed stays. */
  suggest(text: string): void {
    if (!text || this.message.value.trim() !== this.suggested) return;
    this.suggested = text.trim();
    this.message.value = text;
    this.message.placeholder = `Commit message (default: “${text}”)`;
  }

  /** Allow decisions again, because there are further conflicts. */
  reopen(): void {
    this.busy = this.over = false;
    this.job = null;
    this.result.hidden = true;
    this.update();
  }

  private progress(share: number, label: string): void {
    const percent = Math.round(Math.max(0, Math.min(1, share)) * 100);
    this.meter.style.width = `${percent}%`;
    this.gauge.setAttribute("aria-valuenow", String(percent));
    this.gauge.setAttribute("aria-label", label);
  }

  private update(): void {
    this.complete.disabled = this.busy || this.over || this.undecided !== 0;
    this.cancel.disabled = this.busy || this.over;
    this.message.disabled = this.busy || this.over;
    this.element.classList.toggle("icechunk-working", this.busy);
    this.onLock();
  }

  private async start(): Promise<void> {
    if (this.complete.disabled) return;
    this.busy = true;
    this.result.hidden = true;
    this.frame.clearError();
    this.update();
    say(this.counter, "Rebasing…");
    this.progress(0, "Progress");
    const text = this.message.value.trim();
    try {
      const { result } = await this.host.request<{ job: string }>("complete", text ? { message: text } : {});
      if (this.busy) this.job = String(result.job);
    } catch (error) {
      this.failed(asHostError(error));
    }
  }

  private async stop(): Promise<void> {
    try {
      await this.host.request("cancel");
      this.over = true;
      this.update();
      this.show("Cancelled. The session is as it was.", "plain");
    } catch (error) {
      this.frame.fail(error, () => void this.stop());
    }
  }

  private event(event: PushEvent): void {
    if (!this.busy || (this.job !== null && event.job !== undefined && String(event.job) !== this.job)) return;
    if (event.event === "progress") {
      const [done, total] = [Number(event.done ?? 0), Number(event.total ?? 0)];
      const count = total > 0 ? ` ${grouped(done)} of ${grouped(total)}` : "";
      say(this.counter, `${String(event.stage ?? "Working")}…${count}`);
      if (total > 0) this.progress(done / total, "Progress");
    } else if (event.event === "done") {
      if (event.ok === true) this.finished(event);
      else {
        const raw = (event.error ?? {}) as Record<string, unknown>;
        this.failed(
          new HostError(
            String(raw.kind ?? "error"),
            String(raw.message ?? wordsOf(this.host).failed),
            raw.hint == null ? "" : String(raw.hint),
          ),
        );
      }
    }
  }

  private finished(event: PushEvent): void {
    this.busy = false;
    this.over = true;
    this.job = null;
    this.progress(1, "Progress");
    say(this.counter, "Done");
    this.update();
    this.options.notice("");
    const id = String(event.snapshot ?? "");
    const text = String(event.message ?? wordsOf(this.host).completed);
    this.show(text, "good", id);
  }

  private failed(error: HostError): void {
    this.busy = false;
    this.job = null;
    this.update();
    this.options.reload();
    this.show(error.hint ? `${error.message} ${error.hint}` : error.message, "bad");
  }

  private show(text: string, mood: "good" | "bad" | "plain", id = ""): void {
    this.result.hidden = false;
    this.result.dataset.mood = mood;
    const sign = { good: "✓", bad: "✕", plain: "–" }[mood];
    fill(
      this.result,
      h("span", { "aria-hidden": "true", class: "icechunk-resultsign" }, sign),
      h("span", null, text),
      id ? h("code", { title: id }, shortId(id)) : null,
    );
  }

  /** Another view of the same widget may have finished or cancelled. */
  private status(): void {
    const status = this.host.get("status");
    if (status === "working") this.busy = true;
    if ((status === "committed" || status === "cancelled") && !this.busy) {
      this.over = true;
      if (this.result.hidden)
        this.show(status === "committed" ? wordsOf(this.host).completed : "Cancelled. The session is as it was.", status === "committed" ? "good" : "plain");
    }
    if (status === "pending" && !this.busy) this.over = false;
    this.update();
  }
}
