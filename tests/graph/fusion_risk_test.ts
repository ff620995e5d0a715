import assert from "node:assert/strict";
import { fusionRisk } from "../../graph/fusion_risk.ts";
import { ModelGraph } from "../../graph/model_graph.ts";
import { graph, node } from "../support/build_model.ts";

function build(extra: readonly ReturnType<typeof node>[], outputs: readonly string[]): ModelGraph {
  return new ModelGraph(
    graph({
      nodes: [
        node("MatMul", ["x", "x"], ["m"]),
        node("Add", ["m", "x"], ["a"]),
        node("LayerNormalization", ["a", "x"], ["n"]),
        ...extra,
      ],
      inputs: ["x"],
      outputs: [...outputs],
    }),
    { label: "test" },
  );
}

Deno.test("fusionRisk() names the pair that a tap would keep apart", () => {
  assert.equal(fusionRisk(build([], ["n"]), "m"), "MatMul → Add");
  assert.equal(fusionRisk(build([], ["n"]), "a"), "Add → LayerNormalization");
});

Deno.test("fusionRisk() sees none where several nodes read the value or it is an output already", () => {
  assert.equal(fusionRisk(build([node("Relu", ["a"], ["r"])], ["n", "r"]), "a"), null);
  assert.equal(fusionRisk(build([], ["n", "m"]), "m"), null);
  assert.equal(fusionRisk(build([], ["n"]), "n"), null);
  assert.equal(fusionRisk(build([], ["n"]), "x"), null);
});
