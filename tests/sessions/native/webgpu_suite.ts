// The tests of the native engine that need WebGPU; run by webgpu_test.ts in a process of its own.

import assert from "node:assert/strict";
import { deviceLedger, DeviceTensor, type RunValue } from "../../../sessions/device_tensor.ts";
import type { EngineSession } from "../../../sessions/engine.ts";
import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { sessionLedger } from "../../../sessions/session_ledger.ts";
import { float32, type Tensor, tensor } from "../../../tensor/tensor.ts";
import { engineConformance } from "../engine_conformance.ts";
import { expectCode } from "../expect_code.ts";
import { buildModel, identityModel } from "../tiny_models.ts";

engineConformance(() => new NativeEngine(), "webgpu");

const NEGATE = buildModel({
  inputs: [{ name: "x", dtype: "float32", shape: ["n"] }],
  outputs: [{ name: "y", dtype: "float32", shape: ["n"] }],
  nodes: [{ op: "Neg", inputs: ["x"], outputs: ["y"] }],
});

function open(bytes: Uint8Array): Promise<EngineSession> {
  return new NativeEngine().open({ kind: "bytes", bytes, weightFolder: null }, {
    provider: "webgpu",
    optimization: "all",
    threads: 1,
    prepacking: true,
    label: "tiny",
  });
}

async function kept(session: EngineSession, x: RunValue): Promise<DeviceTensor> {
  const { y } = await session.runOnDevice?.({ x }, ["y"], { keep: ["y"] }) ?? {};
  assert.ok(y instanceof DeviceTensor);
  return y;
}

function test(name: string, body: () => Promise<void>): void {
  Deno.test(`NativeSession ${name}`, async () => {
    await body();
    assert.deepEqual([sessionLedger.count, deviceLedger.count, deviceLedger.byteLength], [0, 0, 0]);
  });
}

test("passes a value from session to session without a copy to the process", async () => {
  await using first = await open(NEGATE);
  await using second = await open(NEGATE);
  const { copiesToHost, copiesToDevice } = deviceLedger;
  let value = await kept(first, float32([3], [1, 2, 3]));
  assert.deepEqual([value.dtype, [...value.shape], value.provider], ["float32", [3], "webgpu"]);
  assert.equal(deviceLedger.byteLength, 12);
  for (let run = 0; run < 10; run++) {
    const next = await kept(run % 2 === 0 ? second : first, value);
    value.release();
    value = next;
  }
  assert.equal(deviceLedger.copiesToHost, copiesToHost);
  assert.equal(deviceLedger.copiesToDevice, copiesToDevice + 1);
  assert.deepEqual((await value.read()).data, Float32Array.of(-1, -2, -3));
  assert.equal(deviceLedger.copiesToHost, copiesToHost + 1);
  value.release();
  value.release();
});

test("keeps nothing that the graph makes in the process's memory", async () => {
  const bytes = buildModel({
    inputs: [{ name: "x", dtype: "float32", shape: ["n", 2] }],
    outputs: [{ name: "y", dtype: "int64", shape: [2] }],
    nodes: [{ op: "Shape", inputs: ["x"], outputs: ["y"] }],
  });
  await using session = await open(bytes);
  const x = float32([3, 2], new Float32Array(6));
  const { y } = await session.runOnDevice?.({ x }, ["y"], { keep: ["y"] }) ?? {};
  assert.deepEqual((y as Tensor).data, BigInt64Array.of(3n, 2n));
});

test("keeps an empty value", async () => {
  await using session = await open(NEGATE);
  using value = await kept(session, float32([0], []));
  assert.deepEqual(await value.read(), float32([0], []));
});

test("refuses values that were released, or whose dtype, rank or size does not fit", async () => {
  await using session = await open(NEGATE);
  await using integers = await open(identityModel("int32", ["n"]));
  await using fixed = await open(identityModel("float32", [2]));
  using value = await kept(session, float32([3], [1, 2, 3]));
  const feed = (target: EngineSession, x: RunValue) => () => kept(target, x);
  await expectCode("FEED_DTYPE", feed(integers, value));
  await expectCode("FEED_SHAPE", feed(fixed, value));
  const gone = await kept(session, value);
  gone.release();
  await expectCode("FEED_DATA", feed(session, gone));
  await expectCode("SESSION_RELEASED", () => gone.read());
  const foreign = new DeviceTensor({
    provider: "webgpu",
    dtype: "float32",
    shape: [3],
    byteLength: 12,
    read: () => assert.fail("it was read"),
    free: () => {},
  });
  await expectCode("FEED_DATA", feed(session, foreign));
  foreign.release();
});

test("frees what nobody released with the session that made it, after a read that has begun", async () => {
  const session = await open(NEGATE);
  const value = await kept(session, float32([2], [1, 2]));
  const reading = value.read();
  const releasing = session.release();
  assert.deepEqual((await reading).data, Float32Array.of(-1, -2));
  await releasing;
  assert.equal(value.released, true);
  await expectCode("SESSION_RELEASED", () => value.read());
});

test("survives hundreds of chains at once, some of them aborted, beside sessions that come and go", async () => {
  const [first, second] = [await open(NEGATE), await open(NEGATE)];
  const STOP = new Error("stop");
  let finished = 0;
  let aborted = 0;
  await Promise.all(Array.from({ length: 200 }, async (_, index) => {
    const controller = new AbortController();
    const { signal } = controller;
    if (index % 7 === 0) setTimeout(() => controller.abort(STOP), index % 20);
    const length = 500 + index;
    const x = float32([length], new Float32Array(length).fill(index + 1));
    const options = { keep: ["y"], signal };
    using stack = new DisposableStack();
    try {
      const one = await first.runOnDevice?.({ x }, ["y"], options);
      const middle = stack.use(one?.["y"] as DeviceTensor);
      const reading = middle.read();
      const two = await second.runOnDevice?.({ x: middle }, ["y"], options);
      const last = stack.use(two?.["y"] as DeviceTensor);
      assert.equal((await reading).data[length - 1], -(index + 1));
      assert.equal((await last.read()).data[length - 1], index + 1);
      if (index % 40 === 1) {
        await using other = await open(NEGATE);
        assert.equal((await other.run({ x }))["y"]?.data[0], -(index + 1));
      }
      finished++;
    } catch (error) {
      assert.equal(error, STOP);
      aborted++;
    }
  }));
  assert.equal(finished + aborted, 200);
  assert.ok(finished >= 171, `${finished} of 200 finished`);
  await Promise.all([first.release(), second.release()]);
});

test("takes weights that come with each run", async () => {
  const engine = new NativeEngine();
  const bytes = buildModel({
    inputs: ["x", "w"].map((name) => ({ name, dtype: "float32", shape: [2] })),
    outputs: [{ name: "y", dtype: "float32", shape: [2] }],
    nodes: [{ op: "Add", inputs: ["x", "w"], outputs: ["y"] }],
  });
  await using session = await engine.open({ kind: "bytes", bytes, weightFolder: null }, {
    provider: "webgpu",
    optimization: "all",
    threads: 1,
    prepacking: true,
    label: "tiny",
  }, { weightInputs: ["w"] });
  for (const weight of [10, 20]) {
    const memory = new Uint8Array(Float32Array.of(weight, weight).buffer);
    using weights = engine.weightValues([{ name: "w", dtype: "float32", shape: [2], memory }]);
    const { y } = await session.runWith(weights, {
      x: tensor("float32", [2], Float32Array.of(1, 2)),
    });
    assert.deepEqual(y?.data, Float32Array.of(weight + 1, weight + 2));
  }
});
