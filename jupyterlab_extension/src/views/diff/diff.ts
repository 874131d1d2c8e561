/** The differences between two states of a repository: nodes, chunks, values. */

import { fill, h, say } from "../../core/dom";
import type { Host } from "../../core/host";
import type { DiffNode, DiffReply } from "../../core/protocol";
import { createFrame, type Dispose, type Frame } from "../common/frame";
import { summaryText } from "../common/nodes";
import { watch } from "../common/watch";
import { NodeList } from "./nodelist";
import { NodePane } from "./nodepane";

export function mount(el: HTMLElement, host: Host): Dispose {
  const frame = createFrame(el, host, {
    name: "diff",
    testid: "icechunk-diff",
    label: String(host.get("title") || "Differences"),
  });
  new DiffView(frame, host).start();
  return frame.dispose;
}

class DiffView {
  private readonly title = h("h2", { class: "icechunk-heading" });
  private readonly between = h("span", { class: "icechunk-between" });
  private readonly counts = h("span", { class: "icechunk-counts" });
  private readonly list: NodeList;
  private readonly pane: NodePane;
  /** True while this view sets the trait `selected_path`, so that it ignores its own change. */
  private quiet = false;

  constructor(
    private readonly frame: Frame,
    private readonly host: Host,
  ) {
    this.list = new NodeList(frame, (node) => this.choose(node));
    this.pane = new NodePane(frame, host);
    const space = h("span", { class: "icechunk-grow" });
    fill(
      frame.body,
      h("header", { class: "icechunk-head" }, this.title, this.between, space, this.counts),
      h("div", { class: "icechunk-difsplit" }, this.list.element, this.pane.element),
    );
  }

  start(): void {
    const { host } = this;
    const { signal } = this.frame;
    host.onChange("revision", () => void this.load(), signal);
    host.onChange("title", () => this.showTitle(), signal);
    host.onChange("selected_path", () => this.followSelected(), signal);
    host.onEvent((event) => event.event === "changed" && void this.load(), signal);
    watch(this.frame, host);
    this.showTitle();
    this.pane.loading();
    void this.load();
  }

  private showTitle(): void {
    say(this.title, String(this.host.get("title") || "Differences"));
  }

  private async load(): Promise<void> {
    try {
      const { result } = await this.host.request<DiffReply>("diff");
      if (this.frame.signal.aborted) return;
      this.frame.clearError();
      this.present(result);
    } catch (error) {
      this.frame.fail(error, () => void this.load());
    }
  }

  private present(reply: DiffReply): void {
    this.showTitle();
    fill(
      this.between,
      h("span", { class: "icechunk-state", title: reply.a.id }, reply.a.label),
      h("span", { "aria-hidden": "true" }, " → "),
      h("span", { class: "icechunk-sr" }, " to "),
      h("span", { class: "icechunk-state", title: reply.b.id }, reply.b.label),
    );
    say(this.counts, summaryText(reply.counts));
    this.list.show(reply);
    const wanted = this.list.selected || String(this.host.get("selected_path") || "");
    const start = this.list.find(wanted) ?? this.list.start;
    if (start) this.show(start);
    else this.pane.showText(reply.nodes.length ? "The filters hide every node." : "The two states are the same.");
  }

  /** Select a node; the one that is shown already is only marked again. */
  private choose(node: DiffNode): void {
    if (node.path === this.list.selected) this.list.select(node.path);
    else this.show(node);
  }

  private show(node: DiffNode): void {
    this.list.select(node.path);
    if (this.host.get("selected_path") !== node.path) {
      this.quiet = true;
      this.host.set("selected_path", node.path);
      this.quiet = false;
    }
    void this.pane.show(node);
  }

  /** Show the node that Python or another view of the same widget selected. */
  private followSelected(): void {
    if (this.quiet) return;
    const node = this.list.find(String(this.host.get("selected_path")));
    if (node) this.choose(node);
  }
}
