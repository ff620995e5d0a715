// What a step cache remembers in one context (`cond`, `uncond`) over one generation, and what it counts.

import type { FloatArray } from "./streams.ts";

/** What was decided over one generation in one context. */
export interface CacheStatistics {
  /** Steps in which the span ran. */
  readonly computed: number;
  /** Steps in which it was skipped. */
  readonly skipped: number;
  /** The skipped steps as `traceStep` numbered them, or the number of the call where it did not. */
  readonly skippedSteps: readonly number[];
  /** The relative change that was seen in each step; NaN where there was nothing to compare with. */
  readonly changes: readonly number[];
}

/** What the span added to one of its streams when it last ran. */
export interface Residual {
  readonly output: string;
  readonly input: string;
  readonly values: FloatArray;
}

/** The memory of one context. */
export class CacheState {
  /** The signal of the step to compare with. */
  signal: FloatArray | null = null;
  /** The signal of the running step, set before the span is entered. */
  incoming: FloatArray | null = null;
  /** What the span added when it last ran. */
  residuals: readonly Residual[] | null = null;
  /** Change since the span last ran, as the policy accumulates it. */
  accumulated = 0;
  /** Skips since the span last ran. */
  consecutiveSkips = 0;
  lastStep: number | null = null;
  #computed = 0;
  #skippedSteps: number[] = [];
  #changes: number[] = [];

  /** Forgets the generation; the counts start anew. */
  reset(): void {
    this.signal = null;
    this.incoming = null;
    this.residuals = null;
    this.accumulated = 0;
    this.consecutiveSkips = 0;
    this.lastStep = null;
    this.#computed = 0;
    this.#skippedSteps = [];
    this.#changes = [];
  }

  /** A step number that does not grow begins another generation. */
  beginStep(step: number | null): void {
    if (step !== null && this.lastStep !== null && step <= this.lastStep) {
      const incoming = this.incoming;
      this.reset();
      this.incoming = incoming;
    }
    this.lastStep = step;
  }

  /** Counts a step. */
  count(change: number, isSkipped: boolean): void {
    this.#changes.push(change);
    if (isSkipped) {
      this.consecutiveSkips++;
      this.#skippedSteps.push(this.lastStep ?? this.#changes.length - 1);
    } else {
      this.consecutiveSkips = 0;
      this.#computed++;
    }
  }

  /** What was counted since the last reset. */
  get statistics(): CacheStatistics {
    return {
      computed: this.#computed,
      skipped: this.#skippedSteps.length,
      skippedSteps: [...this.#skippedSteps],
      changes: [...this.#changes],
    };
  }
}
