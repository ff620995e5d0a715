// The two scales of a report. Errors are ranked by how many tolerances they are, on fixed levels, so that a
// colour means the same in every report; values are ranked by magnitude, on levels made for the trace.

import { numberText } from "./_page_values.ts";

/** What a measure needs to know of its scale. */
export interface LevelScale {
  readonly isTolerance: boolean;
  readonly edges: readonly number[];
  readonly levels: readonly string[];
}

/** How many decades below the largest value are told apart. */
const DECADES = 6;

/** Error over tolerance: up to level 2 all is well. */
export const TOLERANCE_SCALE: LevelScale = {
  isTolerance: true,
  edges: [0.1, 1, 10, 100, 1e4],
  levels: [
    "equal",
    "up to 0.1 × tolerance",
    "within tolerance",
    "up to 10 ×",
    "up to 100 ×",
    "up to 10,000 ×",
    "more",
    "not comparable: NaN, infinite or another shape",
  ],
};

/** Magnitudes from the smallest to the largest that occur, by equal factors. */
export function magnitudeScale(values: Iterable<number | null>): LevelScale {
  let [least, most] = [Infinity, 0];
  for (const value of values) {
    const size = Math.abs(value ?? NaN);
    if (!(size > 0 && size < Infinity)) continue;
    least = Math.min(least, size);
    most = Math.max(most, size);
  }
  const low = Math.max(least, most * 10 ** -DECADES);
  const factor = most === 0 ? 1 : (most / low) ** (1 / 6);
  const edges = [1, 2, 3, 4, 5].map((power) => most === 0 ? 0 : low * factor ** power);
  const texts = edges.map(numberText);
  return {
    isTolerance: false,
    edges,
    levels: [
      "zero",
      ...texts.map((text) => `up to ${text}`),
      `up to ${numberText(most)}`,
      "NaN or infinite",
    ],
  };
}
