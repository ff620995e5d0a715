import assert from "node:assert/strict";
import { HISTOGRAM_EDGES } from "../../../parity/compare/compare_report.ts";
import {
  checkTolerance,
  compareTolerance,
  measureError,
  tensorError,
} from "../../../parity/compare/tensor_error.ts";
import type { DType } from "../../../tensor/dtype.ts";
import type { Tensor, TensorData } from "../../../tensor/tensor.ts";

function floats(values: readonly number[], shape: readonly number[] = [values.length]): Tensor {
  return { dtype: "float32", shape, data: Float32Array.from(values) };
}

function tensorOf(dtype: DType, data: TensorData): Tensor {
  return { dtype, shape: [data.length], data };
}

Deno.test("equal tensors are no distance apart in any metric", () => {
  const one = floats([1, -2, 0, NaN, Infinity]);
  const { error, histogram } = measureError(one, floats([1, -2, 0, NaN, Infinity]));
  assert.deepEqual(error, {
    maxAbs: 0,
    maxRel: 0,
    cosine: 1,
    sqnrDb: Infinity,
    maxUlp: 0,
    nanCandidate: 0,
    nanReference: 0,
    differing: 0,
    elements: 5,
    scale: 2,
    ratio: 0,
  });
  assert.equal(histogram[0], 5);
});

Deno.test("the metrics of a known difference", () => {
  const error = tensorError(floats([3, 4, 0]), floats([3, 4.5, 0]));
  assert.equal(error.maxAbs, 0.5);
  assert.equal(error.maxRel, 0.125);
  assert.equal(error.scale, 4);
  assert.equal(error.differing, 1);
  assert.ok(Math.abs(error.cosine - (9 + 18) / (5 * Math.hypot(3, 4.5))) < 1e-12);
  assert.ok(Math.abs(error.sqnrDb - 20) < 1e-12); // 10 * log10(25 / 0.25)
  assert.ok(Math.abs(error.ratio - 0.5 / (1e-5 + 4e-5)) < 1e-6);
});

Deno.test("units of the last place are counted from number to number, through zero too", () => {
  const bitsOf = (value: number): number => {
    const bits = new Int32Array(Float32Array.of(value).buffer)[0] as number;
    return bits < 0 ? -(bits & 0x7fffffff) : bits;
  };
  for (const [one, other] of [[1, 1 + 2 ** -23], [0, 2 ** -149], [-1, 1], [1e-40, 3e38], [1, 4]]) {
    const [wanted, found] = [Math.fround(one as number), Math.fround(other as number)];
    const { maxUlp } = tensorError(floats([wanted]), floats([found]));
    assert.equal(maxUlp, Math.abs(bitsOf(wanted) - bitsOf(found)), `${wanted} ${found}`);
  }
  // In steps of the coarser dtype: 2^-10 is one step of a float16 at 1.
  const half = tensorOf("float16", Float16Array.of(1 + 2 ** -10));
  assert.equal(tensorError(floats([1]), half).maxUlp, 1);
});

Deno.test("a NaN or an infinity on one side is infinitely far off, and counted", () => {
  const error = tensorError(floats([1, NaN, 2, Infinity]), floats([NaN, 1, 2, 3]));
  assert.deepEqual(
    [error.maxAbs, error.ratio, error.cosine, error.sqnrDb],
    [Infinity, Infinity, 0, -Infinity],
  );
  assert.deepEqual([error.nanCandidate, error.nanReference, error.differing], [1, 1, 3]);
  assert.equal(error.scale, 2); // infinities are no scale
});

Deno.test("the histogram counts every element, relative to the scale", () => {
  const reference = floats([1, 1, 1, 1, 1]);
  const candidate = floats([1, 1 + 2 ** -23, 1.005, 1.5, 3]);
  const { histogram } = measureError(reference, candidate);
  assert.equal(histogram.length, HISTOGRAM_EDGES.length + 1);
  assert.deepEqual(histogram, [1, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1]);
  assert.equal(measureError(floats([1]), floats([NaN])).histogram.at(-1), 1);
});

Deno.test("shapes must agree, unless only elements are asked for", () => {
  const [one, other] = [floats([1, 2, 3, 4], [2, 2]), floats([1, 2, 3, 4], [4])];
  const { error, problem } = measureError(one, other);
  assert.equal(error.ratio, Infinity);
  assert.equal(problem, "shape [2, 2] became [4]");
  assert.equal(tensorError(one, other, { ignoresShape: true }).ratio, 0);
  assert.equal(tensorError(one, floats([1, 2]), { ignoresShape: true }).ratio, Infinity);
});

Deno.test("kinds must agree", () => {
  const { error, problem } = measureError(floats([1]), tensorOf("int32", Int32Array.of(1)));
  assert.deepEqual([error.ratio, problem], [Infinity, "float32 became int32"]);
});

Deno.test("integers are compared exactly, beyond 2^53 too, and across widths", () => {
  const big = 2n ** 53n;
  const one = tensorOf("int64", BigInt64Array.of(big, 5n));
  const error = tensorError(one, tensorOf("int64", BigInt64Array.of(big + 1n, 5n)));
  assert.deepEqual([error.maxAbs, error.differing, error.ratio, error.maxUlp], [
    1,
    1,
    Infinity,
    null,
  ]);
  const narrow = tensorOf("int32", Int32Array.of(1, -2));
  const wide = tensorOf("int64", BigInt64Array.of(1n, -2n));
  assert.equal(tensorError(narrow, wide).ratio, 0);
});

Deno.test("strings are equal or not", () => {
  const one = tensorOf("string", ["a", "b"]);
  assert.equal(tensorError(one, tensorOf("string", ["a", "b"])).ratio, 0);
  const error = tensorError(one, tensorOf("string", ["a", "c"]));
  assert.deepEqual([error.differing, error.ratio], [1, Infinity]);
});

Deno.test("the tolerance is that of the coarser dtype, or what was asked for", () => {
  assert.deepEqual(compareTolerance("float32", "float32"), { rtol: 1e-5, atol: 1e-5 });
  assert.deepEqual(compareTolerance("float32", "float16"), { rtol: 1e-2, atol: 1e-2 });
  assert.deepEqual(compareTolerance("bfloat16", "float32"), { rtol: 1e-2, atol: 1e-2 });
  assert.deepEqual(compareTolerance("int64", "int64", { rtol: 1 }), { rtol: 0, atol: 0 });
  assert.deepEqual(compareTolerance("float32", "float32", { rtol: 0 }), { rtol: 0, atol: 1e-5 });
  const [one, other] = [floats([1]), floats([1.001])];
  assert.ok(tensorError(one, other).ratio > 1);
  assert.ok(tensorError(one, other, { precision: "float16" }).ratio < 1);
});

Deno.test("long tensors are measured to the last element", () => {
  const one = floats(Array.from({ length: 10_001 }, () => 1));
  const other = floats(Array.from({ length: 10_001 }, (_, index) => index === 10_000 ? 2 : 1));
  assert.deepEqual([tensorError(one, other).maxAbs, tensorError(one, other).differing], [1, 1]);
});

Deno.test("squares that leave the range of float64 are summed all the same", () => {
  for (const size of [1e200, 1e-200]) {
    const [left, right] = [[size, 2 * size], [size, 2.5 * size]].map((values) =>
      tensorOf("float64", Float64Array.from(values))
    );
    const { cosine, sqnrDb } = tensorError(left as Tensor, right as Tensor);
    assert.ok(Math.abs(cosine - 6 / Math.sqrt(5 * 7.25)) < 1e-12, String(cosine));
    assert.ok(Math.abs(sqnrDb - 10 * Math.log10(5 / 0.25)) < 1e-9, String(sqnrDb));
  }
});

Deno.test("checkTolerance() refuses what is no tolerance", () => {
  checkTolerance("compare", { rtol: 0, atol: 1e300 });
  for (const options of [{ rtol: -1 }, { atol: NaN }, { atol: Infinity }, { rtol: "1" as never }]) {
    assert.throws(() => checkTolerance("compare", options), { code: "OPTION_INVALID" });
  }
});
