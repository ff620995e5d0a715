import assert from "node:assert/strict";
import { ModelStructure } from "../../../pipeline/model_structure.ts";
import { activationByteLength } from "../../../pipeline/residency/activations.ts";
import { blocksModel } from "./_blocks_model.ts";

Deno.test("activationByteLength() grows with rows and widths, and wants every size", () => {
  using file = blocksModel();
  const structure = new ModelStructure(file.path);
  const block = structure.tree.get("blocks.0") ?? assert.fail();
  const bytes = (sizes: Readonly<Record<string, number>>) =>
    activationByteLength(structure, [block], sizes);
  assert.equal(bytes({ batch: 1, tokens: 10 }), 10 * 2 * (5 * 32 + 128) * 4);
  assert.equal(bytes({ batch: 2, tokens: 10 }), 20 * 2 * (5 * 32 + 128) * 4);
  assert.equal(bytes({ batch: 1 }), null);
  assert.equal(activationByteLength(structure, [], { batch: 1, tokens: 1 }), 0);
});
