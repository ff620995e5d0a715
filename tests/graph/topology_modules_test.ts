import assert from "node:assert/strict";
import { indexLiveGraph, isConvex } from "../../graph/convexity.ts";
import { calledPaths, fixtureTree, treeOf } from "./_fixtures.ts";

Deno.test("nameByTopology() makes groups between cuts and blocks of what repeats", () => {
  const tree = treeOf([
    "Conv - x w -> a",
    ...[0, 1, 2].flatMap((index) => {
      const from = index === 0 ? "a" : `r${index - 1}`;
      return [
        `Conv - ${from} w -> c${index}`,
        `Relu - c${index} -> d${index}`,
        `Add - ${from} d${index} -> r${index}`,
      ];
    }),
    "Softmax - r2 -> y",
  ], { outputs: ["y"], parameters: ["w"], producer: "" });
  assert.deepEqual(calledPaths(tree), ["group.0", "block.0", "block.1", "block.2", "group.1"]);
  assert.deepEqual(tree.get("block.1")?.calls[0]?.nodes, [4, 5, 6]);
  assert.deepEqual(tree.get("block.1")?.calls[0]?.inputs, ["r0"]);
  assert.deepEqual(tree.get("block.1")?.calls[0]?.outputs, ["r1"]);
  assert.equal(tree.get("block")?.calls.length, 0);
  assert.equal(tree.get("block")?.isCuttable, false);
  assert.equal(tree.get("block.1")?.evidence, "topology");
  assert.equal(tree.evidence.topology, 11);
});

Deno.test("nameByTopology() divides blocks into parts and finds BERT's layers without a name", () => {
  const { graph, tree } = fixtureTree("exports/unnamed");
  const live = indexLiveGraph(graph);
  const layers = calledPaths(tree).filter((path) => /^block\.\d+$/.test(path));
  assert.equal(layers.length, 3);
  for (const path of layers) {
    const call = tree.get(path)?.calls[0];
    assert.equal(call?.outputs.length, 1);
    assert.equal(tree.get(path)?.isCuttable, true);
    assert.ok((tree.get(path)?.children.length ?? 0) > 1);
  }
  for (const module of tree.modules) {
    for (const call of module.calls) assert.equal(isConvex(live, call.nodes), true, module.path);
  }
  const leaves = tree.modules.filter((module) =>
    module.children.length === 0 && module.calls.length > 0
  );
  const covered = leaves.flatMap((module) => module.calls.flatMap((call) => call.nodes));
  assert.equal(new Set(covered).size, covered.length);
  assert.equal(covered.length, tree.get("")?.calls[0]?.nodes.length);
});

Deno.test("nameByTopology() gives every multi-node model something to hook", () => {
  const two = treeOf(["Relu - x -> a", "Neg - a -> y"], { outputs: ["y"] });
  assert.deepEqual(calledPaths(two), ["group.0", "group.1"]);
  const parallel = treeOf(["Relu - x -> a", "Neg - x -> b"], { outputs: ["a", "b"] });
  assert.deepEqual(calledPaths(parallel), ["node.0", "node.1"]);
  const one = treeOf(["Relu - x -> y"], { outputs: ["y"] });
  assert.deepEqual(calledPaths(one), []);
});

Deno.test("nameByTopology() leaves a model alone that names any module", () => {
  const tree = treeOf(["Relu /act/Relu x -> a", "Neg /Neg a -> y"], { outputs: ["y"] });
  assert.deepEqual(calledPaths(tree), ["act"]);
});

Deno.test("nameByTopology() carries long-lived values past the cuts", () => {
  const texts = ["Cast - m -> mask", "Abs - x -> r0"];
  for (let index = 0; index < 12; index++) {
    texts.push(
      `MatMul - r${index} w -> q${index}`,
      `Add - q${index} mask -> s${index}`,
      `Softmax - s${index} -> t${index}`,
      `Add - r${index} t${index} -> r${index + 1}`,
    );
  }
  const tree = treeOf(texts, { inputs: ["x", "m"], outputs: ["r12"], parameters: ["w"] });
  assert.equal(calledPaths(tree).filter((path) => path.startsWith("block.")).length, 12);
  assert.deepEqual(tree.get("block.5")?.calls[0]?.inputs.toSorted(), ["mask", "r5"]);
});

Deno.test("nameByTopology() joins groups of a very long chain", () => {
  const texts = Array.from(
    { length: 50_000 },
    (_, index) => `${["Relu", "Neg", "Abs"][index % 3]} - v${index} -> v${index + 1}`,
  );
  const tree = treeOf(texts, { inputs: ["v0"], outputs: ["v50000"] });
  assert.ok(tree.modules.length > 100 && tree.modules.length < 10_000);
  assert.equal(
    tree.modules.every((module) => module.isCuttable || module.calls.length === 0),
    true,
  );
});
