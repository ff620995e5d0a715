import assert from "node:assert/strict";
import {
  castTensor,
  coarserDType,
  dtypeClass,
  floatPrecision,
  readNumbers,
} from "../../../parity/compare/cast_tensor.ts";
import type { DType } from "../../../tensor/dtype.ts";
import type { Tensor, TensorData } from "../../../tensor/tensor.ts";

function tensorOf(dtype: DType, data: TensorData): Tensor {
  return { dtype, shape: [data.length], data };
}

function numbersOf(tensor: Tensor): number[] {
  const into = new Float64Array(tensor.data.length);
  assert.equal(readNumbers(tensor, 0, into), into.length);
  return [...into];
}

const ALL_HALVES = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);

Deno.test("every float16 is read as the runtime's own Float16Array reads it, from bits too", () => {
  const wanted = Array.from(new Float16Array(ALL_HALVES.buffer));
  assert.deepEqual(numbersOf(tensorOf("float16", ALL_HALVES)), wanted);
  assert.deepEqual(
    numbersOf(tensorOf("float16", new Float16Array(ALL_HALVES.slice().buffer))),
    wanted,
  );
});

Deno.test("every bfloat16 is read as the upper half of a float32", () => {
  const wide = Uint32Array.from(ALL_HALVES, (bits) => bits << 16);
  const wanted = Array.from(new Float32Array(wide.buffer));
  assert.deepEqual(numbersOf(tensorOf("bfloat16", ALL_HALVES)), wanted);
});

Deno.test("floats of eight bits are read as their definitions say", () => {
  // Largest numbers, smallest ones and specials. Source: ONNX's page on float8 (onnx 1.20).
  const cases: readonly (readonly [DType, number, number])[] = [
    ["float8e4m3fn", 0x7e, 448],
    ["float8e4m3fn", 0x7f, NaN],
    ["float8e4m3fn", 0x01, 2 ** -9],
    ["float8e4m3fnuz", 0x7f, 240],
    ["float8e4m3fnuz", 0x80, NaN],
    ["float8e4m3fnuz", 0x01, 2 ** -10],
    ["float8e5m2", 0x7b, 57344],
    ["float8e5m2", 0xfc, -Infinity],
    ["float8e5m2", 0x01, 2 ** -16],
    ["float8e5m2fnuz", 0x7f, 57344],
    ["float8e5m2fnuz", 0x01, 2 ** -17],
    ["float8e5m2fnuz", 0x81, -(2 ** -17)],
  ];
  for (const [dtype, bits, wanted] of cases) {
    assert.deepEqual(numbersOf(tensorOf(dtype, Uint8Array.of(bits))), [wanted], `${dtype} ${bits}`);
  }
});

Deno.test("what is held as bits comes back from its own numbers", () => {
  for (const dtype of ["float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"] as const) {
    const bits = Uint8Array.from({ length: 256 }, (_, index) => index);
    const numbers = numbersOf(tensorOf(dtype, bits));
    const back = castTensor(tensorOf("float64", Float64Array.from(numbers)), dtype);
    assert.deepEqual(numbersOf(back as Tensor), numbers, dtype);
  }
  const numbers = numbersOf(tensorOf("bfloat16", ALL_HALVES));
  const back = castTensor(tensorOf("float64", Float64Array.from(numbers)), "bfloat16");
  assert.deepEqual(numbersOf(back as Tensor), numbers);
});

Deno.test("casting rounds to nearest even, as IEEE 754 does", () => {
  const source = Float32Array.from(
    { length: 4096 },
    (_, index) => Math.sin(index) * 2 ** (index % 40),
  );
  const half = castTensor(tensorOf("float32", source), "float16") as Tensor;
  assert.deepEqual(numbersOf(half), Array.from(Float16Array.from(source)));
  // bfloat16 by the usual integer trick: add half of what is cut off, ties to even.
  const bits = new Uint32Array(source.slice().buffer);
  const wanted = bits.map((word) => ((word + 0x7fff + ((word >>> 16) & 1)) >>> 16) << 16);
  const brain = castTensor(tensorOf("float32", source), "bfloat16") as Tensor;
  assert.deepEqual(numbersOf(brain), Array.from(new Float32Array(wanted.buffer)));
});

Deno.test("integers are cast where they fit, and nothing is cast to another kind", () => {
  const small = tensorOf("int64", BigInt64Array.of(1n, -7n));
  assert.deepEqual(castTensor(small, "int32")?.data, Int32Array.of(1, -7));
  assert.equal(castTensor(small, "uint8"), null);
  assert.equal(castTensor(tensorOf("int64", BigInt64Array.of(1n << 40n)), "int32"), null);
  assert.equal(castTensor(small, "float32"), null);
  assert.equal(castTensor(tensorOf("bool", Uint8Array.of(1)), "int32"), null);
  assert.equal(castTensor(small, "int64"), small);
});

Deno.test("kinds and precision of dtypes", () => {
  assert.deepEqual(
    (["bfloat16", "uint8", "bool", "string", "int4"] as const).map(dtypeClass),
    ["float", "integer", "bool", "string", "other"],
  );
  assert.deepEqual(floatPrecision("float32"), [23, -126]);
  assert.deepEqual(floatPrecision("float16"), [10, -14]);
  assert.equal(floatPrecision("int8"), null);
  assert.equal(coarserDType("float32", "float16"), "float16");
  assert.equal(coarserDType("bfloat16", "float16"), "bfloat16");
  assert.equal(coarserDType("int32", "int64"), "int32");
});
