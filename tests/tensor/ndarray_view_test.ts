import assert from "node:assert/strict";
import { HooklineError } from "../../errors/hookline_error.ts";
import { ndarrayView } from "../../tensor/ndarray_view.ts";
import { allocate, float32, tensor } from "../../tensor/tensor.ts";

Deno.test("ndarrayView() shares the tensor's data, row-major", () => {
  const value = float32([2, 3], [0, 1, 2, 3, 4, 5]);
  const view = ndarrayView(value);
  assert.equal(view.data, value.data);
  assert.deepEqual([...view.shape], [2, 3]);
  assert.equal(view.get(1, 2), 5);
  assert.equal(view.transpose(1, 0).get(2, 0), 2);
  assert.equal(view.pick(1, null).hi(2).get(1), 4);
  view.set(0, 1, 9);
  assert.equal(value.data[1], 9);
});

Deno.test("ndarrayView() takes scalars, bigints and every array type", () => {
  assert.equal(ndarrayView(float32([], [7])).get(), 7);
  assert.equal(ndarrayView(tensor("int64", [1], BigInt64Array.of(3n))).get(0), 3n);
  for (const dtype of ["float16", "bfloat16", "bool", "uint64", "float8e4m3fn"] as const) {
    const view = ndarrayView(tensor(dtype, [2, 2], allocate(dtype, 4)));
    assert.equal(Number(view.get(1, 1)), 0);
  }
});

Deno.test("ndarrayView() refuses strings with TENSOR_DTYPE", () => {
  assert.throws(
    () => ndarrayView(tensor("string", [1], ["a"])),
    (error) => error instanceof HooklineError && error.code === "TENSOR_DTYPE",
  );
});
