import assert from "node:assert/strict";
import { residentIndices } from "../../../plugins/layerwise_offload/resident_blocks.ts";

Deno.test("residentIndices() counts, lists and strides", () => {
  assert.deepEqual([...residentIndices(null, 5)], []);
  assert.deepEqual([...residentIndices(3, 5)], [0, 1, 2]);
  assert.deepEqual([...residentIndices([0, -1], 5)], [0, 4]);
  assert.deepEqual([...residentIndices({ stride: 2 }, 5)], [0, 2, 4]);
});

Deno.test("residentIndices() refuses blocks that are not there", () => {
  for (const resident of [6, [5], [-6]]) {
    assert.throws(() => residentIndices(resident, 5), { code: "OPTION_INVALID" });
  }
});
