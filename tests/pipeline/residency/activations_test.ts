import assert from "node:assert/strict";
import { ModelStructure } from "../../../pipeline/model_structure.ts";
import { activationByteLength } from "../../../pipeline/residency/activations.ts";
import { blocksModel } from "./_blocks_model.ts";

Deno.test("activationByteLength() grows with rows and widths, and wants every size", () => {
  using file = blocksModel();
  const structure = new ModelStructure(file.path);
  const block = structure.tree.get("blocks.0") ?? assert.fail();
  const bytes = (sizes: Readonly<Record<string, number>>) =>
    activationByteLength(structure, [block], { sizes, engine: "napi", strategy: "mapped" });
  assert.equal(bytes({ batch: 1, tokens: 10 }), 10 * 2 * (5 * 32 + 128) * 4);
  assert.equal(bytes({ batch: 2, tokens: 10 }), 20 * 2 * (5 * 32 + 128) * 4);
  assert.equal(bytes({ batch: 1 }), null);
  const sizes = { batch: 1, tokens: 1 };
  assert.equal(
    activationByteLength(structure, [], { sizes, engine: "native", strategy: "mapped" }),
    0,
  );
});

Deno.test("activationByteLength() counts what the native engine holds twice in a first run", () => {
  using file = blocksModel();
  const structure = new ModelStructure(file.path);
  const block = structure.tree.get("blocks.0") ?? assert.fail();
  const more = (tokens: number, strategy: "mapped" | "inputs" = "mapped"): number => {
    const sizes = { batch: 1, tokens };
    const [native = 0, napi = 0] = (["native", "napi"] as const).map((engine) =>
      activationByteLength(structure, [block], { sizes, engine, strategy }) ?? assert.fail()
    );
    return native - napi;
  };
  assert.equal(more(10, "inputs"), 0); // one session serves all blocks
  assert.equal(more(20) - more(10), 10 * 2 * (32 + 32) * 4);
  assert.ok(more(1) > 2 ** 20 && more(1) < 2 ** 21);
});
