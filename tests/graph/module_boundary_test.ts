import assert from "node:assert/strict";
import { boundaryOf } from "../../graph/module_boundary.ts";
import { node } from "./_fixtures.ts";
import { graphOf } from "./_graphs.ts";

const GRAPH = graphOf({
  node: [
    "Constant - -> k",
    "Add - x w -> a",
    "Mul - a k -> b",
    "Neg - b _ -> c",
    "Add - c a -> y",
  ].map(node),
  input: [{ name: "x" }],
  output: [{ name: "y" }, { name: "b" }],
  initializer: [{ name: "w", dataType: 1, dims: [2n] }],
});

Deno.test("boundaryOf() leaves constants and initializers out", () => {
  assert.deepEqual(boundaryOf(GRAPH, [1, 2]), { inputs: ["x"], outputs: ["a", "b"] });
});

Deno.test("boundaryOf() counts a graph output that nothing outside uses", () => {
  assert.deepEqual(boundaryOf(GRAPH, [2, 3]), { inputs: ["a"], outputs: ["b", "c"] });
  assert.deepEqual(boundaryOf(GRAPH, [1, 2, 3, 4]), { inputs: ["x"], outputs: ["b", "y"] });
  assert.deepEqual(boundaryOf(GRAPH, []), { inputs: [], outputs: [] });
});
