// Medians, quartiles, and an interval for a median by bootstrap. Pure: the resampling is seeded, so the
// same samples give the same interval.

/** A median with its 90 % interval: 95 % of the resampled medians lie at or below `upper`. */
export interface MedianInterval {
  /** The median itself. */
  readonly median: number;
  /** 5 % of the resampled medians lie below. */
  readonly lower: number;
  /** 95 % of the resampled medians lie at or below. */
  readonly upper: number;
}

const RESAMPLE_COUNT = 2000;
const SEED = 0x9e3779b9;

/**
 * The quantile of sorted values, linear between neighbours (type 7 of Hyndman and Fan).
 *
 * @throws {RangeError} when there is no value.
 */
export function quantile(sorted: ArrayLike<number>, fraction: number): number {
  if (sorted.length === 0) throw new RangeError("no samples");
  const position = (sorted.length - 1) * fraction;
  const below = Math.floor(position);
  const low = sorted[below] ?? NaN;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] ?? NaN;
  return low + (high - low) * (position - below);
}

/** The median. */
export function median(values: readonly number[]): number {
  return quantile(Float64Array.from(values).sort(), 0.5);
}

/** The distance between the first and the third quartile. */
export function interquartileRange(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  return quantile(sorted, 0.75) - quantile(sorted, 0.25);
}

/**
 * The median of a series and how far it may be off, by resampling the series with replacement. For
 * paired contestants the series holds one number a round (a ratio, a difference), so that what slowed
 * a whole round down cancels out.
 */
export function medianInterval(series: readonly number[]): MedianInterval {
  const count = series.length;
  const resampled = new Float64Array(count);
  const medians = new Float64Array(RESAMPLE_COUNT);
  let state = SEED | 0;
  for (let index = 0; index < RESAMPLE_COUNT; index++) {
    for (let place = 0; place < count; place++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      resampled[place] = series[(state >>> 0) % count] ?? NaN;
    }
    resampled.sort();
    medians[index] = quantile(resampled, 0.5);
  }
  medians.sort();
  return {
    median: median(series),
    lower: quantile(medians, 0.05),
    upper: quantile(medians, 0.95),
  };
}
