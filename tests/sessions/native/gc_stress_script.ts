// Run by native_engine_test.ts with --expose-gc: 100,000 runs on this thread and on others, small and
// large, of numbers and strings, with the garbage collected all the while. Every output is looked at, and
// everything that only native code uses is garbage to JavaScript unless the engine holds it.

import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { float32, type Tensor, tensor } from "../../../tensor/tensor.ts";
import { buildModel, identityModel } from "../tiny_models.ts";

const RUNS = 100_000;
const collect = (globalThis as unknown as { gc(): void }).gc;
const settings = {
  provider: "cpu",
  optimization: "all",
  threads: 2,
  prepacking: true,
  label: "stress",
} as const;

function open(bytes: Uint8Array) {
  return new NativeEngine().open({ kind: "bytes", bytes, weightFolder: null }, settings);
}

await using negate = await open(buildModel({
  inputs: [{ name: "x", dtype: "float32", shape: ["n"] }],
  outputs: [{ name: "y", dtype: "float32", shape: ["n"] }],
  nodes: [{ op: "Neg", inputs: ["x"], outputs: ["y"] }],
}));
await using same = await open(identityModel("string", ["n"]));

let runs = 0;
let collections = 0;

function requireEqual(found: unknown, wanted: unknown): void {
  if (found !== wanted) throw new Error(`run ${runs}: found ${found}, wanted ${wanted}`);
}

async function numbers(length: number): Promise<void> {
  const value = runs % 1000 + 1;
  const { y } = await negate.run({ x: float32([length], new Float32Array(length).fill(value)) });
  const { data } = y as Tensor;
  requireEqual(data.length, length);
  for (const at of [0, length >> 1, length - 1]) requireEqual(data[at], -value);
  runs++;
}

async function texts(): Promise<void> {
  const given = [`run ${runs}`, "größer", ""];
  const { y } = await same.run({ x: tensor("string", [3], given) });
  given.forEach((text, at) => requireEqual((y as Tensor).data[at], text));
  runs++;
}

while (runs < RUNS) {
  for (let index = 0; index < 300; index++) await numbers(1 + index % 7);
  collect();
  // New shapes go to another thread; large tensors are used where they lie.
  const together = [20_000 + runs % 977, 30_000, 8, 100_000].map(numbers);
  collect();
  collections += 2;
  await Promise.all([...together, texts()]);
}
console.log(JSON.stringify({ runs, collections }));
