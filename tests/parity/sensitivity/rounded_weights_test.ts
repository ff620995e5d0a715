import assert from "node:assert/strict";
import {
  int8Tensor,
  isRounded,
  roundedTensor,
  roundWeight,
} from "../../../parity/sensitivity/rounded_weights.ts";
import { decodeTensorProto } from "../../../graph/tensor_proto.ts";
import { float32, tensor } from "../../../tensor/tensor.ts";
import { floats, int64s } from "../../support/build_model.ts";

Deno.test("roundedTensor() loses what the type cannot hold and keeps its own type", () => {
  const value = float32([4], [1 + 2 ** -12, 1e-9, 70000, -0.5]);
  const half = roundedTensor(value, "float16");
  assert.equal(half.dtype, "float32");
  assert.deepEqual([...half.data as Float32Array], [1, 0, Infinity, -0.5]);
  const brain = roundedTensor(float32([2], [1 + 2 ** -8, 70000]), "bfloat16");
  assert.deepEqual([...brain.data as Float32Array], [1, 70144]);
  const ids = tensor("int64", [1], BigInt64Array.of(70000n));
  assert.equal(roundedTensor(ids, "float16"), ids);
});

Deno.test("int8Tensor() rounds to 255 steps between -max and max", () => {
  const { data, dtype } = int8Tensor(float32([5], [-1.27, 0.004, 0.006, 0.5, 1.27]));
  assert.equal(dtype, "float32");
  const steps = [...data as Float32Array].map((value) => Math.round(value * 1000) / 1000);
  assert.deepEqual(steps, [-1.27, 0, 0.01, 0.5, 1.27]);
  const zeros = float32([2, 2], [0, 0, 0, 0]);
  assert.equal(int8Tensor(zeros), zeros);
});

Deno.test("int8Tensor() rounds tensors of more elements than are read at once", () => {
  const count = 10_000;
  const value = float32([count], Float32Array.from({ length: count }, (_, at) => at / count));
  const rounded = int8Tensor(value).data as Float32Array;
  const step = (count - 1) / count / 127;
  const worst = rounded.reduce(
    (most, found, at) => Math.max(most, Math.abs(found - at / count)),
    0,
  );
  assert.ok(worst <= step / 2 * 1.0001 && worst > step / 2 * 0.99);
  assert.ok(new Set(rounded).size <= 128);
});

Deno.test("roundWeight() leaves integers, and for int8 vectors, as they are", () => {
  const matrix = floats("w", [4, 4], (index) => 1 + index * 2 ** -14);
  const before = decodeTensorProto(matrix);
  assert.ok(isRounded(matrix, "int8") && isRounded(matrix, "float16"));
  roundWeight(matrix, "float16");
  assert.notDeepEqual(decodeTensorProto(matrix).data, before.data);
  const vector = floats("b", [4], (index) => 1 + index * 2 ** -14);
  assert.ok(!isRounded(vector, "int8") && isRounded(vector, "bfloat16"));
  const shape = int64s("shape", [70000]);
  roundWeight(shape, "float16");
  assert.deepEqual(decodeTensorProto(shape).data, BigInt64Array.of(70000n));
  const typed = floats("t", [2, 2]);
  typed.rawData = new Uint8Array(0);
  typed.floatData = [1 + 2 ** -12, 2, 3, 4];
  roundWeight(typed, "float16");
  assert.deepEqual([...decodeTensorProto(typed).data as Float32Array], [1, 2, 3, 4]);
});
