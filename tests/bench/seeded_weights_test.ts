import assert from "node:assert/strict";
import { streamWeight, type WeightDtype, type WeightSpec } from "../../bench/seeded_weights.ts";

const SPEC: WeightSpec = { name: "fc.weight", shape: [300, 400], mean: 0.5, deviation: 0.25 };

function bytesOf(spec: WeightSpec, dtype: WeightDtype = "float32", seed = 1): Uint8Array {
  const chunks: number[][] = [];
  streamWeight(spec, dtype, seed, (chunk) => chunks.push([...chunk]));
  return Uint8Array.from(chunks.flat());
}

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

Deno.test("streamWeight() gives the same bytes for the same name and seed, and others otherwise", () => {
  const bytes = bytesOf(SPEC);
  assert.equal(bytes.byteLength, 300 * 400 * 4);
  assert.deepEqual(bytesOf(SPEC), bytes);
  assert.notDeepEqual(bytesOf(SPEC, "float32", 2), bytes);
  assert.notDeepEqual(bytesOf({ ...SPEC, name: "fc.bias" }), bytes);
});

Deno.test("streamWeight() has the mean and deviation that were asked for", () => {
  const values = floats(bytesOf(SPEC));
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  assert.ok(Math.abs(mean - SPEC.mean) < 0.005, String(mean));
  assert.ok(Math.abs(Math.sqrt(squares / values.length) - SPEC.deviation) < 0.005);
});

Deno.test("streamWeight() in float16 is the float32 weight rounded", () => {
  const wide = floats(bytesOf({ ...SPEC, shape: [1000] }));
  const half = bytesOf({ ...SPEC, shape: [1000] }, "float16");
  assert.deepEqual(new Float16Array(half.buffer), Float16Array.from(wide));
});

Deno.test("streamWeight() does not depend on where a shape is broken off", () => {
  const long = bytesOf(SPEC);
  assert.deepEqual(bytesOf({ ...SPEC, shape: [100] }), long.slice(0, 400));
});
