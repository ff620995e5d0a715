import assert from "node:assert/strict";
import { matchSides } from "../../../parity/compare/match_sides.ts";
import { modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import { halfNetwork, plainNetwork } from "./_precision_models.ts";
import { hostOf } from "./_sides.ts";

function exported(name: string) {
  return hostOf(fixturePath("exports", name, "model.onnx"));
}

Deno.test("outputs and inputs of modules find their partners across exporters", async () => {
  const { values, match } = await matchSides(
    exported("dynamo_bert"),
    exported("torchscript_bert_external"),
  );
  for (const { module, reference, candidate } of match.pairs) {
    if (module === "") continue;
    const floats = reference.outputs.filter((name) => !name.startsWith("val_")); // sizes are shared
    const partners = candidate.outputs.map((name) => values.partnerOf(name));
    for (const name of floats) assert.ok(partners.includes(name), `${module}: ${name}`);
    for (const name of candidate.inputs) {
      const partner = values.partnerOf(name);
      assert.ok(partner === undefined || reference.inputs.includes(partner), `${module}: ${name}`);
    }
  }
  assert.equal(values.partnerOf("last_hidden_state"), "last_hidden_state");
  assert.equal(values.partnerOf("/Mul_output_0"), "mul"); // the mask, which no module computes
});

Deno.test("a cast of a value has its partner, and is no more precise than it was", async () => {
  const { values } = await matchSides(hostOf(plainNetwork()), hostOf(halfNetwork()));
  assert.equal(values.partnerOf("x_half"), "x");
  assert.equal(values.partnerOf("/layers.0/act/Relu_output_0"), "/layers.0/act/Relu_output_0");
  assert.equal(values.precisionOf("y"), "float16");
  assert.equal(values.castSourceOf("y"), "/layers.2/act/Relu_output_0");
  assert.equal(values.castSourceOf("x"), null);
});

Deno.test("a cast of an integer to a float is no copy of it", async () => {
  const host = hostOf(modelBytes({
    inputs: [valueInfo("i", "int64", [2])],
    outputs: [valueInfo("y", "float32", [2])],
    nodes: [node("Cast", ["i"], ["f"], { attributes: { to: 1 } }), node("Relu", ["f"], ["y"])],
  }));
  const { values } = await matchSides(host, host);
  assert.equal(values.castSourceOf("f"), null);
  assert.notEqual(values.partnerOf("f"), "i");
});
