import assert from "node:assert/strict";
import {
  allocate,
  copyTensor,
  dataFits,
  elementCount,
  emptyTensorMap,
  float32,
  tensor,
  tensorBytes,
  tensorFault,
} from "../../tensor/tensor.ts";

Deno.test("tensor() takes data that fit and freezes what it made", () => {
  const value = tensor("int64", [1, 2], BigInt64Array.of(1n, 2n));
  assert.ok(Object.isFrozen(value) && Object.isFrozen(value.shape));
  assert.equal(elementCount(value.shape), 2);
  assert.equal(elementCount([]), 1, "a scalar holds one element");
});

for (
  const [what, make] of Object.entries({
    "too few elements": () => tensor("float32", [2, 2], new Float32Array(3)),
    "an array of another kind": () => tensor("float32", [2], new Float64Array(2)),
    "an unknown dtype": () => tensor("float" as "float32", [1], new Float32Array(1)),
    "a negative dimension": () => tensor("float32", [-1], new Float32Array(0)),
    "a broken dimension": () => tensor("float32", [1.5], new Float32Array(1)),
    "an array that claims more elements than it has": () =>
      tensor("float32", [9], Object.defineProperty(new Float32Array(1), "length", { value: 9 })),
    "an object that only looks like an array": () =>
      tensor("float32", [9], Object.create(Float32Array.prototype, { length: { value: 9 } })),
    "shared memory": () => tensor("float32", [1], new Float32Array(new SharedArrayBuffer(4))),
  })
) {
  Deno.test(`tensor() refuses ${what} with FEED_DATA`, () => {
    assert.throws(make, { code: "FEED_DATA" });
  });
}

Deno.test("tensorFault() finds no fault with empty tensors and scalars", () => {
  assert.equal(tensorFault(float32([0, 3], [])), null);
  assert.equal(tensorFault(float32([], [1])), null);
});

Deno.test("allocate() makes the array that dataFits() accepts, for every dtype that has one", () => {
  for (
    const dtype of [
      "float32",
      "float64",
      "float16",
      "uint8",
      "bool",
      "int8",
      "uint16",
      "bfloat16",
      "int16",
      "uint32",
      "int32",
      "int64",
      "uint64",
      "float8e5m2",
    ] as const
  ) {
    assert.ok(dataFits(dtype, allocate(dtype, 2)), dtype);
  }
  assert.throws(() => allocate("int4", 2), { code: "TENSOR_DTYPE" });
  assert.equal(dataFits("int4", new Uint8Array(1)), false);
});

Deno.test("tensorBytes() is a view, copyTensor() a copy", () => {
  const value = float32([2], [1, 2]);
  const copy = copyTensor(value);
  tensorBytes(value).fill(0);
  assert.deepEqual([...value.data as Float32Array], [0, 0]);
  assert.deepEqual([...copy.data as Float32Array], [1, 2]);
  assert.throws(() => tensorBytes(tensor("string", [1], ["a"])), { code: "TENSOR_DTYPE" });
});

Deno.test("emptyTensorMap() holds values of any name, __proto__ too", () => {
  const map = emptyTensorMap();
  assert.equal(map["constructor"], undefined);
  map["__proto__"] = float32([1], [1]);
  assert.deepEqual(Object.keys(map), ["__proto__"]);
});
