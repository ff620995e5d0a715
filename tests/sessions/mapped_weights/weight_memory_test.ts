import assert from "node:assert/strict";
import { openWeightMemory, unsteered } from "../../../sessions/mapped_weights/weight_memory.ts";

Deno.test("openWeightMemory() says whether memory can be steered, and why", () => {
  using memory = openWeightMemory();
  assert.equal(typeof memory.canSteer, "boolean");
  assert.notEqual(memory.because, "");
  memory.economize();
});

Deno.test("unsteered() memory finds nothing and moves nothing", async () => {
  using memory = unsteered("no reason");
  assert.equal(memory.canSteer, false);
  assert.match(memory.because, /^no reason \((deno|node) /);
  assert.deepEqual(memory.areasOf([[], []]), [[], []]);
  await memory.fetch([]);
  memory.release([]);
});

Deno.test({
  name: "openWeightMemory() leaves memory to the system where nothing may be called",
  permissions: { ffi: false },
  fn() {
    using memory = openWeightMemory();
    assert.equal(memory.canSteer, false);
  },
});
