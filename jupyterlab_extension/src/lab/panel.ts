/** The side panel: follows the current document and asks its kernel while the panel is visible. */

import type { Message } from "@lumino/messaging";
import { Widget } from "@lumino/widgets";
import { mount, type PanelState, type RepositoriesView } from "../views/repositories";
import { askKernel, type ContextLike, contextOf, type KernelLike } from "./kernel";

/** Milliseconds without another change before the kernel is asked. */
const SETTLE = 250;

export class IcechunkPanel extends Widget {
  private readonly view: RepositoriesView;
  private context: ContextLike | null = null;
  private shownKernel = "";
  private asking = false;
  private stale = true;
  private timer = 0;
  /** Bound once, so that it can be disconnected from the signals. */
  private readonly onStatus = (): void => this.statusChanged();
  private readonly onKernel = (): void => this.refreshSoon();

  constructor() {
    super();
    this.addClass("icechunk-panelhost");
    this.view = mount(this.node, { onRefresh: () => void this.refresh(true) });
    this.view.show({ state: "no-kernel" });
  }

  /** Follow another document; for a document without a kernel, stay with the one before. */
  follow(widget: unknown): void {
    const context = contextOf(widget);
    if (!context || context === this.context) {
      if (this.context && isDisposed(this.context)) this.use(null);
      return;
    }
    this.use(context);
  }

  private use(context: ContextLike | null): void {
    this.context?.statusChanged?.disconnect(this.onStatus);
    this.context?.kernelChanged?.disconnect(this.onKernel);
    this.context = context;
    context?.statusChanged?.connect(this.onStatus);
    context?.kernelChanged?.connect(this.onKernel);
    this.refreshSoon();
  }

  private get kernel(): KernelLike | null {
    if (!this.context || isDisposed(this.context)) return null;
    return this.context.session?.kernel ?? null;
  }

  private statusChanged(): void {
    // The request of this panel makes the kernel busy and idle again; reacting to that would never end.
    if (this.asking) return;
    const status = this.kernel?.status;
    if (status === undefined || status === "idle" || status === "dead") this.refreshSoon();
  }

  /** Ask once the kernel has settled; a hidden panel asks when it is shown. */
  private refreshSoon(): void {
    this.stale = true;
    if (!this.isVisible) return;
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.refresh(), SETTLE);
  }

  async refresh(force = false): Promise<void> {
    if (this.isDisposed || (this.asking && !force)) return;
    const kernel = this.kernel;
    if (!kernel || kernel.status === "dead") return this.present({ state: "no-kernel" }, "");
    if (kernel.status === "busy" && !force) {
      if (this.shownKernel !== kernel.id) this.present({ state: "busy" }, "");
      return;
    }
    if (this.shownKernel !== kernel.id) this.view.show({ state: "loading" });
    this.asking = true;
    this.stale = false;
    let state: PanelState;
    try {
      state = await askKernel(kernel);
    } catch (error) {
      state = { state: "failed", message: error instanceof Error ? error.message : String(error) };
    } finally {
      this.asking = false;
    }
    if (this.isDisposed) return;
    if (this.kernel === kernel) this.present(state, kernel.id);
    else this.refreshSoon();
  }

  private present(state: PanelState, kernel: string): void {
    this.shownKernel = kernel;
    this.view.show(state);
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    if (this.stale) this.refreshSoon();
  }

  override dispose(): void {
    if (this.isDisposed) return;
    window.clearTimeout(this.timer);
    this.use(null);
    window.clearTimeout(this.timer);
    this.view.dispose();
    super.dispose();
  }
}

function isDisposed(context: ContextLike): boolean {
  return (context as { isDisposed?: boolean }).isDisposed === true;
}
