import assert from "node:assert/strict";
import fc from "fast-check";
import { toJson } from "../../formats/json_numbers.ts";
import { decodeJsonTensors } from "../../formats/json_tensors.ts";
import type { DType } from "../../tensor/dtype.ts";
import { float32, type Tensor, tensor } from "../../tensor/tensor.ts";
import { damagedCopies, refusals, thrown } from "./_damage.ts";
import { assertSameTensor, numericTensors, stringTensors } from "./_tensors.ts";

const bytes = (value: unknown) =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const decode = (value: unknown, dtypes: Record<string, DType> = {}) =>
  decodeJsonTensors(bytes(value), "x.json", dtypes);
const refuse = (value: unknown, dtypes: Record<string, DType> = {}) =>
  thrown(() => decode(value, dtypes), "FILE_FORMAT").message;

/** The tensor with 0 for -0, which JSON does not keep. */
function canonical(value: Tensor): Tensor {
  if (!value.dtype.startsWith("float")) return value;
  const data = (value.data as Float32Array).map((each) => each === 0 ? 0 : each);
  return tensor(value.dtype, value.shape, data);
}

Deno.test("decodeJsonTensors() gives back what toJson() wrote of a tensor", () => {
  const kinds = "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 float32 float64";
  const numbers = numericTensors(kinds.split(" ") as DType[]).map(canonical);
  fc.assert(fc.property(fc.oneof(numbers, stringTensors()), (value) => {
    const { x } = decode(toJson({ x: value }));
    if (!value.dtype.startsWith("float")) return assertSameTensor(x, value);
    // JSON has one NaN, so floats are compared as numbers.
    const numbers = ({ dtype, shape, data }: Tensor) => ({ dtype, shape, data: [...data] });
    assert.deepEqual(x && numbers(x), numbers(value));
  }));
});

Deno.test("decodeJsonTensors() reads nested arrays by the declared dtype", () => {
  const found = decode('{"x": [[1, 2], [3, "NaN"]], "id": [[[101]]], "t": 0.5, "e": [[], []]}', {
    x: "float32",
    id: "int64",
    t: "float64",
    e: "int32",
  });
  assertSameTensor(found.x, float32([2, 2], [1, 2, 3, NaN]));
  assertSameTensor(found.id, tensor("int64", [1, 1, 1], BigInt64Array.of(101n)));
  assertSameTensor(found.t, tensor("float64", [], Float64Array.of(0.5)));
  assertSameTensor(found.e, tensor("int32", [2, 0], new Int32Array(0)));
});

Deno.test("decodeJsonTensors() takes data flat or nested, and a dtype of the value's own", () => {
  const flat = { dtype: "uint8", shape: [2, 1], data: [1, 2] };
  const nested = { dtype: "uint8", data: [[1], [2]] };
  const declared = { shape: [2, 1], data: [[1], [2]] };
  const found = decode({ flat, nested, declared }, { flat: "float32", declared: "uint8" });
  const wanted = tensor("uint8", [2, 1], Uint8Array.of(1, 2));
  for (const name of ["flat", "nested", "declared"]) assertSameTensor(found[name], wanted);
});

Deno.test("decodeJsonTensors() keeps every bit of 64-bit integers", () => {
  const { x } = decode('{"x": ["9223372036854775807", "-9223372036854775808", 5]}', { x: "int64" });
  assert.deepEqual(x?.data, BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n), 5n));
  assert.match(refuse('{"x": [9223372036854775807]}', { x: "int64" }), /decimal string/);
});

Deno.test("decodeJsonTensors() rounds bfloat16 to nearest even", () => {
  const data = [1, -2.5, 1.00390625, 1.01171875, "NaN", "-Infinity", 0, 1e-40];
  const { x } = decode({ x: data }, { x: "bfloat16" });
  const wanted = [0x3f80, 0xc020, 0x3f80, 0x3f82, 0x7fc0, 0xff80, 0, 1];
  assert.deepEqual(x?.data, Uint16Array.from(wanted));
  assert.match(refuse({ x: [3.4e38] }, { x: "bfloat16" }), /element 0/);
});

Deno.test("decodeJsonTensors() refuses elements that the dtype does not have, by position only", () => {
  const cases: readonly (readonly [DType, unknown])[] = [
    ["uint8", 256],
    ["uint8", -1],
    ["int32", 1.5],
    ["int32", "7"],
    ["uint64", "-1"],
    ["uint64", "18446744073709551616"],
    ["bool", 2],
    ["bool", "true"],
    ["float32", 1e39],
    ["float16", 70_000],
    ["float32", "1"],
    ["float32", null],
    ["string", 1],
    ["int64", "NaN"],
  ];
  for (const [dtype, wrong] of cases) {
    const right = dtype === "string" ? "a" : dtype === "bool" ? true : 1;
    const message = refuse({ x: [right, right, wrong] }, { x: dtype });
    assert.match(message, /element 2 of a form or size/, `${dtype} ${wrong}`);
  }
  assert.match(refuse({ x: [1] }, { x: "float8e5m2" }), /the dtype float8e5m2/);
});

Deno.test("decodeJsonTensors() refuses shapes, keys and texts that do not fit", () => {
  const dtypes: Record<string, DType> = { x: "float32" };
  assert.match(refuse({ x: [[1], [1, 2]] }, dtypes), /ragged/);
  assert.match(refuse({ x: [[1], 2] }, dtypes), /beside single values/);
  assert.match(refuse(`{"x":${"[".repeat(65)}${"]".repeat(65)}}`, dtypes), /deeper than 64/);
  assert.match(refuse({ x: { shape: [3], data: [1, 2] } }, dtypes), /2 elements/);
  assert.match(refuse({ x: { shape: [2], data: [[1, 2]] } }, dtypes), /2 elements/);
  assert.match(refuse({ x: { shape: [-1, -2], data: [1, 2] } }, dtypes), /2 elements/);
  assert.match(refuse({ x: { shape: 2, data: [1, 2] } }, dtypes), /2 elements/);
  assert.match(refuse({ x: { dtype: "float32" } }), /no data/);
  assert.match(refuse({ x: { data: [1], value: 1 } }, dtypes), /the key "value"/);
  assert.match(refuse({ x: { dtype: "f32", data: [1] } }), /unknown dtype/);
  assert.match(refuse({ y: [1] }, dtypes), /no dtype for tensor "y"/);
  assert.match(refuse({ constructor: [1] }, dtypes), /no dtype for tensor "constructor"/);
  assert.match(refuse("[1]"), /an array/);
  assert.match(refuse("1"), /a single value/);
  assert.match(refuse('{"x": [NaN]}', dtypes), /no JSON/);
  assert.match(refuse('{"x": 1, "x": 2}', dtypes), /"x" twice/);
  thrown(() => decodeJsonTensors(Uint8Array.of(0xff), "x", {}), "FILE_FORMAT");
});

Deno.test("decodeJsonTensors() never quotes an element", () => {
  for (const text of ['{"x": [1, "geheim"]}', '{"x": [1, "geheim]}']) {
    assert.doesNotMatch(refuse(text, { x: "float32" }), /geheim/);
  }
});

Deno.test("decodeJsonTensors() refuses 2,000 damaged files with FILE_FORMAT alone", () => {
  const text =
    '{"x": [[1, 2.5], [3, "NaN"]], "y": {"dtype": "int8", "shape": [2], "data": [1, -2]}}';
  const refused = refusals(
    (copy) => decodeJsonTensors(copy, "damaged", { x: "float32" }),
    damagedCopies([bytes(text)], 2000),
  );
  assert.ok(refused > 800, `${refused}`);
});
