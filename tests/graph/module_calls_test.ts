import assert from "node:assert/strict";
import type { ModuleTree } from "../../graph/graph_module.ts";
import { callCounts, fixtureTree, node, treeOf } from "./_fixtures.ts";

function metadata(text: string, scopes: readonly string[], classes: readonly string[]) {
  const list = (items: readonly string[]): string =>
    `[${[...items, "op"].map((item) => `'${item}'`).join(", ")}]`;
  return {
    ...node(text),
    metadataProps: [
      { key: "pkg.torch.onnx.name_scopes", value: list(["", ...scopes]) },
      { key: "pkg.torch.onnx.class_hierarchy", value: list(["Net", ...classes]) },
    ],
  };
}

function nodesOf(tree: ModuleTree, path: string): readonly (readonly number[])[] {
  return tree.get(path)?.calls.map((call) => call.nodes) ?? [];
}

Deno.test("findCalls() counts x = m(x) three times in a direct chain by the scopes' numbers", () => {
  const tree = treeOf([
    "MatMul /m/MatMul x w -> a",
    "Add /m/Add m.bias a -> b",
    "MatMul /m_1/MatMul b w -> c",
    "Add /m_1/Add m.bias c -> d",
    "MatMul /m_2/MatMul d w -> e",
    "Add /m_2/Add m.bias e -> y",
  ], { outputs: ["y"], parameters: ["w", "m.bias"] });
  assert.deepEqual(nodesOf(tree, "m"), [[0, 1], [2, 3], [4, 5]]);
  assert.equal(tree.get("m")?.isCuttable, true);
  assert.deepEqual(tree.get("m")?.calls.map((call) => [call.inputs, call.outputs]), [
    [["x"], ["b"]],
    [["b"], ["d"]],
    [["d"], ["y"]],
  ]);
});

Deno.test("findCalls() counts a chain of a module that has no nodes of its own by its children", () => {
  const tree = treeOf([
    "Gemm /mlp/fc/Gemm x mlp.fc.weight -> a",
    "Relu /mlp/act/Relu a -> b",
    "Gemm /mlp/fc_1/Gemm b mlp.fc.weight -> c",
    "Relu /mlp/act_1/Relu c -> d",
    "Gemm /mlp/fc_2/Gemm d mlp.fc.weight -> e",
    "Relu /mlp/act_2/Relu e -> y",
  ], { outputs: ["y"], parameters: ["mlp.fc.weight"] });
  assert.deepEqual(callCounts(tree), { mlp: 3, "mlp.fc": 3, "mlp.act": 3 });
  assert.deepEqual(nodesOf(tree, "mlp"), [[0, 1], [2, 3], [4, 5]]);
});

Deno.test("findCalls() gives a chained Sequential as many calls as its children", () => {
  const tree = treeOf([
    "Gemm /m/m.0/Gemm x m.0.weight -> a",
    "Gemm /m/m.0_1/Gemm a m.0.weight -> y",
  ], { outputs: ["y"], parameters: ["m.0.weight"] });
  assert.deepEqual(callCounts(tree), { m: 2, "m.0": 2 });
});

Deno.test("findCalls() sees one head on three inputs as a loop in one call and says so", () => {
  const tree = treeOf([
    ...[0, 1, 2].map((index) => `Relu /stem.${index}/Relu x -> s${index}`),
    ...[0, 1, 2].flatMap((index) => {
      const use = index === 0 ? "" : `_${index}`;
      return [
        `Conv /head/conv${use}/Conv s${index} head.conv.weight -> h${index}`,
        `Conv /head/cls${use}/Conv h${index} head.cls.weight -> y${index}`,
        `Conv /head/box${use}/Conv h${index} head.box.weight -> z${index}`,
      ];
    }),
  ], {
    outputs: ["y0", "z0", "y1", "z1", "y2", "z2"],
    parameters: ["head.conv.weight", "head.cls.weight", "head.box.weight"],
  });
  const { head, ...rest } = callCounts(tree);
  assert.equal(head, 1);
  assert.match(tree.get("head")?.reason ?? "", /loop in one call/);
  assert.equal(rest["head.conv"], 3);
  assert.equal(rest["head.cls"], 3);
  assert.equal(rest["head.box"], 3);
});

Deno.test("findCalls() splits parallel calls of a head that numbers its own nodes", () => {
  const tree = treeOf([
    "Conv /head/conv/Conv x head.conv.weight -> a",
    "Relu /head/Relu a -> p",
    "Conv /head/conv_1/Conv x2 head.conv.weight -> b",
    "Relu /head_1/Relu b -> q",
  ], { inputs: ["x", "x2"], outputs: ["p", "q"], parameters: ["head.conv.weight"] });
  assert.deepEqual(nodesOf(tree, "head"), [[0, 1], [2, 3]]);
  assert.deepEqual(nodesOf(tree, "head.conv"), [[0], [2]]);
});

Deno.test("findCalls() counts metadata's unnumbered calls by parameters and repetition", () => {
  const tree = treeOf([
    metadata("MatMul - x w -> a", ["m"], ["Linear"]),
    metadata("Add - a m.bias -> b", ["m"], ["Linear"]),
    metadata("MatMul - b w -> c", ["m"], ["Linear"]),
    metadata("Add - c m.bias -> d", ["m"], ["Linear"]),
    metadata("Relu - d -> e", ["act"], ["ReLU"]),
    metadata("Relu - e -> y", ["act"], ["ReLU"]),
    metadata("Unsqueeze - y -> u", ["shape"], ["Shaper"]),
    metadata("Unsqueeze - u -> z", ["shape"], ["Shaper"]),
  ], { outputs: ["z"], parameters: ["w", "m.bias"] });
  assert.deepEqual(callCounts(tree), { m: 2, act: 2, shape: 1 });
  assert.equal(tree.get("m")?.className, "Linear");
});

Deno.test("findCalls() splits unnumbered calls where other modules lie between", () => {
  const tree = treeOf([
    metadata("Abs - x -> a", ["m"], ["Odd"]),
    metadata("Neg - a -> b", ["other"], ["Neg"]),
    metadata("Abs - b -> y", ["m"], ["Odd"]),
  ], { outputs: ["y"] });
  assert.deepEqual(nodesOf(tree, "m"), [[0], [2]]);
});

for (const name of ["exports/dynamo_tied", "exports/tied_merged"]) {
  Deno.test(`findCalls() finds every call of ${name}'s shared layer`, () => {
    const { tree, truth } = fixtureTree(name);
    const wrong = truth.modules.filter(({ path, calls }) => {
      const found = tree.get(path)?.calls.length ?? 0;
      return found > 0 && found !== calls;
    });
    assert.deepEqual(wrong, []);
    assert.equal(tree.get("encoder.shared")?.calls.length, 3);
    assert.equal(tree.get("encoder")?.calls.length, 1);
    assert.equal(tree.get("encoder.shared")?.isCuttable, true);
  });
}
