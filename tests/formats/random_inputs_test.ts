import assert from "node:assert/strict";
import fc from "fast-check";
import { randomInputs } from "../../formats/random_inputs.ts";
import type { DeclaredInput } from "../../formats/tensor_inputs.ts";
import type { DType } from "../../tensor/dtype.ts";
import { thrown } from "./_damage.ts";
import { NUMERIC } from "./_tensors.ts";

const made = (
  dtype: DType,
  shape: readonly (number | string | null)[] = [4, 5],
  dims: Record<string, number> = {},
  seed = 7,
) => randomInputs(seed, [{ name: "x", dtype, shape }], dims).x;

Deno.test("randomInputs() gives the words of xoshiro128** as an independent program has them", () => {
  assert.deepEqual(
    made("float32", [6])?.data,
    Float32Array.of(
      0.6748528480529785,
      -0.20481431484222412,
      -0.4433305263519287,
      0.5164977312088013,
      -0.763808012008667,
      0.07851779460906982,
    ),
  );
  const mask = randomInputs(-1, [{ name: "mäsk", dtype: "bool", shape: [8] }]);
  assert.deepEqual(mask["mäsk"]?.data, Uint8Array.of(1, 0, 1, 1, 1, 1, 1, 0));
});

Deno.test("randomInputs() gives every float type values in [-1, 1) that it holds exactly", () => {
  for (const dtype of ["float16", "float32", "float64"] as const) {
    const data = [...made(dtype, [5000])?.data as Float32Array];
    assert.ok(data.every((value) => value >= -1 && value < 1));
    assert.ok(Math.abs(data.reduce((sum, value) => sum + value, 0) / 5000) < 0.05);
  }
  const bits = made("bfloat16", [5000])?.data as Uint16Array;
  const widened = new Float32Array(Uint32Array.from(bits, (each) => each << 16).buffer);
  assert.ok(widened.every((value) => value >= -1 && value < 1 && (value * 128) % 1 === 0));
});

Deno.test("randomInputs() gives integers and bools of 0 and 1, each row beginning with 1", () => {
  for (const dtype of NUMERIC.filter((name) => /^(bool|u?int)/.test(name))) {
    const data = [...made(dtype, [30, 40])?.data as Int32Array].map(Number);
    assert.deepEqual([...new Set(data)].sort(), [0, 1], dtype);
    assert.ok(data.every((value, index) => index % 40 !== 0 || value === 1), dtype);
  }
  assert.deepEqual(made("int64", [])?.data, BigInt64Array.of(1n));
  assert.match((made("string", [3])?.data as string[]).join(""), /^[a-p]{3}$/);
});

Deno.test("randomInputs() gives each input the same values whatever stands beside it", () => {
  fc.assert(fc.property(fc.maxSafeInteger(), (seed) => {
    const x: DeclaredInput = { name: "x", dtype: "float32", shape: [3] };
    const y: DeclaredInput = { name: "y", dtype: "float32", shape: [3] };
    const both = randomInputs(seed, [y, x]);
    assert.deepEqual(both.x, randomInputs(seed, [x]).x);
    assert.notDeepEqual(both.x?.data, both.y?.data);
  }));
  assert.notDeepEqual(made("float32", [3], {}, 1)?.data, made("float32", [3], {}, 2)?.data);
});

Deno.test("randomInputs() sizes symbolic and nameless dimensions by `dims`", () => {
  const shape = ["batch", 3, null, ""] as const;
  const sized = made("uint8", shape, { batch: 2, "x[2]": 4, "x[3]": 0 });
  assert.deepEqual([...sized?.shape ?? []], [2, 3, 4, 0]);
  assert.deepEqual([...made("uint8", [-1], { "x[0]": 2 })?.shape ?? []], [2]);
});

Deno.test("randomInputs() names every dimension that is not given", () => {
  const error = thrown(() => made("uint8", ["batch", "seq", null, "batch"]), "OPTION_INVALID");
  assert.deepEqual(error.details.missing, ["batch", "seq", "x[2]"]);
  assert.equal(error.fix, "give --dim batch=SIZE --dim seq=SIZE --dim x[2]=SIZE");
});

Deno.test("randomInputs() refuses options that cannot be meant", () => {
  const near = thrown(() => made("uint8", ["batch"], { bacth: 2, batch: 2 }), "OPTION_INVALID");
  assert.match(near.fix, /batch/);
  for (const size of [-1, 1.5, NaN, 2 ** 53]) {
    thrown(() => made("uint8", ["batch"], { batch: size }), "OPTION_INVALID");
  }
  thrown(() => made("uint8", ["n", "n"], { n: 2 ** 20 }), "OPTION_INVALID");
  thrown(() => made("uint8", [1], {}, 0.5), "OPTION_INVALID");
  thrown(
    () => randomInputs(1, [{ name: "x", dtype: "uint8", shape: null }]),
    "OPTION_INVALID",
  );
  thrown(() => made("float8e5m2", [1]), "TENSOR_DTYPE");
});

Deno.test("randomInputs() leaves optional inputs out", () => {
  const declared: DeclaredInput[] = [{ name: "w", dtype: "float32", shape: ["n"], optional: true }];
  assert.deepEqual(Object.keys(randomInputs(1, declared)), []);
});
