// Outputs that no node makes: ONNX Runtime hands them on as they came in.

import assert from "node:assert/strict";
import { NapiEngine } from "../../sessions/napi_engine.ts";
import { NativeEngine } from "../../sessions/native/native_engine.ts";
import { float32 } from "../../tensor/tensor.ts";
import { buildModel } from "./tiny_models.ts";

for (const engine of [new NapiEngine(), new NativeEngine()]) {
  Deno.test(`engine ${engine.name} passes on inputs and weights that are outputs, in every run`, async () => {
    const bytes = buildModel({
      inputs: [{ name: "x", dtype: "float32", shape: ["n"] }],
      outputs: ["x", "w", "y"].map((name) => ({ name, dtype: "float32", shape: ["n"] })),
      weights: [{ name: "w", shape: [2], data: Float32Array.of(7, 8) }],
      nodes: [{ op: "Neg", inputs: ["x"], outputs: ["y"] }],
    });
    await using session = await engine.open({ kind: "bytes", bytes, weightFolder: null }, {
      provider: "cpu",
      optimization: "all",
      threads: 1,
      prepacking: true,
      label: "tiny",
    });
    for (const size of [2, 50_000]) {
      for (let run = 1; run <= 4; run++) {
        const data = new Float32Array(size).fill(run);
        const { x, w, y } = await session.run({ x: float32([size], data) });
        assert.deepEqual([x?.data, w?.data], [data, Float32Array.of(7, 8)]);
        assert.equal(y?.data[size - 1], -run);
        assert.notEqual(x?.data, data);
      }
    }
  });
}

Deno.test("engine native passes on weights that come with the run", async () => {
  const engine = new NativeEngine();
  const bytes = buildModel({
    inputs: ["x", "w"].map((name) => ({ name, dtype: "float32", shape: [2] })),
    outputs: ["w", "y"].map((name) => ({ name, dtype: "float32", shape: [2] })),
    nodes: [{ op: "Add", inputs: ["x", "w"], outputs: ["y"] }],
  });
  await using session = await engine.open({ kind: "bytes", bytes, weightFolder: null }, {
    provider: "cpu",
    optimization: "all",
    threads: 1,
    prepacking: true,
    label: "tiny",
  });
  const memory = new Uint8Array(Float32Array.of(10, 20).buffer);
  using weights = engine.weightValues([{ name: "w", dtype: "float32", shape: [2], memory }]);
  for (let run = 1; run <= 4; run++) {
    const { w, y } = await session.runWith(weights, { x: float32([2], [run, run]) });
    assert.deepEqual(w?.data, Float32Array.of(10, 20));
    assert.deepEqual(y?.data, Float32Array.of(10 + run, 20 + run));
  }
});
