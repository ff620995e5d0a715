// One level of a model: order, producers and consumers, constants, captures, and what is refused.

import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { type GraphProto, SparseTensorProtoSchema } from "onnx-buf";
import { ModelGraph } from "../../graph/model_graph.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { floats, graph, type GraphParts, node, valueInfo } from "../support/build_model.ts";

function indexed(parts: GraphParts | GraphProto, randomOperators: readonly string[] = []) {
  const proto = "$typeName" in parts ? parts : graph(parts);
  return new ModelGraph(proto, { label: "test", randomOperators: new Set(randomOperators) });
}

function refused(code: Parameters<typeof expectCode>[0], parts: GraphParts) {
  return expectCode(code, () => indexed(parts));
}

function sparse(name: string) {
  return create(SparseTensorProtoSchema, { values: floats(name, [1]) });
}

const step = (from: string, to: string) => node("Relu", [from], [to]);

Deno.test("nodes in topological order keep the order of the file", () => {
  const nodes = [step("x", "b"), step("x", "a"), step("b", "y")];
  const found = indexed({ inputs: ["x"], outputs: ["y"], nodes });
  assert.deepEqual(found.nodes.map((held) => held.outputs[0]), ["b", "a", "y"]);
  assert.deepEqual(found.nodes.map((held) => held.index), [0, 1, 2]);
});

Deno.test("unsorted nodes are sorted, the ready node first in the file always first", () => {
  const nodes = [step("b", "c"), step("x", "late"), step("a", "b"), step("x", "a")];
  const found = indexed({ inputs: ["x"], outputs: ["c"], nodes });
  assert.deepEqual(found.nodes.map((held) => held.outputs[0]), ["late", "a", "b", "c"]);
});

Deno.test("any order of the nodes gives a topological one, the same for the same file", () => {
  const order = fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7, 8], { minLength: 9 });
  fc.assert(fc.property(order, fc.infiniteStream(fc.nat()), (shuffle, numbers) => {
    const made = shuffle.map((at) => {
      const source = at === 0 ? "x" : `v${(numbers.next().value ?? 0) % at}`;
      return step(source, `v${at}`);
    });
    const parts = { inputs: ["x"], outputs: ["v8"], nodes: made };
    const found = indexed(parts);
    const seen = new Set(["x"]);
    for (const held of found.nodes) {
      assert.ok(held.inputs.every((value) => seen.has(value)));
      held.outputs.forEach((value) => seen.add(value));
    }
    const names = (of: ModelGraph) => of.nodes.map((held) => held.outputs[0]);
    assert.deepEqual(names(indexed(parts)), names(found));
  }));
});

Deno.test("producers and consumers are found by value, each consumer once", () => {
  const nodes = [
    step("x", "a"),
    node("Add", ["a", "a"], ["b"]),
    node("If", ["c"], ["y"], { attributes: { then_branch: graph({ outputs: ["a"] }) } }),
  ];
  const found = indexed({ inputs: ["x", "c"], outputs: ["y", "b"], nodes });
  assert.equal(found.producerOf("a"), 0);
  assert.equal(found.producerOf("x"), undefined);
  assert.deepEqual(found.consumersOf("a"), [1, 2]);
  assert.deepEqual(found.consumersOf("nothing"), []);
  assert.deepEqual(found.nodes[2]?.captures, ["a"]);
});

Deno.test("absent optional inputs and outputs are no values", () => {
  const nodes = [node("Clip", ["x", "", "x"], ["y", ""])];
  const found = indexed({ inputs: ["x"], outputs: ["y"], nodes });
  assert.deepEqual(found.nodes[0]?.inputs, ["x", "", "x"]);
  assert.deepEqual(found.consumersOf("x"), [0]);
  assert.equal(found.producerOf(""), undefined);
});

Deno.test("the domain ai.onnx is the standard one", () => {
  const nodes = [node("Relu", ["x"], ["y"], { domain: "ai.onnx" })];
  assert.equal(indexed({ inputs: ["x"], outputs: ["y"], nodes }).nodes[0]?.domain, "");
});

Deno.test("inputs with an initializer, dense or sparse, need not be fed", () => {
  const found = indexed({
    inputs: ["x", "w", "s"],
    outputs: ["y"],
    nodes: [node("Add", ["x", "w"], ["y"])],
    initializers: [floats("w", [1])],
    sparse: [sparse("s")],
  });
  assert.deepEqual(found.inputs, ["x"]);
  assert.ok(found.isConstantValue("w") && found.isConstantValue("s"));
  assert.ok(found.isSparseInitializer("s") && !found.isSparseInitializer("w"));
});

Deno.test("constants are what no input, no drawing and no control flow can change", () => {
  const body = graph({ nodes: [step("w", "inner")], outputs: ["inner"] });
  const nodes = [
    node("Constant", [], ["constant"]),
    node("Add", ["constant", "w"], ["folded"]),
    node("Add", ["folded", "x"], ["live"]),
    node("RandomNormalLike", ["w"], ["drawn"]),
    step("drawn", "after_drawn"),
    node("Draw", ["w"], ["called"], { domain: "local" }),
    node("Calm", ["w"], ["calm"], { domain: "local" }),
    node("If", ["w"], ["branched"], { attributes: { then_branch: body, else_branch: body } }),
  ];
  const found = indexed({
    inputs: ["x"],
    outputs: ["live", "after_drawn", "called", "calm", "branched", "folded"],
    nodes,
    initializers: [floats("w", [1])],
  }, ["local:Draw"]);
  const constant = found.nodes.filter((held) => held.isConstant).map((held) => held.outputs[0]);
  assert.deepEqual(constant, ["constant", "folded", "calm"]);
  assert.ok(found.isConstantValue("folded") && !found.isConstantValue("x"));
  assert.equal(found.nodes[7]?.bodies[0]?.graph.nodes[0]?.isConstant, true);
});

Deno.test("captures reach through bodies; what a body declares or computes shadows", () => {
  const innermost = graph({
    nodes: [node("Add", ["outer", "local"], ["deep"]), node("Add", ["deep", "shadow"], ["z"])],
    outputs: ["z", "outer_output"],
  });
  const body = graph({
    inputs: ["shadow"],
    nodes: [
      step("i", "local"),
      node("If", ["shadow"], ["out"], { attributes: { then_branch: innermost } }),
    ],
    outputs: ["out"],
    initializers: [floats("i", [1])],
  });
  const found = indexed({
    inputs: ["outer", "shadow", "outer_output", "unused"],
    outputs: ["y"],
    nodes: [node("Loop", [], ["y"], { attributes: { body } })],
  });
  assert.deepEqual(found.nodes[0]?.captures, ["outer", "outer_output"]);
  const inside = found.nodes[0]?.bodies[0]?.graph as ModelGraph;
  assert.equal(found.nodes[0]?.bodies[0]?.attributeName, "body");
  assert.deepEqual(inside.nodes[1]?.captures, ["outer", "local", "shadow", "outer_output"]);
  assert.ok(inside.outer === found && inside.hasValue("outer") && !found.hasValue("local"));
  assert.ok(!inside.isConstantValue("shadow") && inside.isConstantValue("local"));
});

Deno.test("a body that shadows a constant by its input is live there", () => {
  const body = graph({ inputs: ["w"], nodes: [step("w", "inner")], outputs: ["inner"] });
  const found = indexed({
    outputs: ["y"],
    nodes: [node("Scan", [], ["y"], { attributes: { body } })],
    initializers: [floats("w", [1])],
  });
  assert.equal(found.nodes[0]?.bodies[0]?.graph.nodes[0]?.isConstant, false);
});

Deno.test("declaredType() prefers an input's declaration to a value_info", () => {
  const found = indexed({
    inputs: [valueInfo("x", "float32", [1])],
    outputs: [valueInfo("y", "int64")],
    nodes: [step("x", "y")],
    valueInfo: [valueInfo("x", "bool")],
  });
  const elemType = (name: string) => {
    const type = found.declaredType(name)?.type?.value;
    return type?.case === "tensorType" ? type.value.elemType : undefined;
  };
  assert.deepEqual([elemType("x"), elemType("y"), elemType("z")], [1, 7, undefined]);
});

Deno.test("nodes in a circle are MODEL_CYCLE, a node that reads itself too", async () => {
  const nodes = [step("x", "a"), node("Add", ["a", "c"], ["b"]), step("b", "c")];
  const error = await refused("MODEL_CYCLE", { inputs: ["x"], outputs: ["c"], nodes });
  assert.match(error.message, /^cannot use "test": 2 nodes/);
  await refused("MODEL_CYCLE", { outputs: ["y"], nodes: [step("y", "y")] });
  const body = graph({ outputs: ["y"] });
  await refused("MODEL_CYCLE", {
    outputs: ["y"],
    nodes: [node("If", [], ["y"], { attributes: { then_branch: body } })],
  });
});

Deno.test("two origins of one value are MODEL_DUPLICATE_NAME", async () => {
  const w = floats("w", [1]);
  const inputs = ["x"];
  await refused("MODEL_DUPLICATE_NAME", { inputs, nodes: [step("x", "y"), step("x", "y")] });
  await refused("MODEL_DUPLICATE_NAME", { inputs, nodes: [step("x", "x")] });
  await refused("MODEL_DUPLICATE_NAME", { inputs, nodes: [step("x", "w")], initializers: [w] });
  await refused("MODEL_DUPLICATE_NAME", { inputs, nodes: [step("x", "w")], sparse: [sparse("w")] });
  await refused("MODEL_DUPLICATE_NAME", { inputs: ["x", "x"] });
  await refused("MODEL_DUPLICATE_NAME", { initializers: [w, w] });
  await refused("MODEL_DUPLICATE_NAME", { initializers: [w], sparse: [sparse("w")] });
  await refused("MODEL_DUPLICATE_NAME", { sparse: [sparse("w"), sparse("w")] });
});

Deno.test("values that nothing produces are MODEL_VALUE_MISSING, in bodies too", async () => {
  const error = await refused("MODEL_VALUE_MISSING", { nodes: [step("nowhere", "y")] });
  assert.equal(error.details["value"], "nowhere");
  await refused("MODEL_VALUE_MISSING", { outputs: ["nowhere"] });
  await refused("MODEL_VALUE_MISSING", { outputs: [""] });
  const body = graph({ nodes: [step("nowhere", "inner")], outputs: ["inner"] });
  await refused("MODEL_VALUE_MISSING", {
    nodes: [node("If", [], ["y"], { attributes: { then_branch: body } })],
  });
});

Deno.test("an element type that ONNX does not define is MODEL_DTYPE_UNKNOWN", async () => {
  for (const dataType of [0, 27, 99, -1]) {
    const tensor = Object.assign(floats("w", [1]), { dataType });
    const error = await refused("MODEL_DTYPE_UNKNOWN", { initializers: [tensor] });
    assert.equal(error.details["onnxType"], dataType);
  }
  const input = valueInfo("x");
  if (input.type?.value.case === "tensorType") input.type.value.value.elemType = 99;
  await refused("MODEL_DTYPE_UNKNOWN", { inputs: [input] });
});

Deno.test("a graph in a standard operator that has none is MODEL_MALFORMED", async () => {
  // ONNX Runtime 1.29 dies of a segmentation fault over a LayerNormalization with one.
  const body = graph({ outputs: ["x"] });
  for (const domain of ["", "ai.onnx"]) {
    const nodes = [node("LayerNormalization", ["x"], ["y"], { domain, attributes: { body } })];
    await refused("MODEL_MALFORMED", { inputs: ["x"], nodes });
  }
  const nodes = [node("Custom", ["x"], ["y"], { domain: "local", attributes: { body } })];
  assert.equal(indexed({ inputs: ["x"], nodes }).nodes[0]?.bodies.length, 1);
});

Deno.test("names of JavaScript's own properties are names like any other", () => {
  const names = ["__proto__", "constructor", "hasOwnProperty", "toString"];
  const nodes = names.map((name, index) => step(index === 0 ? "x" : names[index - 1] ?? "", name));
  const found = indexed({ inputs: ["x"], outputs: names, nodes });
  for (const [index, name] of names.entries()) assert.equal(found.producerOf(name), index);
  assert.equal(indexed({ inputs: ["x"] }).hasValue("constructor"), false);
});
