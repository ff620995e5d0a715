import assert from "node:assert/strict";
import { realpathSync } from "node:fs";
import { ModelStructure } from "../../../pipeline/model_structure.ts";
import { blockWeights, modelWeightByteLength } from "../../../pipeline/residency/block_weights.ts";
import { floats, modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { blocksModel } from "./_blocks_model.ts";

for (const weights of ["inline", "external"] as const) {
  Deno.test(`blockWeights() finds ${weights} weights in their file`, () => {
    using file = blocksModel({ weights });
    const structure = new ModelStructure(file.path);
    const block = blockWeights(structure, structure.tree.get("blocks.1") ?? assert.fail());
    const matrices = 12 * 32 * 32 * 4;
    const small = weights === "external" ? block.byteLength - matrices : 0;
    assert.equal(block.byteLength, matrices + small);
    assert.equal(block.ranges.length, weights === "external" ? 16 : 6);
    const path = realpathSync(weights === "external" ? `${file.path}.data` : file.path);
    assert.ok(block.ranges.every((range) => range.path === path));
    const places = block.ranges.map((range) => range.byteOffset);
    assert.deepEqual(places, places.toSorted((left, right) => left - right));
    assert.ok(modelWeightByteLength(structure) >= 4 * block.byteLength);
    assert.deepEqual([block.isPacked, block.hasConvolution, block.folding], [false, false, []]);
  });
}

Deno.test("blockWeights() tells half precision and what can be fed", () => {
  using file = blocksModel({ dtype: "float16" });
  const structure = new ModelStructure(file.path);
  const block = blockWeights(structure, structure.tree.get("blocks.1") ?? assert.fail());
  assert.deepEqual([block.isHalf, block.unfed], [true, []]);
});

/** A model in a file: `block` multiplies by a large weight that `extra` prepares. */
function written(
  extra: "plain" | "transposed" | "convolution" | "packed",
): ReturnType<typeof blockWeights> {
  const path = Deno.makeTempFileSync({ suffix: ".onnx" });
  const name = { name: "/block/Op" };
  const large = floats("w", extra === "convolution" ? [32, 32, 1, 1] : [32, 32], (index) => index);
  const nodes = {
    plain: [node("MatMul", ["x", "w"], ["y"], name)],
    transposed: [
      node("Transpose", ["w"], ["t"], { name: "/block/Transpose" }),
      node("MatMul", ["x", "t"], ["y"], name),
    ],
    convolution: [node("Conv", ["x", "w"], ["y"], name)],
    packed: [node("MatMulNBits", ["x", "w"], ["y"], { ...name, domain: "com.microsoft" })],
  }[extra];
  Deno.writeFileSync(
    path,
    modelBytes({
      nodes,
      initializers: [large],
      inputs: [valueInfo("x", "float32", extra === "convolution" ? [1, 32, 4, 4] : ["n", 32])],
      outputs: [valueInfo("y", "float32", null)],
    }),
  );
  const structure = new ModelStructure(path);
  const found = blockWeights(structure, structure.tree.get("block") ?? assert.fail(extra));
  Deno.removeSync(path);
  return found;
}

Deno.test("blockWeights() sees what stands in the way of a strategy", () => {
  assert.deepEqual(written("plain").folding, []);
  assert.deepEqual(written("transposed").folding, ["Transpose"]);
  assert.equal(written("transposed").byteLength, 4096);
  assert.equal(written("convolution").hasConvolution, true);
  assert.equal(written("packed").isPacked, true);
});
