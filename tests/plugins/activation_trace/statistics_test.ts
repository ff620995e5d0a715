// The statistics against their definitions, written down the slow way.

import assert from "node:assert/strict";
import fc from "fast-check";
import { type DType, float32, type Tensor, tensor } from "../../../mod.ts";
import {
  TensorStatistics,
  TRACE_STATISTICS,
  type TraceStatistic,
} from "../../../plugins/activation_trace/statistics.ts";

const ALL = Object.keys(TRACE_STATISTICS) as TraceStatistic[];

function statisticsOf(value: Tensor, names = ALL): Record<string, unknown> {
  const found = new TensorStatistics(names).compute(value);
  return Object.fromEntries(names.map((name, index) => [name, found[index]]));
}

/** The definitions, over elements that are float32 already. */
function defined(elements: readonly number[]): Record<string, number> {
  const count = elements.length;
  const add = (of: (element: number) => number) =>
    elements.reduce((sum, element) => sum + of(element), 0);
  const mean = add((element) => element) / count;
  const sorted = [...elements].sort((left, right) => left - right);
  const quantile = (share: number): number => {
    const rank = share * (count - 1);
    const [below, above] = [sorted[Math.floor(rank)] ?? NaN, sorted[Math.ceil(rank)] ?? NaN];
    return below + (above - below) * (rank - Math.floor(rank));
  };
  return {
    abs_mean: add(Math.abs) / count,
    sum: add((element) => element),
    min: count === 0 ? NaN : Math.min(...elements),
    max: count === 0 ? NaN : Math.max(...elements),
    mean,
    std: count < 2 ? NaN : Math.sqrt(add((element) => (element - mean) ** 2) / (count - 1)),
    nan_count: 0,
    inf_count: 0,
    l2: Math.sqrt(add((element) => element * element)),
    p01: quantile(0.01),
    p50: quantile(0.5),
    p99: quantile(0.99),
  };
}

function assertClose(found: Record<string, unknown>, wanted: Record<string, number>): void {
  for (const [name, value] of Object.entries(wanted)) {
    const own = found[name] as number;
    const scale = Math.max(Math.abs(value), 1e-300);
    const isSame = Object.is(own, value) || own === value || Math.abs(own - value) <= 1e-9 * scale;
    assert.ok(isSame, `${name}: ${own}, wanted ${value}`);
  }
}

Deno.test("TensorStatistics gives every statistic as it is defined", () => {
  fc.assert(fc.property(
    fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 }), {
      maxLength: 300,
    }),
    (elements) => {
      const found = statisticsOf(float32([elements.length], elements));
      const wanted = defined(elements);
      // A sum near zero is as exact as its terms are large.
      const loose = ["sum", "mean", "std"];
      for (const name of loose) {
        const error = Math.abs((found[name] as number) - (wanted[name] as number));
        if (Number.isNaN(wanted[name])) assert.ok(Number.isNaN(found[name]), name);
        else assert.ok(error <= 1e-9 * (wanted["l2"] as number) * 20, `${name}: ${error}`);
      }
      const { sum: _sum, mean: _mean, std: _std, ...strict } = wanted;
      assertClose(found, strict);
    },
  ));
});

Deno.test("TensorStatistics gives the same numbers whatever else is asked for", () => {
  const value = float32([100], Array.from({ length: 100 }, (_, index) => Math.sin(index) * 3));
  const all = statisticsOf(value);
  for (const name of ALL) {
    assert.deepEqual(statisticsOf(value, [name])[name], all[name], name);
  }
});

Deno.test("TensorStatistics has no cancellation where the mean is far from zero", () => {
  const value = float32([4], [16_777_215, 16_777_216, 16_777_214, 16_777_213]);
  assert.ok(Math.abs((statisticsOf(value)["std"] as number) - Math.sqrt(5 / 3)) < 1e-9);
  // The pivot is the first element, here the outlier.
  const outlier = float32([5], [1e8, 1, 2, 3, 4]);
  assertClose(statisticsOf(outlier), { std: 44_721_358.430_947_46 });
});

Deno.test("TensorStatistics counts what is not finite, and lets it show in the rest", () => {
  const nan = statisticsOf(float32([4], [1, NaN, -2, NaN]));
  assert.deepEqual([nan["nan_count"], nan["inf_count"]], [2, 0]);
  for (const name of ["abs_mean", "sum", "min", "max", "mean", "std", "l2", "p01", "p50", "p99"]) {
    assert.ok(Number.isNaN(nan[name]), name);
  }
  const infinite = statisticsOf(float32([4], [1, Infinity, -2, 5]));
  assert.deepEqual([infinite["nan_count"], infinite["inf_count"]], [0, 1]);
  assert.deepEqual([infinite["sum"], infinite["max"], infinite["min"]], [Infinity, Infinity, -2]);
  assert.ok(Number.isNaN(infinite["std"]));
  assert.equal(infinite["p50"], 3);
  assert.equal(infinite["p99"], Infinity);
  const both = statisticsOf(float32([3], [-Infinity, Infinity, 0]));
  assert.deepEqual([both["nan_count"], both["inf_count"], both["p50"]], [0, 2, 0]);
  assert.ok(Number.isNaN(both["sum"]));
  assert.equal(both["abs_mean"], Infinity);
});

Deno.test("TensorStatistics of nothing, of one element and of a scalar", () => {
  const empty = statisticsOf(float32([0, 3], []));
  assert.deepEqual([empty["sum"], empty["l2"], empty["nan_count"]], [0, 0, 0]);
  for (const name of ["abs_mean", "min", "max", "mean", "std", "p01", "p50", "p99"]) {
    assert.ok(Number.isNaN(empty[name]), name);
  }
  const scalar = statisticsOf(float32([], [-3]));
  assert.deepEqual([scalar["shape"], scalar["mean"], scalar["p01"]], [[], -3, -3]);
  assert.ok(Number.isNaN(scalar["std"]));
});

const LIKE_FLOATS: readonly [DType, Tensor["data"], string][] = [
  ["float64", Float64Array.of(1, -2, 3.5), "torch.float64"],
  ["float16", Float16Array.of(1, -2, 3.5), "torch.float16"],
  ["float16", Uint16Array.of(0x3c00, 0xc000, 0x4300), "torch.float16"],
  ["bfloat16", Uint16Array.of(0x3f80, 0xc000, 0x4060), "torch.bfloat16"],
];
const INTEGERS: readonly [DType, Tensor["data"]][] = [
  ["int8", Int8Array.of(1, -2, 3)],
  ["int16", Int16Array.of(1, -2, 3)],
  ["int32", Int32Array.of(1, -2, 3)],
  ["int64", BigInt64Array.of(1n, -2n, 3n)],
];

Deno.test("TensorStatistics reads every numeric dtype as float32", () => {
  for (const [dtype, data, spelling] of LIKE_FLOATS) {
    const found = statisticsOf(tensor(dtype, [3], data));
    assertClose(found, defined([1, -2, 3.5]));
    assert.equal(found["dtype"], spelling);
  }
  for (const [dtype, data] of INTEGERS) {
    assertClose(statisticsOf(tensor(dtype, [3], data)), defined([1, -2, 3]));
  }
  const bool = statisticsOf(tensor("bool", [3], Uint8Array.of(1, 0, 1)));
  assert.deepEqual([bool["sum"], bool["dtype"]], [2, "torch.bool"]);
  const unsigned = statisticsOf(tensor("uint64", [1], BigUint64Array.of(2n ** 64n - 1n)));
  assert.equal(unsigned["sum"], 2 ** 64);
});

Deno.test("TensorStatistics casts to float32 first, as FastVideo does", () => {
  const found = statisticsOf(tensor("float64", [2], Float64Array.of(0.1, 1e300)));
  assert.deepEqual([found["min"], found["max"]], [Math.fround(0.1), Infinity]);
  assert.deepEqual([found["inf_count"], found["nan_count"]], [1, 0]);
});

Deno.test("TensorStatistics decodes half floats from bits as a Float16Array does", () => {
  const bits = Uint16Array.from({ length: 65_536 }, (_, index) => index)
    .filter((pattern) => (pattern & 0x7c00) !== 0x7c00);
  const fromBits = statisticsOf(tensor("float16", [bits.length], bits));
  const native = statisticsOf(
    tensor("float16", [bits.length], new Float16Array(bits.buffer, 0, bits.length)),
  );
  assert.deepEqual(fromBits, native);
});

Deno.test("TensorStatistics finds percentiles of large tensors exactly, in any dtype", () => {
  const length = 50_000;
  let state = 7;
  const random = () => (state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296) / 2 ** 32;
  const elements = Float32Array.from(
    { length },
    () => (random() - 0.5) * 10 ** Math.floor(random() * 12 - 6),
  );
  elements[3] = 0;
  elements[4] = -0;
  const wanted = defined(Array.from(elements));
  const { p01, p50, p99 } = wanted as { p01: number; p50: number; p99: number };
  const statistics = new TensorStatistics(["p99", "p01", "p50"]);
  assert.deepEqual(statistics.compute(float32([length], elements)), [p99, p01, p50]);
  // The tables are used again.
  const doubled = elements.map((element) => element * 2);
  assert.deepEqual(statistics.compute(float32([length], doubled)), [p99 * 2, p01 * 2, p50 * 2]);
  const wide = tensor("float64", [length], Float64Array.from(elements));
  assert.deepEqual(statistics.compute(wide), [p99, p01, p50]);
  const same = new Float32Array(length).fill(1.25);
  assert.deepEqual(statistics.compute(float32([length], same)), [1.25, 1.25, 1.25]);
});

Deno.test("TensorStatistics has no numbers for strings and for dtypes without a number type", () => {
  const text = tensor("string", [2], ["a", "b"]);
  assert.equal(new TensorStatistics(["sum"]).accepts(text), false);
  const free = new TensorStatistics(["shape", "dtype"]);
  assert.equal(free.accepts(text), true);
  assert.deepEqual(free.compute(text), [[2], "torch.string"]);
  const eight = tensor("float8e5m2", [1], Uint8Array.of(0x3c));
  assert.equal(new TensorStatistics(["p50"]).accepts(eight), false);
  assert.deepEqual(free.compute(eight), [[1], "torch.float8_e5m2"]);
});

Deno.test("TensorStatistics leaves the tensor as it was", () => {
  const data = Float32Array.of(3, -1, 2);
  statisticsOf(float32([3], data));
  assert.deepEqual([...data], [3, -1, 2]);
});
