import assert from "node:assert/strict";
import { randomFunctions } from "../../graph/random_functions.ts";
import { functionOf, graph, modelOf, node } from "../support/build_model.ts";

const draw = node("RandomNormal", [], ["noise"]);

Deno.test("randomFunctions() finds what draws directly, in a body, or through others", () => {
  const calls = (name: string, callee: string) =>
    functionOf(name, { nodes: [node(callee, [], ["y"], { domain: "local" })] });
  const model = modelOf({
    functions: [
      calls("outermost", "outer"), // listed before what it calls
      calls("outer", "draws"),
      functionOf("draws", { nodes: [draw] }),
      functionOf("draws_in_body", {
        nodes: [
          node("If", ["c"], ["y"], { attributes: { then_branch: graph({ nodes: [draw] }) } }),
        ],
      }),
      functionOf("calm", { nodes: [node("Relu", ["x"], ["y"])] }),
      calls("calls_calm", "calm"),
    ],
  });
  assert.deepEqual(
    [...randomFunctions(model)].sort(),
    ["local:draws", "local:draws_in_body", "local:outer", "local:outermost"],
  );
});

Deno.test("randomFunctions() ends on functions that call one another in a circle", () => {
  const calls = (name: string, callee: string) =>
    functionOf(name, { nodes: [node(callee, [], ["y"], { domain: "local" })] });
  const model = modelOf({ functions: [calls("a", "b"), calls("b", "a")] });
  assert.equal(randomFunctions(model).size, 0);
});

Deno.test("randomFunctions() is quick on thousands of functions in the worst order", () => {
  const functions = Array.from({ length: 5000 }, (_, index) =>
    functionOf(`f${index}`, {
      nodes: index === 4999 ? [draw] : [node(`f${index + 1}`, [], ["y"], { domain: "local" })],
    }));
  const start = performance.now();
  assert.equal(randomFunctions(modelOf({ functions })).size, 5000);
  assert.ok(performance.now() - start < 1000);
});
