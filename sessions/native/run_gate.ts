// How many runs compute on other threads at once. Every run in flight has a thread and its activations;
// a thousand of them would not finish sooner than a few, which use all cores already. Runs wait for
// nothing but computing, so waiting here cannot lock anything up.

/** Lets a number of runs in; the others wait in the order in which they came. */
export class RunGate {
  readonly #limit: number;
  readonly #waiting = new Set<() => void>();
  #inside = 0;

  /** Makes a gate for `limit` runs at once. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** How many runs wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Waits for a place, which {@linkcode leave} gives back; null when there is one at once.
   *
   * @throws `signal.reason` when the signal says so before; there is no place to give back then.
   */
  enter(signal: AbortSignal | undefined): Promise<void> | null {
    if (this.#inside < this.#limit) {
      this.#inside++;
      return null;
    }
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#waiting.delete(start);
        reject(signal?.reason);
      };
      const start = (): void => {
        signal?.removeEventListener("abort", abort);
        resolve();
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.add(start);
    });
  }

  /** Gives a place back, to the run that has waited longest. */
  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#inside--;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
