// One run's way through the streamed modules of a plan: fetch ahead, run, let go behind. It knows the
// order of the modules and nothing of how weights move.
//
// Invariant: when the run has ended, however it ended, it holds nothing. A module that is skipped, runs
// twice or fails changes only when weights are fetched, never what is computed.

import type { BlockHolds } from "./block_holds.ts";

/** What a run goes through. */
export interface ResidencyRoute {
  /** The streamed modules in execution order, one entry for each call. */
  readonly modules: readonly string[];
  /** How many entries ahead are fetched. */
  readonly ahead: number;
  readonly holds: BlockHolds;
}

/** One run. */
export class ResidencyRun {
  readonly #route: ResidencyRoute;
  /** Entries of the route that this run holds. */
  readonly #held = new Set<number>();
  /** Entries before this one were run or skipped. */
  #position = 0;
  #hasEnded = false;

  constructor(route: ResidencyRoute) {
    this.#route = route;
  }

  /** Begins to fetch what comes first. */
  begin(): void {
    this.#holdFrom(0);
  }

  /** Runs `forward`, the computation of a streamed module, with the module's weights near. */
  async around<Result>(module: string, forward: () => Promise<Result>): Promise<Result> {
    const { holds } = this.#route;
    const at = this.#entryOf(module);
    this.#position = at;
    await this.#dropBefore(at);
    this.#hold(at);
    this.#holdFrom(at + 1);
    try {
      await holds.ready(module);
      return await forward();
    } finally {
      this.#position = at + 1;
      await this.#drop(at);
    }
  }

  /**
   * The module, or something without streamed weights, comes next, while the one before it still computes:
   * lets go of what lies behind that one, fetches ahead, and resolves when the module can run. For weights
   * that come when they are touched.
   */
  async pass(module: string | null): Promise<void> {
    if (module === null) return await this.#dropBefore(this.#position);
    const { holds } = this.#route;
    const at = this.#entryOf(module);
    this.#position = at;
    await this.#dropBefore(at - 1); // first of all: the next block's pages come meanwhile
    this.#hold(at);
    this.#holdFrom(at + 1, at + this.#route.ahead);
    await holds.ready(module);
  }

  /** Lets go of everything. */
  async end(): Promise<void> {
    this.#hasEnded = true;
    for (const entry of [...this.#held]) await this.#drop(entry);
  }

  /** The module's next entry, or its last one when it runs once more. */
  #entryOf(module: string): number {
    const { modules } = this.#route;
    const next = modules.indexOf(module, this.#position);
    return next >= 0 ? next : modules.lastIndexOf(module);
  }

  #holdFrom(first: number, end: number = first + this.#route.ahead): void {
    for (let entry = first; entry < Math.min(end, this.#route.modules.length); entry++) {
      this.#hold(entry);
    }
  }

  #hold(entry: number): void {
    const module = this.#route.modules[entry];
    if (module === undefined || this.#held.has(entry) || this.#hasEnded) return;
    this.#held.add(entry);
    this.#route.holds.take(module);
  }

  /** Modules that were fetched and then skipped. */
  async #dropBefore(at: number): Promise<void> {
    for (const entry of [...this.#held]) if (entry < at) await this.#drop(entry);
  }

  async #drop(entry: number): Promise<void> {
    const module = this.#route.modules[entry];
    if (module === undefined || !this.#held.delete(entry)) return;
    await this.#route.holds.drop(module);
  }
}
