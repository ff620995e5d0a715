// What becomes of calls, names, attributes and bodies; every result is run on ONNX Runtime against the
// model with its functions.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as AttributeType,
  type ModelProto,
  SparseTensorProtoSchema,
} from "onnx-buf";
import { decodeNpy } from "../../formats/npy.ts";
import { functionKey, functionsReached, inlineFunctions } from "../../graph/inline_functions.ts";
import { ModelGraph } from "../../graph/model_graph.ts";
import { readSkeleton } from "../../graph/skeleton.ts";
import { encodeTapped } from "../../graph/sub_model.ts";
import { expectCode } from "../sessions/expect_code.ts";
import {
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
import { fixturePath, readFixture } from "../support/fixture_path.ts";
import { assertSameBits, rampTensor, runModel } from "../support/run_model.ts";

const X = valueInfo("x", "float32", [2, 3]);
const Y = valueInfo("y", "float32");

function inlined(parts: ModelParts): ModelProto {
  return inlineFunctions(modelOf(parts)).model;
}

/** Inlines, checks the graph, runs both; returns the inlined nodes as `op:output`. */
async function runBoth(parts: ModelParts): Promise<string[]> {
  const { model } = inlineFunctions(modelOf(parts));
  if (model.graph !== undefined) new ModelGraph(model.graph, { label: "test" });
  const feeds = { x: rampTensor([2, 3]) };
  assertSameBits(
    await runModel(encodeTapped(model, []), feeds),
    await runModel(modelBytes(parts), feeds),
  );
  return (model.graph?.node ?? []).map((held) => `${held.opType}:${held.output[0]}`);
}

const call = (name: string, inputs: string[], outputs: string[], options = {}) =>
  node(name, inputs, outputs, { domain: "local", ...options });
const axis = { ref: "axis", type: AttributeType.INT };

Deno.test("a model without functions is left as it is", () => {
  const model = modelOf({ nodes: [node("Relu", ["x"], ["y"])] });
  assert.equal(inlineFunctions(model).model, model);
});

Deno.test("a call becomes the function's nodes; its inner values get names of their own", async () => {
  const twice = functionOf("Twice", {
    inputs: ["a"],
    outputs: ["b"],
    nodes: [node("Neg", ["a"], ["t"]), node("Sub", ["a", "t"], ["b"])],
  });
  const nodes = await runBoth({
    inputs: [X],
    outputs: [Y],
    nodes: [
      call("Twice", ["x"], ["h"], { name: "layer.0" }),
      call("Twice", ["h"], ["y"]),
    ],
    functions: [twice],
  });
  assert.deepEqual(nodes, ["Neg:layer.0@0/t", "Sub:h", "Neg:Twice@1/t", "Sub:y"]);
});

Deno.test("attribute references take the call's value, then the default, then nothing", async () => {
  const softmax = functionOf("MySoftmax", {
    inputs: ["a"],
    outputs: ["b"],
    nodes: [node("Softmax", ["a"], ["b"], { attributes: { axis } })],
    defaults: { axis: 0 },
  });
  const bare = functionOf("Bare", { ...softmaxParts(), attributes: ["axis"] });
  const parts = (name: string, attributes = {}): ModelParts => ({
    inputs: [X],
    outputs: [Y],
    nodes: [call(name, ["x"], ["y"], { attributes })],
    functions: [softmax, bare],
  });
  const axisOf = (of: ModelParts) => inlined(of).graph?.node[0]?.attribute[0]?.i;
  assert.equal(axisOf(parts("MySoftmax", { axis: 1 })), 1n);
  assert.equal(axisOf(parts("MySoftmax")), 0n);
  assert.equal(axisOf(parts("Bare")), undefined);
  await runBoth(parts("MySoftmax", { axis: 1 }));
  await runBoth(parts("MySoftmax"));
  await runBoth(parts("Bare"));
});

function softmaxParts() {
  return {
    inputs: ["a"],
    outputs: ["b"],
    nodes: [node("Softmax", ["a"], ["b"], { attributes: { axis } })],
  };
}

Deno.test("attribute references pass through nested calls and into bodies", async () => {
  const branch = graph({
    nodes: [node("Softmax", ["a"], ["t"], { attributes: { axis } })],
    outputs: [valueInfo("t", "float32")],
  });
  const other = graph({
    nodes: [node("Identity", ["a"], ["e"])],
    outputs: [valueInfo("e", "float32")],
  });
  const nodes = await runBoth({
    inputs: [X],
    outputs: [Y],
    nodes: [call("Outer", ["x"], ["y"], { attributes: { dimension: 0 } })],
    functions: [
      functionOf("Outer", {
        inputs: ["a"],
        outputs: ["b"],
        attributes: ["dimension"],
        nodes: [
          call("Inner", ["a"], ["b"], {
            attributes: { axis: { ref: "dimension", type: AttributeType.INT } },
          }),
        ],
      }),
      functionOf("Inner", {
        inputs: ["a"],
        outputs: ["b"],
        attributes: ["axis"],
        nodes: [
          node("Constant", [], ["c"], { attributes: { value: boolTensor() } }),
          node("If", ["c"], ["b"], { attributes: { then_branch: branch, else_branch: other } }),
        ],
      }),
    ],
  });
  assert.deepEqual(nodes, ["Constant:Inner@1/c", "If:y"]);
});

function boolTensor() {
  return Object.assign(floats("", []), { dataType: 9, rawData: Uint8Array.of(1) });
}

Deno.test("optional inputs and outputs may be absent", async () => {
  const clip = functionOf("MyClip", {
    inputs: ["a", "low", "high"],
    outputs: ["b", "unused"],
    nodes: [node("Clip", ["a", "low", "high"], ["b"]), node("Abs", ["a"], ["unused"])],
  });
  const parts = (inputs: string[]): ModelParts => ({
    inputs: [X],
    outputs: [Y],
    nodes: [call("MyClip", inputs, ["y", ""])],
    initializers: [floats("half", [], () => 0.5)],
    functions: [clip],
  });
  await runBoth(parts(["x", "", "half"]));
  await runBoth(parts(["x", "half"]));
  assert.deepEqual(inlined(parts(["x"])).graph?.node[0]?.input, ["x", "", ""]);
});

Deno.test("outputs that are inputs passed through become Identity nodes", async () => {
  // ONNX allows this, ONNX Runtime refuses it: inlined it runs all the same.
  const around = (nodes: ReturnType<typeof node>[]): ModelParts => ({
    inputs: [X],
    outputs: [Y],
    nodes: [
      node("Neg", ["x"], ["n"]),
      ...nodes,
      node("Sub", ["first", "second"], ["y"]),
    ],
    functions: [functionOf("Swap", { inputs: ["a", "b"], outputs: ["b", "a", "a"] })],
  });
  const model = inlined(around([call("Swap", ["x", "n"], ["first", "second", ""])]));
  assert.deepEqual(
    model.graph?.node.map((held) => held.opType),
    ["Neg", "Identity", "Identity", "Sub"],
  );
  const written = around([
    node("Identity", ["n"], ["first"]),
    node("Identity", ["x"], ["second"]),
  ]);
  const feeds = { x: rampTensor([2, 3]) };
  assertSameBits(
    await runModel(encodeTapped(model, []), feeds),
    await runModel(modelBytes({ ...written, functions: [] }), feeds),
  );
});

Deno.test("bodies in functions capture the function's values under their new names", async () => {
  const body = graph({
    inputs: [valueInfo("i", "int64", []), valueInfo("go", "bool", []), valueInfo("s", "float32")],
    nodes: [
      node("Identity", ["go"], ["go_out"]),
      node("Add", ["s", "t"], ["u"]),
      node("Add", ["u", "a"], ["s_out"]),
      node("Add", ["s_out", "w"], ["scan"]),
    ],
    outputs: [
      valueInfo("go_out", "bool"),
      valueInfo("s_out", "float32"),
      valueInfo("scan", "float32"),
    ],
    initializers: [floats("w", [3])],
  });
  const nodes = await runBoth({
    inputs: [X],
    outputs: [Y, valueInfo("scans", "float32")],
    nodes: [call("Looped", ["x", "n"], ["y", "scans"])],
    initializers: [int64s("n", [3], []), floats("w", [1])],
    functions: [functionOf("Looped", {
      inputs: ["a", "n"],
      outputs: ["b", "c"],
      nodes: [
        node("Neg", ["a"], ["t"]),
        node("Loop", ["n", "", "a"], ["b", "c"], { attributes: { body } }),
      ],
    })],
  });
  assert.deepEqual(nodes, ["Neg:Looped@0/t", "Loop:y"]);
});

Deno.test("a body's own names stay apart from what its function is called with", () => {
  // `a` in the body is the body's own; outside it is the argument `w`, which `b` stands for as well.
  const body = graph({
    inputs: ["a"],
    nodes: [node("Add", ["a", "b"], ["o"])],
    outputs: ["o"],
    sparse: [create(SparseTensorProtoSchema, { values: floats("s", [1]) })],
  });
  const model = inlined({
    nodes: [call("f", ["w", "w"], ["y"])],
    functions: [functionOf("f", {
      inputs: ["a", "b"],
      outputs: ["c"],
      nodes: [node("Scan", ["a"], ["c"], { attributes: { body } })],
    })],
  });
  const inside = model.graph?.node[0]?.attribute[0]?.g;
  assert.deepEqual(inside?.input.map((value) => value.name), ["f@0/a"]);
  assert.deepEqual(inside?.node[0]?.input, ["f@0/a", "w"]);
  assert.deepEqual(inside?.sparseInitializer[0]?.values?.name, "f@0/s");
});

Deno.test("calls inside the bodies of the main graph are inlined there", async () => {
  const branch = (name: string) =>
    graph({
      nodes: [call("Double", ["x"], [`${name}_y`])],
      outputs: [valueInfo(`${name}_y`, "float32")],
    });
  await runBoth({
    inputs: [X],
    outputs: [Y],
    nodes: [
      node("ReduceMax", ["x"], ["largest"], { attributes: { keepdims: 0 } }),
      node("Cast", ["largest"], ["condition"], { attributes: { to: 9 } }),
      node("If", ["condition"], ["y"], {
        attributes: { then_branch: branch("then"), else_branch: branch("else") },
      }),
    ],
    functions: [
      functionOf("Double", {
        inputs: ["a"],
        outputs: ["b"],
        nodes: [node("Add", ["a", "a"], ["b"])],
      }),
    ],
  });
});

Deno.test("names of the file that look like inlined ones stay apart from them", async () => {
  const f = functionOf("f", {
    inputs: ["a"],
    outputs: ["b"],
    nodes: [node("Neg", ["a"], ["t"]), node("Sub", ["a", "t"], ["b"])],
  });
  await runBoth({
    inputs: [X],
    outputs: [Y],
    nodes: [node("Abs", ["x"], ["f@0/t"]), call("f", ["f@0/t"], ["y"])],
    functions: [f],
  });
});

Deno.test("frames tell the calls that a node came out of, outermost first", () => {
  const { model, frames } = inlineFunctions(modelOf({
    nodes: [call("Outer", ["x", "w"], ["y"], { name: "encoder" })],
    initializers: [floats("w", [1])],
    functions: [
      functionOf("Outer", {
        inputs: ["a", "w"],
        outputs: ["b"],
        nodes: [call("Inner", ["a", "w"], ["b"], { name: "linear" })],
      }),
      functionOf("Inner", {
        inputs: ["a", "w"],
        outputs: ["b"],
        nodes: [node("Mul", ["a", "w"], ["b"])],
      }),
    ],
  }));
  const [made] = model.graph?.node ?? [];
  assert.ok(made !== undefined);
  const found = frames.get(made)?.map((
    frame,
  ) => [frame.callName, frame.functionName, frame.parameters]);
  assert.deepEqual(found, [["encoder", "Outer", ["w"]], ["linear", "Inner", ["w"]]]);
});

Deno.test("functions that call themselves, directly or in a circle, are MODEL_CYCLE", async () => {
  const f = (name: string, callee: string) =>
    functionOf(name, { inputs: ["a"], outputs: ["b"], nodes: [call(callee, ["a"], ["b"])] });
  for (const functions of [[f("a", "a")], [f("a", "b"), f("b", "a")]]) {
    const parts = { nodes: [call("a", ["x"], ["y"])], functions };
    await expectCode("MODEL_CYCLE", () => inlined(parts));
  }
});

Deno.test("functions that double with every level are MODEL_TOO_LARGE, without nodes too", async () => {
  const doubling = (last: ReturnType<typeof node>[], passes: boolean): ModelParts => ({
    nodes: [call("f0", ["x"], ["y"])],
    functions: Array.from({ length: 40 }, (_, level) =>
      functionOf(`f${level}`, {
        inputs: ["a"],
        outputs: passes ? ["a"] : [],
        nodes: level === 39 ? last : [
          call(`f${level + 1}`, ["a"], passes ? ["l"] : []),
          call(`f${level + 1}`, ["a"], passes ? ["r"] : []),
        ],
      })),
  });
  await expectCode("MODEL_TOO_LARGE", () => inlined(doubling([node("Relu", ["a"], ["t"])], false)));
  await expectCode("MODEL_TOO_LARGE", () => inlined(doubling([], false)));
  await expectCode("MODEL_TOO_LARGE", () => inlined(doubling([], true)));
});

Deno.test("calls and bodies that nest without end are MODEL_TOO_DEEP, not a stack overflow", async () => {
  const functions = Array.from({ length: 60 }, (_, level) => {
    let body = graph({ nodes: [call(`f${level + 1}`, [], [])] });
    for (let depth = 0; depth < 40; depth++) {
      body = graph({ nodes: [node("If", [], [], { attributes: { then_branch: body } })] });
    }
    return functionOf(`f${level}`, {
      nodes: [node("If", [], [], { attributes: { then_branch: body } })],
    });
  });
  await expectCode("MODEL_TOO_DEEP", () => inlined({ nodes: [call("f0", [], [])], functions }));
});

Deno.test("operator libraries and functions of another opset stay calls with all they call", async () => {
  const neg = functionOf("Neg2", {
    inputs: ["a"],
    outputs: ["b"],
    nodes: [node("Neg", ["a"], ["b"])],
  });
  const library = functionOf("lib", {
    domain: "pkg.onnxscript.torch_lib",
    inputs: ["a"],
    outputs: ["b"],
    nodes: [call("Neg2", ["a"], ["b"])],
    opsets: { "": 20, local: 1 },
  });
  const old = functionOf("Old", {
    inputs: ["a"],
    outputs: ["b"],
    nodes: [node("Abs", ["a"], ["b"])],
    opsets: { "": 13 },
  });
  const nodes = await runBoth({
    opsets: { "": 20, local: 1, "pkg.onnxscript.torch_lib": 1 },
    inputs: [X],
    outputs: [Y],
    nodes: [
      node("lib", ["x"], ["h"], { domain: "pkg.onnxscript.torch_lib" }),
      call("Neg2", ["h"], ["k"]),
      call("Old", ["k"], ["y"]),
    ],
    functions: [neg, library, old, functionOf("Unused", {})],
  });
  assert.deepEqual(nodes, ["lib:h", "Neg:k", "Old:y"]);
});

Deno.test("of two functions that import one foreign domain differently, only one is inlined", () => {
  const f = (name: string, version: number) =>
    functionOf(name, {
      nodes: [node("Relu", ["a"], [`${name}_t`])],
      opsets: { "": 20, other: version },
    });
  const model = inlined({
    nodes: [call("first", [], []), call("second", [], [])],
    functions: [f("first", 1), f("second", 2)],
  });
  assert.deepEqual(model.graph?.node.map((held) => held.opType), ["Relu", "second"]);
  assert.deepEqual(model.functions.map((held) => held.name), ["second"]);
  assert.deepEqual(model.opsetImport.find((entry) => entry.domain === "other")?.version, 1n);
});

Deno.test("overloads are different functions", async () => {
  const f = (overload: string, operator: string) =>
    functionOf("f", {
      overload,
      inputs: ["a"],
      outputs: ["b"],
      nodes: [node(operator, ["a"], ["b"])],
    });
  const nodes = await runBoth({
    inputs: [X],
    outputs: [Y],
    nodes: [call("f", ["x"], ["h"], { overload: "abs" }), call("f", ["h"], ["y"])],
    functions: [f("", "Neg"), f("abs", "Abs")],
  });
  assert.deepEqual(nodes, ["Abs:h", "Neg:y"]);
});

Deno.test("functionKey() treats ai.onnx as the standard domain", () => {
  assert.equal(functionKey("ai.onnx", "Relu", ""), functionKey("", "Relu", ""));
});

Deno.test("functionsReached() follows calls through functions and bodies", () => {
  const f = (name: string, nodes: ReturnType<typeof node>[]) => functionOf(name, { nodes });
  const functions = [
    f("d", []),
    f("c", []),
    f("b", [
      node("If", [], [], { attributes: { then_branch: graph({ nodes: [call("c", [], [])] }) } }),
    ]),
    f("a", [call("b", [], []), call("a", [], [])]),
  ];
  const reached = functionsReached(functions, [call("a", [], [])]);
  assert.deepEqual(reached.map((held) => held.name), ["c", "b", "a"]);
});

for (const name of ["functions", "functions_shared"]) {
  Deno.test(`the export ${name} computes the same bits with its functions inlined`, async () => {
    const path = fixturePath("exports", name, "model.onnx");
    const files = readdirSync(fixturePath("exports", name)).filter((file) =>
      file.startsWith("in.")
    );
    const feeds = Object.fromEntries(files.map((file) => [
      file.slice(3, -4),
      decodeNpy(readFixture("exports", name, file), file),
    ]));
    const { model } = inlineFunctions(readSkeleton(path).model);
    assert.ok((model.graph?.node.length ?? 0) > 200);
    assertSameBits(
      await runModel({
        kind: "bytes",
        bytes: encodeTapped(model, []),
        weightFolder: fixturePath("exports", name),
      }, feeds),
      await runModel({ kind: "file", path }, feeds),
    );
  });
}
