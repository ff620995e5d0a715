import assert from "node:assert/strict";
import { HooklineError } from "../../errors/hookline_error.ts";
import type { ModuleTree } from "../../graph/graph_module.ts";
import type { ModuleBoundary } from "../../graph/user_boundaries.ts";
import { treeOf } from "./_fixtures.ts";

const NODES = [
  "Conv /body/conv/Conv x body.conv.weight -> a",
  "Relu /body/act/Relu a -> b",
  "Neg /Neg b -> c",
  "Abs /Abs c -> y",
];

function withBoundaries(boundaries: Record<string, ModuleBoundary>): ModuleTree {
  return treeOf(NODES, {
    outputs: ["y"],
    parameters: ["body.conv.weight"],
    options: { boundaries },
  });
}

Deno.test("nodesBetween() makes a module of the nodes between its inputs and outputs", () => {
  const tree = withBoundaries({ "head.tail": { inputs: ["b"], outputs: ["y"] } });
  const module = tree.get("head.tail");
  assert.deepEqual(module?.calls[0]?.nodes, [2, 3]);
  assert.deepEqual(module?.calls[0]?.inputs, ["b"]);
  assert.equal(module?.parent, "");
  assert.equal(module?.evidence, "user");
  assert.equal(module?.isCuttable, true);
  assert.equal(tree.evidence.user, 2);
  assert.deepEqual(tree.get("")?.children, ["body", "head.tail"]);
});

Deno.test("nodesBetween() begins at the model's inputs when none are named", () => {
  const tree = withBoundaries({ "body.front": { outputs: ["b"] } });
  assert.deepEqual(tree.get("body.front")?.calls[0]?.nodes, [0, 1]);
  assert.equal(tree.get("body.front")?.parent, "body");
  assert.deepEqual(tree.get("body.front")?.parameters, ["body.conv.weight"]);
});

Deno.test("nodesBetween() refuses unknown values, empty modules and bad paths", () => {
  const cases: [Record<string, ModuleBoundary>, RegExp][] = [
    [{ part: { outputs: ["bb"] } }, /names the value "bb"/],
    [{ part: { inputs: ["y"], outputs: ["y"] } }, /holds no node/],
    [{ "a..b": { outputs: ["y"] } }, /no module path/],
    [{ "": { outputs: ["y"] } }, /no module path/],
  ];
  for (const [boundaries, message] of cases) {
    assert.throws(() => withBoundaries(boundaries), (error) => {
      assert.ok(error instanceof HooklineError);
      assert.equal(error.code, "OPTION_INVALID");
      assert.match(error.message, message);
      return true;
    });
  }
});
