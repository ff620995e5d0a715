import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { type InspectDocument, inspectDocument } from "../../cli/inspect.ts";
import { ModelStructure } from "../../pipeline/model_structure.ts";
import {
  externalFloats,
  floats,
  int64s,
  modelBytes,
  node,
  valueInfo,
} from "../support/build_model.ts";
import { fixturePath } from "../support/fixture_path.ts";
import { called, documentOf, hookline } from "./_hookline.ts";

const BERT = fixturePath("torch", "bert", "model.onnx");

async function inspected(...parts: readonly string[]): Promise<InspectDocument> {
  const outcome = await called(["inspect", fixturePath(...parts, "model.onnx"), "--json"]);
  assert.equal(outcome.code, 0, outcome.stdout);
  return documentOf(outcome) as unknown as InspectDocument;
}

Deno.test("hookline inspect prints the model's facts", async () => {
  const outcome = await hookline(["inspect", BERT, "--json"]);
  assert.equal(outcome.code, 0);
  const { model, evidence, modules, ...others } = documentOf(outcome) as unknown as InspectDocument;
  assert.deepEqual(others, {});
  assert.deepEqual(model, {
    path: BERT,
    irVersion: 8,
    opsets: { "ai.onnx": 17 },
    producer: "pytorch 1.13.0",
    fileBytes: statSync(BERT).size,
    weightBytes: 141_568,
    weightTensors: 56,
    nodes: 295,
    inputs: ["input_ids", "attention_mask", "token_type_ids"].map((name) => ({
      name,
      dtype: "int64",
      shape: ["batch", "seq"],
    })),
    outputs: [
      { name: "last_hidden_state", dtype: "float32", shape: ["batch", "seq", 32] },
      { name: "pooler_output", dtype: "float32", shape: ["Tanhpooler_output_dim_0", 32] },
    ],
  });
  const live = Object.values(evidence).reduce((sum, count) => sum + count, 0);
  assert.equal(modules[0]?.nodes, live);
  for (
    const kind of [
      "metadata",
      "nodeNames",
      "valueNames",
      "parameterNames",
      "topology",
      "unassigned",
    ]
  ) {
    assert.equal(typeof evidence[kind as keyof typeof evidence], "number", kind);
  }
});

Deno.test("hookline inspect prints every module in execution order with its boundary", async () => {
  const { modules } = await inspected("torch", "bert");
  assert.equal(modules[0]?.path, "");
  const layer = modules.find((module) => module.path === "encoder.layer.1");
  assert.ok(layer !== undefined);
  assert.deepEqual(Object.keys(layer), [
    "path",
    "class",
    "calls",
    "nodes",
    "parameters",
    "parameterBytes",
    "inputs",
    "outputs",
    "cuttable",
    "reason",
    "block",
  ]);
  const { inputs, outputs, block, ...facts } = layer;
  assert.deepEqual(facts, {
    path: "encoder.layer.1",
    class: null,
    calls: 1,
    nodes: 62,
    parameters: 8544,
    parameterBytes: 34_176,
    cuttable: true,
    reason: null,
  });
  const twin = modules.find((module) => module.path === "encoder.layer.2");
  assert.equal(block, twin?.block);
  assert.match(String(block), /^[0-9a-f]{8}$/);
  assert.ok(twin !== undefined && outputs.every((name) => twin.inputs.includes(name)));
  assert.ok(inputs.length > 0);
  const list = modules.find((module) => module.path === "encoder.layer");
  assert.equal(list?.calls, 0);
  assert.equal(list?.cuttable, false);
  assert.match(String(list?.reason), /never called/);
});

Deno.test("hookline inspect finds the modules and classes that PyTorch has", async () => {
  for (const name of ["dynamo_bert", "dynamo_vit"]) {
    const { modules } = await inspected("exports", name);
    const found = new Map(modules.map((module) => [module.path, module.class]));
    const text = readFileSync(fixturePath("exports", name, "modules.json"), "utf8");
    const known = JSON.parse(text).modules as readonly { path: string; class: string }[];
    // Dropout and Identity compute nothing, so an export holds nothing of them.
    for (const module of known.filter((at) => !/Dropout|Identity|Sequential/.test(at.class))) {
      assert.equal(found.get(module.path), module.class, `${name}: ${module.path}`);
    }
  }
});

Deno.test("hookline inspect says why a module inside control flow cannot be cut", async () => {
  const { modules, model } = await inspected("exports", "dynamo_control_flow");
  const deep = modules.find((module) => module.path === "gates.0.deep");
  assert.equal(deep?.cuttable, false);
  assert.match(String(deep?.reason), /lies in the body of node_cond/);
  assert.equal(deep?.block, null);
  assert.ok(model.nodes > 24, "nodes of bodies count");
});

Deno.test("hookline inspect counts weights of other files", async () => {
  const { model } = await inspected("exports", "torchscript_bert_external");
  const folder = fixturePath("exports", "torchscript_bert_external");
  const outside = statSync(`${folder}/a.bin`).size + statSync(`${folder}/b.bin`).size;
  // The files hold a few bytes of padding between weights.
  assert.ok(outside > 0 && model.weightBytes > 0.99 * outside, `${model.weightBytes} ${outside}`);
  const text = await called(["inspect", `${folder}/model.onnx`]);
  assert.match(text.stdout, /and .* in \d+ weight tensors/);
});

Deno.test("hookline inspect reports a missing weight file with its code", async () => {
  const path = await Deno.makeTempFile({ suffix: ".onnx" });
  try {
    const bytes = modelBytes({
      nodes: [node("Add", ["x", "w"], ["y"])],
      inputs: [valueInfo("x", "float32", [2])],
      outputs: [valueInfo("y", "float32", [2])],
      initializers: [externalFloats("w", [2], { location: "gone.bin" })],
    });
    await Deno.writeFile(path, bytes);
    const { code, stdout } = await called(["inspect", path, "--json"]);
    assert.equal(code, 2);
    assert.equal(JSON.parse(stdout).error.code, "MODEL_EXTERNAL_MISSING");
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("inspectDocument() counts a weight once per module and unused ones in the whole", () => {
  const bytes = modelBytes({
    nodes: [
      node("Mul", ["x", "w"], ["a"], { name: "/first/Mul" }),
      node("Add", ["a", "w"], ["b"], { name: "/second/Add" }),
      node("Reshape", ["b", "to"], ["y"], { name: "/second/Reshape" }),
    ],
    inputs: [valueInfo("x", "float32", ["n", 3])],
    outputs: [valueInfo("y", "float32", [null, 3])],
    initializers: [floats("w", [3]), floats("unused", [5]), int64s("to", [-1, 3])],
  });
  const { model, modules } = inspectDocument(new ModelStructure(bytes), "memory.onnx");
  assert.equal(model.weightTensors, 3);
  assert.equal(model.weightBytes, 12 + 20 + 16);
  assert.deepEqual(model.outputs, [{ name: "y", dtype: "float32", shape: [null, 3] }]);
  const sizes = modules.map(({ path, parameters, parameterBytes }) => [
    path,
    parameters,
    parameterBytes,
  ]);
  assert.deepEqual(sizes, [["", 5, 28], ["first", 3, 12], ["second", 5, 28]]);
});

Deno.test("hookline inspect shows a tree to people", async (t) => {
  const folder = fixturePath("exports");
  const outcome = await called([
    "inspect",
    fixturePath("exports", "dynamo_control_flow", "model.onnx"),
  ]);
  assert.equal(outcome.code, 0);
  assert.equal(outcome.stderr, "");
  // Block ids are tested above; how they are made is not this text's business.
  const text = outcome.stdout.replace(folder, "EXPORTS").replaceAll(/\b[0-9a-f]{8}\b/g, "BLOCK---");
  await t.assertSnapshot(text.split("\n"));
});
