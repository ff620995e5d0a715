// One figure of the GPU benchmarks, what it should be, and whether it is.

/** A figure. */
export interface GpuRow {
  readonly name: string;
  readonly found: number;
  /** What was asked for, in words; null for a figure without a target. */
  readonly wanted: string | null;
  readonly isMet: boolean | null;
}
