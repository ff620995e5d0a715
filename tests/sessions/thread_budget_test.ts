import assert from "node:assert/strict";
import { NapiEngine } from "../../sessions/napi_engine.ts";
import { availableCores, IDLE_THREAD_LIMIT, threadBudget } from "../../sessions/thread_budget.ts";
import { float32, tensorBytes } from "../../tensor/tensor.ts";
import { buildModel } from "./tiny_models.ts";

Deno.test("threadBudget() gives all cores until the pools are full, then one thread", () => {
  const open: { threads: number }[] = [];
  for (let index = 0; index < 100; index++) {
    open.push({ threads: threadBudget(16, open) });
  }
  assert.equal(open[0]?.threads, 16);
  assert.equal(open[33]?.threads, 16);
  assert.equal(open[99]?.threads, 1);
  const idle = open.reduce((sum, { threads }) => sum + threads - 1, 0);
  assert.equal(idle, IDLE_THREAD_LIMIT);
});

Deno.test("threadBudget() shares alike between sessions that are about to be opened", () => {
  assert.equal(threadBudget(64, [], 48), 11);
  assert.equal(threadBudget(2, [], 48), 2);
  assert.equal(threadBudget(1, []), 1);
  assert.equal(threadBudget(4, [{ threads: 10_000 }], 0), 1);
  assert.ok(availableCores() >= 1);
});

Deno.test("the number of threads does not change a bit of a prepacked MatMul and a Softmax", async () => {
  const size = 96;
  const data = Float32Array.from(
    { length: size * size },
    (_, index) => Math.sin(index),
  );
  const bytes = buildModel({
    inputs: [{ name: "x", dtype: "float32", shape: ["n", size] }],
    outputs: [{ name: "y", dtype: "float32", shape: null }],
    nodes: [
      { op: "MatMul", inputs: ["x", "w"], outputs: ["m"] },
      { op: "Softmax", inputs: ["m"], outputs: ["y"] },
    ],
    weights: [{ name: "w", shape: [size, size], data }],
  });
  const engine = new NapiEngine();
  const results: Uint8Array[] = [];
  for (const threads of [1, 2, 4]) {
    await using session = await engine.open(
      { kind: "bytes", bytes, weightFolder: null },
      {
        provider: "cpu",
        optimization: "all",
        threads,
        prepacking: true,
        label: "threads",
      },
    );
    const { y } = await session.run({ x: float32([size, size], data) });
    assert.ok(y !== undefined);
    results.push(tensorBytes(y));
  }
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[2], results[0]);
});
