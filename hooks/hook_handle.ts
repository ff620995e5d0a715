// What a caller holds: the handle of one registration and the lease of one running call. Both only
// forward to functions that the registry gave them. Invariant: both end once; ending them again is
// harmless, and a handle never removes a hook that was registered later under the same name.

import type { ModelHook } from "./model_hook.ts";
import type { HookOrder } from "./order.ts";

/**
 * One registration of a hook. Removes it with `using`, `await using` or `remove()`; removing it again
 * does nothing.
 */
export class HookHandle implements Disposable, AsyncDisposable {
  /** The hook's name. */
  readonly name: string;
  /** The hook. */
  readonly hook: ModelHook;
  readonly #isActive: () => boolean;
  readonly #remove: () => Promise<void>;
  readonly #removeNow: () => void;

  /** Made by `HookRegistry.register`. */
  constructor(
    hook: ModelHook,
    { name, isActive, remove, removeNow }: {
      readonly name: string;
      readonly isActive: () => boolean;
      readonly remove: () => Promise<void>;
      readonly removeNow: () => void;
    },
  ) {
    this.hook = hook;
    this.name = name;
    this.#isActive = isActive;
    this.#remove = remove;
    this.#removeNow = removeNow;
  }

  /** Whether this registration is still in the registry. */
  get active(): boolean {
    return this.#isActive();
  }

  /** Removes the hook with the next call; resolves as `HookRegistry.remove` does. */
  remove(): Promise<void> {
    return this.#remove();
  }

  /**
   * Removes the hook with the next call. Throws what `onDetach` threw when it ran at once; a failure
   * that comes later is kept for `HookRegistry.settled`.
   */
  [Symbol.dispose](): void {
    this.#removeNow();
  }

  /** The same as `remove()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#remove();
  }
}

/** A running call's hold on the hooks of a module: what it holds is not detached before its release. */
export class HookLease implements Disposable {
  /** The order that the call works on. */
  readonly order: HookOrder;
  readonly #release: () => void;
  #released = false;

  /** Made by `HookRegistry.acquire`. */
  constructor(order: HookOrder, release: () => void) {
    this.order = order;
    this.#release = release;
  }

  /** Ends the hold; the second time it does nothing. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#release();
  }

  /** The same as `release()`. */
  [Symbol.dispose](): void {
    this.release();
  }
}
