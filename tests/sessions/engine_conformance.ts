// What every engine must do, as a function over one: the napi and the native engine run the same tests, on
// the CPU and on WebGPU. Nothing here computes more than a sum, so the numbers are the same everywhere.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Engine, EngineSession, SessionSettings } from "../../sessions/engine.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import type { DType } from "../../tensor/dtype.ts";
import { float32, type Tensor, tensor, tensorBytes, type TensorData } from "../../tensor/tensor.ts";
import { expectCode } from "./expect_code.ts";
import { buildModel, type Dimension, identityModel, sequenceOutputModel } from "./tiny_models.ts";

/** Two elements of every dtype that crosses an engine's border. */
const SAMPLES: readonly (readonly [DType, TensorData])[] = [
  ["float32", Float32Array.of(1.5, -0)],
  ["float64", Float64Array.of(Number.MIN_VALUE, NaN)],
  ["float16", Float16Array.of(1.5, -2)],
  ["int8", Int8Array.of(-128, 127)],
  ["uint8", Uint8Array.of(0, 255)],
  ["bool", Uint8Array.of(1, 0)],
  ["int16", Int16Array.of(-32768, 32767)],
  ["uint16", Uint16Array.of(0, 65535)],
  ["int32", Int32Array.of(-(2 ** 31), 2 ** 31 - 1)],
  ["uint32", Uint32Array.of(0, 2 ** 32 - 1)],
  ["int64", BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n)],
  ["uint64", BigUint64Array.of(0n, 2n ** 64n - 1n)],
  ["string", ["", "größer 🙂"]],
];

const ADD = buildModel({
  inputs: [
    { name: "x", dtype: "float32", shape: ["n", 2] },
    { name: "offset", dtype: "float32", shape: [2] },
  ],
  outputs: ["sum", "negated", "same"].map((name) => ({
    name,
    dtype: "float32",
    shape: ["n", 2],
  })),
  nodes: [
    { op: "Add", inputs: ["x", "offset"], outputs: ["sum"] },
    { op: "Neg", inputs: ["x"], outputs: ["negated"] },
    { op: "Identity", inputs: ["x"], outputs: ["same"] },
  ],
});

function values(found: Tensor | undefined): unknown[] {
  assert.ok(found !== undefined);
  return [...found.data as Iterable<unknown>];
}

/** Registers the tests of the contract for one engine on one provider. */
export function engineConformance(
  makeEngine: () => Engine,
  provider: SessionSettings["provider"] = "cpu",
): void {
  const engine = makeEngine();
  const named = `${engine.name} engine${provider === "cpu" ? "" : ` on ${provider}`}`;
  const common: SessionSettings = {
    provider,
    optimization: "all",
    threads: 1,
    prepacking: true,
    label: "the tiny model",
  };

  const open = (
    bytes: Uint8Array,
    settings: Partial<SessionSettings> = {},
  ): Promise<EngineSession> =>
    engine.open({ kind: "bytes", bytes, weightFolder: null }, {
      ...common,
      ...settings,
    });

  const test = (name: string, body: () => Promise<void>): void =>
    Deno.test(`${named} ${name}`, async () => {
      const before = sessionLedger.count;
      await body();
      assert.equal(sessionLedger.count, before, "a session was left open");
    });

  const roundTrip = async (
    given: Tensor,
    shape: readonly Dimension[] | null,
  ): Promise<Tensor> => {
    await using session = await open(identityModel(given.dtype, shape));
    const { y } = await session.run({ x: given });
    assert.ok(y !== undefined);
    return y;
  };

  test("names the version of its ONNX Runtime", async () => {
    assert.match(await engine.version(), /^\d+\.\d+\.\d+/);
  });

  for (const [dtype, data] of SAMPLES) {
    test(`carries ${dtype} in and out unchanged`, async () => {
      const given = tensor(dtype, [2], data);
      const found = await roundTrip(given, [2]);
      assert.equal(found.dtype, dtype);
      assert.deepEqual([...found.shape], [2]);
      assert.equal(found.data.constructor, data.constructor);
      assert.notEqual(found.data, data);
      if (dtype === "string") assert.deepEqual(values(found), values(given));
      else assert.deepEqual(tensorBytes(found), tensorBytes(given));
    });

    test(`carries an empty ${dtype} tensor`, async () => {
      const none: TensorData = dtype === "string" ? [] : (data as Uint8Array).slice(0, 0);
      const found = await roundTrip(tensor(dtype, [0, 3], none), ["n", 3]);
      assert.deepEqual([...found.shape], [0, 3]);
      assert.equal(found.data.length, 0);
    });
  }

  test("takes float16 as bits", async () => {
    const bits = Uint16Array.of(0x3c00, 0xc000);
    const found = await roundTrip(tensor("float16", [2], bits), [2]);
    assert.deepEqual(values(found), [1, -2]);
  });

  test("carries scalars, and zero as a fixed dimension", async () => {
    const scalar = await roundTrip(float32([], [7]), []);
    assert.deepEqual([[...scalar.shape], values(scalar)], [[], [7]]);
    const none = await roundTrip(float32([0, 2], []), [0, 2]);
    assert.deepEqual([...none.shape], [0, 2]);
  });

  test("takes a view into a larger array", async () => {
    const view = Float32Array.of(9, 1, 2, 9).subarray(1, 3);
    assert.deepEqual(values(await roundTrip(float32([2], view), [2])), [1, 2]);
  });

  test("declares names, dtypes, fixed, symbolic and unknown sizes", async () => {
    await using session = await open(identityModel("int64", ["n", 3, null]));
    const shape = ["n", 3, null];
    assert.deepEqual(session.inputs, [
      { name: "x", isTensor: true, dtype: "int64", shape },
    ]);
    assert.equal(session.outputs[0]?.name, "y");
    await using open2 = await open(identityModel("float32", null));
    assert.equal(open2.inputs[0]?.shape, null);
    await using open3 = await open(identityModel("float32", []));
    assert.equal(open3.inputs[0]?.shape, null);
  });

  test("returns what was asked for, under its own name, in any order", async () => {
    await using session = await open(ADD);
    const feeds = { x: float32([1, 2], [1, 2]), offset: float32([2], [10, 20]) };
    const all = await session.run(feeds);
    assert.deepEqual(Object.keys(all).sort(), ["negated", "same", "sum"]);
    const some = await session.run(feeds, ["same", "sum"]);
    assert.deepEqual(Object.keys(some).sort(), ["same", "sum"]);
    assert.deepEqual(values(some["sum"]), [11, 22]);
    assert.deepEqual(values(some["same"]), [1, 2]);
    assert.deepEqual(values(all["negated"]), [-1, -2]);
  });

  test("takes names that JavaScript treats specially", async () => {
    const names = ["__proto__", "constructor", "10", "2"];
    await using session = await open(buildModel({
      inputs: names.map((name) => ({ name, dtype: "float32", shape: [1] })),
      outputs: names.map((name) => ({
        name: `${name}_out`,
        dtype: "float32",
        shape: [1],
      })),
      nodes: names.map((name) => ({
        op: "Neg",
        inputs: [name],
        outputs: [`${name}_out`],
      })),
    }));
    const feeds = Object.create(null) as Record<string, Tensor>;
    names.forEach((name, index) => feeds[name] = float32([1], [index + 1]));
    const outputs = await session.run(feeds);
    names.forEach((name, index) =>
      assert.deepEqual(values(outputs[`${name}_out`]), [-(index + 1)])
    );
    const error = await expectCode("FEED_MISSING", () => session.run({}));
    assert.deepEqual(error.details["missing"], names);
  });

  test("returns outputs that are called as every object's properties", async () => {
    const names = ["constructor", "toString", "10", "y"];
    await using session = await open(buildModel({
      inputs: [{ name: "x", dtype: "float32", shape: [1] }],
      outputs: names.map((name) => ({ name, dtype: "float32", shape: [1] })),
      nodes: names.map((name) => ({
        op: name === "y" ? "Identity" : "Neg",
        inputs: ["x"],
        outputs: [name],
      })),
    }));
    const x = float32([1], [3]);
    for (const fetches of [["y"], ["toString", "y"], ["10"], names]) {
      const outputs = await session.run({ x }, fetches);
      assert.deepEqual(Object.keys(outputs).sort(), [...fetches].sort());
      for (const name of fetches) {
        assert.deepEqual(values(outputs[name]), [name === "y" ? 3 : -3]);
      }
    }
  });

  test("accepts every optimization level and both kinds of prepacking", async () => {
    for (
      const optimization of ["disabled", "basic", "extended", "layout", "all"] as const
    ) {
      for (const prepacking of [true, false]) {
        await using session = await open(ADD, { optimization, prepacking });
        const x = float32([1, 2], [1, 2]);
        const { sum } = await session.run({ x, offset: float32([2], [1, 1]) });
        assert.deepEqual(values(sum), [2, 3]);
      }
    }
  });

  test("refuses settings outside their range", async () => {
    await expectCode("OPTION_INVALID", () => open(ADD, { threads: 0 }));
    await expectCode("OPTION_INVALID", () => open(ADD, { threads: 1.5 }));
    const wrong = { optimization: "most" } as unknown as SessionSettings;
    await expectCode("OPTION_INVALID", () => open(ADD, wrong));
    const auto = { provider: "auto" } as unknown as SessionSettings;
    await expectCode("OPTION_INVALID", () => open(ADD, auto));
    await expectCode("OPTION_INVALID", () =>
      engine.open(
        { kind: "bytes", bytes: ADD, weightFolder: "weights" },
        common,
      ));
  });

  test("lists every missing and unknown feed at once", async () => {
    await using session = await open(ADD);
    const x = float32([1, 2], [1, 2]);
    const offset = float32([2], [1, 1]);
    const missing = await expectCode("FEED_MISSING", () => session.run({}));
    assert.deepEqual(missing.details["missing"], ["x", "offset"]);
    assert.match(missing.message, /the tiny model.*"x", "offset"/);
    const both = await expectCode("FEED_MISSING", () => session.run({ x, ofset: offset }));
    assert.deepEqual(both.details["missing"], ["offset"]);
    assert.deepEqual(both.details["unknown"], ["ofset"]);
    const unknown = await expectCode(
      "FEED_UNKNOWN",
      () => session.run({ x, offset, ofset: offset }),
    );
    assert.match(unknown.fix, /did you mean "offset"/);
    const none = { x, offset: undefined } as unknown as { x: Tensor };
    await expectCode("FEED_MISSING", () => session.run(none));
    const inherited = Object.create({ x }) as { offset: Tensor };
    inherited.offset = offset;
    await expectCode("FEED_MISSING", () => session.run(inherited));
  });

  test("refuses feeds of another dtype, rank or fixed size", async () => {
    await using session = await open(ADD);
    const x = float32([1, 2], [1, 2]);
    const run = (offset: Tensor) => () => session.run({ x, offset });
    const dtype = await expectCode(
      "FEED_DTYPE",
      run(tensor("float64", [2], new Float64Array(2))),
    );
    assert.match(dtype.message, /"offset" has dtype float64.*float32/);
    await expectCode("FEED_RANK", run(float32([1, 2], [1, 2])));
    const shape = await expectCode("FEED_SHAPE", run(float32([3], [1, 2, 3])));
    assert.match(shape.message, /\[3\], the model declares \[2\] \(axis 0\)/);
  });

  test("refuses data that do not fit, before native code sees them", async () => {
    await using session = await open(ADD);
    const x = float32([1, 2], [1, 2]);
    const fed = (data: unknown, shape: unknown = [2]) => () =>
      session.run({
        x,
        offset: { dtype: "float32", shape, data } as unknown as Tensor,
      });
    await expectCode("FEED_DATA", fed(new Float32Array(1)));
    await expectCode("FEED_DATA", fed(new Float64Array(2)));
    await expectCode("FEED_DATA", fed([1, 2]));
    await expectCode("FEED_DATA", fed(undefined));
    await expectCode("FEED_DATA", fed(new Float32Array(2), [-2]));
    await expectCode("FEED_DATA", fed(new Float32Array(2), null));
    const shared = new Float32Array(new SharedArrayBuffer(8));
    await expectCode("FEED_DATA", fed(shared));
    const gone = new Float32Array(2);
    structuredClone(gone, { transfer: [gone.buffer] });
    await expectCode("FEED_DATA", fed(gone));
    await using any = await open(identityModel("float32", ["n"]));
    assert.deepEqual((await any.run({ x: { ...x, shape: [0], data: gone } }))["y"]?.shape, [0]);
    // Native code would read what lies behind an array that claims more than it holds.
    const claims = (data: object) => Object.defineProperty(data, "length", { value: 2 });
    await expectCode("FEED_DATA", fed(claims(new Float32Array(1))));
    await expectCode("FEED_DATA", fed(claims(Object.create(Float32Array.prototype))));
    await using strings = await open(identityModel("string", [2]));
    const data = ["a", 5] as unknown as string[];
    const mixed = { x: { dtype: "string", shape: [2], data } } as const;
    await expectCode("FEED_DATA", () => strings.run(mixed));
    const nothing = null as unknown as Record<string, Tensor>;
    await expectCode("FEED_DATA", () => session.run(nothing));
  });

  test("refuses fetches that do not exist, and none at all", async () => {
    await using session = await open(ADD);
    const feeds = { x: float32([1, 2], [1, 2]), offset: float32([2], [1, 1]) };
    const error = await expectCode(
      "FETCH_UNKNOWN",
      () => session.run(feeds, ["sum", "negate", "toString"]),
    );
    assert.deepEqual(error.details["unknown"], ["negate", "toString"]);
    assert.match(error.fix, /"negated"/);
    await expectCode("FETCH_UNKNOWN", () => session.run(feeds, []));
  });

  test("says of a sequence output that it cannot be fetched", async () => {
    await using session = await open(sequenceOutputModel());
    assert.equal(session.outputs[0]?.isTensor, false);
    const x = float32([1], [5]);
    const error = await expectCode("FETCH_UNKNOWN", () => session.run({ x }));
    assert.deepEqual(error.details["notTensors"], ["items"]);
    assert.deepEqual(values((await session.run({ x }, ["y"]))["y"]), [5]);
  });

  test("wraps a failing run once, with label, provider and cause", async () => {
    await using session = await open(buildModel({
      inputs: [{ name: "x", dtype: "float32", shape: ["n"] }, {
        name: "z",
        dtype: "float32",
        shape: ["m"],
      }],
      outputs: [{ name: "y", dtype: "float32", shape: null }],
      nodes: [{ op: "Add", inputs: ["x", "z"], outputs: ["y"] }],
    }));
    const error = await expectCode(
      "SESSION_RUN",
      () => session.run({ x: float32([2], [1, 2]), z: float32([3], [1, 2, 3]) }),
    );
    assert.ok(error.message.startsWith(`cannot run the tiny model on ${provider}: `));
    assert.deepEqual(error.details, { label: "the tiny model", provider });
    assert.ok(error.cause instanceof Error);
    const one = float32([1], [1]);
    assert.deepEqual(values((await session.run({ x: one, z: one }))["y"]), [2]);
  });

  test("wraps a model that is refused and leaves nothing open", async () => {
    const garbage = await expectCode("SESSION_CREATE", () => open(new Uint8Array(64).fill(7)));
    assert.ok(garbage.message.startsWith(`cannot open the tiny model on ${provider}: `));
    await expectCode("SESSION_CREATE", () => open(new Uint8Array()));
    await assert.rejects(
      open("bytes" as unknown as Uint8Array),
      TypeError,
    );
  });

  test("refuses values of four bits, which would end the process", async () => {
    const cast = buildModel({
      opset: 21,
      inputs: [{ name: "x", dtype: "float32", shape: [2] }],
      outputs: [{ name: "y", dtype: "int4", shape: [2] }],
      nodes: [{ op: "Cast", inputs: ["x"], outputs: ["y"], ints: { to: 22 } }],
    });
    const error = await expectCode("SESSION_CREATE", () => open(cast));
    assert.match(error.fix, /cast the value inside the graph/);
  });

  test("takes model bytes from a view, a pool or shared memory", async () => {
    const bytes = identityModel("float32", [1]);
    const wide = new Uint8Array(bytes.length + 40);
    wide.set(bytes, 13);
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    for (const given of [wide.subarray(13, 13 + bytes.length), shared]) {
      await using session = await open(given);
      assert.equal(session.inputs[0]?.name, "x");
    }
  });

  test("opens a file and weighs it; says what is wrong with a path", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hookline-engine-"));
    try {
      const path = join(folder, "tiny.onnx");
      const bytes = identityModel("float32", [1]);
      writeFileSync(path, bytes);
      const session = await engine.open({ kind: "file", path }, common);
      const listed = sessionLedger.openSessions().at(-1);
      assert.equal(listed?.byteLength, bytes.length);
      assert.equal(listed?.engine, engine.name);
      assert.equal(listed?.label, "the tiny model");
      const { y } = await session.run({ x: float32([1], [3]) });
      assert.deepEqual(values(y), [3]);
      await session.release();
      const openPath = (path: string) => () => engine.open({ kind: "file", path }, common);
      await expectCode("MODEL_NOT_FOUND", openPath(join(folder, "no.onnx")));
      await expectCode("MODEL_NOT_FOUND", openPath(folder));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("reads external weights from the given folder and nowhere else", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hookline-weights-"));
    const home = process.cwd();
    try {
      const length = 1024;
      const weight = new Float32Array(length).fill(42);
      const location = "weights.bin";
      writeFileSync(join(folder, location), new Uint8Array(weight.buffer));
      const bytes = buildModel({
        inputs: [{ name: "x", dtype: "float32", shape: [length] }],
        outputs: [{ name: "y", dtype: "float32", shape: [length] }],
        nodes: [{ op: "Add", inputs: ["x", "w"], outputs: ["y"] }],
        weights: [{
          name: "w",
          shape: [length],
          file: { location, byteOffset: 0, byteLength: length * 4 },
        }],
      });
      const x = float32([length], new Float32Array(length));
      {
        await using session = await engine.open(
          { kind: "bytes", bytes, weightFolder: folder },
          common,
        );
        assert.equal(values((await session.run({ x }))["y"])[5], 42);
      }
      process.chdir(folder);
      const error = await expectCode("SESSION_CREATE", () => open(bytes));
      assert.match(error.fix, /weight files beside the model/);
    } finally {
      process.chdir(home);
      rmSync(folder, { recursive: true });
    }
  });

  test("refuses runs after release; a second release is the first", async () => {
    const session = await open(identityModel("float32", [1]));
    assert.equal(session.released, false);
    const first = session.release();
    assert.equal(session.released, true);
    assert.equal(session.release(), first);
    await first;
    await session[Symbol.asyncDispose]();
    const x = float32([1], [1]);
    await expectCode("SESSION_RELEASED", () => session.run({ x }));
  });

  test("lets runs in flight finish before it releases", async () => {
    const session = await open(identityModel("float32", [1]));
    const order: string[] = [];
    const runs = [1, 2].map(async (value) => {
      const { y } = await session.run({ x: float32([1], [value]) });
      order.push(`run ${values(y)[0]}`);
    });
    const released = session.release().then(() => order.push("released"));
    await expectCode("SESSION_RELEASED", () => session.run({ x: float32([1], [3]) }));
    await Promise.all([...runs, released]);
    assert.equal(order.pop(), "released");
    assert.deepEqual(order.sort(), ["run 1", "run 2"]);
  });

  test("releases after a run in flight that fails", async () => {
    const session = await open(buildModel({
      inputs: ["a", "b"].map((name) => ({ name, dtype: "float32", shape: [name] })),
      outputs: [{ name: "y", dtype: "float32", shape: null }],
      nodes: [{ op: "Add", inputs: ["a", "b"], outputs: ["y"] }],
    }));
    const failing = expectCode(
      "SESSION_RUN",
      () => session.run({ a: float32([2], [1, 2]), b: float32([3], [1, 2, 3]) }),
    );
    await Promise.all([failing, session.release()]);
  });

  test("keeps two sessions in flight apart", async () => {
    await using first = await open(identityModel("float32", [1]));
    await using second = await open(ADD);
    const x = float32([1, 2], [1, 2]);
    const offset = float32([2], [1, 1]);
    const [one, two, three] = await Promise.all([
      first.run({ x: float32([1], [5]) }),
      second.run({ x, offset }, ["sum"]),
      first.run({ x: float32([1], [6]) }),
    ]);
    assert.deepEqual(values(one["y"]), [5]);
    assert.deepEqual(values(two["sum"]), [2, 3]);
    assert.deepEqual(values(three["y"]), [6]);
  });

  test("gives outputs that no later run changes", async () => {
    await using session = await open(identityModel("float32", [1]));
    const input = Float32Array.of(1);
    const { y } = await session.run({ x: float32([1], input) });
    input[0] = 9;
    await session.run({ x: float32([1], input) });
    assert.deepEqual(values(y), [1]);
  });
}
