// What a cut-out part holds and that it computes what its nodes compute in the whole.

import assert from "node:assert/strict";
import { create, fromBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema, SparseTensorProtoSchema } from "onnx-buf";
import { ModelGraph } from "../../graph/model_graph.ts";
import {
  encodePart,
  encodeProbe,
  encodeTapped,
  usesOf,
  type ValueType,
} from "../../graph/sub_model.ts";
import type { TensorMap } from "../../tensor/tensor.ts";
import { expectCode } from "../sessions/expect_code.ts";
import {
  externalFloats,
  floats,
  functionOf,
  graph,
  int64s,
  modelBytes,
  modelOf,
  type ModelParts,
  node,
  valueInfo,
} from "../support/build_model.ts";
import { assertSameBits, rampTensor, runModel } from "../support/run_model.ts";

const X = valueInfo("x", "float32", [2, 4]);
const F: ValueType = { dtype: "float32", shape: [2, 4] };

interface Cut {
  readonly nodes: readonly number[];
  readonly inputs: Readonly<Record<string, ValueType>>;
  readonly outputs: readonly string[];
}

function partOf(parts: ModelParts, cut: Cut) {
  const model = modelOf(parts);
  const { bytes, weightByteLength } = encodePart(model, graphOf(model), {
    nodes: cut.nodes,
    inputs: new Map(Object.entries(cut.inputs)),
    outputs: cut.outputs,
  });
  return { bytes, weightByteLength, part: fromBinary(ModelProtoSchema, bytes) };
}

function graphOf(model: ModelProto): ModelGraph {
  assert.ok(model.graph !== undefined);
  return new ModelGraph(model.graph, { label: "test" });
}

function names(values: readonly { readonly name: string }[] | undefined): string[] {
  return (values ?? []).map((value) => value.name);
}

/** Runs a model whole, and cut behind some of its nodes; both must give the same bits. */
async function runCut(parts: ModelParts, first: Cut, second: Cut): Promise<void> {
  const feeds: TensorMap = { x: rampTensor([2, 4]) };
  const known: Record<string, TensorMap[string]> = { ...feeds };
  for (const cut of [first, second]) {
    const fed = Object.fromEntries(
      Object.keys(cut.inputs).map((name) => [name, known[name] as TensorMap[string]]),
    );
    Object.assign(known, await runModel(partOf(parts, cut).bytes, fed));
  }
  const whole = await runModel(modelBytes(parts), feeds);
  const found = Object.fromEntries(
    Object.keys(whole).map((name) => [name, known[name] as TensorMap[string]]),
  );
  assertSameBits(found, whole);
}

Deno.test("encodeTapped() adds taps as outputs, each once, and leaves the rest", async () => {
  const parts: ModelParts = {
    inputs: [X],
    outputs: [valueInfo("y", "float32", [2, 4])],
    nodes: [node("Neg", ["x"], ["h"]), node("Abs", ["h"], ["y"])],
  };
  const bytes = encodeTapped(modelOf(parts), ["h", "h", "y"]);
  assert.deepEqual(names(fromBinary(ModelProtoSchema, bytes).graph?.output), ["y", "h"]);
  const { y } = await runModel(bytes, { x: rampTensor([2, 4]) });
  assert.ok(y !== undefined);
  assertSameBits({ y }, await runModel(modelBytes(parts), { x: rampTensor([2, 4]) }));
});

Deno.test("encodeTapped() strips metadata and documentation, and drops uncalled functions", () => {
  const model = modelOf({
    nodes: [node("used", ["x"], ["y"], { domain: "local" })],
    functions: [
      functionOf("unused", {}),
      functionOf("used", { nodes: [node("inner", [], [], { domain: "local" })] }),
      functionOf("inner", {}),
    ],
  });
  const [held] = model.graph?.node ?? [];
  assert.ok(held !== undefined && model.graph !== undefined);
  held.docString = "text";
  held.metadataProps.push(entry("key"));
  model.metadataProps.push(entry("key"));
  model.graph.metadataProps.push(entry("key"));
  const written = fromBinary(ModelProtoSchema, encodeTapped(model, []));
  assert.deepEqual(names(written.functions), ["used", "inner"]);
  assert.deepEqual(written.graph?.node[0]?.metadataProps, []);
  assert.equal(written.graph?.node[0]?.docString, "");
  assert.deepEqual([written.metadataProps, written.graph?.metadataProps], [[], []]);
  assert.equal(held.docString, "text"); // the skeleton itself is untouched
});

function entry(key: string) {
  return { $typeName: "onnx.StringStringEntryProto" as const, key, value: "value" };
}

Deno.test("encodeProbe() believes the types that a file declares, and its inputs' sizes alone", () => {
  const model = modelOf({
    inputs: [X],
    outputs: [valueInfo("y", "float32", [7, 7]), "untyped"],
    nodes: [node("Neg", ["x"], ["h"]), node("Abs", ["h"], ["y"]), node("Abs", ["y"], ["untyped"])],
    valueInfo: [valueInfo("h", "float32", [9, "seq"])],
  });
  const { graph: written } = fromBinary(ModelProtoSchema, encodeProbe(model, ["h"]));
  const sizes = (values: ModelProto["graph"]) =>
    [...values?.input ?? [], ...values?.valueInfo ?? [], ...values?.output ?? []].map((value) => {
      const type = value.type?.value;
      const isTyped = type?.case === "tensorType";
      return [value.name, isTyped && type.value.elemType, isTyped && type.value.shape?.dim.length];
    });
  assert.deepEqual(sizes(written), [
    ["x", 1, 2],
    ["h", 1, undefined],
    ["y", 1, undefined],
    ["untyped", false, false],
    ["h", false, false],
  ]);
  assert.deepEqual(sizes(model.graph)[1], ["h", 1, 2]); // the skeleton itself is untouched
});

Deno.test("a part keeps IR version, opsets and the functions that it calls", () => {
  const parts: ModelParts = {
    irVersion: 8,
    opsets: { "": 17, local: 3 },
    inputs: [X],
    nodes: [
      node("f", ["x"], ["y"], { domain: "local" }),
      node("g", ["y"], ["z"], { domain: "local" }),
    ],
    functions: [functionOf("g", {}), functionOf("f", {})],
  };
  const { part } = partOf(parts, { nodes: [0], inputs: { x: F }, outputs: ["y"] });
  assert.equal(part.irVersion, 8n);
  assert.deepEqual(
    part.opsetImport.map(({ domain, version }) => [domain, version]),
    [["", 17n], ["local", 3n]],
  );
  assert.deepEqual(names(part.functions), ["f"]);
});

Deno.test("an initializer that is also a graph input stays listed as input in the part", () => {
  const parts: ModelParts = {
    inputs: [X, valueInfo("w", "float32", [4]), valueInfo("v", "float32", [4])],
    nodes: [node("Add", ["x", "w"], ["h"]), node("Add", ["h", "v"], ["y"])],
    initializers: [floats("w", [4]), floats("v", [4])],
  };
  const { part } = partOf(parts, { nodes: [0], inputs: { x: F }, outputs: ["h"] });
  assert.deepEqual(names(part.graph?.input), ["x", "w"]);
  assert.deepEqual(names(part.graph?.initializer), ["w"]);
});

Deno.test("constants are copied into every part that uses them, with all they are made from", async () => {
  const parts: ModelParts = {
    inputs: [X],
    outputs: [valueInfo("y", "float32", [2, 4])],
    nodes: [
      node("Constant", [], ["c"], { attributes: { value: floats("", [4]) } }),
      node("Mul", ["c", "w"], ["folded"]),
      node("Add", ["x", "folded"], ["h"]),
      node("Sub", ["h", "folded"], ["y"]),
    ],
    initializers: [floats("w", [4], () => 3), floats("unused", [4])],
  };
  for (const [live, input, output] of [[2, "x", "h"], [3, "h", "y"]] as const) {
    const { part } = partOf(parts, { nodes: [live], inputs: { [input]: F }, outputs: [output] });
    const operators = part.graph?.node.map((held) => held.opType);
    assert.deepEqual(operators, ["Constant", "Mul", live === 2 ? "Add" : "Sub"]);
    assert.deepEqual(names(part.graph?.initializer), ["w"]);
  }
  await runCut(
    parts,
    { nodes: [2], inputs: { x: F }, outputs: ["h"] },
    { nodes: [3], inputs: { h: F }, outputs: ["y"] },
  );
});

Deno.test("a part carries the values that its bodies capture, and feeds the live ones", async () => {
  const branch = (operator: string, name: string) =>
    graph({
      nodes: [node(operator, ["h", "w"], [`${name}_y`])],
      outputs: [valueInfo(`${name}_y`, "float32")],
    });
  const parts: ModelParts = {
    inputs: [X],
    outputs: [valueInfo("y", "float32")],
    nodes: [
      node("Neg", ["x"], ["h"]),
      node("ReduceMax", ["x"], ["largest"], { attributes: { keepdims: 0 } }),
      node("Cast", ["largest"], ["condition"], { attributes: { to: 9 } }),
      node("If", ["condition"], ["y"], {
        attributes: { then_branch: branch("Add", "then"), else_branch: branch("Sub", "else") },
      }),
    ],
    initializers: [floats("w", [4])],
  };
  const condition: ValueType = { dtype: "bool", shape: [] };
  const second = { nodes: [3], inputs: { h: F, condition }, outputs: ["y"] };
  assert.deepEqual(names(partOf(parts, second).part.graph?.initializer), ["w"]);
  await runCut(
    parts,
    { nodes: [0, 1, 2], inputs: { x: F }, outputs: ["h", "condition"] },
    second,
  );
});

Deno.test("sparse initializers go where they are used", async () => {
  const sparse = (name: string) =>
    create(SparseTensorProtoSchema, {
      dims: [4n],
      values: floats(name, [2], () => 5),
      indices: int64s("", [0, 3]),
    });
  const parts: ModelParts = {
    inputs: [X],
    outputs: [valueInfo("y", "float32", [2, 4])],
    nodes: [node("Add", ["x", "s"], ["h"]), node("Mul", ["h", "t"], ["y"])],
    sparse: [sparse("s"), sparse("t")],
  };
  const { part } = partOf(parts, { nodes: [1], inputs: { h: F }, outputs: ["y"] });
  assert.deepEqual(part.graph?.sparseInitializer.map((held) => held.values?.name), ["t"]);
  await runCut(
    parts,
    { nodes: [0], inputs: { x: F }, outputs: ["h"] },
    { nodes: [1], inputs: { h: F }, outputs: ["y"] },
  );
});

Deno.test("a part gives constant outputs of the model, with and without live nodes", async () => {
  const parts: ModelParts = {
    inputs: [X],
    outputs: [valueInfo("y", "float32"), valueInfo("w", "float32"), valueInfo("c", "float32")],
    nodes: [node("Neg", ["x"], ["y"]), node("Neg", ["w"], ["c"])],
    initializers: [floats("w", [4])],
  };
  await runCut(
    parts,
    { nodes: [0], inputs: { x: F }, outputs: ["y"] },
    { nodes: [], inputs: {}, outputs: ["w", "c"] },
  );
});

Deno.test("weights stay references, and their bytes are counted", () => {
  const parts: ModelParts = {
    inputs: [X],
    nodes: [node("Add", ["x", "a"], ["h"]), node("Add", ["h", "b"], ["y"])],
    initializers: [
      externalFloats("a", [4], { location: "w.bin", offset: "0", length: "16" }),
      externalFloats("b", [8], { location: "w.bin", offset: "16", length: "32" }),
    ],
  };
  const { weightByteLength, part } = partOf(parts, {
    nodes: [1],
    inputs: { h: F },
    outputs: ["y"],
  });
  assert.equal(weightByteLength, 32);
  assert.deepEqual(part.graph?.initializer[0]?.externalData.map(({ value }) => value), [
    "w.bin",
    "16",
    "32",
  ]);
});

Deno.test("fed values are declared with dtype, sizes, symbols and unknown dimensions", () => {
  const parts: ModelParts = { inputs: ["a", "b"], nodes: [node("Add", ["a", "b"], ["y"])] };
  const { part } = partOf(parts, {
    nodes: [0],
    inputs: { a: { dtype: "int64", shape: [2, "batch", null] }, b: { dtype: "bool", shape: null } },
    outputs: ["y"],
  });
  const types = part.graph?.input.map((input) => {
    const type = input.type?.value;
    assert.ok(type?.case === "tensorType");
    return [type.value.elemType, type.value.shape?.dim.map((dim) => dim.value.value)];
  });
  assert.deepEqual(types, [[7, [2n, "batch", undefined]], [9, undefined]]);
  assert.equal(part.graph?.output[0]?.type, undefined);
});

Deno.test("a part is the same bytes whatever the order in which its values are found", () => {
  const parts: ModelParts = {
    inputs: [X],
    nodes: [node("Sum", ["x", "b", "a"], ["y"]), node("Sum", ["x", "a", "b"], ["z"])],
    initializers: [floats("a", [4]), floats("b", [4])],
  };
  const cut = (outputs: string[]) => partOf(parts, { nodes: [0, 1], inputs: { x: F }, outputs });
  assert.deepEqual(cut(["y", "z"]).bytes, cut(["y", "z"]).bytes);
  assert.deepEqual(names(cut(["z", "y"]).part.graph?.initializer), ["a", "b"]);
});

Deno.test("a part that misses a value is INTERNAL: the planner's mistake", async () => {
  const parts: ModelParts = {
    inputs: [X],
    nodes: [node("Neg", ["x"], ["h"]), node("Abs", ["h"], ["y"])],
  };
  await expectCode("INTERNAL", () => partOf(parts, { nodes: [1], inputs: {}, outputs: ["y"] }));
  await expectCode("INTERNAL", () => partOf(parts, { nodes: [0], inputs: {}, outputs: ["h"] }));
});

Deno.test("usesOf() lists inputs and captures, absent ones left out", () => {
  const body = graph({ outputs: ["captured"] });
  const found = graphOf(modelOf({
    inputs: ["x", "captured"],
    nodes: [node("If", ["x", ""], ["y"], { attributes: { then_branch: body } })],
  }));
  assert.deepEqual(usesOf(found, 0), ["x", "captured"]);
  assert.deepEqual(usesOf(found, 5), []);
});
