import assert from "node:assert/strict";
import { targetSizes } from "../../graph/target_sizes.ts";
import { ModelStructure } from "../../pipeline/model_structure.ts";
import { int64s, modelBytes, node, valueInfo } from "../support/build_model.ts";
import { tracedResize } from "./_resize_models.ts";

Deno.test("targetSizes() finds what Resize nodes take as sizes, among the nodes that are asked about", () => {
  const { graph } = new ModelStructure(tracedResize());
  assert.deepEqual(targetSizes(graph, graph.nodes.map(({ index }) => index)), ["sizes"]);
  assert.deepEqual(targetSizes(graph, [0, 1, 2, 3, 4, 5]), []);
});

Deno.test("targetSizes() leaves out constants, scales, and what other operators read", () => {
  const bytes = modelBytes({
    inputs: [valueInfo("x", "float32", [1, 1, 2, 2]), valueInfo("scales", "float32", [4])],
    outputs: ["y", "z"],
    initializers: [int64s("fixed", [1, 1, 4, 4])],
    nodes: [
      node("Resize", ["x", "", "", "fixed"], ["y"]),
      node("Resize", ["x", "", "scales"], ["s"]),
      node("Sum", ["s", "x", "x", "s"], ["z"]),
    ],
  });
  assert.deepEqual(targetSizes(new ModelStructure(bytes).graph, [0, 1, 2]), []);
});
