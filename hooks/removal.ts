// The last part of a hook's life: it is out of the registry, running calls may still hold it, and when
// the last of them ends its onDetach runs. It knows neither order nor names. Invariant: onDetach runs
// exactly once, never under a running call, and its failure reaches exactly one place: who awaited the
// removal, or `settled` when nobody could.

import type { RegisteredHook } from "./admission.ts";
import { isThenable } from "./call_stack.ts";
import { oneError, thrownOutsideCall } from "./hook_fault.ts";
import type { ModuleFacts } from "./model_hook.ts";
import type { HookOrder } from "./order.ts";

/** One hook on its way out. */
export class Removal {
  readonly #hook: RegisteredHook;
  readonly #module: ModuleFacts;
  readonly #ended = Promise.withResolvers<void>();
  #state: "waiting" | "detaching" | "done" = "waiting";
  #failure: unknown;
  #failed = false;

  /** Takes note; `detach` does the work. */
  constructor(hook: RegisteredHook, module: ModuleFacts) {
    this.#hook = hook;
    this.#module = module;
    // Whoever awaits gets a promise of its own from `wait`; this one must not count as unhandled.
    this.#ended.promise.catch(() => {});
  }

  /** The hook. */
  get hook(): RegisteredHook {
    return this.#hook;
  }

  /** Whether onDetach has ended, well or not. */
  get done(): boolean {
    return this.#state === "done";
  }

  /** Whether it failed and nobody was told yet. */
  get hasFailure(): boolean {
    return this.#failed;
  }

  /** The failure, taken so that it is reported once; null when there is none (left). */
  takeFailure(): { readonly error: unknown } | null {
    if (!this.#failed) return null;
    this.#failed = false;
    return { error: this.#failure };
  }

  /** Resolves when onDetach has ended; rejects with its failure, which then counts as reported. */
  async wait(): Promise<void> {
    await this.#ended.promise.catch(() => {});
    const failure = this.takeFailure();
    if (failure !== null) throw failure.error;
  }

  /** Runs onDetach; the second call does nothing. */
  detach(): void {
    if (this.#state !== "waiting") return;
    this.#state = "detaching";
    try {
      const result = this.#hook.methods.onDetach?.(this.#module);
      if (isThenable(result)) {
        result.then(() => this.#end(), (cause: unknown) => this.#fail(cause));
      } else {
        this.#end();
      }
    } catch (cause) {
      this.#fail(cause);
    }
  }

  #end(): void {
    this.#state = "done";
    this.#ended.resolve();
  }

  #fail(cause: unknown): void {
    this.#failure = thrownOutsideCall(this.#hook, "onDetach", {
      module: this.#module,
      cause,
    });
    this.#failed = true;
    this.#state = "done";
    this.#ended.reject(this.#failure);
  }
}

/** The running calls of a module and the removals that wait for them. */
export class RemovalQueue {
  readonly #running = new Map<HookOrder, number>();
  readonly #removals = new Set<Removal>();

  /** How many calls are running. */
  get runningCalls(): number {
    let count = 0;
    for (const calls of this.#running.values()) count += calls;
    return count;
  }

  /** Notes that a call holds `order`. */
  hold(order: HookOrder): void {
    this.#running.set(order, (this.#running.get(order) ?? 0) + 1);
  }

  /** Notes that a call has ended and detaches what only it had held. */
  letGo(order: HookOrder): void {
    const calls = (this.#running.get(order) ?? 1) - 1;
    if (calls > 0) this.#running.set(order, calls);
    else this.#running.delete(order);
    if (this.#removals.size > 0) this.#detachFree();
  }

  /** Takes a hook that has left the registry; detaches it now when no call holds it. */
  add(removal: Removal): void {
    this.#removals.add(removal);
    this.#detachFree();
  }

  /** Waits for all removals and throws the failures that nobody was told of. */
  async settled(): Promise<void> {
    const failures: unknown[] = [];
    for (const removal of [...this.#removals]) {
      await removal.wait().catch((error: unknown) => failures.push(error));
      this.#removals.delete(removal);
    }
    if (failures.length > 0) throw oneError(failures, "to detach");
  }

  #detachFree(): void {
    const orders = [...this.#running.keys()];
    for (const removal of [...this.#removals]) {
      const held = orders.some((order) => order.entering.includes(removal.hook));
      if (!held) removal.detach();
    }
    this.#forgetDone();
  }

  /** Ended well and reported failures need no keeping; a failure stays until somebody takes it. */
  #forgetDone(): void {
    for (const removal of [...this.#removals]) {
      if (removal.done && !removal.hasFailure) this.#removals.delete(removal);
    }
  }
}
