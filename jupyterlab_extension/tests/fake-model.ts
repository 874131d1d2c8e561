import type { WidgetModel } from "../src/core/host";

type Callback = (...args: never[]) => void;

/** An anywidget model without a kernel. */
export class FakeModel implements WidgetModel {
  sent: { id: string; method: string; params: Record<string, unknown> }[] = [];
  saves = 0;
  broken = false;
  private readonly listeners = new Map<string, Set<Callback>>();

  constructor(private readonly state: Record<string, unknown> = {}) {}

  get listenerCount(): number {
    return [...this.listeners.values()].reduce((sum, set) => sum + set.size, 0);
  }

  get(name: string): unknown {
    return this.state[name];
  }

  set(name: string, value: unknown): void {
    this.state[name] = value;
    this.emit(`change:${name}`);
  }

  save_changes(): void {
    this.saves++;
  }

  on(event: string, callback: Callback): void {
    const set = this.listeners.get(event) ?? new Set();
    this.listeners.set(event, set);
    set.add(callback);
  }

  off(event: string, callback: Callback): void {
    this.listeners.get(event)?.delete(callback);
  }

  send(content: unknown): void {
    if (this.broken) throw new Error("comm is closed");
    this.sent.push(content as (typeof this.sent)[number]);
  }

  reply(content: unknown, buffers: DataView[] = []): void {
    this.emit("msg:custom", content, buffers);
  }

  private emit(event: string, ...args: unknown[]): void {
    for (const callback of [...(this.listeners.get(event) ?? [])]) callback(...(args as never[]));
  }
}
