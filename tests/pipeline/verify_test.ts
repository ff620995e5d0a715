import assert from "node:assert/strict";
import { loadInputs } from "../../formats/tensor_inputs.ts";
import { isWithin, tensorDifference, toleranceOf } from "../../pipeline/_tensor_difference.ts";
import { verifyModel } from "../../pipeline/verify.ts";
import type {
  Engine,
  EngineSession,
  SessionSettings,
  SessionSource,
} from "../../sessions/engine.ts";
import { NapiEngine } from "../../sessions/napi_engine.ts";
import { openSessions } from "../../sessions/session_ledger.ts";
import { float32, type Tensor, tensor, type TensorMap } from "../../tensor/tensor.ts";
import { floats, modelBytes, node, valueInfo } from "../support/build_model.ts";
import { fixturePath } from "../support/fixture_path.ts";

/** Two modules of two nodes each. */
const CHAIN = modelBytes({
  nodes: [
    node("Mul", ["x", "w"], ["a"], { name: "/first/Mul" }),
    node("Exp", ["a"], ["b"], { name: "/first/Exp" }),
    node("Add", ["b", "w"], ["c"], { name: "/second/Add" }),
    node("Tanh", ["c"], ["y"], { name: "/second/Tanh" }),
  ],
  inputs: [valueInfo("x", "float32", [3])],
  outputs: [valueInfo("y", "float32", [3])],
  initializers: [floats("w", [3])],
});
const FEEDS: TensorMap = { x: float32([3], [0.5, -1, 2]) };
const PLAIN = { feeds: FEEDS, provider: "cpu", optimization: "disabled", rounds: 1 } as const;

Deno.test("verifyModel() compares the tapped and the split plan with the whole model", async () => {
  const document = await verifyModel(CHAIN, PLAIN);
  const { tapped, split, wholeMs, ...others } = document;
  assert.deepEqual(others, {
    status: "exact",
    repeatable: true,
    outputs: 1,
    rounds: 1,
    engine: "native",
    provider: "cpu",
    optimization: "disabled",
  });
  assert.ok(wholeMs > 0);
  assert.equal(tapped.taps, 1);
  assert.equal(split.segments, 2);
  assert.deepEqual(openSessions(), []);
});

Deno.test("verifyModel() makes the inputs from what the model declares", async () => {
  const folder = fixturePath("exports", "dynamo_tied");
  const { status } = await verifyModel(`${folder}/model.onnx`, {
    ...PLAIN,
    feeds: (inputs) =>
      loadInputs(
        { dir: folder },
        inputs.map(({ name, dtype, shape }) => ({ name, dtype: dtype ?? "float32", shape })),
      ),
    split: "all",
  });
  assert.equal(status, "exact");
});

Deno.test("verifyModel() reports medians of interleaved rounds as ratios", async () => {
  let clock = 0;
  // Six readings a round: whole, tapped, split; each run takes as long as its place says.
  const durations = [10, 20, 40, 10, 30, 50, 10, 20, 60];
  let readings = 0;
  const now = (): number => {
    if (readings++ % 2 === 1) clock += durations[(readings >> 1) - 1] ?? 0;
    return clock;
  };
  const { tapped, split, wholeMs } = await verifyModel(CHAIN, { ...PLAIN, rounds: 3, now });
  assert.deepEqual([wholeMs, tapped.ratio, split.ratio], [10, 2, 5]);
});

/** An engine whose sessions for parts of a model change one output. */
class WrongEngine implements Engine {
  readonly name = "napi";
  readonly #engine = new NapiEngine();
  readonly #change: (value: Tensor) => Tensor;

  constructor(change: (value: Tensor) => Tensor) {
    this.#change = change;
  }

  version(): Promise<string> {
    return this.#engine.version();
  }

  async open(source: SessionSource, settings: SessionSettings): Promise<EngineSession> {
    const session = await this.#engine.open(source, settings);
    if (!settings.label.includes("segment")) return session;
    const change = this.#change;
    return new Proxy(session, {
      get(target, key) {
        if (key !== "run") {
          const value = Reflect.get(target, key, target);
          return typeof value === "function" ? value.bind(target) : value;
        }
        return async (feeds: TensorMap, fetches?: readonly string[]) => {
          const outputs = await target.run(feeds, fetches);
          const { y } = outputs;
          return y === undefined ? outputs : { ...outputs, y: change(y) };
        };
      },
    });
  }
}

Deno.test("verifyModel() looks at every run: a plan may run otherwise once it is warm", async () => {
  let runs = 0;
  const late = (value: Tensor): Tensor => ++runs > 4 ? nudged(value) : value;
  const { status, split } = await verifyModel(CHAIN, {
    ...PLAIN,
    rounds: 5,
    engine: new WrongEngine(late),
  });
  assert.equal(status, "within tolerance");
  assert.equal(split.bitsDiffering, 1);
});

/** Flips the lowest bit of the first element. */
function nudged(value: Tensor): Tensor {
  const data = Float32Array.from(value.data as Float32Array);
  const bits = new Uint32Array(data.buffer);
  bits[0] = (bits[0] ?? 0) ^ 1;
  return { ...value, data };
}

Deno.test("verifyModel() counts the bits that differ and tells the tolerance apart", async () => {
  const within = await verifyModel(CHAIN, { ...PLAIN, engine: new WrongEngine(nudged) });
  assert.equal(within.status, "within tolerance");
  assert.equal(within.tapped.bitsDiffering, 1);
  assert.equal(within.split.bitsDiffering, 1);
  assert.ok(within.split.maxAbs > 0 && within.split.maxAbs < 1e-6);
  const strict = { ...PLAIN, atol: 0, rtol: 0 };
  const differs = await verifyModel(CHAIN, { ...strict, engine: new WrongEngine(nudged) });
  assert.equal(differs.status, "differs");
  const lost = (value: Tensor): Tensor => float32(value.shape, [NaN, 0, 0]);
  const broken = await verifyModel(CHAIN, { ...PLAIN, engine: new WrongEngine(lost) });
  assert.equal(broken.status, "differs");
  assert.equal(broken.tapped.maxAbs, Infinity);
  assert.deepEqual(openSessions(), []);
});

Deno.test("verifyModel() leaves out what cannot leave ONNX Runtime, and counts it", async () => {
  const bytes = modelBytes({
    nodes: [
      node("Relu", ["x"], ["a"], { name: "/first/Relu" }),
      node("SequenceConstruct", ["a", "x"], ["s"], { name: "/pack/SequenceConstruct" }),
      node("Neg", ["a"], ["n"], { name: "/between/Neg" }),
      node("ConcatFromSequence", ["s"], ["c"], {
        name: "/unpack/ConcatFromSequence",
        attributes: { axis: 0 },
      }),
      node("Concat", ["c", "n"], ["d"], { name: "/last/Concat", attributes: { axis: 0 } }),
      node("Exp", ["d"], ["y"], { name: "/after/Exp" }),
    ],
    inputs: [valueInfo("x", "float32", [3])],
    outputs: [valueInfo("y", "float32", [9])],
  });
  const { status, tapped, split } = await verifyModel(bytes, PLAIN);
  assert.equal(status, "exact");
  assert.equal(tapped.taps, 4);
  assert.equal(tapped.skipped, 1);
  assert.equal(Object.values(tapped.skippedBecause)[0], 1);
  // Neither after `pack`, nor between it and what takes the sequence.
  assert.equal(split.modules + split.skipped, 6);
  assert.ok(split.segments >= 3, JSON.stringify(split));
  assert.deepEqual(openSessions(), []);
});

Deno.test("verifyModel() says when the whole model does not repeat itself", async () => {
  const bytes = modelBytes({
    nodes: [
      node("RandomNormalLike", ["x"], ["r"], { name: "/noise/RandomNormalLike" }),
      node("Add", ["x", "r"], ["y"], { name: "/sum/Add" }),
    ],
    inputs: [valueInfo("x", "float32", [3])],
    outputs: [valueInfo("y", "float32", [3])],
  });
  // What the plans compute may agree all the same: each session draws its numbers from the start.
  assert.equal((await verifyModel(bytes, PLAIN)).repeatable, false);
});

Deno.test("verifyModel() refuses rounds and tolerances that mean nothing", async () => {
  for (const wrong of [{ rounds: 0 }, { rounds: 1.5 }, { atol: -1 }, { rtol: NaN }]) {
    await assert.rejects(verifyModel(CHAIN, { ...PLAIN, ...wrong }), { code: "OPTION_INVALID" });
  }
  await assert.rejects(verifyModel(CHAIN, { ...PLAIN, split: "thrid" }), {
    code: "HOOK_MATCH_EMPTY",
  });
  assert.deepEqual(openSessions(), []);
});

Deno.test("tensorDifference() compares bits, NaN payloads and signs of zero included", () => {
  const bits = (...words: number[]): Tensor =>
    tensor("float32", [words.length], new Float32Array(Uint32Array.from(words).buffer));
  const nan = 0x7fc00000;
  assert.deepEqual(tensorDifference(bits(nan, 1), bits(nan, 1)), {
    bitsDiffering: 0,
    maxAbs: 0,
    maxReference: 0,
  });
  const payload = tensorDifference(bits(nan), bits(nan | 7));
  assert.deepEqual([payload.bitsDiffering, payload.maxAbs], [3, 0]);
  const zero = tensorDifference(float32([1], [0]), float32([1], [-0]));
  assert.deepEqual([zero.bitsDiffering, zero.maxAbs], [1, 0]);
  const lost = tensorDifference(float32([2], [1, 5]), float32([2], [NaN, 5]));
  assert.deepEqual([lost.maxAbs, lost.maxReference], [Infinity, 5]);
  const infinite = tensorDifference(
    float32([2], [Infinity, -Infinity]),
    float32([2], [Infinity, Infinity]),
  );
  assert.deepEqual([infinite.bitsDiffering, infinite.maxAbs], [1, Infinity]);
});

Deno.test("tensorDifference() compares every kind of element and every form", () => {
  const half = new Float16Array([1, 2]);
  const asBits = new Uint16Array(half.buffer.slice(0));
  const wanted = { dtype: "float16", shape: [2], data: half } as const;
  const found = {
    dtype: "float16",
    shape: [2],
    data: asBits.with(1, asBits[1] as number ^ 1),
  } as const;
  assert.equal(tensorDifference(wanted, found).bitsDiffering, 1);
  assert.equal(tensorDifference({ ...found, data: asBits }, found).maxAbs, 2 ** -9);
  const big = tensorDifference(
    tensor("int64", [1], BigInt64Array.of(2n ** 53n)),
    tensor("int64", [1], BigInt64Array.of(2n ** 53n + 2n)),
  );
  assert.deepEqual([big.bitsDiffering, big.maxAbs], [1, 2]);
  const text = tensorDifference(
    tensor("string", [2], ["a", "b"]),
    tensor("string", [2], ["a", "c"]),
  );
  assert.deepEqual([text.bitsDiffering, text.maxAbs], [1, Infinity]);
  const form = tensorDifference(float32([2], [1, 2]), float32([1, 2], [1, 2]));
  assert.deepEqual([form.bitsDiffering, form.maxAbs], [64, Infinity]);
});

Deno.test("toleranceOf() allows floats alone to differ, half floats more", () => {
  assert.deepEqual(toleranceOf("float32", {}), { atol: 1e-5, rtol: 1e-5 });
  assert.deepEqual(toleranceOf("float16", {}), { atol: 1e-2, rtol: 1e-2 });
  assert.deepEqual(toleranceOf("float32", { atol: 1 }), { atol: 1, rtol: 1e-5 });
  assert.deepEqual(toleranceOf("int64", { atol: 1, rtol: 1 }), { atol: 0, rtol: 0 });
  const apart = { bitsDiffering: 1, maxAbs: 3e-5, maxReference: 2 };
  assert.equal(isWithin(apart, { atol: 1e-5, rtol: 1e-5 }), true);
  assert.equal(isWithin({ ...apart, maxAbs: 3.1e-5 }, { atol: 1e-5, rtol: 1e-5 }), false);
  assert.equal(isWithin({ ...apart, maxAbs: NaN }, { atol: 1, rtol: 1 }), false);
});
