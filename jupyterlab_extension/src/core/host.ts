/** The interface between a view and its kernel, and the implementation for anywidget models. */

export interface Reply<T> {
  result: T;
  buffers: DataView[];
}

export interface PushEvent {
  event: string;
  [key: string]: unknown;
}

export interface RequestOptions {
  /** Aborts the request; its promise then rejects with kind `aborted`. */
  signal?: AbortSignal;
  /** Milliseconds without a reply after which the request fails (30 s by default). */
  timeout?: number;
}

export interface Host {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  onChange(name: string, callback: () => void, signal: AbortSignal): void;
  request<T>(
    method: string,
    params?: Record<string, unknown>,
    options?: RequestOptions,
  ): Promise<Reply<T>>;
  onEvent(callback: (event: PushEvent) => void, signal: AbortSignal): void;
}

export class HostError extends Error {
  constructor(
    readonly kind: string,
    message: string,
    readonly hint = "",
  ) {
    super(message);
    this.name = "HostError";
  }
}

/** The part of an anywidget model that is used here. */
export interface WidgetModel {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  on(event: string, callback: (...args: never[]) => void): void;
  off(event: string, callback: (...args: never[]) => void): void;
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
}

export const REQUEST_TIMEOUT = 30_000;

interface Pending {
  resolve(reply: Reply<unknown>): void;
  reject(error: HostError): void;
}

let hosts = 0;

/**
 * A host that sends requests to the widget's kernel side as `msg:custom` messages.
 *
 * Several views may share one model, so request ids are unique per view and replies to other views
 * are ignored. When `signal` aborts, every pending request rejects and all listeners are removed.
 */
export function anywidgetHost(model: WidgetModel, signal: AbortSignal): Host {
  return new AnywidgetHost(model, signal);
}

class AnywidgetHost implements Host {
  private readonly prefix = `${Math.random().toString(36).slice(2, 10)}-${++hosts}`;
  private readonly pending = new Map<string, Pending>();
  private readonly listeners = new Set<(event: PushEvent) => void>();
  private counter = 0;

  constructor(
    private readonly model: WidgetModel,
    private readonly signal: AbortSignal,
  ) {
    const receive = ((message: unknown, buffers?: DataView[]) => this.receive(message, buffers)) as (...args: never[]) => void;
    model.on("msg:custom", receive);
    const close = (): void => {
      model.off("msg:custom", receive);
      for (const waiting of [...this.pending.values()]) waiting.reject(closedError());
      this.listeners.clear();
    };
    signal.addEventListener("abort", close, { once: true });
  }

  get(name: string): unknown {
    return this.model.get(name);
  }

  set(name: string, value: unknown): void {
    this.model.set(name, value);
    this.model.save_changes();
  }

  onChange(name: string, callback: () => void, signal: AbortSignal): void {
    this.model.on(`change:${name}`, callback);
    signal.addEventListener("abort", () => this.model.off(`change:${name}`, callback), { once: true });
  }

  onEvent(callback: (event: PushEvent) => void, signal: AbortSignal): void {
    this.listeners.add(callback);
    signal.addEventListener("abort", () => this.listeners.delete(callback), { once: true });
  }

  request<T>(method: string, params: Record<string, unknown> = {}, options: RequestOptions = {}): Promise<Reply<T>> {
    return new Promise((resolve, reject) => {
      if (this.signal.aborted) return reject(closedError());
      if (options.signal?.aborted) return reject(abortedError());
      const id = `${this.prefix}-${++this.counter}`;
      const limit = options.timeout ?? REQUEST_TIMEOUT;
      const finish = (): void => {
        clearTimeout(timer);
        this.pending.delete(id);
        options.signal?.removeEventListener("abort", abandon);
      };
      const fail = (error: HostError): void => (finish(), reject(error));
      const abandon = (): void => fail(abortedError());
      const timer = setTimeout(() => fail(timeoutError(limit)), limit);
      this.pending.set(id, { resolve: (reply) => (finish(), resolve(reply as Reply<T>)), reject: fail });
      options.signal?.addEventListener("abort", abandon, { once: true });
      try {
        this.model.send({ id, method, params });
      } catch (error) {
        fail(sendError(error));
      }
    });
  }

  private receive(message: unknown, buffers?: DataView[]): void {
    if (typeof message !== "object" || message === null) return;
    const content = message as Record<string, unknown>;
    if (typeof content.event === "string") {
      for (const listener of [...this.listeners]) listener(content as PushEvent);
      return;
    }
    const waiting = this.pending.get(String(content.id));
    if (!waiting) return;
    if (content.ok === true) waiting.resolve({ result: content.result, buffers: buffers ?? [] });
    else waiting.reject(errorFrom(content.error));
  }
}

function closedError(): HostError {
  return new HostError("closed", "This view was closed.");
}

function abortedError(): HostError {
  return new HostError("aborted", "The request was aborted.");
}

function timeoutError(limit: number): HostError {
  return new HostError(
    "timeout",
    `The kernel did not answer within ${Math.round(limit / 1000)} s.`,
    "If it is running a long cell, wait for it and try again; if it has stopped, restart it and run the cell.",
  );
}

function sendError(error: unknown): HostError {
  const reason = error instanceof Error ? error.message : String(error);
  return new HostError("no-kernel", `The request could not be sent: ${reason}`, "Run the cell again to connect this view to a running kernel.");
}

function errorFrom(raw: unknown): HostError {
  const error = (typeof raw === "object" && raw !== null ? raw : {}) as Record<string, unknown>;
  return new HostError(
    String(error.kind ?? "error"),
    String(error.message ?? "The kernel reported an error without a message."),
    error.hint == null ? "" : String(error.hint),
  );
}

/** Any thrown value as a HostError. */
export function asHostError(error: unknown): HostError {
  if (error instanceof HostError) return error;
  return new HostError("error", error instanceof Error ? error.message : String(error));
}

/** Whether an error only says that the view no longer needs the reply; such errors are not shown. */
export function isSilent(error: unknown): boolean {
  return error instanceof HostError && (error.kind === "aborted" || error.kind === "closed");
}

/** The bytes of a received buffer. */
export function bytesOf(view: DataView | undefined): Uint8Array<ArrayBuffer> {
  if (!view) return new Uint8Array(0);
  const bytes = new Uint8Array(view.byteLength);
  bytes.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
  return bytes;
}

/** A received buffer of little-endian float32 values (copied, since it may not be aligned). */
export function floatsOf(view: DataView | undefined): Float32Array {
  const bytes = bytesOf(view);
  return new Float32Array(bytes.buffer, 0, bytes.byteLength >> 2);
}
