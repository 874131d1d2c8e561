/** The `render` function that anywidget calls, for each view. */

import { anywidgetHost, type Host, type WidgetModel } from "../core/host";
import type { Dispose } from "../views/common/frame";

export interface RenderContext {
  model: WidgetModel;
  el: HTMLElement;
  signal?: AbortSignal;
}

export function renderer(mount: (el: HTMLElement, host: Host) => Dispose) {
  return {
    render({ model, el, signal }: RenderContext): Dispose {
      const controller = new AbortController();
      const dispose = mount(el, anywidgetHost(model, controller.signal));
      const end = (): void => {
        if (controller.signal.aborted) return;
        dispose();
        controller.abort();
      };
      // Newer versions of anywidget abort the signal, older ones call the returned function.
      signal?.addEventListener("abort", end, { once: true });
      return end;
    },
  };
}
