// Tensors for the tests of formats/: arbitrary ones, and comparison by bits.

import assert from "node:assert/strict";
import fc from "fast-check";
import type { DType } from "../../tensor/dtype.ts";
import { allocate, elementCount, type Tensor, tensor, tensorBytes } from "../../tensor/tensor.ts";

/** Every dtype that has a typed array. */
export const NUMERIC: readonly DType[] = [
  "bool",
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint32",
  "int32",
  "uint64",
  "int64",
  "float16",
  "bfloat16",
  "float32",
  "float64",
  "float8e4m3fn",
  "float8e4m3fnuz",
  "float8e5m2",
  "float8e5m2fnuz",
];

const shapes = fc.array(fc.nat({ max: 4 }), { maxLength: 4 });

/** Tensors of arbitrary bits (0 and 1 for bool). */
export function numericTensors(dtypes: readonly DType[] = NUMERIC): fc.Arbitrary<Tensor> {
  return fc.record({ dtype: fc.constantFrom(...dtypes), shape: shapes }).chain(
    ({ dtype, shape }) => {
      const data = allocate(dtype, elementCount(shape));
      const length = data.byteLength;
      return fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => {
        const made = tensor(dtype, shape, data.slice() as Tensor["data"]);
        tensorBytes(made).set(dtype === "bool" ? bytes.map((byte) => byte & 1) : bytes);
        return made;
      });
    },
  );
}

/** Tensors of well-formed strings. */
export function stringTensors(): fc.Arbitrary<Tensor> {
  return shapes.chain((shape) => {
    const length = elementCount(shape);
    const text = fc.string({ unit: "grapheme", maxLength: 6 });
    return fc.array(text, { minLength: length, maxLength: length }).map((data) =>
      tensor("string", shape, data)
    );
  });
}

/** Fails unless dtype, shape and every bit agree. */
export function assertSameTensor(found: Tensor | undefined, wanted: Tensor): void {
  assert.ok(found !== undefined);
  assert.equal(found.dtype, wanted.dtype);
  assert.deepEqual([...found.shape], [...wanted.shape]);
  if (wanted.dtype === "string") assert.deepEqual(found.data, wanted.data);
  else assert.deepEqual(tensorBytes(found), tensorBytes(wanted));
}
