import assert from "node:assert/strict";
import { viewOf } from "../../../pipeline/residency/tensor_view.ts";

Deno.test("viewOf() shows memory as elements without a copy", () => {
  const buffer = new ArrayBuffer(64);
  const floats = viewOf("float32", { buffer, byteOffset: 16 }, 3) as Float32Array;
  assert.equal(floats.length, 3);
  floats[0] = 1.5;
  assert.equal(new Float32Array(buffer)[4], 1.5);
  assert.ok(viewOf("uint8", { buffer, byteOffset: 1 }, 2) instanceof Uint8Array);
  assert.throws(() => viewOf("float32", { buffer, byteOffset: 2 }, 1), { code: "INTERNAL" });
});
