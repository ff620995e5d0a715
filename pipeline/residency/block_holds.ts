// Who holds the weights of which module: any number of runs at once. Weights are fetched for the first
// holder and let go of after the last; a fetch waits for the letting go before it. Invariant: every hold
// is dropped once, and a fetch that failed leaves nothing behind.

interface Hold {
  users: number;
  ready: Promise<void>;
}

/** What moves weights. */
export interface Mover {
  fetch(module: string): Promise<void>;
  release(module: string): Promise<void>;
}

/** The holds of all runs of one plan. */
export class BlockHolds {
  readonly #mover: Mover;
  readonly #holds = new Map<string, Hold>();
  readonly #leaving = new Map<string, Promise<void>>();

  constructor(mover: Mover) {
    this.#mover = mover;
  }

  /** How many modules are held. */
  get size(): number {
    return this.#holds.size;
  }

  /** Takes a hold and begins to fetch where nobody has. */
  take(module: string): void {
    const known = this.#holds.get(module);
    if (known !== undefined) {
      known.users++;
      return;
    }
    const before = this.#leaving.get(module) ?? Promise.resolve();
    const ready = before.then(() => this.#mover.fetch(module));
    ready.catch(() => {}); // whoever waits for the module hears of it
    this.#holds.set(module, { users: 1, ready });
  }

  /** Resolves when a module that is held can run; rejects with what its fetch threw. */
  async ready(module: string): Promise<void> {
    await this.#holds.get(module)?.ready;
  }

  /** Drops a hold. Resolves when the weights are gone, if this was the last one. */
  async drop(module: string): Promise<void> {
    const hold = this.#holds.get(module);
    if (hold === undefined || --hold.users > 0) return;
    this.#holds.delete(module);
    const leaving = hold.ready.then(() => {}, () => {}).then(() => this.#mover.release(module));
    this.#leaving.set(module, leaving);
    try {
      await leaving;
    } finally {
      if (this.#leaving.get(module) === leaving) this.#leaving.delete(module);
    }
  }
}
