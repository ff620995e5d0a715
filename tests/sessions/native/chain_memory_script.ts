// Run by native_chain_test.ts with --expose-gc: what chains hold between runs, in bytes outside V8's heap.
// Prints what is held after runs of many sizes, and after outputs came out otherwise, with what one size takes.

import { float32, type TensorMap } from "../../../tensor/tensor.ts";
import { buildModel } from "../tiny_models.ts";
import { openChain, RUNS, unary } from "./_open_chain.ts";

const LENGTH = 100_000;
const FEED_BYTES = 4 * LENGTH;
const SIZES = 40;
const collect = (globalThis as unknown as { gc(): void }).gc;

const found = buildModel({
  inputs: [{ name: "a", dtype: "float32", shape: ["n"] }],
  outputs: [{ name: "y", dtype: "int64", shape: [1, "found"] }],
  nodes: [{ op: "NonZero", inputs: ["a"], outputs: ["y"] }],
});
await using opened = await openChain([unary("Neg", "x", "a"), found], ["y"]);

/** Feeds of that many numbers that are not zero. */
function feeds(length: number, ones: number): TensorMap {
  return { x: float32([length], new Float32Array(length).fill(1, 0, ones)) };
}

async function held(): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 10));
  collect();
  collect();
  return Deno.memoryUsage().external;
}

const before = await held();
for (let size = 0; size < SIZES; size++) {
  for (let run = 0; run < RUNS; run++) await opened.chain.run(feeds(LENGTH + size, 1));
}
const copies = SIZES * FEED_BYTES; // of first runs, which a pool keeps for all sessions
const many = await held() - before - copies;
await opened.chain.run(feeds(LENGTH + SIZES - 1, 2));
const otherwise = await held() - before - copies;
console.log(JSON.stringify({ frame: 2 * FEED_BYTES, many, otherwise }));
