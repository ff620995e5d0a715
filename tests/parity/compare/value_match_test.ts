import assert from "node:assert/strict";
import { matchSides } from "../../../parity/compare/match_sides.ts";
import { matchInputs, pathOf } from "../../../parity/compare/value_match.ts";
import type { DType } from "../../../tensor/dtype.ts";
import { modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import { halfNetwork, plainNetwork } from "./_precision_models.ts";
import { hostOf } from "./_sides.ts";

function exported(name: string) {
  return hostOf(fixturePath("exports", name, "model.onnx"));
}

/** A model that sums its inputs. */
function summing(inputs: Readonly<Record<string, DType>>, shape: readonly number[] = [2]) {
  const names = Object.keys(inputs);
  const casts = names.map((name) =>
    node("Cast", [name], [`${name}_float`], { attributes: { to: 1 } })
  );
  return hostOf(modelBytes({
    inputs: names.map((name) => valueInfo(name, inputs[name], shape)),
    outputs: [valueInfo("y")],
    nodes: [...casts, node("Sum", names.map((name) => `${name}_float`), ["y"])],
  })).structure;
}

Deno.test("inputs are paired by name, and those with other names in order", () => {
  const reference = summing({ ids: "int64", mask: "int64", x: "float32" });
  const candidate = summing({ mask: "int64", pixels: "float16", tokens: "int32" });
  assert.deepEqual(
    Object.fromEntries(matchInputs(reference, candidate)),
    { mask: "mask", pixels: "x", tokens: "ids" },
  );
});

Deno.test("an input that the reference does not have is an error that lists both sides", () => {
  const reference = summing({ x: "float32" });
  assert.throws(() => matchInputs(reference, summing({ x: "float32", z: "float32" })), {
    code: "COMPARE_INCOMPARABLE",
    message: /"z" has no partner.*x float32\[2\].*z float32\[2\]/,
  });
  assert.throws(() => matchInputs(reference, summing({ x: "int64" })), {
    code: "COMPARE_INCOMPARABLE",
  });
  assert.throws(() => matchInputs(reference, summing({ x: "float32" }, [2, 1])), {
    code: "COMPARE_INCOMPARABLE",
  });
});

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

Deno.test("a model is named by its path beside another", () => {
  const { structure } = exported("dynamo_bert");
  assert.match(pathOf(structure), /dynamo_bert.model\.onnx$/);
  assert.equal(pathOf(summing({ x: "float32" })), "bytes");
});
