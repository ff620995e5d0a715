// The copies that the comparison of precisions stands on: what they compute is checked against numbers
// made here, not against the comparison.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GraphProto } from "onnx-buf";
import { halfCopy } from "../../demo/half_copy.ts";
import { int8Copy } from "../../demo/int8_copy.ts";
import { sileroUrl, writeSileroCopies } from "../../demo/silero_copies.ts";
import type { Tensor, TensorMap } from "../../tensor/tensor.ts";
import { floats, graph, modelBytes, node, valueInfo } from "../support/build_model.ts";
import { plainRun } from "../support/plain_run.ts";
import { seededRandom } from "../support/seeded_random.ts";
import { decodeModel } from "../support/subject_models.ts";

const ONNX_FLOAT = 1;
const ONNX_INT64 = 7;
const ONNX_FLOAT16 = 10;

function valuesOf(tensor: Tensor | undefined): number[] {
  return Array.from(tensor?.data as Float32Array);
}

/** Signal over noise in decibels. */
function signalToNoise(wanted: readonly number[], found: readonly number[]): number {
  const sum = (terms: readonly number[]) => terms.reduce((total, term) => total + term * term, 0);
  const noise = wanted.map((value, index) => value - (found[index] as number));
  return 10 * Math.log10(sum(wanted) / sum(noise));
}

/** Numbers between -1 and 1 without a pattern that would cancel. */
function noise(seed: number): () => number {
  const random = seededRandom(seed);
  return () => 2 * random.next() - 1;
}

const FEEDS: TensorMap = {
  x: { dtype: "float32", shape: [1, 4, 16], data: Float32Array.from({ length: 64 }, noise(1)) },
};

/** `z = (conv(x, w) + b) · m`. */
function smallModel(): Uint8Array {
  return modelBytes({
    opsets: { "": 15 },
    irVersion: 8,
    inputs: [valueInfo("x", "float32", [1, 4, 16])],
    outputs: [valueInfo("z", "float32", [1, 8, 5])],
    nodes: [
      node("Conv", ["x", "w", "b"], ["y"], { name: "/a/Conv" }),
      node("MatMul", ["y", "m"], ["z"], { name: "/b/MatMul" }),
    ],
    initializers: [
      floats("w", [8, 4, 3], noise(2)),
      floats("b", [8], noise(3)),
      floats("m", [14, 5], noise(4)),
    ],
  });
}

/** The element types of all weights and constants, bodies included. */
function tensorTypes({ initializer, node: nodes }: GraphProto): number[] {
  const attributes = nodes.flatMap(({ attribute }) => attribute);
  return [
    ...initializer.map(({ dataType }) => dataType),
    ...attributes.flatMap(({ t, g }) => [
      ...t === undefined ? [] : [t.dataType],
      ...g === undefined ? [] : tensorTypes(g),
    ]),
  ];
}

Deno.test("writeSileroCopies() writes three detectors that hear the same word, each in its precision", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hookline-silero-"));
  try {
    const { original, half, int8, feeds } = await writeSileroCopies(folder);
    assert.deepEqual(readFileSync(original), readFileSync(sileroUrl()));
    const [exact, low, lowest] = await Promise.all(
      [original, half, int8].map(async (path) => valuesOf((await plainRun(path, feeds)).output)[0]),
    ) as [number, number, number];
    assert.ok(exact > 0.5, `speech is heard: ${exact}`);
    assert.ok(low !== exact && Math.abs(low - exact) < 1e-3, `float16 ${low}, float32 ${exact}`);
    assert.ok(lowest !== exact && lowest > 0.5, `int8 ${lowest}, float32 ${exact}`);
    const sizes = [original, half, int8].map((path) => readFileSync(path).byteLength);
    assert.ok(sizes.every((size, index) => index === 0 || size < 0.65 * (sizes[0] as number)));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

Deno.test("halfCopy() leaves no float32 inside and declares inputs and outputs as they were", () => {
  const bytes = new Uint8Array(readFileSync(sileroUrl()));
  const copy = decodeModel(halfCopy(bytes)).graph as GraphProto;
  const edges = [...copy.input, ...copy.output].map(({ type }) =>
    type?.value.case === "tensorType" ? type.value.value.elemType : 0
  );
  assert.deepEqual(edges, [ONNX_FLOAT, ONNX_FLOAT, ONNX_INT64, ONNX_FLOAT, ONNX_FLOAT]);
  const inside = tensorTypes(copy);
  assert.ok(inside.includes(ONNX_FLOAT16) && !inside.includes(ONNX_FLOAT));
});

Deno.test("halfCopy() rounds once a value: a product differs by half precision and no more", async () => {
  const wanted = valuesOf((await plainRun(smallModel(), FEEDS)).z);
  const found = valuesOf((await plainRun(halfCopy(smallModel()), FEEDS)).z);
  const ratio = signalToNoise(wanted, found);
  assert.ok(ratio > 55 && ratio < 90, `${ratio} dB`);
});

Deno.test("halfCopy() refuses an operator that wants float32", () => {
  const bytes = modelBytes({
    inputs: [valueInfo("x", "float32", [1])],
    outputs: [valueInfo("y", "uint8", [1])],
    nodes: [node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"], { name: "quantise" })],
  });
  assert.throws(() => halfCopy(bytes), /DynamicQuantizeLinear \("quantise"\) wants float32/);
});

Deno.test("int8Copy() computes products in integers, eight bits from the float32 ones", async () => {
  const copy = int8Copy(smallModel());
  const operators = decodeModel(copy).graph?.node.map(({ opType }) => opType);
  assert.deepEqual(operators, [
    "DynamicQuantizeLinear",
    "ConvInteger",
    "Cast",
    "Mul",
    "Mul",
    "Reshape",
    "Add",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "Cast",
    "Mul",
    "Mul",
  ]);
  assert.deepEqual(
    decodeModel(copy).graph?.initializer.filter(({ dims, dataType }) =>
      dims.length > 1 && dataType === ONNX_FLOAT
    ),
    [],
  );
  const wanted = valuesOf((await plainRun(smallModel(), FEEDS)).z);
  const ratio = signalToNoise(wanted, valuesOf((await plainRun(copy, FEEDS)).z));
  assert.ok(ratio > 30 && ratio < 55, `${ratio} dB`);
});

Deno.test("int8Copy() leaves bodies of control flow and weights that they read as they are", () => {
  const inner = graph({
    nodes: [node("MatMul", ["x", "w"], ["inner"])],
    outputs: [valueInfo("inner", "float32", null)],
  });
  const bytes = modelBytes({
    inputs: [valueInfo("x", "float32", [2, 2]), valueInfo("c", "bool", [])],
    outputs: [valueInfo("y", "float32", null)],
    nodes: [
      node("MatMul", ["x", "w"], ["outer"]),
      node("If", ["c"], ["picked"], { attributes: { then_branch: inner, else_branch: inner } }),
      node("Add", ["outer", "picked"], ["y"]),
    ],
    initializers: [floats("w", [2, 2])],
  });
  const copy = decodeModel(int8Copy(bytes)).graph;
  assert.equal(copy?.node.filter(({ opType }) => opType === "MatMulInteger").length, 1);
  const branch = copy?.node.find(({ opType }) => opType === "If")?.attribute[0]?.g;
  assert.deepEqual(branch?.node.map(({ opType }) => opType), ["MatMul"]);
  assert.ok(copy?.initializer.some(({ name }) => name === "w"));
});
