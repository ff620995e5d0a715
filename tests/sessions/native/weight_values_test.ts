import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SessionSettings } from "../../../sessions/engine.ts";
import { NapiEngine } from "../../../sessions/napi_engine.ts";
import { trimHeap } from "../../../sessions/native/heap_trim.ts";
import { MappedFile, mappingRefusal } from "../../../sessions/native/mapped_file.ts";
import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import type { WeightSource } from "../../../sessions/native/weight_values.ts";
import { openSessions } from "../../../sessions/session_ledger.ts";
import { float32, tensor } from "../../../tensor/tensor.ts";
import { skippable } from "../../skippable.ts";
import { expectCode } from "../expect_code.ts";
import { buildModel } from "../tiny_models.ts";

const WIDTH = 64;
const SETTINGS: SessionSettings = {
  provider: "cpu",
  optimization: "all",
  threads: 2,
  prepacking: false,
  label: "block",
};

/** `y = x · w` with `w` as an input, so that any block's weight can be given. */
function blockModel() {
  return {
    kind: "bytes",
    weightFolder: null,
    bytes: buildModel({
      inputs: [
        { name: "x", dtype: "float32", shape: ["n", WIDTH] },
        { name: "w", dtype: "float32", shape: [WIDTH, WIDTH] },
      ],
      outputs: [{ name: "y", dtype: "float32", shape: ["n", WIDTH] }],
      nodes: [{ op: "MatMul", inputs: ["x", "w"], outputs: ["y"] }],
    }),
  } as const;
}

/** The same with `w` inside the model. */
function residentModel(data: Float32Array) {
  return {
    kind: "bytes",
    weightFolder: null,
    bytes: buildModel({
      inputs: [{ name: "x", dtype: "float32", shape: ["n", WIDTH] }],
      outputs: [{ name: "y", dtype: "float32", shape: ["n", WIDTH] }],
      nodes: [{ op: "MatMul", inputs: ["x", "w"], outputs: ["y"] }],
      weights: [{ name: "w", shape: [WIDTH, WIDTH], data }],
    }),
  } as const;
}

function weightData(seed: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: WIDTH * WIDTH }, (_, at) => Math.sin(seed * 31 + at));
}

function weight(memory: WeightSource["memory"], name = "w"): WeightSource {
  return { name, dtype: "float32", shape: [WIDTH, WIDTH], memory };
}

const X = float32([3, WIDTH], Float32Array.from({ length: 3 * WIDTH }, (_, at) => Math.cos(at)));

Deno.test({
  ...skippable(
    "one session runs every block with weights from a mapped file, bit for bit as plain ONNX Runtime",
    mappingRefusal() ?? undefined,
  ),
  async fn() {
    const folder = mkdtempSync(join(tmpdir(), "hookline-blocks-"));
    try {
      const path = join(folder, "weights.bin");
      const blocks = [1, 2, 3].map(weightData);
      const byteLength = 4 * WIDTH * WIDTH;
      // An odd offset: where a weight lies in a file is up to the file.
      const bytes = new Uint8Array(1 + 3 * byteLength);
      blocks.forEach((data, at) => bytes.set(new Uint8Array(data.buffer), 1 + at * byteLength));
      writeFileSync(path, bytes);
      const engine = new NativeEngine();
      await using session = await engine.open(blockModel(), SETTINGS);
      using file = new MappedFile(path);
      using stack = new DisposableStack();
      const sets = blocks.map((_, at) => {
        const range = { byteOffset: 1 + at * byteLength, byteLength };
        return stack.use(engine.weightValues([weight({ file, range })]));
      });
      for (const [at, data] of blocks.entries()) {
        await using plain = await new NapiEngine().open(residentModel(data), SETTINGS);
        const wanted = await plain.run({ x: X });
        for (let run = 0; run < 4; run++) {
          const found = await session.runWith(sets[at] as (typeof sets)[number], { x: X });
          assert.deepEqual(found["y"]?.data, wanted["y"]?.data);
        }
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
});

Deno.test("runWith() refuses weights that do not fit, that are missing, and that were released", async () => {
  const engine = new NativeEngine();
  await using session = await engine.open(blockModel(), SETTINGS);
  const bytes = new Uint8Array(weightData(1).buffer);
  await expectCode("FEED_MISSING", () => session.run({ x: X }));
  const withSource = (source: WeightSource) => async () => {
    using values = engine.weightValues([source]);
    await session.runWith(values, { x: X });
  };
  await expectCode("FEED_UNKNOWN", withSource(weight(bytes, "other")));
  await expectCode("FEED_DTYPE", withSource({ ...weight(bytes), dtype: "int32" }));
  await expectCode("FEED_RANK", withSource({ ...weight(bytes), shape: [WIDTH * WIDTH] }));
  await expectCode("FEED_SHAPE", withSource({ ...weight(bytes), shape: [32, 2 * WIDTH] }));
  await expectCode("FEED_DATA", withSource(weight(bytes.subarray(4))));
  await expectCode("FEED_DATA", withSource({ ...weight(bytes), dtype: "string" }));
  await expectCode("FEED_DATA", async () => {
    await Promise.resolve();
    engine.weightValues([weight(bytes), weight(bytes)])[Symbol.dispose]();
  });
  const released = engine.weightValues([weight(bytes)]);
  released[Symbol.dispose]();
  released[Symbol.dispose]();
  await expectCode("SESSION_RELEASED", () => session.runWith(released, { x: X }));
  await expectCode("FEED_UNKNOWN", async () => {
    using values = engine.weightValues([weight(bytes)]);
    await session.runWith(values, { x: X, w: float32([WIDTH, WIDTH], weightData(1)) });
  });
  assert.equal(openSessions().length, 1);
});

Deno.test("one session takes its inputs as weights in one run and as tensors in the next", async () => {
  const engine = new NativeEngine();
  await using session = await engine.open(blockModel(), SETTINGS);
  const data = weightData(3);
  using values = engine.weightValues([weight(new Uint8Array(data.buffer))]);
  using all = engine.weightValues([
    weight(new Uint8Array(data.buffer)),
    { name: "x", dtype: "float32", shape: [3, WIDTH], memory: bytesOf(X.data as Float32Array) },
  ]);
  using none = engine.weightValues([]);
  const w = float32([WIDTH, WIDTH], data);
  const wanted = (await session.run({ x: X, w }))["y"]?.data;
  for (let round = 0; round < 2; round++) {
    assert.deepEqual((await session.runWith(none, { x: X, w }))["y"]?.data, wanted);
    assert.deepEqual((await session.runWith(values, { x: X }))["y"]?.data, wanted);
    assert.deepEqual((await session.runWith(all, {}))["y"]?.data, wanted);
  }
});

function bytesOf(data: Float32Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}

Deno.test("weights that are released during a run stay until it ends", async () => {
  const engine = new NativeEngine();
  await using session = await engine.open(blockModel(), SETTINGS);
  const values = engine.weightValues([weight(new Uint8Array(weightData(5).buffer))]);
  const first = await session.runWith(values, { x: X });
  const length = 4000 * WIDTH;
  const large = float32([4000, WIDTH], new Float32Array(length).fill(1));
  const running = session.runWith(values, { x: large }); // new shapes: on another thread
  values[Symbol.dispose]();
  const { y } = await running;
  const column = weightData(5).filter((_, at) => at % WIDTH === 0);
  const sum = column.reduce((total, value) => total + value, 0);
  assert.ok(Math.abs(Number(y?.data[0]) - sum) < 1e-4);
  assert.equal(first["y"]?.data.length, 3 * WIDTH);
});

Deno.test("sessions with shared weights give plain ONNX Runtime's bits and outlive their release", async () => {
  const engine = new NativeEngine();
  const data = weightData(7);
  const settings = { ...SETTINGS, prepacking: true };
  await using plain = await new NapiEngine().open(residentModel(data), settings);
  const wanted = await plain.run({ x: X });
  const values = engine.weightValues([weight(new Uint8Array(data.buffer))]);
  const shared = engine.shareWeights(values);
  values[Symbol.dispose]();
  const source = residentModel(new Float32Array(WIDTH * WIDTH)); // zeros, which the shared weight replaces
  await using first = await engine.open(source, settings, { sharedWeights: shared });
  await using second = await engine.open(source, settings, { sharedWeights: shared });
  shared[Symbol.dispose]();
  for (const session of [first, second, first]) {
    const { y } = await session.run({ x: X });
    assert.deepEqual(y?.data, wanted["y"]?.data);
  }
  await expectCode(
    "SESSION_RELEASED",
    () => engine.open(source, settings, { sharedWeights: shared }),
  );
});

Deno.test({
  ...skippable(
    "shared weights are prepacked once, however many sessions read them",
    readdirSync("/").includes("proc") ? undefined : "memory is read from /proc",
  ),
  async fn() {
    const width = 2048; // 16 MiB
    const data = new Float32Array(width * width).fill(0.5);
    const folder = mkdtempSync(join(tmpdir(), "hookline-shared-"));
    using stack = new DisposableStack();
    stack.defer(() => rmSync(folder, { recursive: true }));
    const location = "weights.bin";
    const byteLength = 4 * width * width;
    writeFileSync(join(folder, location), new Uint8Array(byteLength)); // never read: it is replaced
    const source = {
      kind: "bytes",
      weightFolder: folder,
      bytes: buildModel({
        inputs: [{ name: "x", dtype: "float32", shape: ["n", width] }],
        outputs: [{ name: "y", dtype: "float32", shape: ["n", width] }],
        nodes: [{ op: "MatMul", inputs: ["x", "w"], outputs: ["y"] }],
        weights: [{
          name: "w",
          shape: [width, width],
          file: { location, byteOffset: 0, byteLength },
        }],
      }),
    } as const;
    const residentMiB = () =>
      Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024;
    const engine = new NativeEngine();
    const settings = { ...SETTINGS, prepacking: true };
    using values = engine.weightValues([{
      name: "w",
      dtype: "float32",
      shape: [width, width],
      memory: new Uint8Array(data.buffer),
    }]);
    using shared = engine.shareWeights(values);
    await using sessions = new AsyncDisposableStack();
    sessions.use(await engine.open(source, settings, { sharedWeights: shared }));
    const x = tensor("float32", [1, width], new Float32Array(width).fill(1));
    await trimHeap();
    const before = residentMiB();
    for (let index = 0; index < 6; index++) {
      const session = sessions.use(await engine.open(source, settings, { sharedWeights: shared }));
      assert.equal((await session.run({ x }))["y"]?.data[0], width / 2);
    }
    await trimHeap();
    const grown = residentMiB() - before;
    assert.ok(grown < 24, `six more sessions of 16 MiB took ${grown} MiB`);
  },
});
