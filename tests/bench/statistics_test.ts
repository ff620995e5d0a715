import assert from "node:assert/strict";
import { interquartileRange, median, medianInterval, quantile } from "../../bench/statistics.ts";

Deno.test("median() is the middle value, or half way between the two middle ones", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([10, 9, 100]), 10); // by number, not by text
});

Deno.test("quantile() is linear between neighbours and refuses an empty series", () => {
  assert.equal(quantile([1, 2, 3, 4, 5], 0.25), 2);
  assert.equal(quantile([1, 2, 3, 4], 0.25), 1.75);
  assert.equal(quantile([1, 2], 1), 2);
  assert.throws(() => quantile([], 0.5), RangeError);
});

Deno.test("interquartileRange() is the distance of the quartiles", () => {
  assert.equal(interquartileRange([5, 1, 2, 4, 3]), 2);
  assert.equal(interquartileRange([7, 7, 7]), 0);
});

Deno.test("medianInterval() of equal samples has no width", () => {
  assert.deepEqual(medianInterval([1.5, 1.5, 1.5]), { median: 1.5, lower: 1.5, upper: 1.5 });
});

Deno.test("medianInterval() gives the same interval for the same samples", () => {
  const samples = Array.from({ length: 31 }, (_, index) => 1 + (index * 7 % 31) / 100);
  assert.deepEqual(medianInterval(samples), medianInterval(samples));
});

Deno.test("medianInterval() holds the median, and narrows with more samples", () => {
  const spread = (count: number): number => {
    const samples = Array.from({ length: count }, (_, index) => (index + 0.5) / count);
    const { median: middle, lower, upper } = medianInterval(samples);
    assert.ok(lower < middle && middle < upper, `${lower} ${middle} ${upper}`);
    return upper - lower;
  };
  assert.ok(spread(400) < spread(100));
  assert.ok(spread(100) < spread(25));
});

Deno.test("medianInterval() comes near the order statistics of theory", () => {
  // 95 % one-sided for the median of 101 even steps: rank 51 + 1.645·√101/2 ≈ 59.
  const { upper } = medianInterval(Array.from({ length: 101 }, (_, index) => index));
  assert.ok(upper >= 57 && upper <= 61, String(upper));
});

Deno.test("medianInterval() of groups that disagree is wider than of the same numbers as one", () => {
  // Four openings, quiet within, apart from one another.
  const series = [1, 1.1, 1.2, 1.3].flatMap((base) =>
    Array.from({ length: 25 }, (_, index) => base + index / 10_000)
  );
  const width = (groupLength?: number): number => {
    const { lower, upper } = medianInterval(series, groupLength);
    return upper - lower;
  };
  assert.ok(width(25) > 1.5 * width(), `${width(25)} ${width()}`);
  assert.equal(width(100), width());
  assert.throws(() => medianInterval(series, 33), RangeError);
});
