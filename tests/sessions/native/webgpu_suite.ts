// The tests of the native engine that need WebGPU; run by webgpu_test.ts in a process of its own.

import assert from "node:assert/strict";
import { deviceLedger, DeviceTensor, type RunValue } from "../../../sessions/device_tensor.ts";
import type { EngineSession } from "../../../sessions/engine.ts";
import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { sessionLedger } from "../../../sessions/session_ledger.ts";
import { float32, type Tensor, tensor } from "../../../tensor/tensor.ts";
import { transformerBytes } from "../../../bench/transformer_model.ts";
import { countRecordings } from "./_counted_recordings.ts";
import { engineConformance } from "../engine_conformance.ts";
import { expectCode } from "../expect_code.ts";
import { buildModel, identityModel } from "../tiny_models.ts";

engineConformance(() => new NativeEngine(), "webgpu");

const NEGATE = buildModel({
  inputs: [{ name: "x", dtype: "float32", shape: ["n"] }],
  outputs: [{ name: "y", dtype: "float32", shape: ["n"] }],
  nodes: [{ op: "Neg", inputs: ["x"], outputs: ["y"] }],
});

function open(bytes: Uint8Array, recordsRuns = false): Promise<EngineSession> {
  return new NativeEngine().open({ kind: "bytes", bytes, weightFolder: null }, {
    provider: "webgpu",
    optimization: "all",
    threads: 1,
    prepacking: true,
    recordsRuns,
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
  });
  for (const weight of [10, 20]) {
    const memory = new Uint8Array(Float32Array.of(weight, weight).buffer);
    using weights = engine.weightValues([{ name: "w", dtype: "float32", shape: [2], memory }]);
    const { y } = await session.runWith(weights, {
      x: tensor("float32", [2], Float32Array.of(1, 2)),
    });
    assert.deepEqual(y?.data, Float32Array.of(weight + 1, weight + 2));
  }
});

test("copies weights to the device, whole and from their place, and no bit changes", async () => {
  await using session = await open(NEGATE);
  const uploads = session.uploads ?? assert.fail();
  const stage = uploads.stage(1024);
  assert.deepEqual([stage.isPinned, stage.bytes.byteLength], [false, 1024]);
  new Float32Array(stage.bytes.buffer, 0, 3).set([1, 2, 3]);
  new Float32Array(stage.bytes.buffer, 256, 5).set([4, 5, 6, NaN, -0]);
  const values = await uploads.allocate(
    [3, 5, 0].map((size) => ({ dtype: "float32", shape: [size] })),
  );
  assert.equal(deviceLedger.byteLength, 32);
  await uploads.copy(stage, values.map((to, at) => ({ byteOffset: 256 * at, to })));
  const [first, second, empty] = values as [DeviceTensor, DeviceTensor, DeviceTensor];
  assert.deepEqual((await first.read()).data, Float32Array.of(1, 2, 3));
  assert.deepEqual((await second.read()).data, Float32Array.of(4, 5, 6, NaN, -0));
  assert.deepEqual((await empty.read()).data, new Float32Array(0));
  const { y } = await session.runOnDevice?.({ x: first }, ["y"], { keep: [] }) ?? {};
  assert.deepEqual((y as Tensor).data, Float32Array.of(-1, -2, -3));
  stage.release();
});

test("copies within the process what the graph reads there", async () => {
  const bytes = buildModel({ // WebGPU has no double precision
    inputs: [{ name: "x", dtype: "float64", shape: ["n"] }],
    outputs: [{ name: "y", dtype: "float64", shape: ["n"] }],
    nodes: [{ op: "Neg", inputs: ["x"], outputs: ["y"] }],
  });
  await using session = await open(bytes);
  const uploads = session.uploads ?? assert.fail();
  const stage = uploads.stage(16);
  new Float64Array(stage.bytes.buffer, 0, 2).set([1, 2]);
  const [x] = await uploads.allocate([{ dtype: "float64", shape: [2] }]);
  assert.ok(x !== undefined);
  await uploads.copy(stage, [{ byteOffset: 0, to: x }]);
  const { y } = await session.runOnDevice?.({ x }, ["y"], { keep: [] }) ?? {};
  assert.deepEqual((y as Tensor).data, Float64Array.of(-1, -2));
});

test("copies beside runs, and frees nothing that is copied when the session goes", async () => {
  const session = await open(NEGATE);
  const uploads = session.uploads ?? assert.fail();
  const size = 1 << 18;
  const stage = uploads.stage(4 * size);
  new Float32Array(stage.bytes.buffer).fill(2);
  const work: Promise<unknown>[] = [];
  for (let round = 0; round < 20; round++) {
    const [value] = await uploads.allocate([{ dtype: "float32", shape: [size] }]);
    assert.ok(value !== undefined);
    work.push(uploads.copy(stage, [{ byteOffset: 0, to: value }]));
    work.push(session.run({ x: float32([2], [round, 1]) }));
    if (round % 2 === 0) value.release();
  }
  const releasing = session.release();
  await Promise.all(work);
  await releasing;
  await expectCode("SESSION_RELEASED", () => uploads.copy(stage, []));
});

test("records runs and plays them, each shape its own, with the numbers of runs as usual", async () => {
  const bytes = transformerBytes({ blocks: 2, width: 32, heads: 2 });
  await using recording = await open(bytes, true);
  await using usual = await open(bytes);
  const feeds = (tokens: number, seed: number) => ({
    x: float32(
      [1, tokens, 32],
      Float32Array.from({ length: 32 * tokens }, (_, at) => Math.sin(at * seed)),
    ),
  });
  using recordings = countRecordings();
  const outputs: (readonly [Tensor, Tensor])[] = [];
  for (let round = 1; round <= 4; round++) {
    for (const tokens of [1, 4, 7]) {
      const given = feeds(tokens, round);
      const [{ y: found }, { y: wanted }] = [await recording.run(given), await usual.run(given)];
      assert.ok(found !== undefined && wanted !== undefined);
      outputs.push([found, wanted]);
    }
  }
  // At the end: what was given out is not played over.
  for (const [found, wanted] of outputs) assert.deepEqual(found, wanted);
  const replayed = await Promise.all(
    Array.from({ length: 6 }, (_, index) => recording.run(feeds(4, index + 1))),
  );
  assert.equal(recordings.count, 9 + 6);
  for (const [index, { y }] of replayed.entries()) {
    assert.deepEqual(y, (await usual.run(feeds(4, index + 1)))["y"]);
  }
});

test("plays what was recorded on values of the device, and leaves values there", async () => {
  await using session = await open(NEGATE, true);
  let value = await kept(session, float32([3], [1, 2, 3]));
  const all = [value];
  for (let run = 0; run < 6; run++) all.push(value = await kept(session, value));
  for (const [index, each] of all.entries()) {
    const sign = index % 2 === 0 ? -1 : 1;
    assert.deepEqual((await each.read()).data, Float32Array.of(1, 2, 3).map((x) => sign * x));
  }
  assert.equal(deviceLedger.count, 7);
});

test("runs as usual what it does not record: other shapes beyond the eighth, and nothing at all", async () => {
  await using session = await open(NEGATE, true);
  for (let round = 0; round < 3; round++) {
    for (let size = 0; size < 12; size++) {
      const x = float32([size], Float32Array.from({ length: size }, (_, at) => at + round + 1));
      assert.deepEqual(
        (await session.run({ x }))["y"]?.data,
        Float32Array.from({ length: size }, (_, at) => -(at + round + 1)),
      );
    }
  }
});

test("records no run that passes an input on, and passes weights on", async () => {
  const declared = (outputs: readonly string[]) =>
    buildModel({
      inputs: [{ name: "x", dtype: "float32", shape: ["n"] }],
      outputs: outputs.map((name) => ({ name, dtype: "float32", shape: ["n"] })),
      weights: [{ name: "w", shape: [2], data: Float32Array.of(7, 8) }],
      nodes: [{ op: "Neg", inputs: ["x"], outputs: ["y"] }],
    });
  for (const outputs of [["x", "y"], ["w", "y"]]) {
    await using session = await open(declared(outputs), true);
    for (let run = 1; run <= 4; run++) {
      const { x, w, y } = await session.run({ x: float32([1], [run]) });
      assert.deepEqual([x?.data[0] ?? run, w?.data[0] ?? 7, y?.data[0]], [run, 7, -run]);
    }
  }
});

test("refuses to record a model of which a part runs elsewhere", async () => {
  const bytes = buildModel({ // WebGPU has no double precision
    inputs: [{ name: "x", dtype: "float64", shape: ["n"] }],
    outputs: [{ name: "y", dtype: "float64", shape: ["n"] }],
    nodes: [{ op: "Neg", inputs: ["x"], outputs: ["y"] }],
  });
  const error = await expectCode("SESSION_CREATE", () => open(bytes, true));
  assert.match(error.message, /graph capture/i);
});
