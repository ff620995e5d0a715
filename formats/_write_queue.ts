// Carries out the steps of a writer one after another and remembers whether one of them failed
// half-way, after which nothing more may be appended.

import { writeFileFault } from "./_partial_file.ts";

/** The queue of one writer. */
export class WriteQueue {
  readonly #path: string;
  readonly #names = new Set<string>();
  #last: Promise<unknown> = Promise.resolve();
  #failure: unknown = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** The names taken so far, in order. */
  get names(): readonly string[] {
    return [...this.#names];
  }

  /**
   * Appends a tensor under a new name when all earlier steps have ended. What `check` throws refuses the
   * tensor; what `append` throws ends the writer.
   */
  add(name: string, check: () => void, append: () => Promise<void>): Promise<void> {
    return this.#then(async () => {
      this.#requireSound();
      if (this.#names.has(name)) {
        throw writeFileFault(this.#path, `it holds a tensor "${name}" already`);
      }
      check();
      try {
        await append();
      } catch (error) {
        this.#failure = error;
        throw error;
      }
      this.#names.add(name);
    });
  }

  /** Runs the last step, after all others. */
  end(finish: () => Promise<void>): Promise<void> {
    return this.#then(async () => {
      this.#requireSound();
      await finish();
    });
  }

  /** Runs a step after all others, also when one of them failed. */
  always(step: () => Promise<void>): Promise<void> {
    return this.#then(step);
  }

  #requireSound(): void {
    if (this.#failure === null) return;
    throw writeFileFault(this.#path, "an earlier write failed half-way", this.#failure);
  }

  #then(step: () => Promise<void>): Promise<void> {
    const next = this.#last.then(step);
    this.#last = next.catch(() => {});
    return next;
  }
}
