import assert from "node:assert/strict";
import { systemMemoryByteLength } from "../../host/system_memory.ts";

Deno.test({
  name: "systemMemoryByteLength() tells the machine's memory where that may be asked for",
  permissions: { sys: ["systemMemoryInfo"] },
  fn() {
    assert.equal(systemMemoryByteLength(), Deno.systemMemoryInfo().total);
  },
});

Deno.test({
  name: "systemMemoryByteLength() asks nobody for the right to know",
  permissions: { sys: false },
  fn() {
    assert.equal(systemMemoryByteLength(), null);
  },
});
