import assert from "node:assert/strict";
import type { ChainLink } from "../../../sessions/engine.ts";
import { NapiEngine } from "../../../sessions/napi_engine.ts";
import { openSessions } from "../../../sessions/session_ledger.ts";
import type { DType } from "../../../tensor/dtype.ts";
import { allocate, float32, type Tensor, tensor, type TensorMap } from "../../../tensor/tensor.ts";
import { expectCode } from "../expect_code.ts";
import { inChild } from "../../support/child.ts";
import { buildModel } from "../tiny_models.ts";
import {
  binary,
  binary2d,
  engine,
  openChain,
  RUNS,
  runUntilInRow,
  settings,
  unary,
  wave,
} from "./_open_chain.ts";
import { slowFeeds, slowModel } from "./_slow_model.ts";

Deno.test("a chain gives the bits of its sessions, for every size, and takes nothing away", async () => {
  await using opened = await openChain([
    unary("Neg", "x", "a"),
    unary("Exp", "a", "b"),
    binary("Add", ["b", "x"], "c"), // reads from two links back and from outside
    unary("Sqrt", "b", "d"), // equally long values take turns in the same memory
    binary("Mul", ["c", "d"], "y"),
  ], ["y", "b"]);
  for (const length of [0, 1, 5, 16_384, 16_385, 200_000]) {
    const feeds = { x: wave(length) };
    const wanted = await opened.stepwise(feeds);
    const found: TensorMap[] = [];
    for (let run = 0; run < RUNS; run++) found.push(await opened.chain.run(feeds));
    // All of them at the end: a later run must not have written into an earlier one's outputs.
    for (const outputs of found) assert.deepEqual(outputs, wanted);
    assert.deepEqual(feeds, { x: wave(length) });
  }
});

Deno.test("a chain of slow sessions leaves the event loop free and gives the same bits", async () => {
  const middle = buildModel({
    inputs: [{ name: "y", dtype: "float32", shape: [384, 384] }],
    outputs: [{ name: "z", dtype: "float32", shape: [384, 384] }],
    nodes: [{ op: "Sin", inputs: ["y"], outputs: ["z"] }],
  });
  await using opened = await openChain([slowModel(200), middle], ["z"]);
  const wanted = await opened.stepwise(slowFeeds());
  for (let run = 0; run < RUNS; run++) {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    assert.deepEqual(await opened.chain.run(slowFeeds()), wanted);
    clearInterval(timer);
    assert.ok(ticks >= 3, `${ticks} ticks in run ${run}`);
  }
});

Deno.test("quick chains in a row let timers fire", async () => {
  await using opened = await openChain([unary("Neg", "x", "a"), unary("Abs", "a", "y")], ["y"]);
  let isOver = false;
  const timer = setTimeout(() => isOver = true, 5);
  for (let runs = 0; !isOver && runs < 1_000_000; runs++) {
    await opened.chain.run({ x: wave(4) });
  }
  clearTimeout(timer);
  assert.ok(isOver, "a million chains did not let the event loop turn");
});

Deno.test("a signal ends a chain that computes; the next run is sound", async () => {
  await using opened = await openChain([
    slowModel(300),
    binary2d("Add", ["y", "x"], "z"),
  ], ["z"]);
  const wanted = await opened.stepwise(slowFeeds());
  for (let run = 0; run < RUNS; run++) {
    const reason = new Error(`enough of ${run}`);
    const controller = new AbortController();
    const running = opened.chain.run(slowFeeds(), { signal: controller.signal });
    const ended = assert.rejects(running, (error) => error === reason);
    setTimeout(() => controller.abort(reason), 5);
    await ended;
    assert.deepEqual(await opened.chain.run(slowFeeds()), wanted);
  }
  const signal = AbortSignal.abort(new Error("before"));
  await assert.rejects(opened.chain.run(slowFeeds(), { signal }), { message: "before" });
});

Deno.test("a chain tells before each session, and waits: the next is announced while one computes", async () => {
  const last = buildModel({
    inputs: [{ name: "z", dtype: "float32", shape: [384, 384] }],
    outputs: [{ name: "w", dtype: "float32", shape: [384, 384] }],
    nodes: [{ op: "Neg", inputs: ["z"], outputs: ["w"] }],
  });
  await using opened = await openChain(
    [slowModel(60), binary2d("Add", ["y", "x"], "z"), last],
    ["w"],
  );
  const wanted = await opened.stepwise(slowFeeds());
  for (let run = 0; run < RUNS; run++) {
    const told: number[] = [];
    const around = async (index: number, session: () => Promise<void>): Promise<void> => {
      told.push(index);
      await session();
    };
    let isDone = false;
    const before = async (index: number): Promise<void> => {
      told.push(index);
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(isDone, false, "the chain did not wait");
    };
    const outputs = await opened.chain.run(slowFeeds(), { before, around });
    isDone = true;
    assert.deepEqual(outputs, wanted);
    // One by one at first, then in a row, with a word when the last one runs.
    if (run === 0) assert.deepEqual(told, [0, 1, 2]);
    if (run === RUNS - 1) assert.deepEqual(told, [0, 1, 2, 3]);
  }
});

Deno.test("a chain ends with what comes before a session fails, and with a signal meanwhile", async () => {
  await using opened = await openChain([slowModel(60), binary2d("Add", ["y", "x"], "z")], ["z"]);
  const wanted = await opened.stepwise(slowFeeds());
  for (let run = 0; run < RUNS; run++) {
    for (const failing of [0, 1]) {
      const error = new Error(`no disk in run ${run}`);
      const before = async (index: number): Promise<void> => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        if (index === failing) throw error;
      };
      const around = async (index: number, session: () => Promise<void>): Promise<void> => {
        await before(index);
        await session();
      };
      const running = opened.chain.run(slowFeeds(), { before, around });
      await assert.rejects(running, (found) => found === error);
    }
    const reason = new Error("enough");
    const controller = new AbortController();
    const before = (index: number): Promise<void> => {
      if (index === 1) controller.abort(reason);
      return Promise.resolve();
    };
    const around = async (index: number, session: () => Promise<void>): Promise<void> => {
      await before(index);
      await session();
    };
    const { signal } = controller;
    const running = opened.chain.run(slowFeeds(), { before, around, signal });
    await assert.rejects(running, (found) => found === reason);
    assert.deepEqual(await opened.chain.run(slowFeeds()), wanted);
  }
});

Deno.test("a session that fails inside a chain is named, and the chain stays usable", async () => {
  const gather = buildModel({
    inputs: [
      { name: "a", dtype: "float32", shape: ["n"] },
      { name: "at", dtype: "int64", shape: [1] },
    ],
    outputs: [{ name: "y", dtype: "float32", shape: [1] }],
    nodes: [{ op: "Gather", inputs: ["a", "at"], outputs: ["y"] }],
  });
  await using opened = await openChain([unary("Neg", "x", "a"), gather], ["y"]);
  const feeds = (at: number) => ({
    x: wave(4),
    at: tensor("int64", [1], BigInt64Array.of(BigInt(at))),
  });
  for (let run = 0; run < RUNS; run++) await opened.chain.run(feeds(2));
  const error = await expectCode("SESSION_RUN", () => opened.chain.run(feeds(9)));
  assert.match(error.message, /link 1/);
  assert.deepEqual(await opened.chain.run(feeds(3)), await opened.stepwise(feeds(3)));
});

Deno.test("outputs whose shape hangs on the data come out right each time", async () => {
  const nonzero = buildModel({
    inputs: [{ name: "a", dtype: "float32", shape: ["n"] }],
    outputs: [{ name: "y", dtype: "int64", shape: [1, "found"] }],
    nodes: [{ op: "NonZero", inputs: ["a"], outputs: ["y"] }],
  });
  await using opened = await openChain([unary("Relu", "x", "a"), nonzero], ["y"]);
  const feeds = (count: number) => ({
    x: float32([6], Array.from({ length: 6 }, (_, at) => at < count ? 1 : -1)),
  });
  for (let run = 0; run < 3; run++) await opened.chain.run(feeds(2));
  for (const count of [2, 4, 1, 0, 6, 2]) {
    const { y } = await opened.chain.run(feeds(count));
    assert.deepEqual(y?.shape, [1, count]);
    assert.deepEqual([...y?.data as BigInt64Array], [0n, 1n, 2n, 3n, 4n, 5n].slice(0, count));
  }
});

Deno.test("a chain holds memory for a few sizes, and none once shapes hang on the data", () => {
  const script = new URL("./chain_memory_script.ts", import.meta.url);
  const text = inChild(script, ["-A", "--v8-flags=--expose-gc"]);
  const { frame, many, otherwise } = JSON.parse(text);
  assert.ok(many < 5.5 * frame, text);
  assert.ok(otherwise < frame, text);
});

Deno.test("strings and half floats pass through a chain", async () => {
  await using texts = await openChain([
    unary("Identity", "x", "a", "string"),
    unary("Identity", "a", "y", "string"),
  ], ["y"]);
  const x = tensor("string", [2], ["ä", "b\0c"]);
  for (let run = 0; run < RUNS; run++) {
    assert.deepEqual((await texts.chain.run({ x }))["y"]?.data, ["ä", "b\0c"]);
  }
  await using halves = await openChain([
    unary("Neg", "x", "a", "float16"),
    unary("Neg", "a", "y", "float16"),
  ], ["y"]);
  const bits = tensor("float16", [3], Uint16Array.of(0x3c00, 0x3555, 0x8000));
  for (let run = 0; run < RUNS; run++) {
    const { y } = await halves.chain.run({ x: bits });
    const data = y?.data as Uint16Array;
    assert.deepEqual(
      [...new Uint16Array(data.buffer, data.byteOffset, 3)],
      [0x3c00, 0x3555, 0x8000],
    );
  }
});

Deno.test("numbers of every kind cross the cuts of a chain as they are, small ones and large ones", async () => {
  const kinds = [
    "float64",
    "float16",
    "bfloat16",
    "int64",
    "uint64",
    "int32",
    "int8",
    "uint16",
    "bool",
  ];
  for (const dtype of kinds as readonly DType[]) {
    const models = [["x", "a"], ["a", "b"], ["b", "y"]].map(([from = "", to = ""]) =>
      unary("Identity", from, to, dtype)
    );
    await using opened = await openChain(models, ["y", "a"]);
    for (const length of [0, 3, 70_000]) {
      const data = allocate(dtype, length) as Uint8Array;
      const bytes = new Uint8Array(data.buffer).map((_, at) => dtype === "bool" ? at % 2 : at * 7);
      new Uint8Array(data.buffer).set(bytes);
      for (let run = 0; run < RUNS; run++) {
        const { y, a } = await opened.chain.run({ x: { dtype, shape: [length], data } });
        for (const out of [y, a]) {
          assert.equal(out?.dtype, dtype);
          assert.deepEqual(out?.shape, [length]);
          const { buffer, byteOffset, byteLength } = out?.data as Uint8Array;
          assert.deepEqual(new Uint8Array(buffer, byteOffset, byteLength), bytes);
        }
      }
    }
  }
});

Deno.test("wrong feeds of a chain are the session's own errors, also on the quick way", async () => {
  await using opened = await openChain([unary("Neg", "x", "a"), unary("Abs", "a", "y")], ["y"]);
  const { chain } = opened;
  const detached = { ...wave(4), data: new Float32Array(4) };
  detached.data.buffer.transfer();
  const shared = new Float32Array(new SharedArrayBuffer(16));
  for (let round = 0; round < 2; round++) {
    await expectCode("FEED_MISSING", () => chain.run({}));
    await expectCode(
      "FEED_DTYPE",
      () => chain.run({ x: tensor("int64", [4], new BigInt64Array(4)) }),
    );
    const faulty = [null, 7, {}, { ...wave(4), shape: null }, { ...wave(4), data: null }];
    for (
      const x of [...faulty, { ...wave(4), shape: [5] }, { ...wave(4), data: shared }, detached]
    ) {
      await expectCode("FEED_DATA", () => chain.run({ x: x as Tensor }));
    }
    for (let run = 0; run < RUNS; run++) await chain.run({ x: wave(4) });
  }
});

Deno.test("feeds may be transferred as soon as a prepared chain runs", async () => {
  await using opened = await openChain([slowModel(60), binary2d("Add", ["y", "x"], "z")], ["z"]);
  const wanted = await opened.stepwise(slowFeeds());
  await runUntilInRow(opened.chain, slowFeeds());
  const feeds = slowFeeds();
  const running = opened.chain.run(feeds);
  const moved = (feeds["x"]?.data as Float32Array<ArrayBuffer>).buffer.transfer();
  new Uint8Array(moved).fill(255);
  assert.deepEqual(await running, wanted);
});

Deno.test("a chain that is done again, because shapes came out otherwise, has its feeds still", async () => {
  const found = buildModel({
    inputs: [{ name: "y", dtype: "float32", shape: [384, 384] }],
    outputs: [{ name: "z", dtype: "int64", shape: [2, "found"] }],
    nodes: [{ op: "NonZero", inputs: ["y"], outputs: ["z"] }],
  });
  await using opened = await openChain([slowModel(60), found], ["z"]);
  await runUntilInRow(opened.chain, slowFeeds());
  const { x } = slowFeeds() as { readonly x: Tensor };
  const data = x.data as Float32Array<ArrayBuffer>;
  data[1] = 1; // one number more
  const running = opened.chain.run({ x });
  new Uint8Array(data.buffer.transfer()).fill(255);
  assert.deepEqual((await running)["z"]?.shape, [2, 385]);
});

Deno.test("a chain without memory for its values goes session by session, and lets go of them", async () => {
  const opened = await openChain([unary("Neg", "x", "a"), unary("Abs", "a", "y")], ["y"]);
  const feeds = { x: wave(50_000) };
  const wanted = await opened.chain.run(feeds);
  const { of } = Deno.UnsafePointer;
  let refusals = 0;
  for (let run = 0; run < 4 * RUNS; run++) {
    let asked = 0;
    Deno.UnsafePointer.of = (value) => {
      const isForChain = new Error().stack?.includes("_chain_frame") === true;
      if (isForChain && asked++ === run % 4) {
        refusals++;
        throw new RangeError("no memory");
      }
      return of(value as Uint8Array<ArrayBuffer>);
    };
    try {
      assert.deepEqual(await opened.chain.run(feeds), wanted);
    } finally {
      Deno.UnsafePointer.of = of;
    }
  }
  assert.ok(refusals > 0, "no chain has asked for memory");
  assert.deepEqual(await opened.chain.run(feeds), wanted);
  await opened[Symbol.asyncDispose](); // it waits for every session that is in use
  assert.equal(openSessions().length, 0);
});

Deno.test("many runs of one chain at once keep apart", async () => {
  await using quick = await openChain([
    unary("Neg", "x", "a"),
    binary("Add", ["a", "x"], "b"),
    binary("Sub", ["b", "x"], "y"),
  ], ["y"]);
  const runs = Array.from({ length: 64 }, async (_, index) => {
    const x = wave(5 + index % 7, index);
    for (let run = 0; run < RUNS; run++) {
      const { y } = await quick.chain.run({ x });
      assert.deepEqual(y?.data, (x.data as Float32Array).map((value) => (-value + value) - value));
    }
  });
  await Promise.all(runs);
  await using slow = await openChain([slowModel(40), binary2d("Add", ["y", "x"], "z")], ["z"]);
  const wanted = await slow.stepwise(slowFeeds());
  for (let round = 0; round < RUNS; round++) {
    const found = await Promise.all([1, 2, 3].map(() => slow.chain.run(slowFeeds())));
    for (const outputs of found) assert.deepEqual(outputs, wanted);
  }
});

Deno.test("a session waits for a chain with its release; a chain refuses released sessions", async () => {
  const opened = await openChain([slowModel(60), binary2d("Add", ["y", "x"], "z")], ["z"]);
  const wanted = await opened.stepwise(slowFeeds());
  for (let run = 0; run < 4; run++) await opened.chain.run(slowFeeds());
  const running = opened.chain.run(slowFeeds());
  const order: string[] = [];
  const ended = opened.links.map(async ({ session }) => {
    await session.release();
    order.push("released");
  });
  assert.deepEqual(await running.finally(() => order.push("ran")), wanted);
  await Promise.all(ended);
  assert.equal(order[0], "ran");
  await expectCode("SESSION_RELEASED", () => opened.chain.run(slowFeeds()));
  await opened[Symbol.asyncDispose]();
  assert.equal(openSessions().length, 0);
});

Deno.test("a chain leaves its sessions as they were when it is released, and can run again", async () => {
  await using opened = await openChain([unary("Neg", "x", "a"), unary("Abs", "a", "y")], ["y"]);
  const wanted = (wave(9).data as Float32Array).map(Math.abs);
  for (let round = 0; round < 2; round++) {
    for (let run = 0; run < RUNS; run++) {
      assert.deepEqual((await opened.chain.run({ x: wave(9) }))["y"]?.data, wanted);
    }
    opened.chain.release();
    assert.deepEqual((await opened.stepwise({ x: wave(9) }))["y"]?.data, wanted);
  }
});

Deno.test("what is no row of the engine's own sessions is no chain", async () => {
  await using opened = await openChain([unary("Neg", "x", "a"), unary("Abs", "a", "y")], ["y"]);
  assert.equal(engine.chain(opened.links.slice(0, 1), ["a"]), null);
  const source = { kind: "bytes", bytes: unary("Neg", "x", "a"), weightFolder: null } as const;
  await using foreign = await new NapiEngine().open(source, settings("foreign"));
  const links = [{ session: foreign, fetches: ["a"] }, ...opened.links.slice(1)];
  assert.equal(engine.chain(links, ["y"]), null);
});

Deno.test("sessions are no chain when a name stands for two values", async () => {
  const passing = buildModel({
    inputs: [{ name: "x", dtype: "float32", shape: ["n"] }],
    outputs: ["x", "a"].map((name) => ({ name, dtype: "float32" as const, shape: ["n"] })),
    nodes: [{ op: "Neg", inputs: ["x"], outputs: ["a"] }],
  });
  const models = [
    passing, // its output is its input
    unary("Neg", "x", "a"),
    unary("Abs", "a", "b"),
    unary("Exp", "b", "a"), // once more
    unary("Exp", "a", "x"), // what came in
  ];
  await using stack = new AsyncDisposableStack();
  const links: ChainLink[] = [];
  for (const bytes of models) {
    const source = { kind: "bytes", bytes, weightFolder: null } as const;
    const session = stack.use(await engine.open(source, settings("link")));
    links.push({ session, fetches: session.outputs.map(({ name }) => name) });
  }
  const of = (...indices: readonly number[]) => indices.map((index) => links[index] as ChainLink);
  assert.ok(engine.chain(of(1, 2), ["b"]) !== null);
  for (const joined of [of(0, 2), of(1, 2, 3), of(1, 2, 1), of(1, 4)]) {
    assert.equal(engine.chain(joined, ["a"]), null);
  }
});

Deno.test("a run is sound when its thread ends under it, and later ones do without", () => {
  const script = new URL("./chain_thread_end_script.ts", import.meta.url);
  assert.deepEqual(JSON.parse(inChild(script, ["-A"])), {
    inRow: [0, 1, 2, 3],
    ended: "right",
    after: ["right", [0, 1, 2]],
  });
});

Deno.test("chains run without a thread that does not start, and the process ends by itself", () => {
  const script = new URL("./chain_thread_fails_script.ts", import.meta.url);
  assert.equal(inChild(script, ["-A"]), "right\n");
});

Deno.test("a process may end while a chain computes on its thread", () => {
  const script = new URL("./exit_in_chain_script.ts", import.meta.url);
  assert.equal(inChild(script, ["-A"]), "ending\n");
});
