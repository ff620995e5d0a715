// Keeps the threads of one process apart by a web lock, which needs no permission, leaves nothing behind, is
// no concern of other processes, and goes with a worker that is ended, once its native call has returned.
//
// A lock costs turns of two event loops, about 40 µs beside a run on WebGPU of 170. So a thread that has it
// keeps it while calls follow one another, for a few milliseconds, and gives it back when its turn ends.

import { setImmediate } from "node:timers";

/** What keeps threads apart. */
export interface ThreadLocks {
  /** Does `work` while nobody else in the process has the lock of that name. */
  request(
    name: string,
    options: { readonly signal?: AbortSignal },
    work: () => Promise<void>,
  ): Promise<void>;
}

/** How long a thread keeps others waiting before it lets them in between two calls. */
const KEPT_MS = 5;

/** A thread's hold on something that one thread may have at a time. It is used by one call at a time. */
export class ThreadLease {
  readonly #locks: ThreadLocks;
  readonly #name: string;
  #giveBack: (() => void) | null = null;
  #since = 0;
  #isInUse = false;

  /** Makes a lease that holds nothing yet. */
  constructor(locks: ThreadLocks, name: string) {
    this.#locks = locks;
    this.#name = name;
  }

  /** True while other threads are kept out. */
  get isHeld(): boolean {
    return this.#giveBack !== null;
  }

  /**
   * Keeps other threads out until {@linkcode leave}, at least.
   *
   * @throws `signal.reason` when it was aborted while it waited.
   */
  async enter(signal: AbortSignal | undefined): Promise<void> {
    if (this.#giveBack === null) await this.#request(signal);
    this.#isInUse = true;
  }

  /** The call has ended: others may come in now, or at the end of this turn of the event loop. */
  leave(): void {
    this.#isInUse = false;
    if (performance.now() - this.#since > KEPT_MS) this.#end();
    else {
      setImmediate(() => {
        if (!this.#isInUse) this.#end();
      });
    }
  }

  async #request(signal: AbortSignal | undefined): Promise<void> {
    const { promise: left, resolve: giveBack } = Promise.withResolvers<void>();
    const { promise: entered, resolve, reject } = Promise.withResolvers<void>();
    const options = signal === undefined ? {} : { signal };
    this.#locks.request(this.#name, options, () => {
      resolve();
      return left;
    }).catch(reject);
    await entered;
    this.#giveBack = giveBack;
    this.#since = performance.now();
  }

  #end(): void {
    this.#giveBack?.();
    this.#giveBack = null;
  }
}
