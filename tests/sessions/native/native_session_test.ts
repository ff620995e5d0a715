import assert from "node:assert/strict";
import type { SessionSettings } from "../../../sessions/engine.ts";
import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import type { NativeSession } from "../../../sessions/native/native_session.ts";
import { openSessions } from "../../../sessions/session_ledger.ts";
import { float32, type Tensor } from "../../../tensor/tensor.ts";
import { expectCode } from "../expect_code.ts";
import { buildModel, identityModel } from "../tiny_models.ts";
import { slowFeeds, slowModel } from "./_slow_model.ts";

const SETTINGS: SessionSettings = {
  provider: "cpu",
  optimization: "all",
  threads: 2,
  prepacking: true,
  label: "model",
};

function open(bytes: Uint8Array): Promise<NativeSession> {
  return new NativeEngine().open({ kind: "bytes", bytes, weightFolder: null }, SETTINGS);
}

function values(found: Tensor | undefined): unknown[] {
  return [...found?.data as Iterable<unknown>];
}

Deno.test("a run leaves the event loop free while it computes", async () => {
  await using session = await open(slowModel(120));
  for (let run = 0; run < 2; run++) {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await session.run(slowFeeds());
    clearInterval(timer);
    assert.ok(ticks >= 3, `${ticks} ticks in a run`);
  }
});

Deno.test("quick runs in a row let timers fire", async () => {
  await using session = await open(identityModel("float32", ["n"]));
  const x = float32([4], [1, 2, 3, 4]);
  let isOver = false;
  const timer = setTimeout(() => isOver = true, 5);
  for (let runs = 0; !isOver && runs < 1_000_000; runs++) await session.run({ x });
  clearTimeout(timer);
  assert.ok(isOver, "a million runs did not let the event loop turn");
});

Deno.test("a signal ends a run that computes; the session stays usable", async () => {
  await using session = await open(slowModel(400));
  const whole = await session.run(slowFeeds());
  const reason = new Error("enough");
  const controller = new AbortController();
  const ended = session.run(slowFeeds(), undefined, { signal: controller.signal });
  let isDone = false;
  const other = session.run(slowFeeds()).then((outputs) => {
    isDone = true;
    return outputs;
  });
  setTimeout(() => controller.abort(reason), 5);
  await assert.rejects(ended, (error) => error === reason);
  assert.equal(isDone, false, "the run that was not aborted ended with the aborted one");
  assert.deepEqual((await other)["y"]?.data, whole["y"]?.data);
  const again = await session.run(slowFeeds(), ["y"], { signal: new AbortController().signal });
  assert.deepEqual(again["y"]?.data, whole["y"]?.data);
});

Deno.test("a signal that was aborted before starts nothing", async () => {
  await using session = await open(identityModel("float32", [1]));
  const reason = new Error("before");
  const signal = AbortSignal.abort(reason);
  await assert.rejects(
    session.run({ x: float32([1], [1]) }, undefined, { signal }),
    (error) => error === reason,
  );
});

Deno.test("release waits for a run in flight and for one that is aborted", async () => {
  const session = await open(slowModel(200));
  const controller = new AbortController();
  const order: string[] = [];
  const ended = session.run(slowFeeds(), undefined, { signal: controller.signal })
    .catch(() => order.push("aborted"));
  const finished = session.run(slowFeeds()).then(() => order.push("finished"));
  const released = session.release().then(() => order.push("released"));
  controller.abort();
  await Promise.all([ended, finished, released]);
  assert.equal(order.at(-1), "released");
  await expectCode("SESSION_RELEASED", () => session.run(slowFeeds()));
  assert.deepEqual(openSessions(), []);
});

Deno.test("many runs of one session at once keep their numbers apart", async () => {
  await using session = await open(buildModel({
    inputs: [{ name: "x", dtype: "float32", shape: ["n"] }],
    outputs: [{ name: "y", dtype: "float32", shape: ["n"] }],
    nodes: [{ op: "Neg", inputs: ["x"], outputs: ["y"] }],
  }));
  const all = Array.from({ length: 64 }, (_, index) => index);
  for (let round = 0; round < 3; round++) {
    const found = await Promise.all(all.map(async (index) => {
      const length = index % 2 === 0 ? 3 : 50_000;
      const { y } = await session.run({
        x: float32([length], new Float32Array(length).fill(index + 1)),
      });
      return [y?.data[0], y?.data[length - 1]];
    }));
    assert.deepEqual(found, all.map((index) => [-(index + 1), -(index + 1)]));
  }
});

Deno.test("outputs whose shapes depend on the data come out right, run after run", async () => {
  await using session = await open(buildModel({
    inputs: [{ name: "x", dtype: "float32", shape: [4] }],
    outputs: [
      { name: "where", dtype: "int64", shape: [1, "found"] },
      { name: "same", dtype: "float32", shape: [4] },
    ],
    nodes: [
      { op: "NonZero", inputs: ["x"], outputs: ["where"] },
      { op: "Identity", inputs: ["x"], outputs: ["same"] },
    ],
  }));
  const cases: readonly (readonly number[])[] = [
    [1, 0, 0, 1],
    [1, 0, 0, 1],
    [1, 1, 1, 1],
    [0, 0, 0, 0],
    [0, 5, 0, 0],
    [0, 5, 0, 0],
  ];
  for (const data of [...cases, ...cases]) {
    const { where, same } = await session.run({ x: float32([4], data) });
    const wanted = data.flatMap((value, at) => value === 0 ? [] : [BigInt(at)]);
    assert.deepEqual(values(where), wanted);
    assert.deepEqual(where?.shape, [1, wanted.length]);
    assert.deepEqual(values(same), data);
  }
});

Deno.test("outputs belong to the caller: no later run changes them, small or large", async () => {
  await using session = await open(identityModel("float32", ["n"]));
  for (const length of [4, 40_000]) {
    const kept: Tensor[] = [];
    for (let run = 0; run < 6; run++) {
      const { y } = await session.run({
        x: float32([length], new Float32Array(length).fill(run)),
      });
      kept.push(y as Tensor);
    }
    assert.deepEqual(kept.map(({ data }) => data[length - 1]), [0, 1, 2, 3, 4, 5]);
    assert.equal(new Set(kept.map(({ data }) => (data as Float32Array).buffer)).size, 6);
  }
});

Deno.test("feeds in memory that can shrink are copied before another thread reads them", async () => {
  await using session = await open(identityModel("float32", ["n"]));
  const length = 100_000;
  const buffer = new ArrayBuffer(4 * length, { maxByteLength: 8 * length });
  const data = new Float32Array(buffer, 0, length).fill(7);
  const running = session.run({ x: float32([length], data) });
  buffer.resize(0);
  const { y } = await running;
  assert.equal(y?.data.length, length);
  assert.equal(y?.data[length - 1], 7);
});

Deno.test("shapes beyond those that are kept come out right, and come back", async () => {
  await using session = await open(identityModel("float32", ["n"]));
  for (let round = 0; round < 3; round++) {
    for (let length = 1; length <= 30; length++) {
      const { y } = await session.run({ x: float32([length], new Float32Array(length).fill(2)) });
      assert.deepEqual(y?.shape, [length]);
      assert.equal(y?.data[length - 1], 2);
    }
  }
});

Deno.test("a thousand runs at once all come out right, and those that wait can be aborted", async () => {
  await using session = await open(identityModel("float32", ["n"]));
  const controller = new AbortController();
  const reason = new Error("enough");
  const runs = Array.from({ length: 1000 }, async (_, index) => {
    const x = float32([index + 1], new Float32Array(index + 1).fill(index));
    const { y } = await session.run({ x });
    return y?.data[index];
  });
  const waiting = session.run({ x: float32([2], [1, 2]) }, undefined, {
    signal: controller.signal,
  });
  controller.abort(reason);
  await assert.rejects(waiting, (error) => error === reason);
  assert.deepEqual(await Promise.all(runs), Array.from({ length: 1000 }, (_, index) => index));
});

Deno.test("feeds that are exchanged while a run waits never mix with older ones", async () => {
  await using session = await open(buildModel({
    inputs: [{ name: "x", dtype: "float32", shape: ["n"] }],
    outputs: [{ name: "y", dtype: "float32", shape: ["n"] }],
    nodes: [{ op: "Neg", inputs: ["x"], outputs: ["y"] }],
  }));
  const old = float32([4], [1, 2, 3, 4]);
  for (let run = 0; run < 3; run++) await session.run({ x: old }); // learns that it is quick
  const feeds = { x: old };
  const runs = Array.from({ length: 3000 }, () => session.run(feeds));
  feeds.x = float32([2], [7, 8]);
  const found = new Set((await Promise.all(runs)).map(({ y }) => String(y?.data)));
  assert.deepEqual([...found].sort(), ["-1,-2,-3,-4", "-7,-8"]);
});
