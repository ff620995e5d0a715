import assert from "node:assert/strict";
import type { SessionSettings } from "../../../sessions/engine.ts";
import { HooklineError } from "../../../errors/hookline_error.ts";
import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { float32, type Tensor } from "../../../tensor/tensor.ts";
import { skippable } from "../../skippable.ts";
import { inChild } from "../../support/child.ts";
import { runOnDevice, whyNoWebGpu } from "../../support/software_vulkan.ts";
import { buildModel, identityModel } from "../tiny_models.ts";

const SETTINGS: SessionSettings = {
  provider: "cpu",
  optimization: "all",
  threads: 2,
  prepacking: true,
  label: "model",
};

function open(bytes: Uint8Array) {
  return new NativeEngine().open({ kind: "bytes", bytes, weightFolder: null }, SETTINGS);
}

/** Runs and gives the feed's buffer away at once; null when the run was refused with FEED_DATA. */
async function outputOf(running: Promise<{ readonly [name: string]: Tensor }>, feed: Tensor) {
  (feed.data as Float32Array<ArrayBuffer>).buffer.transfer();
  try {
    return (await running)["y"] ?? null;
  } catch (error) {
    if (error instanceof HooklineError && error.code === "FEED_DATA") return null;
    throw error;
  }
}

Deno.test("a run on another thread has its feeds, whoever frees them meanwhile", () => {
  const text = inChild(new URL("./feeds_transferred_script.ts", import.meta.url), [
    "-A",
    "--v8-flags=--expose-gc",
  ]);
  const { alone, rounds, together, ended } = JSON.parse(text);
  assert.equal(alone, rounds, text);
  assert.equal(ended["right"] + ended["FEED_DATA"], rounds + together, text);
  assert.ok(ended["FEED_DATA"] > 0, text);
});

Deno.test({
  ...skippable("a run on a device has its feeds, whoever frees them meanwhile", whyNoWebGpu()),
  fn() {
    const script = new URL("./feeds_transferred_webgpu_script.ts", import.meta.url);
    assert.equal(runOnDevice(script, "run"), '{"right":5}\n');
  },
});

Deno.test("a quick run has its feeds or refuses them, whoever takes them meanwhile", async () => {
  await using session = await open(identityModel("float32", ["n"]));
  for (const length of [16, 20_000]) {
    const outcomes = { right: 0, refused: 0 };
    for (let run = 0; run < 500; run++) {
      const x = float32([length], new Float32Array(length).fill(run));
      const y = await outputOf(session.run({ x }), x);
      if (y === null) outcomes.refused++;
      else {
        assert.deepEqual([y.data.length, y.data[0], y.data[length - 1]], [length, run, run]);
        outcomes.right++;
      }
    }
    assert.equal(outcomes.right + outcomes.refused, 500);
    assert.ok(outcomes.right > 250, JSON.stringify(outcomes));
  }
});

Deno.test("feeds that are gone when they are looked at again end no process", () => {
  const text = inChild(new URL("./changing_feed_script.ts", import.meta.url), ["-A"]);
  assert.equal(text, "200\n");
});

Deno.test("a run that is done again, because shapes came out otherwise, has its feeds still", async () => {
  const found = { name: "y", dtype: "int64", shape: [1, "found"] } as const;
  for (const length of [64, 40_000]) {
    await using session = await open(buildModel({
      inputs: [{ name: "x", dtype: "float32", shape: ["n"] }],
      outputs: [found],
      nodes: [{ op: "NonZero", inputs: ["x"], outputs: ["y"] }],
    }));
    for (const ones of [1, 3, 2]) {
      const x = float32([length], new Float32Array(length).fill(1, 0, ones));
      const y = await outputOf(session.run({ x }), x);
      assert.deepEqual(y?.shape, [1, ones]);
    }
  }
});

Deno.test("numbers that change while a run computes are those that it was given", async () => {
  await using session = await open(buildModel({
    inputs: [{ name: "x", dtype: "float32", shape: ["n"] }],
    outputs: [{ name: "y", dtype: "float32", shape: ["n"] }],
    nodes: [
      { op: "Neg", inputs: ["x"], outputs: ["a"] },
      { op: "Neg", inputs: ["a"], outputs: ["b"] },
      { op: "Add", inputs: ["b", "x"], outputs: ["y"] },
    ],
  }));
  const data = new Float32Array(3_000_000);
  for (let run = 1; run <= 4; run++) {
    const running = session.run({ x: float32([data.length], data.fill(run)) });
    data.fill(-1);
    const { y } = await running;
    assert.ok((y?.data as Float32Array).every((sum) => sum === 2 * run), `run ${run}`);
  }
});
