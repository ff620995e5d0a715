import assert from "node:assert/strict";
import fc from "fast-check";
import {
  ASSUMED_ELEMENTS,
  type Finding,
  planStatistics,
  StatisticComparer,
  type TraceRecord,
} from "../../parity/trace_statistics.ts";
import { type Row, row } from "./_traces.ts";

function compared(left: Row, right: Row, options = {}): Finding {
  const [one, other] = [left, right] as unknown as [TraceRecord, TraceRecord];
  const comparer = new StatisticComparer(options);
  comparer.compare(one, other, planStatistics(one, other));
  return comparer.finding(one, other);
}

Deno.test("StatisticComparer finds equal records equal, spelled dtypes and NaN included", () => {
  assert.equal(compared(row("a"), row("a")).ratio, 0);
  assert.equal(compared(row("a"), row("a", { dtype: "float32" })).ratio, 0);
  const odd = { std: "NaN", max: "Infinity", min: "-Infinity" };
  assert.equal(compared(row("a", odd), row("a", odd)).ratio, 0);
});

Deno.test("StatisticComparer takes NaN against a number, and Infinity against another, for divergence", () => {
  for (const value of ["NaN", "Infinity"]) {
    for (const [left, right] of [[value, 2], [2, value], [value, "-Infinity"]]) {
      const found = compared(row("a", { max: left }), row("a", { max: right }));
      assert.deepEqual([found.stat, found.error, found.ratio], ["max", NaN, Infinity]);
      assert.deepEqual([found.reference, found.candidate], [left, right]);
    }
  }
});

Deno.test("StatisticComparer compares shapes exactly and says nothing else then", () => {
  const found = compared(row("a"), row("a", { shape: [6, 2], max: 100 }));
  assert.deepEqual([found.stat, found.error, found.ratio], ["shape", null, Infinity]);
  assert.equal(compared(row("a", { shape: [] }), row("a", { shape: [] })).ratio, 0);
});

Deno.test("StatisticComparer compares counts exactly", () => {
  const found = compared(row("a", { nan_count: 10_000_000 }), row("a", { nan_count: 10_000_001 }));
  assert.deepEqual([found.stat, found.error, found.ratio], ["nan_count", 1, Infinity]);
});

Deno.test("StatisticComparer compares min, max, mean and std on the scale of the tensor", () => {
  // The scale is 2, so float32 tolerates 1e-7 + 2e-5 of each of them, however small it is itself.
  for (const stat of ["min", "max", "mean", "std", "p50"]) {
    const within = compared(row("a", { [stat]: 1e-6 }), row("a", { [stat]: 1e-6 + 1.9e-5 }));
    const [ratio, limit] = stat === "max" ? [1.25, 1.51e-5] : [0.95, 2.01e-5];
    assert.ok(Math.abs(within.ratio / ratio - 1) < 0.02, `${stat} ${within.ratio}`);
    assert.ok(Math.abs(within.tolerance / limit - 1) < 0.02, `${stat} ${within.tolerance}`);
  }
});

Deno.test("StatisticComparer compares a sum on what all elements together may be off", () => {
  const limit = 12 * (1e-7 + 1e-5 * 0.5);
  const within = compared(row("a", { sum: 0 }), row("a", { sum: 0.99 * limit }));
  assert.ok(Math.abs(within.ratio - 0.99) < 1e-9);
  assert.ok(compared(row("a", { sum: 0 }), row("a", { sum: 1.01 * limit })).ratio > 1);
  const bare = { module: "a", tensor: "out", step: null, l2: 4, sum: 0, shape: [16] };
  assert.ok(compared(bare, { ...bare, sum: 16e-5 }).ratio < 1);
  assert.ok(compared(bare, { ...bare, sum: 17e-5 }).ratio > 1);
});

Deno.test("StatisticComparer assumes a number of elements where no shape stands beside a sum", () => {
  const [one, other] = [{ shape: undefined, sum: 0 }, { shape: undefined, sum: 0.3 }]
    .map((fields) => row("a", fields) as unknown as TraceRecord) as [TraceRecord, TraceRecord];
  const comparer = new StatisticComparer();
  const ratio = comparer.compare(one, other, planStatistics(one, other));
  assert.ok(Math.abs(ratio - 0.3 / (ASSUMED_ELEMENTS * (1e-7 + 5e-6))) < 1e-3, String(ratio));
  assert.ok(comparer.assumedElements);
});

Deno.test("StatisticComparer takes the coarser of two float dtypes, and refuses a float for an integer", () => {
  const half = { dtype: "torch.float16", max: 2.001 };
  assert.ok(compared(row("a"), row("a", half)).ratio < 1);
  assert.ok(compared(row("a", half), row("a")).ratio < 1);
  assert.ok(compared(row("a"), row("a", { max: 2.001 })).ratio > 1);
  const found = compared(row("a"), row("a", { dtype: "torch.int32" }));
  assert.deepEqual([found.stat, found.error, found.ratio], ["dtype", null, Infinity]);
});

Deno.test("StatisticComparer takes the caller's tolerances in place of the dtype's", () => {
  const [left, right] = [row("a"), row("a", { max: 2.1 })];
  assert.ok(compared(left, right, { rtol: 0.1 }).ratio < 1);
  assert.ok(compared(left, right, { atol: 0.1001 }).ratio < 1);
  assert.equal(compared(left, right, { rtol: 0, atol: 0 }).ratio, Infinity);
});

Deno.test("StatisticComparer leaves texts alone and counts them", () => {
  const [one, other] = [row("a", { max: "<error: no max>" }), row("a")] as unknown as [
    TraceRecord,
    TraceRecord,
  ];
  const comparer = new StatisticComparer();
  assert.equal(comparer.compare(one, other, planStatistics(one, other)), 0);
  assert.equal(comparer.textCount, 1);
});

Deno.test("planStatistics() says which statistics one side has alone", () => {
  const left = { ...row("a", { call: 1, seq: 2, run: 0, context: null }), l2: 1 };
  const right = { ...row("a"), p50: 0, max: null };
  const plan = planStatistics(left as unknown as TraceRecord, right as unknown as TraceRecord);
  assert.deepEqual(plan.common.slice(0, 2), ["shape", "dtype"]);
  assert.deepEqual(plan.onlyReference, ["max", "l2"]);
  assert.deepEqual(plan.onlyCandidate, ["p50"]);
});

Deno.test("StatisticComparer never calls tensors different whose elements are all within tolerance", () => {
  const element = fc.double({ min: -50, max: 50, noNaN: true });
  fc.assert(fc.property(
    fc.array(fc.tuple(element, fc.double({ min: -1, max: 1, noNaN: true })), {
      minLength: 2,
      maxLength: 40,
    }),
    (pairs) => {
      const left = pairs.map(([value]) => value);
      const right = pairs.map(([value, off]) =>
        value + off * 0.99 * (1e-7 + 1e-5 * Math.abs(value))
      );
      assert.ok(compared(statistics(left), statistics(right)).ratio <= 1);
    },
  ));
});

function statistics(values: readonly number[]): Row {
  const sum = values.reduce((total, value) => total + value, 0);
  const mean = sum / values.length;
  const squares = values.reduce((total, value) => total + (value - mean) ** 2, 0);
  return row("a", {
    abs_mean: values.reduce((total, value) => total + Math.abs(value), 0) / values.length,
    sum,
    mean,
    min: Math.min(...values),
    max: Math.max(...values),
    std: Math.sqrt(squares / (values.length - 1)),
    l2: Math.hypot(...values),
    shape: [values.length],
  });
}
