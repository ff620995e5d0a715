import assert from "node:assert/strict";
import { openModel } from "../../pipeline/open_model.ts";
import { openSessions } from "../../sessions/session_ledger.ts";
import { float32, type TensorMap } from "../../tensor/tensor.ts";
import { buildModel } from "../../testing/build_model.ts";
import { fakeEngine } from "../../testing/fake_engine.ts";
import { chainFeeds, chainModel, chainOutput, first } from "../pipeline/_small_models.ts";
import { modelBytes, node } from "../support/build_model.ts";

const FEEDS: TensorMap = { x: float32([2, 4], [1, -2, 3, 0.5, 0, 0.25, -1, 2]) };

Deno.test("fakeEngine() gives ONNX Runtime's numbers, to the last few bits", async () => {
  await using real = await openModel(buildModel(), { provider: "cpu", optimization: "disabled" });
  await using fake = await openModel(buildModel(), { engine: fakeEngine() });
  const wanted = (await real.run(FEEDS))["y"]?.data as Float32Array;
  const found = (await fake.run(FEEDS))["y"];
  assert.deepEqual(found?.shape, [2, 4]);
  (found?.data as Float32Array).forEach((value, index) => {
    assert.ok(Math.abs(value - (wanted[index] as number)) < 1e-6);
  });
});

Deno.test("fakeEngine() runs tapped and split plans of the real planner", async () => {
  await using model = await openModel(chainModel(3), { engine: fakeEngine(), provider: "cpu" });
  assert.equal(first(await model.run(chainFeeds(2))), chainOutput(2));
  for (const options of [{ tap: "layers.*" }, { split: "layers.*" }]) {
    const plan = model.plan(options);
    assert.notEqual(plan.kind, "whole");
    assert.equal(first(await model.run(chainFeeds(2), { plan })), chainOutput(2));
  }
});

Deno.test("fakeEngine() refuses what it cannot compute and what does not fit", async () => {
  const conv = modelBytes({ nodes: [node("Conv", ["x"], ["y"])], inputs: ["x"], outputs: ["y"] });
  await using unknown = await openModel(conv, { engine: fakeEngine(), provider: "cpu" });
  await assert.rejects(unknown.prepare(), { code: "SESSION_CREATE", message: /operator Conv/ });
  await using model = await openModel(buildModel(), { engine: fakeEngine(), provider: "cpu" });
  await assert.rejects(model.run({}), { code: "FEED_MISSING" });
  await assert.rejects(model.run({ x: float32([1, 3], [1, 2, 3]) }), { code: "FEED_SHAPE" });
});

Deno.test("fakeEngine() keeps to the ledger and to released sessions", async () => {
  const before = openSessions().length;
  const session = await fakeEngine().open(
    { kind: "bytes", bytes: buildModel(), weightFolder: null },
    { provider: "cpu", optimization: "disabled", threads: 1, prepacking: true, label: "test" },
  );
  assert.equal(openSessions().length, before + 1);
  const output = (await session.run(FEEDS))["y"];
  (output?.data as Float32Array).fill(0);
  assert.notDeepEqual((await session.run(FEEDS))["y"], output);
  await session.release();
  await session.release();
  assert.equal(openSessions().length, before);
  await assert.rejects(session.run(FEEDS), { code: "SESSION_RELEASED" });
});
