import assert from "node:assert/strict";
import { matchInputs, pathOf } from "../../../parity/compare/input_match.ts";
import type { DType } from "../../../tensor/dtype.ts";
import { modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import { hostOf } from "./_sides.ts";

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

Deno.test("a model is named by its path beside another", () => {
  const { structure } = hostOf(fixturePath("exports", "dynamo_bert", "model.onnx"));
  assert.match(pathOf(structure), /dynamo_bert.model\.onnx$/);
  assert.equal(pathOf(summing({ x: "float32" })), "bytes");
});
