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
 *
 * `groupLength` says how many consecutive numbers belong together (the rounds of one opening): then
 * whole groups are resampled, and within each the numbers, so that what differs from group to group
 * counts as the uncertainty that it is.
 *
 * @throws {RangeError} when the series does not consist of whole groups.
 */
export function medianInterval(
  series: readonly number[],
  groupLength: number = series.length,
): MedianInterval {
  const count = series.length;
  const groupCount = count / groupLength;
  if (!Number.isInteger(groupCount)) throw new RangeError("the series ends inside a group");
  const random = new ResamplingRandom();
  const resampled = new Float64Array(count);
  const medians = new Float64Array(RESAMPLE_COUNT);
  for (let index = 0; index < RESAMPLE_COUNT; index++) {
    for (let group = 0; group < groupCount; group++) {
      const start = groupCount === 1 ? 0 : random.below(groupCount) * groupLength;
      for (let place = 0; place < groupLength; place++) {
        resampled[group * groupLength + place] = series[start + random.below(groupLength)] ?? NaN;
      }
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

/** xorshift32 from a fixed seed. */
class ResamplingRandom {
  #state = SEED | 0;

  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }
}
