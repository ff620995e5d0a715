/**
 * Counts of magnitudes by power of two: the form that shows whether values fit a narrower type.
 *
 * @example
 * ```ts
 * import { addValues, emptyHistogram } from "@hookline/value-histogram/histogram";
 * const histogram = emptyHistogram();
 * addValues(histogram, [0.75, -1.5, 0, NaN]);
 * console.log(histogram.counts); // { "-1": 1, "0": 1 }
 * ```
 *
 * @module
 */

/** How many values have each magnitude. */
export interface Histogram {
  /** By exponent `e`: how many values `v` have `2^e <= |v| < 2^(e+1)`. */
  readonly counts: Record<string, number>;
  /** How many are zero. */
  zeros: number;
  /** How many are NaN or infinite. */
  notFinite: number;
  /** How many there are in all. */
  total: number;
}

/** A histogram of nothing. */
export function emptyHistogram(): Histogram {
  return { counts: {}, zeros: 0, notFinite: 0, total: 0 };
}

/** Adds values to a histogram. */
export function addValues(histogram: Histogram, values: Iterable<number>): void {
  for (const value of values) {
    histogram.total++;
    const magnitude = Math.abs(value);
    if (magnitude === 0) histogram.zeros++;
    else if (!(magnitude < Infinity)) histogram.notFinite++;
    else {
      const exponent = exponentOf(magnitude);
      histogram.counts[exponent] = (histogram.counts[exponent] ?? 0) + 1;
    }
  }
}

/** The power of two at or below a magnitude; Math.log2 alone rounds up just below a power. */
function exponentOf(magnitude: number): number {
  const near = Math.floor(Math.log2(magnitude));
  if (2 ** near > magnitude) return near - 1;
  return 2 ** (near + 1) <= magnitude ? near + 1 : near;
}
